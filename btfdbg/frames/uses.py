"""What a pointer is taken for elsewhere: the struct around the member that it points to.

Owns the evidence for ``container_of``. The code of a walk over a list has pointers to the links
only; but where the same pointer, moved back to the entry's start, is passed to a function that
takes a ``struct cf_node *``, or returned by one, the entry is one. If the function that is looked
at does neither, others do that walk the same list (``lists``).

All that say something must agree, what is wanted must lie within what they say, and nobody who
walks the list may access anything outside of it.

Facts: ``include/linux/container_of.h``, ``include/linux/list.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.ir import CALL, STOP
from btfdbg.frames.layout import pointed_to, size_of, underlying
from btfdbg.frames.lists import Lists, first_name, same, walkers
from btfdbg.frames.state import signed
from btfdbg.lazy_dataclass import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.lists import List
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import Base, Value


@dataclass(frozen=True, slots=True)
class Use:
    """
    What a function takes a pointer for.

    :ivar base: Where the pointer came from.
    :ivar offset: Bytes from there to what is passed.
    :ivar type: What is passed points to it.
    :ivar name: The called function, or the one that returns it.
    :ivar walker: Another function that walks the same list and says so; "" for the own one.
    """

    base: Base
    offset: int
    type: drgn.Type
    name: str
    walker: str = ""

    def holds(self, offset: int, size: int) -> bool:
        """Whether bytes at an offset from the pointer lie in it."""
        return 0 <= offset - self.offset <= (size_of(underlying(self.type)) or 0) - size

    def __str__(self) -> str:
        name = f"{self.type.unqualified().type_name()} *"
        if self.walker == self.name:
            return f"{self.name} returns an entry of the same list as {name}"
        if self.walker:
            return f"{self.walker} passes entries of the same list to {self.name} as {name}"
        return f"{self.name} takes it as {name}"


def uses(made: Recovery, flow: FunctionFlow) -> Iterator[Use]:
    """The typed pointers that a function passes to functions with a prototype, or returns."""
    own = made.text.prototype_at(flow.code.start)
    for insn, state in flow.states():
        given: list[tuple[drgn.Type | None, Value, str]] = []
        if insn.kind == CALL:
            prototype = made.text.prototype_at(insn.target)
            if not isinstance(prototype, str):
                given = [
                    (prototype.type_of(param.type_id), value, prototype.name)
                    for param, value in prototype.words(state.regs)
                ]
        elif insn.kind == STOP and not isinstance(own, str) and not own.signature.problem:
            value = state.regs.get(flow.arch.RETURN)
            if value is not None:
                given = [(own.type_of(own.result), value, own.name)]
        for type_, value, name in given:
            target = pointed_to(type_)
            if value[0] is None or value[2] < 64 or target is None:
                continue
            if size_of(underlying(target)):
                yield Use(value[0], signed(value[1]), target, name)


def taken_for(made: Recovery, flow: FunctionFlow, base: Base, offset: int, size: int) -> Use | None:
    """
    The struct that a place near a pointer lies in, by what the pointer is passed as.

    :param base: Where the pointer came from.
    :param offset: Bytes from there to the place.
    :param size: Bytes of it.
    :return: None if nothing says it, or not all say the same.
    """
    base, moved = first_name(flow, base)
    offset += moved
    own = []
    for use in uses(made, flow):
        theirs, shift = first_name(flow, use.base)
        if theirs == base:
            own.append(replace(use, base=base, offset=use.offset + shift))
    found = _agreed(own, offset, size)
    if found is None and not any(use.holds(offset, size) for use in own):
        lists, shift = Lists(made, flow).of(base)
        if len(lists) == 1:
            (head,) = lists
            found = _of_walkers(made, flow, head, (offset + shift, size))
            moved += shift
    return None if found is None else replace(found, offset=found.offset - moved)


def _of_walkers(
    made: Recovery, flow: FunctionFlow, head: List, place: tuple[int, int]
) -> Use | None:
    """What all functions that walk a list take its entries for."""
    said: list[Use] = []
    others = [(f, Lists(made, f)) for f in walkers(made, flow, head) if not f.problem]
    for other, lists in others:
        for use in uses(made, other):
            shift = _of_list(made, other, lists, head, use.base)
            if shift is not None:
                walker = _name(made, other)
                said.append(replace(use, offset=use.offset + shift, walker=walker))
    found = _agreed(said, *place)
    if found is None:
        return None
    for other, lists in others:
        for base, offset, size in _accesses(other):
            shift = _of_list(made, other, lists, head, base)
            if shift is not None and not found.holds(offset + shift, size):
                return None
    return found


def _of_list(
    made: Recovery, flow: FunctionFlow, lists: Lists, head: List, base: Base
) -> int | None:
    """Bytes from a list's links to a pointer to an entry of it; None if it is to none."""
    first, moved = first_name(flow, base)
    named, shift = lists.of(first)
    return moved + shift if named and all(same(made, head, one) for one in named) else None


def _accesses(flow: FunctionFlow) -> set[tuple[Base, int, int]]:
    """What a function accesses through pointers: where one came from, offset, bytes."""
    found = set()
    for insn, state in flow.states():
        for mem, size in flow.arch.memory(*insn.text):
            where = None if mem.segment else flow.address_of(state, mem, insn.end)
            if where is not None and where[0] is not None:
                found.add((where[0], signed(where[1]), size))
    return found


def _agreed(found: list[Use], offset: int, size: int) -> Use | None:
    holding = [use for use in found if use.holds(offset, size)]
    said = {
        (underlying(u.type).unqualified().type_name(), size_of(underlying(u.type)), u.offset)
        for u in holding
    }
    return holding[0] if len(said) == 1 else None


def _name(made: Recovery, flow: FunctionFlow) -> str:
    names = made.text.names_at(flow.code.start)
    return names[0] if names else ""
