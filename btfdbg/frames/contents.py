"""What a variable is, by all that is known to stand in it.

Owns the verdict over *marks*: at this offset stands a struct mutex, at that one a pointer to a
function of this prototype. Of all types that the BTF has (:mod:`.enclosing`), those count that
fit the variable's room, have every mark, and are not contradicted by what is in memory. Only
if one is left is it the variable's.

What functions a variable points to is read here; what code says of it is ``globals``'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.fields import SIZE_OR_TYPE, array_words
from btfdbg.btf.layouts import info_vlen
from btfdbg.errors import BtfError
from btfdbg.frames.enclosing import enclosing, size_of
from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.placement import Extent
from btfdbg.variables.pointer_map import PointerMap, PointerMaps
from btfdbg.variables.prototypes import Key, Prototypes, compatible

if TYPE_CHECKING:
    from btfdbg.frames.text import Text

_WORD = 8
_KERNEL = 1 << 63
_SMALL = 0x1000
_LARGEST_PER_CPU = 1 << 24  # pointers to per-CPU data were offsets before 6.15
_MAX_ROOM = 1 << 16
_MAX_MARKS = 6
_MAX_COMPARED = 64
_MAX_FACTS = 64
_MAX_DEPTH = 8
_RECORDS = (Kind.STRUCT, Kind.UNION)

# include/linux/sysfs.h: lists of pointers to these end with NULL.
_ENDING_WITH_NULL = ("attribute", "bin_attribute", "attribute_group")

# (what, offset, bytes)
_Fact = tuple[int, int, int]
_LIST = 0  # a struct list_head
_TEXT = 1  # an array of char
_BOOL = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """
    Something that stands in a variable.

    :ivar offset: Bytes from its start.
    :ivar ids: BTF ids of the type that stands there; there may be several of a name.
    """

    offset: int
    ids: frozenset[int]


class Shapes:
    """Types of one BTF, by what stands in them."""

    def __init__(self, btf: Btf, text: Text, image: range) -> None:
        """:param image: Addresses of the kernel image."""
        self._btf = btf
        self._text = text
        self._image = image
        self._prototypes = Prototypes(btf)
        self._maps = PointerMaps(btf)
        self._pointers: dict[int, list[tuple[int, int]]] | None = None
        self._to_records: dict[int, list[tuple[int, bool]]] | None = None
        self._known: dict[tuple[Key, ...], frozenset[int]] = {}
        self._facts: dict[int, tuple[_Fact, ...]] = {}
        self._singles: frozenset[str | None] | None = None

    def of(
        self,
        marks: Iterable[Mark],
        functions: dict[int, tuple[Key, ...]],
        extent: Extent,
        data: bytes,
        *,
        is_list: bool = False,
    ) -> str | None:
        """
        The one type that a variable can have, as C writes it; None if it is not one.

        :param functions: Prototype by offset, as :meth:`functions` gives them.
        :param extent: The variable's room.
        :param data: What is in it.
        :param is_list: It is a list of pointers, see :func:`is_list_of`.
        :return: ``T []`` if only the length is in doubt.
        """
        room = extent.size or 0
        if not 0 < room <= _MAX_ROOM:
            return None
        try:
            known = self._having(list(marks), functions, room)
            if not known:
                return None
            held = [t for t in known if self._holds(t, functions, extent, data)]
            if is_list:
                held = [t for t in held if self._btf.kind_of(t) == Kind.ARRAY]
            # A compiler refuses a function that has to be cast to stand there. What holds
            # functions as void * (struct static_call_key) is not among the types found.
            return self._one([t for t in held if self._is_exact(t, functions)])
        except BtfError:
            return None

    def functions(self, data: bytes, module: str) -> dict[int, tuple[Key, ...]]:
        """
        Prototypes of the functions that words lead to, by offset; () for one not known.

        :param module: Whose variable it is.
        """
        found: dict[int, tuple[Key, ...]] = {}
        for offset in range(0, len(data) - _WORD + 1, _WORD):
            word = int.from_bytes(data[offset : offset + _WORD], "little")
            if word < _KERNEL:
                continue
            names = self._text.names_at(word)
            if names:
                prototype = self._text.function_type(word, module)
                found[offset] = self._prototypes.key(prototype) if prototype else ()
        return found

    def array_size(self, element: str, length: int) -> int | None:
        """
        Bytes of an array of structs or unions; None if the BTF has none of that length.

        :param element: ``struct nla_policy``.
        """
        btf = self._btf
        for where in btf.chain():
            for type_id, at in where.own_of_kind(Kind.ARRAY):
                inner, _, count = array_words(where.words, at)
                if count != length:
                    continue
                if self._spelled(btf.skip_mods_and_typedefs(inner)) == element:
                    return size_of(btf, type_id)
        return None

    def has_arrays_of_one(self, element: str) -> bool:
        """Whether the BTF has an array of one such struct or union."""
        if self._singles is None:
            btf, found = self._btf, set()
            for where in btf.chain():
                for _, at in where.own_of_kind(Kind.ARRAY):
                    inner, _, count = array_words(where.words, at)
                    if count == 1:
                        found.add(self._spelled(btf.skip_mods_and_typedefs(inner)))
            self._singles = frozenset(found)
        return element in self._singles

    def _having(
        self, marks: list[Mark], functions: dict[int, tuple[Key, ...]], room: int
    ) -> frozenset[int] | None:
        """Types that have all marks; None if they cannot all be looked through."""
        told: dict[tuple[int, frozenset[int]], None] = {}
        known = [key for key in functions.values() if key]
        if not marks and len(known) < 2 and not any(_tells(key) for key in known):
            return None  # one function of a prototype like int (*)(void) says too little
        for offset, key in sorted(functions.items(), key=lambda item: -_tells(item[1])):
            if key and _tells(key) > 0:
                told[offset, self._to(key)] = None
        for mark in marks:
            told[mark.offset, mark.ids] = None
        if not told and functions:
            offset, key = next(((o, k) for o, k in functions.items() if k), (0, ()))
            if key:
                told[offset, self._to(key)] = None
        common: frozenset[int] | None = None
        for offset, ids in list(told)[:_MAX_MARKS]:
            found = enclosing(self._btf, ids, offset, room)
            if found is None:
                continue
            common = found if common is None else common & found
            if not common:
                return None
            if len(common) == 1:
                break
        return common

    def _to(self, key: tuple[Key, ...]) -> frozenset[int]:
        """All pointers to functions of a prototype."""
        known = self._known.get(key)
        if known is None:
            if self._pointers is None:
                self._pointers = self._index()
            known = self._known[key] = frozenset(
                pointer
                for pointer, prototype in self._pointers.get(len(key), ())
                if compatible(self._prototypes.key(prototype), key)
            )
        return known

    def pointers_to(self, ids: frozenset[int], *, const: bool | None = None) -> frozenset[int]:
        """All pointers to one of some types, to const ones or others if that counts."""
        btf = self._btf
        if self._to_records is None:
            found: dict[int, list[tuple[int, bool]]] = {}
            for where in btf.chain():
                for pointer, at in where.own_of_kind(Kind.PTR):
                    target = where.words[at + SIZE_OR_TYPE]
                    if target:
                        is_const = btf.kind_of(target) == Kind.CONST
                        bare = btf.skip_mods_and_typedefs(target)
                        found.setdefault(bare, []).append((pointer, is_const))
            self._to_records = found
        every = (pair for type_id in ids for pair in self._to_records.get(type_id, ()))
        return frozenset(p for p, is_const in every if const in (None, is_const))

    def _index(self) -> dict[int, list[tuple[int, int]]]:
        """(pointer, prototype) of all pointers to functions, by the length of their keys."""
        found: dict[int, list[tuple[int, int]]] = {}
        btf = self._btf
        for where in btf.chain():
            for pointer, at in where.own_of_kind(Kind.PTR):
                target = where.words[at + SIZE_OR_TYPE]
                if target and btf.kind_of(target) in (Kind.TYPEDEF, Kind.CONST):
                    target = btf.skip_mods_and_typedefs(target)
                if target and btf.kind_of(target) == Kind.FUNC_PROTO:
                    length = info_vlen(btf.info_of(target))
                    found.setdefault(length + 1, []).append((pointer, target))
        return found

    # What speaks against a type

    def _holds(
        self, type_id: int, functions: dict[int, tuple[Key, ...]], extent: Extent, data: bytes
    ) -> bool:
        btf = self._btf
        size = size_of(btf, type_id)
        room = extent.size or 0
        if not size or size > room or room - size >= max(extent.slack, 1):
            return False
        if any(data[size:]) or any(offset >= size for offset in functions):
            return False
        element, count = self._element(type_id)
        if btf.kind_of(element) == Kind.PTR:
            return not functions and self._are_pointers(element, data[: _WORD * count])
        layout = self._maps.of(element)
        if layout is None:
            return True
        facts = self._facts_of(element)
        if layout.size % _WORD:
            return not functions
        compared = min(count, _MAX_COMPARED)
        return all(
            self._agrees(layout, number * layout.size, functions, data)
            and _are_true(facts, number * layout.size, data)
            for number in range(compared)
        )

    def _are_pointers(self, pointer: int, data: bytes) -> bool:
        """Whether words can be pointers; of a list that ends with NULL, the last is NULL."""
        btf = self._btf
        target = btf.type_by_id(pointer)
        bare = btf.skip_mods_and_typedefs(target.type) if isinstance(target, kinds.Ptr) else 0
        if bare and btf.name_of(bare) in _ENDING_WITH_NULL and any(data[-_WORD:]):
            return False
        words = (int.from_bytes(data[at : at + _WORD], "little") for at in range(0, len(data), 8))
        return all(not w or w >= _KERNEL or _SMALL <= w < _LARGEST_PER_CPU for w in words)

    def _element(self, type_id: int) -> tuple[int, int]:
        """The innermost element of an array, bare, and how many there are; of another type it."""
        btf = self._btf
        count = 1
        element = btf.skip_mods_and_typedefs(type_id)
        while isinstance(t := btf.type_by_id(element), kinds.Array):
            count *= t.nelems
            element = btf.skip_mods_and_typedefs(t.type)
        return element, count

    def _facts_of(self, type_id: int) -> tuple[_Fact, ...]:
        """What must be true of every object of a type."""
        known = self._facts.get(type_id)
        if known is None:
            found: list[_Fact] = []
            self._add_facts(found, type_id, 0, 0)
            known = self._facts[type_id] = tuple(found)
        return known

    def _add_facts(self, into: list[_Fact], type_id: int, offset: int, depth: int) -> None:
        btf = self._btf
        bare = btf.skip_mods_and_typedefs(type_id)
        t = btf.type_by_id(bare)
        if len(into) > _MAX_FACTS or depth > _MAX_DEPTH:
            return
        if isinstance(t, kinds.Struct):
            if t.name == "list_head":
                into.append((_LIST, offset, 2 * _WORD))
                return
            for m in t.members:
                if not m.bit_offset % 8 and not m.bitfield_size:
                    self._add_facts(into, m.type, offset + m.bit_offset // 8, depth + 1)
        elif isinstance(t, kinds.Array):
            element = btf.type_by_id(btf.skip_mods_and_typedefs(t.type))
            if isinstance(element, kinds.Int) and element.name == "char" and t.nelems > 1:
                into.append((_TEXT, offset, t.nelems))
        elif isinstance(t, kinds.Int) and t.bool:
            into.append((_BOOL, offset, t.size))

    def _is_exact(self, type_id: int, functions: dict[int, tuple[Key, ...]]) -> bool:
        """Whether all functions are of the very prototypes that the type says."""
        layout = self._maps.of(self._element(type_id)[0])
        if layout is None or not layout.size:
            return True
        wanted = {o: self._prototypes.key(p) for o, p in layout.functions.items()}
        return all(
            not have or wanted.get(at % layout.size, have) == have for at, have in functions.items()
        )

    def _agrees(
        self,
        layout: PointerMap,
        start: int,
        functions: dict[int, tuple[Key, ...]],
        data: bytes,
    ) -> bool:
        """Whether nothing in one object contradicts its type."""
        last = min(layout.size, len(data) - start)
        for offset in range(0, last - _WORD + 1, _WORD):
            at = start + offset
            word = int.from_bytes(data[at : at + _WORD], "little")
            if not word:
                continue
            have = functions.get(at)
            if offset in layout.functions:
                if have is None and (word < _KERNEL or word in self._image):
                    return False
                wanted = self._prototypes.key(layout.functions[offset])
                if have and not compatible(wanted, have):
                    return False
            elif offset in layout.pointers:
                if have is not None or word < _SMALL or _LARGEST_PER_CPU <= word < _KERNEL:
                    return False
            elif offset not in layout.other and (have is not None or word in self._image):
                return False
        return True

    # Which is left

    def _one(self, held: list[int]) -> str | None:
        btf = self._btf
        spelled: dict[str, int] = {}
        for type_id in held:
            text = self._spelled(type_id)
            if text is not None:
                spelled[text] = type_id
            elif not self._is_member(type_id):
                return None
        if len(spelled) > 1:
            self._drop_wrappers(spelled)
        if len(spelled) == 1:
            return next(iter(spelled))
        elements = {text.rpartition(" [")[0] for text in spelled}
        arrays = all(btf.kind_of(t) == Kind.ARRAY for t in spelled.values())
        return f"{elements.pop()} []" if spelled and arrays and len(elements) == 1 else None

    def _is_member(self, type_id: int) -> bool:
        """Whether it is a type without a name that a struct or union has in it."""
        btf = self._btf
        if btf.kind_of(type_id) not in _RECORDS:
            return False
        for where in btf.chain():
            for word in where.find_word(type_id):
                outer = where.id_at(word)
                if outer is None or where.kind_of(outer) not in _RECORDS:
                    continue
                t = btf.type_by_id(outer)
                members = t.members if isinstance(t, (kinds.Struct, kinds.Union)) else ()
                if any(m.type == type_id for m in members):
                    return True
        return False

    def _drop_wrappers(self, spelled: dict[str, int]) -> None:
        """
        Leave out structs whose only member is another of them.

        They have nothing else in them, so that it makes no difference which it is.
        """
        btf = self._btf
        ids = set(spelled.values())
        for text, type_id in list(spelled.items()):
            t = btf.type_by_id(type_id)
            members = t.members if isinstance(t, (kinds.Struct, kinds.Union)) else ()
            if len(members) == 1 and btf.skip_mods_and_typedefs(members[0].type) in ids:
                del spelled[text]

    def _spelled(self, type_id: int) -> str | None:
        """A struct's, a union's or their array's name in C; None if it has none."""
        btf = self._btf
        t = btf.type_by_id(type_id)
        if isinstance(t, kinds.Array):
            element = btf.skip_mods_and_typedefs(t.type)
            inner = None if btf.kind_of(element) == Kind.ARRAY else self._spelled(element)
            return None if inner is None else f"{inner} [{t.nelems}]"
        if isinstance(t, kinds.Ptr):
            target = btf.skip_mods_and_typedefs(t.type) if t.type else 0
            inner = self._spelled(target) if target and btf.kind_of(target) in _RECORDS else None
            const = "const " if t.type and btf.kind_of(t.type) == Kind.CONST else ""
            return None if inner is None else f"{const}{inner} *"
        if btf.kind_of(type_id) in _RECORDS and (name := btf.name_of(type_id)):
            return f"{'struct' if btf.kind_of(type_id) == Kind.STRUCT else 'union'} {name}"
        return None


def is_list_of(tag: str | None) -> bool:
    """Whether a table of pointers to structs of a name is a list that ends with NULL."""
    return tag in _ENDING_WITH_NULL


def _tells(key: tuple[Key, ...]) -> int:
    """How much a prototype says: its pointers to structs with a name."""
    return sum(1 for part in key if part[:1] == ("*",) and "record" in part)


def _are_true(facts: Iterable[_Fact], start: int, data: bytes) -> bool:
    """Whether lists have both links or none, text is text, and a bool is 0 or 1."""
    for what, offset, size in facts:
        part = data[start + offset : start + offset + size]
        if what == _LIST and any(part[:_WORD]) != any(part[_WORD:]):
            return False
        if what == _TEXT and any(
            byte > 126 or (byte < 32 and byte not in b"\t\n") for byte in part.partition(b"\0")[0]
        ):
            return False
        if what == _BOOL and any(byte > 1 for byte in part):
            return False
    return True
