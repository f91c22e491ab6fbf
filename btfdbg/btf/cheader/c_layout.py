"""Types of a chain by id, with the layout that a C compiler would give them.

Owns the numbers that a C dump needs for every type: kind, words, targets, size,
alignment, whether a struct has to be packed. Flat tables indexed by id over all bases,
made by operations on whole sections: a kernel has 100,000 types, of which C has no use
for half, and one by one they would take as long as all the rest of a dump.

Cycles and absurd depths are legal input here: a type that contains itself has the size
that its record says, and alignment 1.
Facts: libbpf's btf__resolve_size, btf__align_of and btf_is_struct_packed.
"""

from __future__ import annotations

import gc
from array import array
from itertools import compress, repeat
from operator import add, lt

from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import (
    ARRAY,
    CONST,
    DATASEC,
    DECL_TAG,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    FWD,
    INT,
    LAYOUTS,
    MAX_CHAIN,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VAR,
    VOLATILE,
)
from btfdbg.btf.strings import decode_name
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Kinds that are no types in C.
NOTHING = frozenset({FUNC, VAR, DATASEC, DECL_TAG})
_TRANSPARENT = frozenset({TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG})
_COMPOSITES = frozenset({STRUCT, UNION})
_SIZED = frozenset({INT, STRUCT, UNION, ENUM, FLOAT, ENUM64})
_ONE_WORD = frozenset({PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})
_SCALARS = frozenset({INT, ENUM, ENUM64, FLOAT})
#: ``void``, functions, what is declared only: nothing is one of these by value.
_NO_VALUE = frozenset({0, FWD, FUNC_PROTO})


# Longest name, NUL included, that is taken for one without a second look.
_SHORT = 4096


class WorkBudget:
    """
    Work that may still be done for one question.

    Types within types can double at each level: what is small as BTF need not be small
    when it is written out.
    """

    def __init__(self, left: int = 200_000) -> None:
        self.left = left

    def take(self, type_id: int) -> None:
        """
        Do one step.

        :raises BtfFormatError: it is one too many.
        """
        self.left -= 1
        if self.left < 0:
            raise BtfFormatError(
                f"type {type_id}: is much larger written out than as BTF", type_id=type_id
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


class _Records(dict[int, list[int]]):
    """Id to the words of a record, cut out when first asked for."""

    def __init__(self, types: Types) -> None:
        super().__init__()
        self._types = types
        self._nothing = [0, 0, 0]

    def __missing__(self, type_id: int) -> list[int]:
        types = self._types
        if type_id == 0 or types.kind[type_id] in NOTHING:
            return self._nothing
        start, end = types.start[type_id], types.start[type_id + 1]
        record = self[type_id] = types.words[start:end].tolist()
        return record


class _Below(dict[int, list[int]]):
    """Id to what it refers to; prototypes, of which C needs few, when first asked for."""

    def __init__(self, types: Types) -> None:
        super().__init__()
        self._types = types

    def __missing__(self, type_id: int) -> list[int]:
        types = self._types
        start, end = types.start[type_id], types.start[type_id + 1]
        below = self[type_id] = types.words[start + 2 : end : 2].tolist()
        return below


def _table(kinds: frozenset[int]) -> bytes:
    """Return what translates bytes of kinds into a mask of some of them."""
    return bytes(kind in kinds for kind in range(256))


def _scalar_align(size: int, pointer_size: int) -> int:
    # A FLOAT of 12 bytes is aligned as one of 4.
    return min(16 if size == 16 else pointer_size, size & -size) or 1


_KIND_BITS = bytes(kind & 0x7F for kind in range(256))
_IS_SIZED = _table(_SIZED)
_IS_SCALAR = _table(_SCALARS)
_IS_ENUM = _table(frozenset({ENUM, ENUM64}))
_IS_FWD = _table(frozenset({FWD}))
_IS_PTR = _table(frozenset({PTR}))
_IS_ONE_WORD = _table(_ONE_WORD)
_IS_ARRAY = _table(frozenset({ARRAY}))
_IS_COMPOSITE = _table(frozenset({STRUCT, UNION}))
_IS_PROTO = _table(frozenset({FUNC_PROTO}))
_IS_C_BUT_PROTO = _table(frozenset(range(1, 128)) - NOTHING - {FUNC_PROTO})
_KNOWN_REFS = NOTHING | _ONE_WORD | {ARRAY, STRUCT, UNION, FUNC_PROTO}
_HAS_OTHER_REFS = _table(
    frozenset(int(kind) for kind, row in LAYOUTS.items() if row.has_refs) - _KNOWN_REFS
)


class Types:
    """
    Types of a chain, by id.

    :ivar kind: Kind of each.
    :ivar words: Words of all, void's last. An array, since few are looked at twice.
    :ivar start: Word at which each one's record starts; one more than there are types.
    :ivar record: Words of each; those of functions, variables, sections and tags, which
        are no types in C, are void's.
    :ivar below: Of each STRUCT and UNION its members' types, of each FUNC_PROTO what it
        returns and takes.
    :ivar tagged: 1 for each STRUCT and UNION with a name.
    :ivar enums: Every ENUM and ENUM64.
    :ivar unreferenced: Of ENUMs and FWDs without a name, those that nothing refers to.
    """

    def __init__(self, btf: Btf) -> None:
        # 100,000 lists without a cycle among them are not worth looking for one.
        collects = gc.isenabled()
        gc.disable()
        try:
            self._take(btf)
        finally:
            if collects:
                gc.enable()

    def _take(self, btf: Btf) -> None:
        self.btf = btf
        self.names = Names(btf)
        self.count = btf.type_cnt
        self.words = array("I")
        self.start: list[int] = [0]
        kinds = [b"\0"]
        for level in btf.chain():
            kinds.append(level.own_heads())
            shift = len(self.words)
            self.start += [shift + at for at in level.offsets] if shift else level.offsets
            self.words.frombytes(level.words.cast("B"))
        self.kind = b"".join(kinds).translate(_KIND_BITS)
        self.start.append(len(self.words))
        self.start[0] = len(self.words)
        self.words.extend((0, 0, 0))
        self._ids = list(range(self.count))
        self.record = _Records(self)
        self.below = _Below(self)
        self.tagged = bytearray(self.count)
        self.enums = self.ids_of(_IS_ENUM)
        self.unreferenced = {
            type_id
            for type_id in (*self.enums, *self.ids_of(_IS_FWD))
            if not self.words[self.start[type_id]]
        }
        #: Every STRUCT or UNION, PTR, FUNC_PROTO; and the last type that each of these refers to.
        self.composites: list[int] = []
        self.pointers = self.ids_of(_IS_PTR)
        self.protos: list[int] = []
        self.proto_last: list[int] = []
        for level in btf.chain():
            self._refer(level)
        self._measure(btf.pointer_size)
        #: 1 for what only a packed struct can be; known once the alignment is.
        self.packed = bytearray(self.count)
        #: 1 for what has each member where a compiler puts it by itself, no bit-fields;
        #: and the bit at which its last member ends.
        self.plain = bytearray(self.count)
        #: Types with a member by value of what has none.
        self.impossible: set[int] = set()
        self.last: dict[int, int] = {}

    def ids_of(self, table: bytes, level: Btf | None = None) -> list[int]:
        """Return the ids of some kinds, given as a mask; by default of all levels."""
        mask = self.kind.translate(table)
        first, end = (0, self.count) if level is None else (level.start_id, level.type_cnt)
        if mask.count(1, first, end) > (end - first) >> 4:
            whole = end - first >= self.count - 1  # void is of no kind that is asked for
            return list(
                compress(self._ids, mask)
                if whole
                else compress(self._ids[first:end], mask[first:end])
            )
        out = []
        at = mask.find(1, first, end)
        while at >= 0:
            out.append(at)
            at = mask.find(1, at + 1, end)
        return out

    def c_types(self) -> list[int]:
        """
        Return the ids of all that are types in C, kinds not known included.

        Left out are prototypes, half of a kernel's, that refer to nothing after them:
        when each type is asked for in turn, they bring along what has been.
        """
        out = self.ids_of(_IS_C_BUT_PROTO)
        out += compress(self.protos, map(lt, self.protos, self.proto_last))
        out.sort()
        return out

    def word(self, ids: Iterable[int], at: int) -> Iterator[int]:
        """Return one word of each record."""
        starts = map(self.start.__getitem__, ids)
        return map(self.words.__getitem__, map(add, starts, repeat(at)) if at else starts)

    def _cut(self, ids: list[int], first: int, step: int) -> Iterator[array[int]]:
        """Return every so many words of each record."""
        start = self.start.__getitem__
        starts = map(add, map(start, ids), repeat(first))
        ends = map(start, map(add, ids, repeat(1)))
        return map(self.words.__getitem__, map(slice, starts, ends, repeat(step)))

    def _measure(self, pointer_size: int) -> None:
        self.pointer_size = pointer_size
        #: -1 where it is not known yet, here and below.
        self.size = size = [-1] * self.count
        self.align = align = [-1] * self.count
        sized = self.ids_of(_IS_SIZED)
        for type_id, value in zip(sized, self.word(sized, 2), strict=True):
            size[type_id] = value
        for type_id in self.ids_of(_IS_SCALAR):
            align[type_id] = _scalar_align(size[type_id], pointer_size)
        for type_id in self.pointers:
            size[type_id] = align[type_id] = pointer_size

    def _refer(self, level: Btf) -> None:
        """
        Note which types an own type of a level refers to.

        :raises BtfFormatError: one of them does not exist.
        """
        free = self.unreferenced
        targets = list(self.word(self.ids_of(_IS_ONE_WORD, level), 2))
        free.difference_update(targets)
        composites = self.ids_of(_IS_COMPOSITE, level)
        self.composites += composites
        members = list(map(array.tolist, self._cut(composites, 4, 3)))
        free.difference_update(*members)
        self.below.update(zip(composites, members, strict=True))
        tagged = self.tagged
        for type_id in compress(composites, self.word(composites, 0)):
            tagged[type_id] = 1
        protos = self.ids_of(_IS_PROTO, level)
        proto_refs = list(self._cut(protos, 2, 2))
        free.difference_update(*proto_refs)
        self.protos += protos
        self.proto_last += map(max, proto_refs)
        arrays = self.ids_of(_IS_ARRAY, level)
        targets += self.word(arrays, 3)
        targets += self.word(arrays, 4)
        for type_id in self.ids_of(_HAS_OTHER_REFS, level):
            targets += level.iter_type_refs(type_id)
        free.difference_update(targets)
        last = max(targets, default=0), max(map(max, filter(None, members)), default=0)
        if max(*last, max(self.proto_last, default=0)) >= level.type_cnt:
            self._report(level)

    def _report(self, level: Btf) -> None:

        for type_id in level.own_ids():
            targets = [] if self.kind[type_id] in NOTHING else level.iter_type_refs(type_id)
            if targets and max(targets) >= level.type_cnt:
                raise level.record_error(
                    type_id,
                    f"refers to type {max(targets)}, last type is {level.type_cnt - 1}",
                )

    def size_of(self, type_id: int) -> int:
        """Return the size in bytes; 0 for what has none."""
        size = self.size[type_id]
        if size >= 0:
            return size
        words, start = self.words, self.start
        count = 1
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = self.kind[at]
            if self.size[at] >= 0:
                size = count * self.size[at]
                break
            if kind == ARRAY:
                at = start[at]
                count *= words[at + 5]
                at = words[at + 3]
            elif kind in _TRANSPARENT:
                at = words[start[at] + 2]
            else:
                size = 0
                break
        else:
            size = 0
        if size >= 1 << 60:
            raise BtfFormatError(f"type {type_id}: {size} bytes", type_id=type_id)
        self.size[type_id] = size = max(size, 0)
        return size

    def align_of(self, type_id: int) -> int:
        """Return the alignment in bytes, 1 for what has none."""
        align = self.align[type_id]
        return align if align > 0 else self._find_align(type_id, 0)

    def has_no_value(self, type_id: int) -> bool:
        """Return whether nothing can be of a type by value, nor be an array of it."""
        kind, words, start = self.kind, self.words, self.start
        for _ in range(MAX_CHAIN):
            if kind[type_id] not in _TRANSPARENT and kind[type_id] != ARRAY:
                break
            type_id = words[start[type_id] + (3 if kind[type_id] == ARRAY else 2)]
        return kind[type_id] in _NO_VALUE

    def _find_align(self, type_id: int, depth: int) -> int:
        words, start = self.words, self.start
        at = type_id
        kind = 0
        for _ in range(MAX_CHAIN):
            kind = self.kind[at]
            if self.align[at] > 0:
                break
            if kind == ARRAY:
                at = words[start[at] + 3]
            elif kind in _TRANSPARENT:
                at = words[start[at] + 2]
            else:
                break
        align = self.align[at]
        if align <= 0:
            align = 1
            if kind in _COMPOSITES and depth <= MAX_CHAIN:
                align = self._composite(at, depth)
            elif kind in _NO_VALUE:
                return align  # not kept: who has such a member is told each time
        self.align[type_id] = align
        return align

    def _composite(self, type_id: int, depth: int) -> int:
        if not self.align[type_id]:
            return 1  # being worked out further up: it contains itself
        self.align[type_id] = 0
        align = self._lay_out(type_id, depth)
        self.align[type_id] = align
        return align

    def _lay_out(self, type_id: int, depth: int) -> int:
        """Work out all about a STRUCT's or UNION's layout, and return its alignment."""
        words = self.words
        at, end = self.start[type_id], self.start[type_id + 1]
        kflag = words[at + 1] > 0x7FFFFFFF
        struct = self.kind[type_id] == STRUCT
        known, sizes = self.align, self.size
        widest = self.pointer_size
        largest = 1
        packed = False
        plain = not kflag
        last = 0
        for member, offset in zip(self.below[type_id], words[at + 5 : end : 3], strict=True):
            align = known[member]
            if align <= 0:
                align = self._find_align(member, depth + 1)
                if known[member] < 0 and self.has_no_value(member):
                    self.impossible.add(type_id)
                    plain = False
            if align > largest:
                largest = align
            if kflag:
                bits = offset >> 24
                unit = 8 * (self.size_of(member) or 1)
                # Only in a packed struct may one cross the boundary of its type.
                if (offset & 0xFFFFFF) % unit + bits > unit if bits else offset % (8 * align):
                    packed = True
            elif offset % (8 * align):
                packed = True
            else:
                if offset > last:
                    if offset - last >= 8 * align or align > widest:
                        plain = False
                elif offset < last and struct:
                    plain = False
                size = sizes[member]
                last = offset + 8 * (size if size >= 0 else self.size_of(member))
        if packed or words[at + 2] % largest:
            self.packed[type_id] = 1
            return 1
        if plain and last <= 8 * words[at + 2]:
            self.plain[type_id] = 1
            self.last[type_id] = last
        return largest

    def natural_size(self, type_id: int) -> int:
        """Return the bytes up to which a type's members reach."""
        record = self.record[type_id]
        kflag = record[1] > 0x7FFFFFFF
        end = 0
        for member, offset in zip(record[4::3], record[5::3], strict=True):
            bits = 8 * self.size_of(member)
            if kflag:
                bits = offset >> 24 or bits
                offset &= 0xFFFFFF
            end = max(end, offset + bits)
        align = self.align_of(type_id)
        return -(-end // (8 * align)) * align
