"""Fingerprints: 128 bits that say whether two types are the same, in any two kernels.

Owns the canonical forms that are hashed. They hold no ids and no string offsets, so a
fingerprint made of one kernel's BTF can be compared with one made of another's, stored,
and used as a key.

- *layout*: what is in a type's memory. Structs that are embedded count with all their
  members, what is pointed to counts by name only.
- *deep*: all that can be reached, through pointers too; equal exactly for types that
  dedup would merge (a forward declaration and a definition are different here).

Changing either form changes everyone's stored fingerprints: :data:`VERSION` is hashed too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup import whole as dedup_whole
from btfdbg.btf.dedup.graph import tag_of
from btfdbg.btf.format import COMPOSITES, LAYOUTS, MAX_CHAIN, Kind, info_kind
from btfdbg.btf.records import PLACES, places_of, refs
from btfdbg.errors import BtfFormatError

VERSION = 1


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = blake2b(struct.pack("<I", VERSION), digest_size=16)
    for part in parts:
        digest.update(struct.pack("<I", len(part)) + part)
    return digest.digest()


class Fingerprints:
    """Fingerprints of one Btf's types, each worked out when first asked for."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._layouts: dict[int, bytes] = {0: _digest((b"void",))}
        self._labels: dict[int, bytes] = {}
        self._representatives: list[int] = []

    def _label(self, type_id: int) -> bytes:
        """Return what a record says but for its type ids, names spelled out."""
        known = self._labels.get(type_id)
        if known is not None:
            return known
        btf = self.btf
        words: list[int] = btf.record(type_id).tolist()
        kind = info_kind(words[1])
        places = PLACES.get(kind) or places_of(btf.owner_of(type_id), type_id, words[1])
        names = [btf.string_bytes(words[0])]
        words[0] = 0
        for part in places.elem_strs:
            names += [btf.string_bytes(offset) for offset in words[part]]
            words[part] = [0] * len(words[part])
        for at in places.ids:
            words[at] = 0
        for part in places.elem_ids:
            words[part] = [0] * len(words[part])
        if kind == Kind.FWD:
            words[2] = 0
        packed = struct.pack(f"<{len(words)}I", *words) + b"\0".join(names)
        self._labels[type_id] = packed
        return packed

    def _refs(self, type_id: int) -> list[int]:
        words = self.btf.record(type_id).tolist()
        return refs(words, places_of(self.btf, type_id, words[1]))

    def _named(self, type_id: int) -> bytes:
        """Return what a reference through a pointer says."""
        words = self.btf.record(type_id)
        return struct.pack("<II", words[1] & 0x7F000000, 0) + self.btf.string_bytes(words[0])

    def layout(self, type_id: int) -> bytes:
        """
        Return the layout fingerprint, 16 bytes.

        :raises BtfFormatError: the type contains itself, or is nested absurdly deep.
        """
        return self._layout(type_id, 0)

    def _layout(self, type_id: int, depth: int) -> bytes:
        known = self._layouts.get(type_id)
        if known is not None:
            return known
        if depth > MAX_CHAIN:
            raise BtfFormatError(
                f"type {type_id}: contains itself, or is nested over {MAX_CHAIN} deep",
                type_id=type_id,
            )
        parts = [self._label(type_id)]
        pointer = self.btf.kind_of(type_id) == Kind.PTR
        for target in self._refs(type_id):
            if pointer and target and tag_of(self.btf.record(target))[0] is not None:
                parts.append(self._named(target))
            elif pointer and target and self.btf.kind_of(target) in _QUALIFYING:
                parts.append(self._pointee(target, depth))
            else:
                parts.append(self._layout(target, depth + 1))
        known = self._layouts[type_id] = _digest(parts)
        return known

    def _pointee(self, type_id: int, depth: int) -> bytes:
        """Return a chain of qualifiers and typedefs behind a pointer, its end by name."""
        parts = []
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = self.btf.kind_of(at)
            if kind not in _QUALIFYING:
                break
            parts.append(self._label(at))
            if kind == Kind.TYPEDEF:
                return b"".join(parts)
            at = self._refs(at)[0]
        if at and (tag_of(self.btf.record(at))[0] is not None or self.btf.name_of(at)):
            return b"".join((*parts, self._named(at)))
        return b"".join(parts) + (self._layout(at, depth + 1) if at else b"")

    def deep(self, type_id: int) -> bytes:
        """Return the deep fingerprint, 16 bytes; takes a pass over all that is reached."""
        if not self._representatives:
            own = dedup_whole.representatives(self.btf)[1]
            self._representatives = [*range(self.btf.start_id), *own]
        kept = self._representatives
        numbers = {kept[type_id]: 0}
        order = [kept[type_id]]
        parts: list[bytes] = []
        for at in order:  # grows while it is walked
            if not at:
                parts.append(b"void")
                continue
            targets = [kept[target] for target in self._refs(at)]
            for target in targets:
                if target not in numbers:
                    numbers[target] = len(order)
                    order.append(target)
            parts.append(self._label(at))
            parts.append(struct.pack(f"<{len(targets)}I", *(numbers[t] for t in targets)))
        return _digest(parts)


_QUALIFYING = frozenset({Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG, Kind.TYPEDEF})
assert set(COMPOSITES) <= set(LAYOUTS)
