"""The numbers in one record's words, in the same shape whoever asks.

Owns how many elements a record has and what is packed into one of its words: an INT's
data, a member's offset and bit-field size. ``decode`` makes values of them; whoever must
do without values, because a kernel has 100,000 types, reads them here and shares what
a change of the format changes.

Knows nothing of strings, and not whether an id exists: names are offsets, types are ids.
Facts: include/uapi/linux/btf.h, ``BTF_MEMBER_BIT_OFFSET``, ``BTF_INT_BITS`` and the like.
"""

from __future__ import annotations

from btfdbg.btf.layouts import TYPE_WORDS, info_kflag, info_vlen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

#: Words of ``struct btf_type`` by their place in a record.
NAME_OFF: Final = 0
INFO: Final = 1
SIZE_OR_TYPE: Final = 2


def member_words(words: memoryview, at: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """
    Return the members of the STRUCT or UNION whose record starts at a word.

    :param words: A type section, ``Btf.words``.
    :return: Name offsets, type ids, offsets in bits, and bit-field sizes in bits (0: whole
        values; empty if none has one: kind_flag is not set).

    >>> names, types, offsets, sizes = member_words(btf.words, btf.offsets[0])
    """
    info = words[at + INFO]
    first = at + TYPE_WORDS
    fields: list[int] = words[first : first + 3 * info_vlen(info)].tolist()
    offsets = fields[2::3]
    if not info_kflag(info):
        return fields[::3], fields[1::3], offsets, []
    return (
        fields[::3],
        fields[1::3],
        [offset & 0xFFFFFF for offset in offsets],
        [offset >> 24 for offset in offsets],
    )


def member_names(words: memoryview, at: int) -> tuple[list[int], list[int]]:
    """Return the members' name offsets and bit-field sizes, as above."""
    info = words[at + INFO]
    first = at + TYPE_WORDS
    last = first + 3 * info_vlen(info)
    names: list[int] = words[first:last:3].tolist()
    if not info_kflag(info):
        return names, []
    return names, [offset >> 24 for offset in words[first + 2 : last : 3].tolist()]


def param_words(words: memoryview, at: int) -> tuple[list[int], list[int]]:
    """Return the name offsets and type ids of a FUNC_PROTO's parameters, as above."""
    first = at + TYPE_WORDS
    fields: list[int] = words[first : first + 2 * info_vlen(words[at + INFO])].tolist()
    return fields[::2], fields[1::2]


def parameters_at(words: memoryview, at: int) -> tuple[list[int], bool]:
    """Return name offset and type id of each of a FUNC_PROTO's parameters, and whether ``...``."""
    first = at + TYPE_WORDS
    fields: list[int] = words[first : first + 2 * info_vlen(words[at + INFO])].tolist()
    if fields and not fields[-1] and not fields[-2]:
        del fields[-2:]
        return fields, True
    return fields, False


def parameter_count(words: memoryview, at: int) -> tuple[int, bool]:
    """Return how many parameters a FUNC_PROTO has, and whether ``...`` comes behind them."""
    count = info_vlen(words[at + INFO])
    last = at + TYPE_WORDS + 2 * count - 2
    if count and not words[last] and not words[last + 1]:
        return count - 1, True
    return count, False


def array_words(words: memoryview, at: int) -> tuple[int, int, int]:
    """Return an ARRAY's element type, index type and number of elements, as above."""
    element, index, nelems = words[at + TYPE_WORDS : at + TYPE_WORDS + 3]
    return element, index, nelems


def int_fields(data: int) -> tuple[int, int, int]:
    """Return the value's bits, its offset in bits and the encoding out of an INT's data."""
    return data & 0xFF, data >> 16 & 0xFF, data >> 24 & 0xF


def enum_words(words: memoryview, at: int) -> tuple[list[int], Sequence[int], bool]:
    """Return an ENUM's name offsets and values, and whether they have a sign."""
    info = words[at + INFO]
    first = at + TYPE_WORDS
    found: list[int] = words[first : first + 2 * info_vlen(info)].tolist()
    signed = info_kflag(info)
    return found[::2], enum_values(found[1::2], signed), signed


def enum_values(values: Sequence[int], signed: bool) -> Sequence[int]:
    """Return the values of an ENUM, given its words."""
    return [value - (value >> 31 << 32) for value in values] if signed else values
