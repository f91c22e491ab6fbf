"""What is known of one variable, and the one type that all of it agrees on.

Owns the verdict. What code says is ``reading``'s, where it is looked for ``globals``'.

All that names the variable has to agree. A struct's address is also that of its first member,
and a pointer to a struct can be one to a struct that begins with it: of two such the larger is
meant, and an access behind the smaller one's end refutes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import drgn
from drgn import Qualifiers, TypeKind

from btfdbg.frames.bounds import Bound
from btfdbg.frames.contents import is_list_of
from btfdbg.frames.layout import member_at, pointed_to, size_of, underlying
from btfdbg.lazy_dataclass import dataclass

_M64 = (1 << 64) - 1
_WORD = 8
_MAX_NAMED = 2
_NEIGHBOURS = ("page",)  # objects whose neighbours are looked at (struct page[1])
# Members that inline functions of the structs around them hand to others: a spinlock_t is
# seen as its raw_spinlock_t, a static_key_false as its static_key, an ida as its xarray, a
# rhltable as its rhashtable.
INLINE = ("raw_spinlock", "static_key", "xarray", "rhashtable", "__sha256_ctx")
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)
_ATOMIC = {4: "atomic_t", 8: "atomic64_t"}


@dataclass(frozen=True, slots=True)
class CodeType:
    """
    What the code says of a variable.

    :ivar type: As C writes it: ``struct mutex``, ``struct cf_widget *``.
    :ivar why: ``code: 4 calls of mutex_lock``, or ``contents: cf_device.fops points to it``.
    :ivar reach: Bytes of the variable that the code names.
    :ivar size: Bytes of the type, if it is known.
    :ivar alone: All code that names the variable stays within so many bytes.
    :ivar or_table: It may be an array of one such as well: BTF has them.
    """

    type: str
    why: str
    reach: int = 0
    size: int | None = None
    alone: bool = False
    or_table: bool = False


Begun = Callable[[drgn.Type, "int | None"], bool]


class Evidence:
    """
    What is seen of one variable.

    :ivar objects: What the variable is, by the functions that say so.
    :ivar values: What its eight bytes are.
    :ivar inside: What stands in it, by offset.
    :ivar texts: Pointers to char that lead to it.
    :ivar words: What pointers in it point to, by offset; const or not.
    :ivar exact: The same, where const has to agree.
    :ivar lengths: Of the table that it is, by what stands beside pointers to it.
    :ivar bounds: Tables of which it may be one, by checks of indexes where code adds one to it.
    """

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.objects: list[tuple[drgn.Type, str]] = []
        self.values: list[tuple[drgn.Type, str]] = []
        self.inside: list[tuple[int, drgn.Type, str]] = []
        self.words: list[tuple[int, drgn.Type, str]] = []
        self.exact: list[tuple[int, drgn.Type, str]] = []
        self.texts: list[str] = []
        self.lengths: set[int] = set()
        self.bounds: list[Bound] = []
        self.reach = 0  # bytes of it that the code names
        self.named = 0  # the last of its bytes whose address the code has
        self.unread = False  # a function that names it cannot be analysed
        self.constant = False  # it gets pointers to what is const
        self.atomic: list[int] = []  # bytes of counters at its start that the code changes
        self.circular = False  # what it begins with is compared with its address
        self.beyond = 0  # bytes behind its pointer that the code accesses

    def holds(self, address: int) -> bool:
        """Whether an address is in the variable."""
        return self.start <= address < self.start + self.size

    def points_to_word(self, offset: int, target: drgn.Type, why: str) -> None:
        """
        Take in that somebody wants the address of a word as that of a pointer to a type.

        C converts no ``T **``: the word is a ``T *``, or a table or a struct begins with it.

        :param offset: Of the word in the variable.
        :param target: What that pointer points to.
        """
        self.exact.append((offset, target, why))
        if not offset and self.size == _WORD and not is_list_of(underlying(target).tag):
            self.constant |= Qualifiers.CONST in target.qualifiers
            self.values.append((target, why))

    def is_alone(self, size: int) -> bool:
        """Whether all code that names the variable stays within so many bytes."""
        return not self.unread and self.named < size and self.reach <= size and not self.inside

    def verdict(self, begun: Begun) -> CodeType | None:
        """
        The one type that everything agrees on.

        :param begun: Whether a struct begins others, of at most so many bytes.
        """
        if self.objects:
            found = _outermost([t for t, _ in self.objects])
            if found is None or self.reach > (size_of(found) or 0):
                return None
            if self.values and not self._begins_with_values(found):
                return None
            if underlying(found).tag in INLINE:
                return None
            named = any(not why.startswith("pointer ") for _, why in self.objects)
            alone = named and self.is_alone(size_of(found) or 0)
            if not alone and begun(found, self.size):
                return None
            return self._code_type(found, self.objects, "", size_of(found))
        if self.atomic and not self.values:
            return self._as_atomic()
        if not self.values or self.reach > _WORD:
            return None
        found = _outermost([t for t, _ in self.values])
        if found is None or (self.beyond > (size_of(found) or _M64) and not _is_open(found)):
            return None
        # What is assigned is of the type itself; what is passed may be a first member.
        assigned = bool(self.exact) or any(why.startswith("store ") for _, why in self.values)
        if not assigned and begun(found, None):
            return None
        if self.constant:
            return self._code_type(found, self.values, " *", _WORD, "const ")
        return self._code_type(found, self.values, " *", _WORD)

    def _as_atomic(self) -> CodeType | None:
        """
        A counter, and nothing else.

        What code counts so in 6.12 and 7.2 are 154 variables of these types, three tables of
        them, and five larger structs, which other code accesses, too.
        """
        size = self.atomic[0]
        name = _ATOMIC.get(size)
        if name is None or set(self.atomic) != {size} or not self.is_alone(size):
            return None
        count = len(self.atomic)
        why = f"code: {count} atomic operation{'' if count == 1 else 's'} on its {size} bytes"
        return CodeType(name, why, self.reach, size, alone=True)

    def _begins_with_values(self, type_: drgn.Type) -> bool:
        first = member_at(type_, 0, _WORD)
        target = None if first is None else pointed_to(first.type)
        if target is None:
            return False
        return all(_outermost([target, value]) is not None for value, _ in self.values)

    def _code_type(
        self,
        type_: drgn.Type,
        said: Iterable[tuple[drgn.Type, str]],
        suffix: str,
        size: int | None,
        prefix: str = "",
    ) -> CodeType | None:
        name = _spelled(type_)
        if name is None:
            return None
        why = spelled_out([one for _, one in said])
        alone = bool(size) and why.startswith("code: ") and self.is_alone(size or 0)
        return CodeType(prefix + name + suffix, why, self.reach, size, alone)


def spelled_out(said: list[str]) -> str:
    """``code: 4 calls of mutex_lock, 1 call of mutex_unlock and 2 others``."""
    counts = Counter(said)
    shown = []
    code = any(not text.startswith("pointer ") for text in said)
    for text, count in counts.most_common(_MAX_NAMED):
        kind, _, name = text.partition(" ")
        if kind == "pointer":
            shown.append(f"{name} points to it")
        else:
            shown.append(f"{count} {kind}{'' if count == 1 else 's'} of {name}")
    others = len(counts) - len(shown)
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{'code' if code else 'contents'}: {', '.join(shown)}{more}"


def _is_open(type_: drgn.Type) -> bool:
    """Whether more may follow a struct than its size says."""
    real = underlying(type_)
    if real.tag in _NEIGHBOURS:
        return True
    if not real.is_complete() or not real.members:
        return True
    last = underlying(real.members[-1].type)
    return last.kind is TypeKind.ARRAY and not last.length


def _same(one: drgn.Type, other: drgn.Type) -> bool:
    left, right = underlying(one), underlying(other)
    return left.kind is right.kind and left.tag is not None and left.tag == right.tag


def _outermost(found: list[drgn.Type]) -> drgn.Type | None:
    """The one type of some, all others of which stand at its beginning; None if there is none."""
    best = max(found, key=lambda t: size_of(t) or 0)
    unqualified = [t for t in found if _same(t, best)]
    if not unqualified:
        return None  # it has no name
    best = min(unqualified, key=lambda t: len(t.type_name()))
    return best if all(_begins_with(best, other, 0) for other in found) else None


def _begins_with(type_: drgn.Type, inner: drgn.Type, depth: int) -> bool:
    if _same(type_, inner):
        return True
    real = underlying(type_)
    if depth > 8 or real.kind not in _RECORDS or not real.is_complete():
        return False
    return any(
        member.bit_offset == 0
        and member.bit_field_size is None
        and _begins_with(member.type, inner, depth + 1)
        for member in real.members
    )


def _spelled(type_: drgn.Type) -> str | None:
    """As C writes it, without qualifiers; None for a type without a name."""
    real = underlying(type_)
    if type_.kind is TypeKind.TYPEDEF:
        return str(type_.name)
    if real.tag is None:
        return None
    return f"{'struct' if real.kind is TypeKind.STRUCT else 'union'} {real.tag}"
