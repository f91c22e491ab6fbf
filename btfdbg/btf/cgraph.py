"""Types of a chain as lists by id, with the layout that a C compiler would give them.

Owns the numbers that a C dump needs for every type: kind, words, size, alignment,
whether a struct has to be packed. One list each, indexed by id over all bases, because
a kernel has 250,000 members and each asks for them.

Cycles and absurd depths are legal input here: what contains itself has size and
alignment like anything else (its record says the one, 1 is the other).
Facts: libbpf's btf__resolve_size, btf__align_of and btf_is_struct_packed.
"""

from __future__ import annotations

import gc
from itertools import accumulate, pairwise

from btfdbg.btf.btf import Btf
from btfdbg.btf.decode import record_error
from btfdbg.btf.format import Kind
from btfdbg.btf.records import PLACES, refs
from btfdbg.btf.strings import decode_name
from btfdbg.errors import BtfFormatError

#: References followed in a row before a chain counts as a cycle.
MAX_CHAIN = 200

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC = range(9, 16)
FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(16, 20)
assert ENUM64 == Kind.ENUM64  # the names above are a faster spelling of Kind

#: Kinds that are no types in C.
NOTHING = frozenset({FUNC, VAR, DATASEC, DECL_TAG})
_SIZED = frozenset({INT, STRUCT, UNION, ENUM, FLOAT, ENUM64})
_ONE_WORD = frozenset({PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})
_SCALARS = frozenset({INT, ENUM, ENUM64, FLOAT})


class Steps:
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
    """String offset to name; all that start a string are there from the outset."""

    def __init__(self, btf: Btf) -> None:
        super().__init__()
        self._btf = btf
        for level in btf.chain():
            data = level.strings.data[:-1]
            if data.isascii():
                names = data.decode("ascii").split("\0")
                starts = accumulate((len(n) + 1 for n in names), initial=level.start_str_off)
                self.update(zip(starts, names, strict=False))  # one start too many

    def __missing__(self, offset: int) -> str:
        name = self[offset] = decode_name(self._btf.string_bytes(offset))
        return name


def _scalar_align(size: int, pointer_size: int) -> int:
    # A FLOAT of 12 bytes is aligned as one of 4.
    return min(16 if size == 16 else pointer_size, size & -size) or 1


class Types:
    """
    Types of a chain, by id.

    :ivar kind: Kind of each.
    :ivar record: Words of each; those of functions, variables, sections and tags, which
        are no types in C, are left out.
    :ivar referenced: Those that others refer to.
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
        self.referenced: set[int] = set()
        self.kind: list[int] = [0]
        nothing = [0, 0, 0]
        self.record: list[list[int]] = [[0, 0, 0]]
        for level in btf.chain():
            words: list[int] = level.words.tolist()
            cuts = [*level.offsets, len(words)]
            kinds = [words[pos + 1] >> 24 & 0x7F for pos in level.offsets]
            self.record += [
                nothing if kind in NOTHING else words[a:b]
                for kind, (a, b) in zip(kinds, pairwise(cuts), strict=True)
            ]
            self.kind += kinds
            self._refer(level)
        self.pointer_size = btf.pointer_size
        pointer = self.pointer_size
        #: -1 where it is not known yet, here and below.
        self.size: list[int] = [
            r[2] if k in _SIZED else pointer if k == PTR else -1
            for k, r in zip(self.kind, self.record, strict=True)
        ]
        self.align: list[int] = [
            _scalar_align(s, pointer) if k in _SCALARS else pointer if k == PTR else -1
            for k, s in zip(self.kind, self.size, strict=True)
        ]
        self._packed: dict[int, bool] = {}

    def _refer(self, level: Btf) -> None:
        """
        Note which types an own type of a level refers to.

        :raises BtfFormatError: one of them does not exist.
        """
        found: set[int] = set()
        add, update = found.add, found.update
        places = PLACES
        start = level.start_id
        for kind, record in zip(self.kind[start:], self.record[start:], strict=True):
            if kind in _ONE_WORD:
                add(record[2])
            elif kind == STRUCT or kind == UNION:  # noqa: SIM109 # faster, 100,000 times
                update(record[4::3])
            elif kind == FUNC_PROTO:
                add(record[2])
                update(record[4::2])
            elif kind in places and kind not in NOTHING:
                update(refs(record, places[kind]))
        if found and max(found) >= level.type_cnt:
            self._report(level)
        self.referenced |= found

    def _report(self, level: Btf) -> None:
        for type_id in level.own_ids():
            places = PLACES.get(self.kind[type_id])
            targets = refs(self.record[type_id], places) if places is not None else []
            if targets and max(targets) >= level.type_cnt:
                raise record_error(
                    level,
                    type_id,
                    f"refers to type {max(targets)}, last type is {level.type_cnt - 1}",
                )

    def size_of(self, type_id: int) -> int:
        """Return the size in bytes; 0 for what has none."""
        size = self.size[type_id]
        if size >= 0:
            return size
        count = 1
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = self.kind[at]
            if self.size[at] >= 0:
                size = count * self.size[at]
                break
            if kind == ARRAY:
                count *= self.record[at][5]
                at = self.record[at][3]
            elif kind in (TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG):
                at = self.record[at][2]
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

    def _find_align(self, type_id: int, depth: int) -> int:
        at = type_id
        kind = 0
        for _ in range(MAX_CHAIN):
            kind = self.kind[at]
            if self.align[at] > 0:
                break
            if kind == ARRAY:
                at = self.record[at][3]
            elif kind in (TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG):
                at = self.record[at][2]
            else:
                break
        align = self.align[at]
        if align <= 0:
            align = 1
            if kind in (STRUCT, UNION) and depth <= MAX_CHAIN:
                align = self._composite(at, depth)
        self.align[type_id] = align
        return align

    def _composite(self, type_id: int, depth: int) -> int:
        if not self.align[type_id]:
            return 1  # being worked out further up: it contains itself
        self.align[type_id] = 0
        align, packed = self._natural(type_id, depth)
        self._packed[type_id] = packed
        self.align[type_id] = align = 1 if packed else align
        return align

    def _natural(self, type_id: int, depth: int) -> tuple[int, bool]:
        """Return the largest alignment among members, and whether the layout breaks it."""
        record = self.record[type_id]
        kflag = record[1] > 0x7FFFFFFF
        known = self.align
        largest = 1
        packed = False
        for member, offset in zip(record[4::3], record[5::3], strict=True):
            align = known[member]
            if align <= 0:
                align = self._find_align(member, depth + 1)
            if align > largest:
                largest = align
            if kflag and offset >> 24:
                unit = 8 * (self.size_of(member) or 1)
                # Only in a packed struct may one cross the boundary of its type.
                if (offset & 0xFFFFFF) % unit + (offset >> 24) > unit:
                    packed = True
            elif offset % (8 * align):
                packed = True
        return largest, packed or record[2] % largest != 0

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

    def is_packed(self, type_id: int) -> bool:
        """Return whether only a packed struct can have this one's layout."""
        self.align_of(type_id)
        return self._packed.get(type_id, False)
