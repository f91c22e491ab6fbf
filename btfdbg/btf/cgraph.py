"""Types of a chain as lists by id, with the layout that a C compiler would give them.

Owns the numbers that a C dump needs for every type: kind, words, size, alignment,
whether a struct has to be packed. One list each, indexed by id over all bases, because
a kernel has 250,000 members and each asks for them.

Cycles and absurd depths are legal input here: what contains itself has size and
alignment like anything else (its record says the one, 1 is the other).
Facts: libbpf's btf__resolve_size, btf__align_of and btf_is_struct_packed.
"""

from __future__ import annotations

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

_SIZED = frozenset({INT, STRUCT, UNION, ENUM, FLOAT, ENUM64, DATASEC})
_SCALARS = frozenset({INT, ENUM, ENUM64, FLOAT})


class Names(dict[int, str]):
    """String offset to name; all that start a string are there from the outset."""

    def __init__(self, btf: Btf) -> None:
        super().__init__()
        self._btf = btf
        for level in btf.chain():
            at = level.start_str_off
            data = level.strings.data[:-1]
            if data.isascii():
                for name in data.decode("ascii").split("\0"):
                    self[at] = name
                    at += len(name) + 1

    def __missing__(self, offset: int) -> str:
        name = self[offset] = decode_name(self._btf.string_bytes(offset))
        return name


class Types:
    """
    Types of a chain, by id.

    :ivar kind: Kind of each.
    :ivar record: Words of each.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.names = Names(btf)
        self.count = btf.type_cnt
        self.kind: list[int] = [0]
        self.record: list[list[int]] = [[0, 0, 0]]
        for level in btf.chain():
            words: list[int] = level.words.tolist()
            cuts = [*level.offsets, len(words)]
            self.record += [words[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
            self.kind += [words[pos + 1] >> 24 & 0x7F for pos in level.offsets]
            if level.offsets:
                self._check(level)
        self.pointer_size = btf.pointer_size
        self.size: list[int] = [-1] * self.count
        self.align: list[int] = [-1] * self.count
        for type_id, kind in enumerate(self.kind):
            if kind in _SIZED:
                size = self.size[type_id] = self.record[type_id][2]
                if kind in _SCALARS:
                    # A FLOAT of 12 bytes is aligned as one of 4.
                    wide = size == 16 and kind != ENUM
                    limit = 16 if wide else self.pointer_size
                    self.align[type_id] = min(limit, size & -size) or 1
            elif kind == PTR:
                self.size[type_id] = self.align[type_id] = self.pointer_size

    def _check(self, level: Btf) -> None:
        """Raise if a type refers to one that does not exist."""
        limit = level.type_cnt
        record = self.record
        for type_id in level.own_ids():
            places = PLACES.get(self.kind[type_id])
            if places is None:
                continue
            for at in places.ids:
                if record[type_id][at] >= limit:
                    break
            else:
                for part in places.elem_ids:
                    targets = record[type_id][part]
                    if targets and max(targets) >= limit:
                        break
                else:
                    continue
            target = max(refs(record[type_id], places))
            raise record_error(level, type_id, f"refers to type {target}, last type is {limit - 1}")

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
            elif kind in (TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG, VAR):
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
            elif kind in (TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG, VAR):
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
        return self._natural(type_id, 0)[1]
