"""A global by its place: which one a symbol is, whichever others have its name.

Owns asking by address what several variables may be called, and telling all of them where one
is given. A name alone is answered by ``finders``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import drgn

if TYPE_CHECKING:
    from btfdbg.variables import TypedVariable

_MAX_TOLD = 4
_NUMBERS = (drgn.TypeKind.INT, drgn.TypeKind.BOOL, drgn.TypeKind.ENUM)


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
    kind = variable.type.unaliased_kind()
    if kind not in _NUMBERS and kind is not drgn.TypeKind.POINTER:
        return ""
    try:
        number = int(drgn.Object(prog, variable.type, address=variable.address).value_())
    except (drgn.FaultError, TypeError):
        return ""
    return f" {number:#x}" if kind is drgn.TypeKind.POINTER else f" {number}"
