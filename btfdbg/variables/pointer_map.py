"""Where in an object of a type pointers stand, and what they point to.

Owns the flattening of BTF types into words. Knows nothing of memory or symbols.

Facts: include/uapi/linux/btf.h; offsets in bytes.
"""

from __future__ import annotations

import enum

from btfdbg.btf import Btf, Kind
from btfdbg.btf.fields import SIZE_OR_TYPE, array_words, member_words
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass, field

_MAX_SLOTS = 512
_MAX_DEPTH = 12
_MAX_ELEMENTS = 64


class Slot(enum.Enum):
    """What a word of an object is."""

    FUNCTION = "pointer to a function"
    POINTER = "pointer"
    PLAIN = "no pointer"


@dataclass(slots=True)
class PointerMap:
    """
    PointerMap of an object of one type.

    :ivar size: bytes of the object.
    :ivar functions: offset of a function pointer to its FUNC_PROTO's id.
    :ivar pointers: offsets of pointers to objects.
    :ivar other: offsets of words that may or may not hold a pointer: integers of that
        size, unions, byte arrays. A word that is in none of the three holds none.
    """

    size: int
    functions: dict[int, int] = field(default_factory=dict)
    pointers: set[int] = field(default_factory=set)
    other: set[int] = field(default_factory=set)

    def slots(self) -> int:
        return len(self.functions) + len(self.pointers) + len(self.other)


class PointerMaps:
    """PointerMaps of one BTF's types, each made once."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._word = btf.pointer_size
        self._made: dict[int, PointerMap | None] = {}
        self._bare: dict[int, tuple[int, int]] = {}

    def of(self, type_id: int) -> PointerMap | None:
        """Return the layout of a type; None if it has no size or too many words."""
        if type_id not in self._made:
            try:
                layout: PointerMap | None = PointerMap(self._btf.resolve_size(type_id))
                assert layout is not None
                if not self._add(layout, type_id, 0, _MAX_DEPTH, False):
                    layout = None
            except BtfError:
                layout = None
            self._made[type_id] = layout
        return self._made[type_id]

    def _add(self, into: PointerMap, type_id: int, offset: int, depth: int, shared: bool) -> bool:
        """
        Add the words of a type at an offset.

        :param shared: a union's members overlap: what is a pointer in one need not be one.
        :return: whether all of them are known.
        """
        btf = self._btf
        if not depth or into.slots() > _MAX_SLOTS:
            return False
        bare, kind = self._bare.get(type_id) or self._skip(type_id)
        if kind == Kind.PTR:
            target, target_kind = self._skip(btf.record(bare)[SIZE_OR_TYPE])
            if shared or offset % self._word or not target:
                # ``void *`` members carry numbers, too.
                into.other.add(offset - offset % self._word)
            elif target_kind == Kind.FUNC_PROTO:
                into.functions[offset] = int(target)
            else:
                into.pointers.add(offset)
            return True
        if kind in (Kind.STRUCT, Kind.UNION):
            owner = btf.owner_of(bare)
            # Words, not values: 30,000 members are looked at to judge a kernel's variables.
            _, types, offsets, _ = member_words(owner.words, owner.offsets[bare - owner.start_id])
            shared = shared or (kind == Kind.UNION and len(types) > 1)
            add = self._add
            for member, bit_offset in zip(types, offsets, strict=True):
                if not add(into, member, offset + bit_offset // 8, depth - 1, shared):
                    return False
            return True
        if kind == Kind.ARRAY:
            owner = btf.owner_of(bare)
            element, _, count = array_words(owner.words, owner.offsets[bare - owner.start_id])
            return self._add_array(into, element, count, offset, depth, shared)
        if kind == Kind.INT and btf.record(bare)[SIZE_OR_TYPE] >= self._word:
            into.other.add(offset - offset % self._word)
        return True

    def _skip(self, type_id: int) -> tuple[int, int]:
        """What a type is without qualifiers and typedefs, and its kind; the same few again."""
        found = self._bare.get(type_id)
        if found is None:
            bare = self._btf.skip_mods_and_typedefs(type_id)
            found = self._bare[type_id] = bare, self._btf.kind_of(bare)
        return found

    def _add_array(
        self, into: PointerMap, element: int, count: int, offset: int, depth: int, shared: bool
    ) -> bool:
        size = self._btf.resolve_size(element)
        if size < self._word:
            # Buffers: nobody knows what is in them.
            last = offset + size * count
            words = range(offset - offset % self._word, last, self._word)
            if len(words) > _MAX_ELEMENTS:
                return False
            into.other.update(words)
            return True
        if count > _MAX_ELEMENTS:
            return False
        return all(
            self._add(into, element, offset + i * size, depth - 1, shared) for i in range(count)
        )
