"""A global by its place: which one a symbol is, whichever others have its name.

Owns asking by address what several variables may be called, and telling all of them where one
is given. A name alone is answered by ``finders``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import drgn

from btfdbg.kallsyms.choice import is_text

if TYPE_CHECKING:
    from btfdbg.program.session import Session
    from btfdbg.variables import TypedVariable

_MAX_TOLD = 4
_NUMBERS = (drgn.TypeKind.INT, drgn.TypeKind.BOOL, drgn.TypeKind.ENUM)


def global_at(session: Session, name: str, address: int) -> drgn.Object | None:
    """
    Return the variable or function whose symbol lies at an address.

    A name that one symbol has is looked up as any other; of several each by its place, so that
    nothing is told of the others.

    :param name: The symbol's.
    :param address: Where it begins; of a per-CPU variable that of the template.
    :return: ``None`` if its type is not known, or the name leads elsewhere.
    :raises BtfError: damaged types.

    >>> global_at(session, "max_cstate", 0xffffffff9f86cfcc).type_.type_name()
    'unsigned int'
    """
    if _is_shared(session, name):
        known = _known_at(session, name, address)
        return None if known is None else drgn.Object(session.prog, known[0], address=address)
    try:
        found = session.prog[name]
    except LookupError:
        return None
    return found if found.address_ == address else None


def source_at(session: Session, name: str, address: int) -> str | None:
    """
    Return which evidence gives the type of the variable at an address.

    >>> source_at(session, "max_cstate", 0xffffffff9f86cfcc)
    'naming rule, size checked'
    """
    if not _is_shared(session, name):
        return session.variable_source(name)
    known = _known_at(session, name, address)
    return None if known is None else known[1]


def _is_shared(session: Session, name: str) -> bool:
    """Whether several symbols of the kernel have a name, or of its modules that it has not."""
    places = {s.address for s in session.lookup_symbols(name)}
    if not places and session.module_objects is not None:
        places = {s.address for s in session.module_objects.symbols_of(name)}
    return len(places) > 1


def _known_at(session: Session, name: str, address: int) -> tuple[drgn.Type, str | None] | None:
    """A variable's type, and which evidence gives it."""
    converter = session.converter
    var_id = None if converter is None else session.own_variable(name, address)
    if converter is not None and var_id is not None:
        return converter.convert(var_id), "kernel BTF"
    variables = session.variables
    typed = None if variables is None else variables.find_at(name, address)
    if typed is not None:
        return typed.type, typed.known_from
    objects = session.module_objects
    for sym in () if objects is None else objects.symbols_of(name):
        if objects is not None and sym.address == address and not is_text(sym):
            type_ = objects.type_of(sym)
            return None if type_ is None else (type_, objects.source_of(sym))
    return None


def told(prog: drgn.Program, several: Sequence[TypedVariable]) -> str:
    """
    Say which variables a name has: type, value and place of each, and how to choose.

    >>> told(prog, variables.of_symbols("max_cstate"))
    'given is the first of 2 variables of that name: int 9 at 0xffffffff9f7cb240, unsigned int 8 at
    0xffffffff9f86cfcc; the other: p *(unsigned int *)0xffffffff9f86cfcc'

    :param several: by address, two or more; four of them are told.
    """
    places = [
        f"{v.type.type_name()}{_value(prog, v)} at {v.address:#x}" for v in several[:_MAX_TOLD]
    ]
    if len(several) > _MAX_TOLD:
        places.append(f"{len(several) - _MAX_TOLD} more")
    other = several[1]
    choice = f"p *({pointer_to(other.type.type_name())}){other.address:#x}"
    which = "the other" if len(several) == 2 else "the second"
    return (
        f"given is the first of {len(several)} variables of that name: {', '.join(places)}; "
        f"{which}: {choice}"
    )


def pointer_to(type_name: str) -> str:
    """
    A pointer to a type, as a cast spells it; of an array to its elements.

    >>> pointer_to("const char [4]")
    'char *'
    """
    element = type_name.partition(" [")[0].partition("[")[0].removeprefix("const ")
    return element + ("*" if element.endswith("*") else " *")


def _value(prog: drgn.Program, variable: TypedVariable) -> str:
    """A number's value behind a space; "" of anything else, and of what cannot be read."""
    found = drgn.Object(prog, variable.type, address=variable.address)
    try:
        bare = found.type_.unaliased()
        while bare.kind is drgn.TypeKind.STRUCT and bare.members and len(bare.members) == 1:
            found = found.member_(bare.members[0].name)  # atomic_t
            bare = found.type_.unaliased()
        if bare.kind is drgn.TypeKind.POINTER:
            return f" {int(found.value_()):#x}"
        return f" {int(found.value_())}" if bare.kind in _NUMBERS else ""
    except (drgn.FaultError, LookupError, TypeError):
        return ""
