"""What a pointer is taken for elsewhere: the struct around the member that it points to.

Owns the evidence for ``container_of``. The code of a walk over a list has pointers to the links
only; but where the same pointer, moved back to the entry's start, is passed to a function that
takes a ``struct cf_node *``, the entry is one. If the function that is looked at passes it
nowhere, others do that walk the same list of a global head.

All that say something must agree, and what is wanted must lie within what they say.

Facts: ``include/linux/container_of.h``, ``include/linux/list.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.ir import CALL
from btfdbg.frames.layout import pointed_to, size_of, underlying
from btfdbg.frames.state import signed
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import Base

_MAX_FUNCTIONS = 64
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Use:
    """
    What a function that is called takes a pointer for.

    :ivar base: Where the pointer came from.
    :ivar offset: Bytes from there to what is passed.
    :ivar type: What is passed points to it.
    :ivar name: The called function.
    """

    base: Base
    offset: int
    type: drgn.Type
    name: str


def uses(made: Recovery, flow: FunctionFlow) -> Iterator[Use]:
    """The typed pointers that a function passes to functions with a prototype."""
    for insn, state in flow.states():
        if insn.kind != CALL:
            continue
        prototype = made.text.prototype_at(insn.target)
        if isinstance(prototype, str):
            continue
        for param, value in prototype.words(state.regs):
            if value[0] is None or value[2] < 64:
                continue
            target = pointed_to(prototype.type_of(param.type_id))
            if target is not None and size_of(underlying(target)):
                yield Use(value[0], signed(value[1]), target, prototype.name)


def taken_for(made: Recovery, flow: FunctionFlow, base: Base, offset: int, size: int) -> Use | None:
    """
    The struct that a place near a pointer lies in, by what the pointer is passed as.

    :param base: Where the pointer came from.
    :param offset: Bytes from there to the place.
    :param size: Bytes of it.
    :return: None if nothing says it, or not all say the same.
    """
    base, moved = _first_name(flow, base)
    offset += moved
    own = []
    for use in uses(made, flow):
        theirs, shift = _first_name(flow, use.base)
        if theirs == base:
            own.append(Use(base, use.offset + shift, use.type, use.name))
    found = _agreed(own, offset, size)
    if found is not None or any(_holds(use, offset, size) for use in own):
        return (
            None if found is None else Use(found.base, found.offset - moved, found.type, found.name)
        )
    heads = _heads(flow, base, 0)
    if len(heads) != 1:
        return None
    others: list[Use] = []
    start, end, functions = _walkers(made, flow, heads.pop())
    for other in functions:
        if other.problem:
            continue
        for use in uses(made, other):
            theirs, shift = _first_name(other, use.base)
            named = _heads(other, theirs, 0)
            if named and all(start <= head < end for head in named):
                others.append(Use(theirs, use.offset + shift, use.type, use.name))
    found = _agreed(others, offset, size)
    return None if found is None else Use(found.base, found.offset - moved, found.type, found.name)


def _first_name(flow: FunctionFlow, base: Base) -> tuple[Base, int]:
    """What a pointer that only one path brings is called there, and the bytes added to that."""
    moved = 0
    for _ in range(_MAX_DEPTH):
        brought = {v for v in flow.brought(base) or () if v != (base, 0, 64)}
        value = brought.pop() if len(brought) == 1 else None
        if value is None or value[0] is None or value[2] < 64:
            break
        base, moved = value[0], moved + signed(value[1])
    return base, moved


def _agreed(found: list[Use], offset: int, size: int) -> Use | None:
    holding = [use for use in found if _holds(use, offset, size)]
    said = {
        (underlying(u.type).unqualified().type_name(), size_of(underlying(u.type)), u.offset)
        for u in holding
    }
    return holding[0] if len(said) == 1 else None


def _holds(use: Use, offset: int, size: int) -> bool:
    return 0 <= offset - use.offset <= (size_of(underlying(use.type)) or 0) - size


def _heads(flow: FunctionFlow, base: Base, depth: int) -> set[int]:
    """The fixed addresses that a pointer was loaded from, on any path."""
    if base[0] == "load" and isinstance(base[3], tuple) and base[3][0] is None:
        return {base[3][1]}
    brought = None if depth > _MAX_DEPTH else flow.brought(base)
    found: set[int] = set()
    for value in brought or ():
        if value is None or value[0] is None or value[1] or value[2] < 64:
            return set()  # moved: another place of the entry
        if value[0] == base:
            continue
        heads = _heads(flow, value[0], depth + 1)
        if not heads and not _is_next(value[0]):
            return set()
        found |= heads
    return found


def _is_next(base: Base) -> bool:
    """Whether a pointer was loaded through one that differs by the path, as in a loop."""
    where = base[3] if base[0] == "load" else None
    return isinstance(where, tuple) and where[0] is not None and where[0][0] == "phi"


def _walkers(
    made: Recovery, flow: FunctionFlow, head: int
) -> tuple[int, int, Iterator[FunctionFlow]]:
    """Where a list's head begins and ends, and the functions that name it."""
    from btfdbg.frames.globals import functions_naming

    try:
        symbol = made.session.prog.symbol(head)
    except LookupError:
        return 0, 0, iter(())
    function = made.text.function(flow.code.start)
    module = "" if isinstance(function, str) else function.module
    named = functions_naming(made.session, symbol, module)[:_MAX_FUNCTIONS]
    return symbol.address, symbol.address + symbol.size, map(made.flow, named)
