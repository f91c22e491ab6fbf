"""Where the records of a type section are: the one pass over all types.

Owns what tells one record from the next, and the errors that say where in a blob a
record breaks a rule. What its words mean is ``decode``'s.

Why bytes first: three types of four have a length that their kind alone decides, and
one byte of the info word holds the kind. A byte out of a string of bytes costs a third
of a word out of a view.
Facts: Documentation/bpf/btf.rst, "Type encoding"; ``struct btf_layout`` for other kinds.
"""

from __future__ import annotations

import sys

from btfdbg.btf.layouts import LAYOUTS, TYPE_WORDS, info_kind, info_vlen, kind_name
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

# Words of a record by the highest byte of its info word, kind_flag and kind; 0 where more
# than that decides.
_BY_KIND = bytes(
    LAYOUTS[kind].words(0) if kind in LAYOUTS and not LAYOUTS[kind].elem_words else 0
    for kind in (*range(128), *range(128))
)

#: Kind by that byte.
KIND_OF_HEAD = bytes(range(128)) * 2


class _RecordWords(dict[int, int]):
    """Info word to length of the record in words; computed when first met."""

    def __init__(self, unknown: dict[int, tuple[int, int]]) -> None:
        super().__init__()
        self.unknown = unknown

    def __missing__(self, info: int) -> int:
        kind = info_kind(info)
        row = LAYOUTS.get(kind)
        if row is not None:
            size = row.words(info_vlen(info))
        elif not kind:
            raise KeyError(kind)  # void, whatever a layout's first row says
        else:
            info_size, elem_size = self.unknown[kind]
            if info_size % 4 or elem_size % 4:
                raise BtfFormatError(
                    f"layout of {kind_name(kind)}: {info_size}+{elem_size} bytes, "
                    "expected multiples of 4"
                )
            size = TYPE_WORDS + (info_size + elem_size * info_vlen(info)) // 4
        self[info] = size
        return size


def info_high_bytes(words: memoryview, section_offset: int, blob: bytes | mmap | None) -> bytes:
    """
    Return the highest byte of the word after each word: kind_flag and kind where it is an info.

    :param words: A type section, native u32.
    :param blob: What it is a view of, from ``section_offset`` on, if it is.
    """
    at = 7 if sys.byteorder == "little" else 4
    if blob is None:
        return words.tobytes()[at::4]
    # No copy of the section first, whose fresh pages cost 2 ms.
    return blob[section_offset + at : section_offset + 4 * len(words) : 4]


def record_offsets(
    words: memoryview,
    heads: bytes,
    unknown: dict[int, tuple[int, int]],
    start_id: int,
    section_offset: int,
) -> list[int]:
    """
    Return the word at which each record of a type section starts.

    :param words: The section, native u32.
    :param heads: Its :func:`info_high_bytes`.
    :param unknown: Bytes per (record, element) of kinds that are not known here.
    :param start_id: Id of the first record.
    :param section_offset: Byte of the blob at which the section starts.
    :raises BtfFormatError: a record is of a kind that nothing describes, or the last one
        does not end where the section does.
    """
    end = len(words)
    by_kind = heads.translate(_BY_KIND)
    record_words = _RecordWords(unknown)
    offsets: list[int] = []
    append = offsets.append
    infos = words[1:]
    pos = 0
    problem = ""
    try:
        while True:  # 70 ns a type; the section's end ends it
            append(pos)
            pos += by_kind[pos] or record_words[infos[pos]]
    except IndexError:
        if pos < end:
            problem = f"record needs {4 * TYPE_WORDS} bytes, {4 * (end - pos)} left"
        else:
            offsets.pop()  # no record, but the end
    except KeyError:
        problem = (
            "kind is not known and no layout section describes it"
            if info_kind(words[pos + 1])
            else "kind 0 cannot have a record"
        )
    except BtfFormatError as error:
        problem = str(error)
    if not problem and pos != end:
        pos = offsets[-1]
        need = 4 * record_words[words[pos + 1]]
        problem = f"record needs {need} bytes, {4 * (end - pos)} left"
    if problem:
        type_id = start_id + len(offsets) - 1
        offset = section_offset + 4 * pos
        kind = kind_name(info_kind(words[pos + 1])) if pos + 1 < end else "no kind"
        raise BtfFormatError(
            f"type {type_id} ({kind}) at {offset:#x}: {problem}",
            offset=offset,
            type_id=type_id,
        )
    return offsets
