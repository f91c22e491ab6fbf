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
from itertools import chain, compress, pairwise, repeat
from operator import lt, sub

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.columns import (
    IS_ARRAY,
    IS_COMPOSITE,
    IS_ENUM,
    IS_FWD,
    IS_PROTO,
    Columns,
    mask_of,
)
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
from btfdbg.errors import BtfFormatError

#: Kinds that are no types in C.
NOTHING = frozenset({FUNC, VAR, DATASEC, DECL_TAG})
_TRANSPARENT = frozenset({TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG})
_COMPOSITES = frozenset({STRUCT, UNION})
_SIZED = frozenset({INT, STRUCT, UNION, ENUM, FLOAT, ENUM64})
_ONE_WORD = frozenset({PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})
_SCALARS = frozenset({INT, ENUM, ENUM64, FLOAT})
#: ``void``, functions, what is declared only: nothing is one of these by value.
_NO_VALUE = frozenset({0, FWD, FUNC_PROTO})


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


def _scalar_align(size: int, pointer_size: int) -> int:
    # A FLOAT of 12 bytes is aligned as one of 4.
    return min(16 if size == 16 else pointer_size, size & -size) or 1


_IS_SIZED = mask_of(_SIZED)
_IS_SCALAR = mask_of(_SCALARS)
_IS_PTR = mask_of((PTR,))
_IS_ONE_WORD = mask_of(_ONE_WORD)
_IS_C_BUT_PROTO = mask_of(frozenset(range(1, 128)) - NOTHING - {FUNC_PROTO})
_KNOWN_REFS = NOTHING | _ONE_WORD | {ARRAY, STRUCT, UNION, FUNC_PROTO}
_HAS_OTHER_REFS = mask_of(
    frozenset(int(kind) for kind, row in LAYOUTS.items() if row.has_refs) - _KNOWN_REFS
)


class Types:
    """
    Types of a chain, by id.

    :ivar kind: Kind of each; ``words`` and ``start`` as in :class:`.columns.Columns`.
    :ivar record: Words of each; those of functions, variables, sections and tags, which
        are no types in C, are void's.
    :ivar below: Of each STRUCT and UNION its members' types, of each FUNC_PROTO what it
        returns and takes.
    :ivar tagged: 1 for each STRUCT and UNION with a name.
    :ivar enums: Every ENUM and ENUM64.
    :ivar unreferenced: Of ENUMs and FWDs without a name, those that nothing refers to.
    """

    def __init__(self, columns: Columns) -> None:
        # 100,000 lists without a cycle among them are not worth looking for one.
        collects = gc.isenabled()
        gc.disable()
        try:
            self._take(columns)
        finally:
            if collects:
                gc.enable()

    def _take(self, columns: Columns) -> None:
        self.btf = btf = columns.btf
        self.columns = columns
        self.names = columns.names
        self.count = columns.count
        self.words = columns.words
        self.start = columns.start
        self.kind = columns.kind
        self.record = _Records(self)
        self.below = _Below(self)
        self.tagged = bytearray(self.count)
        self.enums = columns.ids_of(IS_ENUM)
        self.unreferenced = {
            type_id
            for type_id in (*self.enums, *columns.ids_of(IS_FWD))
            if not self.words[self.start[type_id]]
        }
        #: Every STRUCT or UNION, PTR; and each FUNC_PROTO that refers to a type after it.
        self.composites: list[int] = []
        self.pointers = columns.ids_of(_IS_PTR)
        self.leading: set[int] = set()
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

    def c_types(self) -> list[int]:
        """
        Return the ids of all that are types in C, kinds not known included.

        Left out are prototypes, half of a kernel's, that refer to nothing after them:
        when each type is asked for in turn, they bring along what has been.
        """
        out = self.columns.ids_of(_IS_C_BUT_PROTO)
        out += self.leading
        out.sort()
        return out

    def _measure(self, pointer_size: int) -> None:
        self.pointer_size = pointer_size
        #: -1 where it is not known yet, here and below.
        self.size = size = [-1] * self.count
        self.align = align = [-1] * self.count
        sized = self.columns.ids_of(_IS_SIZED)
        for type_id, value in zip(sized, self.columns.word(sized, 2), strict=True):
            size[type_id] = value
        for type_id in self.columns.ids_of(_IS_SCALAR):
            align[type_id] = _scalar_align(size[type_id], pointer_size)
        for type_id in self.pointers:
            size[type_id] = align[type_id] = pointer_size

    def _refer(self, level: Btf) -> None:
        """
        Note which types an own type of a level refers to.

        :raises BtfFormatError: one of them does not exist.
        """
        columns, free = self.columns, self.unreferenced
        targets = list(columns.word(columns.ids_of(_IS_ONE_WORD, level), 2))
        arrays = columns.ids_of(IS_ARRAY, level)
        targets += columns.word(arrays, 3)
        targets += columns.word(arrays, 4)
        for type_id in columns.ids_of(_HAS_OTHER_REFS, level):
            targets += level.iter_type_refs(type_id)
        members = self._refer_composites(level)
        params = self._refer_protos(level)
        last = 0
        for group in (targets, members, *params):
            free.difference_update(group)
            last = max(last, max(group, default=0))
        if last >= level.type_cnt:
            self._report(level)

    def _refer_composites(self, level: Btf) -> list[int]:
        """Note the members of each STRUCT and UNION, and return their types."""
        columns = self.columns
        elements = columns.elements(IS_COMPOSITE, STRUCT, level)
        ids, bounds = elements.ids, elements.bounds
        members = elements.column(1)
        self.composites += ids
        self.below.update(zip(ids, [members[at:end] for at, end in pairwise(bounds)], strict=True))
        tagged = self.tagged
        for type_id in compress(ids, columns.word(ids, 0)):
            tagged[type_id] = 1
        return members

    def _refer_protos(self, level: Btf) -> tuple[list[int], list[int]]:
        """Note which FUNC_PROTOs lead on, and return what they return and take."""
        elements = self.columns.elements(IS_PROTO, FUNC_PROTO, level)
        ids, bounds = elements.ids, elements.bounds
        returned, taken = list(self.columns.word(ids, 2)), elements.column(1)
        takers = list(chain.from_iterable(map(repeat, ids, map(sub, bounds[1:], bounds))))
        self.leading.update(compress(takers, map(lt, takers, taken)))
        self.leading.update(compress(ids, map(lt, ids, returned)))
        return returned, taken

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
                if known[member] < 0:  # it has no value
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
