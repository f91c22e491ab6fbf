"""Types of a chain in columns: one word of every record, all elements of a kind in a row.

Owns the tables by id over all bases, and what is cut out of them by operations on whole
sections: a kernel has 100,000 types, and one by one they would take as long as all the rest
of a dump. ``adapt`` looks through the same columns that ``c_layout`` measures by.
"""

from __future__ import annotations

from array import array
from itertools import accumulate, compress, repeat
from operator import add, floordiv, sub

from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import (
    ARRAY,
    ENUM,
    ENUM64,
    FUNC_PROTO,
    FWD,
    LAYOUTS,
    MAX_CHAIN,
    STRUCT,
    TRANSPARENT,
    TYPE_WORDS,
    TYPEDEF,
    UNION,
)
from btfdbg.btf.strings import decode_name
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# Longest name, NUL included, that is taken for one without a second look.
_SHORT = 4096


def mask_of(kinds: Collection[int]) -> bytes:
    """Return what translates bytes of kinds into a mask of some of them."""
    return bytes(kind in kinds for kind in range(256))


IS_ARRAY = mask_of((ARRAY,))
IS_COMPOSITE = mask_of((STRUCT, UNION))
IS_PROTO = mask_of((FUNC_PROTO,))
IS_ENUM = mask_of((ENUM, ENUM64))
IS_ENUM32 = mask_of((ENUM,))
IS_ENUM64 = mask_of((ENUM64,))
IS_TYPEDEF = mask_of((TYPEDEF,))
IS_FWD = mask_of((FWD,))
_IS_TRANSPARENT = mask_of(TRANSPARENT)
#: What C names, with what it names in it; a mask for each, and a kind of it.
NAMED_IN_C = (
    (IS_COMPOSITE, STRUCT),
    (IS_PROTO, FUNC_PROTO),
    (IS_ENUM32, ENUM),
    (IS_ENUM64, ENUM64),
    (IS_TYPEDEF, TYPEDEF),
    (IS_FWD, FWD),
)


class Names(dict[int, str]):
    """
    String offset to name, cut out when first asked for.

    Most of a kernel's names are functions' and parameters', which no C type has. Offsets
    into strings can make many long names of one; all together they are limited.

    :ivar text: The bottom's strings, if their bytes are characters, and no string is long.
    :ivar end: Offsets below it can be cut out of that, too.
    """

    def __init__(self, btf: Btf) -> None:
        super().__init__()
        self._btf = btf
        self._left = (1 << 20) + 64 * sum(len(level.raw) for level in btf.chain())
        data = btf.chain()[0].strings.data
        self.text = data.decode("ascii") if data.isascii() and _is_short(data) else ""
        self.end = len(self.text)

    def __missing__(self, offset: int) -> str:
        if offset < self.end:
            name = self.text[offset : self.text.find("\0", offset)]
        else:
            name = decode_name(self._btf.string_bytes(offset))
            self._left -= len(name)
            if self._left < 0:
                raise BtfFormatError("the names of these types are too much larger than they are")
        self[offset] = name
        return name

    def cut(self, offsets: list[int]) -> list[str]:
        """Return names that are not likely to be asked for again."""
        if not any(offsets):
            return [""] * len(offsets)
        if max(offsets, default=0) < self.end:
            text, find = self.text, self.text.find
            return [text[offset : find("\0", offset)] for offset in offsets]
        names = [self[offset] for offset in offsets]
        if sum(map(len, names)) > self._left:
            raise BtfFormatError("the names of these types are too much larger than they are")
        return names


def _is_short(strings: bytes) -> bool:
    """Return whether no string is longer than any compiler's names."""
    at = 0
    while at + _SHORT < len(strings):
        at = strings.rfind(b"\0", at, at + _SHORT) + 1
        if not at:
            return False
    return True


class Elements:
    """
    What own types of a level hold, all of one kind in a row.

    :ivar ids: Types of that kind.
    :ivar bounds: Number of the first element of each, and behind the last the number of all.
    """

    def __init__(self, ids: list[int], words: array[int], step: int, bounds: list[int]) -> None:
        self.ids = ids
        self.bounds = bounds
        self._words = words
        self._step = step

    def column(self, word: int) -> list[int]:
        """Return one word of each element."""
        return self._words[word :: self._step].tolist()


class Columns:
    """
    Types of a chain, by id.

    :ivar kind: Kind of each.
    :ivar words: Words of all, void's last. An array, since few are looked at twice.
    :ivar start: Word at which each one's record starts; one more than there are types.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.names = Names(btf)
        self.count = btf.type_cnt
        self.words = array("I")
        self.start: list[int] = [0]
        kinds = [b"\0"]
        for level in btf.chain():
            kinds.append(level.own_kinds())
            shift = len(self.words)
            self.start += [shift + at for at in level.offsets] if shift else level.offsets
            self.words.frombytes(level.words.cast("B"))
        self.kind = b"".join(kinds)
        self.start.append(len(self.words))
        self.start[0] = len(self.words)
        self.words.extend((0, 0, 0))
        self._ids = list(range(self.count))
        self._elements: dict[tuple[bytes, int], Elements] = {}
        self._references: dict[tuple[bytes, int], tuple[list[int], list[int]]] = {}

    def ids_of(self, mask: bytes, level: Btf | None = None) -> list[int]:
        """Return the ids of some kinds, given as a mask; by default of all levels."""
        marks = self.kind.translate(mask)
        first, end = (0, self.count) if level is None else (level.start_id, level.type_cnt)
        if marks.count(1, first, end) > (end - first) >> 4:
            whole = end - first >= self.count - 1  # void is of no kind that is asked for
            return list(
                compress(self._ids, marks)
                if whole
                else compress(self._ids[first:end], marks[first:end])
            )
        out = []
        at = marks.find(1, first, end)
        while at >= 0:
            out.append(at)
            at = marks.find(1, at + 1, end)
        return out

    def word(self, ids: Iterable[int], at: int) -> Iterator[int]:
        """Return one word of each record."""
        starts = map(self.start.__getitem__, ids)
        return map(self.words.__getitem__, map(add, starts, repeat(at)) if at else starts)

    def leading_to(self, wanted: Iterable[int], *, through_arrays: bool) -> dict[int, int]:
        """
        Return what is one of some types by another name, and which; the types themselves, too.

        :param through_arrays: What is an array of one counts.
        """
        chains = [self.references(_IS_TRANSPARENT, 2)]
        if through_arrays:
            chains.append(self.references(IS_ARRAY, TYPE_WORDS))
        leads = {type_id: type_id for type_id in wanted}
        for _ in range(MAX_CHAIN):
            known = len(leads)
            for above, targets in chains:
                hits = map(leads.__contains__, targets)
                for type_id, target in list(compress(zip(above, targets, strict=True), hits)):
                    leads.setdefault(type_id, leads[target])
            if len(leads) == known:
                break
        return leads

    def references(self, mask: bytes, at: int) -> tuple[list[int], list[int]]:
        """Return the types of some kinds, and one word of each; found once."""
        known = self._references.get((mask, at))
        if known is None:
            ids = self.ids_of(mask)
            known = self._references[mask, at] = ids, list(self.word(ids, at))
        return known

    def elements(self, mask: bytes, kind: int, level: Btf) -> Elements:
        """Return what the own types of a kind, or of kinds alike, hold; cut out once."""
        key = mask, level.start_id
        known = self._elements.get(key)
        if known is None:
            known = self._elements[key] = self._cut(
                self.ids_of(mask, level), LAYOUTS[kind].elem_words
            )
        return known

    def _cut(self, ids: list[int], step: int) -> Elements:
        start = self.start.__getitem__
        firsts = list(map(add, map(start, ids), repeat(TYPE_WORDS)))
        ends = list(map(start, map(add, ids, repeat(1))))
        words = array("I")
        with memoryview(self.words) as view:
            words.frombytes(b"".join(map(view.__getitem__, map(slice, firsts, ends))))
        bounds = accumulate(map(sub, ends, firsts), initial=0)
        return Elements(ids, words, step, list(map(floordiv, bounds, repeat(step))))

    def names_of(self, mask: bytes, kind: int, level: Btf) -> Iterator[list[int]]:
        """Yield the string offsets of the own types of a kind, and of what is in them."""
        yield list(self.word(self.ids_of(mask, level), 0))
        if LAYOUTS[kind].elem_words:
            yield self.elements(mask, kind, level).column(0)
