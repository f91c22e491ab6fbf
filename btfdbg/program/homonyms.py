"""Several types of one name: which there are, how to say which, which one an object is.

Owns the choice between structs (unions, enums) that share a name, as static definitions of
different source files do: ``struct irq_info`` three times in one kernel. ``NAME#N`` is the Nth
of the kernel's BTF, as in ``btf.members``, ``NAME#MODULE`` a module's. What a helper of drgn's
gets for the bare name is still the first.

Facts: ``mm/slab_common.c`` (sizes of kmalloc caches): an object lies in the smallest that
holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Kind
from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.choice import own_ids
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program import placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.program.session import Session

_KINDS = {
    drgn.TypeKind.STRUCT: ("struct", (Kind.STRUCT,)),
    drgn.TypeKind.UNION: ("union", (Kind.UNION,)),
    drgn.TypeKind.ENUM: ("enum", (Kind.ENUM, Kind.ENUM64)),
}
_WORDS = dict(_KINDS.values())
_MAX_TYPES = 64
_MAX_MEMBERS = 3
_KMALLOC = (8, 16, 32, 64, 96, 128, 192, *(1 << n for n in range(8, 24)))


@dataclass(frozen=True, slots=True)
class Homonym:
    """
    One of several types of a name.

    :ivar number: From 1, in the order of the kernel's BTF.
    """

    number: int
    type: drgn.Type

    def describe(self) -> str:
        """Number, size, and what it begins with."""
        return f"{self.type.tag}#{self.number}: {self.about()}"

    def about(self) -> str:
        """Size, and what it begins with."""
        type_ = self.type
        begins = ""
        if type_.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION):
            names = [member.name or "…" for member in (type_.members or ())]
            begins = ", ".join(names[:_MAX_MEMBERS]) + (", …" if len(names) > _MAX_MEMBERS else "")
        elif type_.kind is drgn.TypeKind.ENUM:
            values = [value.name for value in (type_.enumerators or ())]
            begins = ", ".join(values[:_MAX_MEMBERS])
        return f"{size_of(type_)} bytes ({begins})"


def size_of(type_: drgn.Type) -> int:
    """Bytes of a struct, union or enum; 0 of a declaration."""
    try:
        size: int = drgn.sizeof(type_)
    except TypeError:
        return 0
    return size


def homonyms(session: Session, word: str, name: str) -> tuple[Homonym, ...]:
    """
    Return the kernel's different types of a name, in the order of its BTF.

    :param word: ``struct``, ``union`` or ``enum``.
    :return: One item for a name that means one thing.
    """
    if session.converter is None or word not in _WORDS:
        return ()
    ids = own_ids(session.converter.btf, name, _WORDS[word])[:_MAX_TYPES]
    return tuple(
        Homonym(number, session.converter.convert(type_id))
        for number, type_id in enumerate(ids, start=1)
    )


def homonyms_of(session: Session, type_: drgn.Type) -> tuple[Homonym, ...]:
    """The types that share the name of one, itself included; empty if it is the only one."""
    word = _KINDS.get(type_.kind)
    if word is None or type_.tag is None:
        return ()
    found = homonyms(session, word[0], type_.tag)
    return found if len(found) > 1 else ()


def number_of(found: tuple[Homonym, ...], type_: drgn.Type) -> int:
    """Which of several types one is, 0 if it is none of them."""
    key = size_of(type_), str(type_)
    return next((h.number for h in found if (size_of(h.type), str(h.type)) == key), 0)


def chosen(session: Session, text: str) -> drgn.Type | None:
    """
    The type that ``[struct|union|enum ]NAME#CHOICE`` means.

    :return: ``None`` if the text has no ``#``.
    :raises DebugInfoError: there is no such type.

    >>> chosen(session, "irq_info#2").size
    48
    """
    spelled, mark, choice = text.strip().partition("#")
    if not mark:
        return None
    word, _, name = spelled.rpartition(" ")
    words = (word.strip(),) if word else tuple(_WORDS)
    for kind in words:
        if choice.isdecimal():
            for one in homonyms(session, kind, name):
                if one.number == int(choice[:9]):
                    return one.type
        elif choice:
            try:
                return session.prog.type(f"{kind} {name}", choice)
            except (LookupError, SyntaxError):
                continue
    there = [one for kind in words for one in homonyms(session, kind, name)]
    hint = "; ".join(one.describe() for one in there[:_MAX_MEMBERS])
    if not hint:
        other = [f"{kind} {name}" for kind in _WORDS if homonyms(session, kind, name)]
        hint = f"there is {other[0]}" if other else f"no type of the kernel is called {name}"
    raise DebugInfoError(f"there is no {text.strip()}", step="types", hint=hint)


def having(found: tuple[Homonym, ...], members: Sequence[str]) -> tuple[Homonym, ...]:
    """
    Those of several types that have all of some members; all of them if none has.

    >>> [one.number for one in having(homonyms(session, "struct", "irq_info"), ["bus"])]
    [3]

    :param members: Paths, such as ``u.pirq.gsi``.
    """
    return tuple(one for one in found if _has(one.type, members)) or found


def _has(type_: drgn.Type, members: Sequence[str]) -> bool:
    try:
        for path in members:
            drgn.offsetof(type_, path)
    except (LookupError, SyntaxError, TypeError, ValueError):
        return False
    return True


def choose(
    session: Session, found: tuple[Homonym, ...], members: Sequence[str], address: int | None
) -> tuple[Homonym, str]:
    """
    One of several types of a name: by what lies at the address, then by its members.

    :param found: All of them.
    :return: The type, and what to say of the choice; nothing if the object shows it.
    """
    fitting = having(found, members)
    one = None if address is None else of_object(session, fitting, address)
    if one is not None:
        return one, ""
    return fitting[0], told(found, fitting[0].number)


def of_object(session: Session, found: tuple[Homonym, ...], address: int) -> Homonym | None:
    """
    Which of several types the object at an address is, where the dump tells.

    A variable is of its own type; what lies in a kmalloc cache is of a size for which that
    cache is taken.

    :return: ``None`` if nothing tells, or more than one type fits.
    """
    variable = _variable_type(session, address)
    if variable is not None:
        number = number_of(found, variable)
        return next((one for one in found if one.number == number), None)
    from drgn.helpers.linux.slab import slab_object_info

    try:
        info = slab_object_info(session.prog, address)
        if info is None or info.address != address:
            return None
        room = int(info.slab_cache.object_size)
    except (drgn.FaultError, LookupError, AttributeError, TypeError, ValueError):
        return None
    below = max((size for size in _KMALLOC if size < room), default=0)
    fitting = [one for one in found if below < size_of(one.type) <= room]
    return fitting[0] if len(fitting) == 1 else None


def _variable_type(session: Session, address: int) -> drgn.Type | None:
    try:
        symbol = session.prog.symbol(address)
        if symbol.address != address:
            return None
        variable = placed.global_at(session, symbol.name, address)
    except (LookupError, drgn.FaultError, DebugInfoError):
        return None
    if variable is None:
        return None
    type_ = variable.type_
    while type_.kind in (drgn.TypeKind.TYPEDEF, drgn.TypeKind.ARRAY):
        type_ = type_.type
    return type_


def told(found: tuple[Homonym, ...], given: int) -> str:
    """Say which of several types is given, and which others there are."""
    others = ", ".join(f"#{h.number} {size_of(h.type)} bytes" for h in found if h.number != given)
    one = found[given - 1]
    return (
        f"{one.type.tag}: given is #{given} ({size_of(one.type)} bytes) of {len(found)} types of "
        f"that name ({others}); {one.type.tag}#N is another, whatis shows all"
    )
