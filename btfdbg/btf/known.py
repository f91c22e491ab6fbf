"""What was found out about one blob before, and is not worked out again.

Owns what of a :class:`~btfdbg.btf.Btf` depends on its bytes alone and takes time: where its
records are, their kinds, and which types the names have that were asked for. Knows nothing
of where it is kept; whoever keeps it must hand it to no other bytes than those it is of.
An answer is held against the blob again when it is used: only that it is complete is taken
from here.
"""

from __future__ import annotations

from btfdbg.btf.layouts import ENUM, ENUM64, TYPE_WORDS
from btfdbg.cache import Latest
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from btfdbg.btf.btf import Btf

MAX_NAMES = 4096
"""Names whose types are remembered; some 30 bytes each."""

_MAX_NAME = 512
_MAX_IDS = 64
# No name has it, while "unsigned int" has a blank.
_AFTER_NAME = b"\0"
# In the place of kinds: the enums with an enumerator of the name.
_ENUMERATOR = -2
# The offsets at which the strings read the name: what split BTF on top asks for.
_STRING = -3
# Where words of certain values stand in a row.
_WORDS = -4


class RecordIndex:
    """
    Where the records of a blob are.

    :ivar offsets: For each own type, in order, the word its record starts at.
    :ivar heads: kind_flag (bit 7) and kind of each.
    """

    __slots__ = ("heads", "offsets")

    def __init__(self, offsets: memoryview, heads: bytes) -> None:
        self.offsets = offsets
        self.heads = heads

    @classmethod
    def unpack(cls, data: memoryview) -> RecordIndex | None:
        """Read :meth:`pack`'s bytes; ``None`` if they cannot be such."""
        count, rest = divmod(len(data), 5)
        if rest or not count:
            return None
        return cls(data[: 4 * count].cast("I"), bytes(data[4 * count :]))

    def fits(self, words: memoryview) -> bool:
        """Whether a type section can have its records there: no proof, but safe to index."""
        last = self.offsets[-1]
        return self.offsets[0] == 0 and last + TYPE_WORDS <= len(words)

    @staticmethod
    def pack(btf: Btf) -> bytes:
        """The index of a blob, in the byte order of this machine."""
        from array import array

        return array("I", btf.offsets).tobytes() + btf.own_heads()


class KnownNames:
    """
    Ids of the own types that have a name, or an enumerator of it, for names that were asked for;
    where the name stands among the strings; and where the words of some records begin.

    :ivar is_new: Whether something was added since it was read.
    """

    __slots__ = ("_ids", "is_new")

    def __init__(self, before: dict[tuple[bytes, int], tuple[int, ...]] | None = None) -> None:
        self._ids = Latest(MAX_NAMES, before)
        self.is_new = False

    @classmethod
    def unpack(cls, data: bytes) -> KnownNames:
        """Read :meth:`pack`'s bytes; if one line is none of its, there is no answer in them."""
        ids: dict[tuple[bytes, int], tuple[int, ...]] = {}
        try:
            for line in data.split(b"\n")[:MAX_NAMES]:
                name, _, rest = line.partition(_AFTER_NAME)
                kinds, *of_name = rest.split(b" ")
                ids[name, int(kinds)] = tuple(map(int, of_name))
        except ValueError:
            ids.clear()
        return cls(ids)

    def pack(self) -> bytes:
        """Return a line for each: the name, a NUL, the bits of the kinds, the ids."""
        return b"\n".join(
            b"%b%b%d%b" % (name, _AFTER_NAME, kinds, b"".join([b" %d" % i for i in ids]))
            for (name, kinds), ids in self._ids.items()
        )

    def ids(self, btf: Btf, name: bytes, kinds: Collection[int] | None) -> tuple[int, ...] | None:
        """The types of a name, of some kinds or of all; ``None`` if that is not known."""
        found = self._ascending(btf, name, _bits(kinds))
        if found is None:
            return None
        try:
            if all(
                btf.name_bytes_of(type_id) == name
                and (kinds is None or btf.kind_of(type_id) in kinds)
                for type_id in found
            ):
                return found
        except BtfFormatError:
            pass
        self.clear()
        return None

    def enums(self, btf: Btf, name: bytes) -> tuple[int, ...] | None:
        """
        The enums with an enumerator of a name; ``None`` if that is not known.

        That each has one is to be seen by the caller, who looks at them anyway.
        """
        found = self._ascending(btf, name, _ENUMERATOR)
        if found is not None and any(btf.kind_of(i) not in (ENUM, ENUM64) for i in found):
            self.clear()
            return None
        return found

    def offsets(self, btf: Btf, name: bytes) -> tuple[int, ...] | None:
        """Every offset of :class:`~btfdbg.btf.strings.Strings` that reads a name, as above."""
        found = self._ids.get((name, _STRING))
        try:
            if found is None or all(btf.strings.bytes_at(at) == name for at in found):
                return found
        except IndexError:
            pass
        self.clear()
        return None

    def words(self, btf: Btf, values: tuple[int, ...]) -> tuple[int, ...] | None:
        """Every index at which words have these values in a row; ``None`` if not known."""
        found = self._ids.get((_as_name(values), _WORDS))
        least = 0
        for at in found or ():
            if at < least or tuple(btf.words[at : at + len(values)].tolist()) != values:
                self.clear()
                return None
            least = at + 1
        return found

    def _ascending(self, btf: Btf, name: bytes, what: int) -> tuple[int, ...] | None:
        found = self._ids.get((name, what))
        least = btf.start_id
        for type_id in found or ():
            if not least <= type_id < btf.type_cnt:
                self.clear()
                return None
            least = type_id + 1
        return found

    def clear(self) -> None:
        """Drop all answers: one of them did not hold."""
        self._ids.clear()

    def add(self, name: bytes, kinds: Collection[int] | None, ids: tuple[int, ...]) -> None:
        """Remember an answer, if it is a short one and there is room."""
        self._add(name, _bits(kinds), ids)

    def add_enums(self, name: bytes, ids: tuple[int, ...]) -> None:
        """Remember which enums have an enumerator of a name; as above."""
        self._add(name, _ENUMERATOR, ids)

    def add_offsets(self, name: bytes, offsets: tuple[int, ...]) -> None:
        """Remember where strings read a name; as above."""
        self._add(name, _STRING, offsets)

    def add_words(self, values: tuple[int, ...], found: tuple[int, ...]) -> None:
        """Remember where words have some values; as above."""
        self._add(_as_name(values), _WORDS, found)

    def _add(self, name: bytes, what: int, ids: tuple[int, ...]) -> None:
        if len(ids) > _MAX_IDS or len(name) > _MAX_NAME or b"\n" in name:
            return
        if self._ids.add((name, what), ids):
            self.is_new = True


def _as_name(values: tuple[int, ...]) -> bytes:
    return b" ".join([b"%x" % value for value in values])


def _bits(kinds: Collection[int] | None) -> int:
    """Kinds as one number; 0 for all, -1 for none of them."""
    if kinds is None:
        return 0
    bits = 0
    for kind in kinds:
        bits |= 1 << kind
    return bits or -1
