"""Which list or tree a pointer to an entry came from, and the functions that walk the same.

Owns the name of a list: the address of a head that is a variable, or the struct and member of
one that is in an object, ``struct inode.i_dentry``. The entries of one member's lists are of one
type as a rule; who asks has to see that all who walk them agree.

What is named by a member alone are links (``struct list_head``, ``struct rb_node``, …), in a
struct that is none. Only neighbours of the function are asked for those: a file's functions stand
together, and a struct that lends its lists to others (``struct list_lru_one``) means something
else elsewhere.

Facts: ``include/linux/types.h``, ``include/linux/rbtree_types.h``, ``include/linux/llist.h``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.layout import member_at, pointed_to, underlying
from btfdbg.frames.state import signed
from btfdbg.frames.types import Types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.function import Function
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import Base

List = int | tuple[str, str]
"""A head's address, or the tag and the path of the member that leads to the first entry."""

MAX_NEIGHBOURS = 128
"""Functions around one that are asked for a member's list."""
_MAX_FUNCTIONS = 64
_MAX_DEPTH = 4
_MAX_GAP = 256
_ALIGNED = 16
_WORD = 8
_PADDING = "__pfx_"  # arch/x86: the room before a function
_INDEX = re.compile(r"\[\d+\]")
_LINKS = frozenset(
    {
        "list_head",
        "hlist_head",
        "hlist_node",
        "hlist_nulls_node",
        "hlist_bl_node",
        "llist_node",
        "llist_head",
        "rb_node",
        "rb_root",
        "rb_root_cached",
    }
)


class Lists:
    """The lists that one function's pointers come from."""

    def __init__(self, made: Recovery, flow: FunctionFlow) -> None:
        self._flow = flow
        prototype = made.text.prototype_at(flow.code.start)
        self._types = Types(made.session, made.text, prototype, flow.insns, flow)
        self._known: dict[Base, tuple[frozenset[List], int]] = {}

    def of(self, base: Base, depth: int = 0) -> tuple[frozenset[List], int]:
        """
        The lists whose first entry a pointer is, on any path; none if it has another origin.

        :return: And the bytes from the entry's links to where the pointer points.
        """
        known = self._known.get(base)
        if known is None:
            known = self._find(base, depth)
            if not depth:
                self._known[base] = known
        return known

    def _find(self, base: Base, depth: int) -> tuple[frozenset[List], int]:
        nothing: tuple[frozenset[List], int] = frozenset(), 0
        where = base[3] if base[0] == "load" else None
        if isinstance(where, tuple) and where[0] is None:
            return frozenset({where[1]}), 0
        brought = None if depth > _MAX_DEPTH else self._flow.brought(base)
        if brought is None:
            member = self._member(base)
            return nothing if member is None else (frozenset({member}), 0)
        found: set[List] = set()
        shifts: set[int] = set()
        for value in brought:
            if value is None or value[2] < 64:
                return nothing
            if value[0] is None or value[0] == base:
                continue  # NULL, or the same as before
            inner, shift = first_name(self._flow, value[0])
            lists, moved = self.of(inner, depth + 1)
            if not lists and not _is_next(inner):
                return nothing
            found |= lists
            shifts.add(signed(value[1]) + shift + moved)
        # Of one that points to other places of the entry on other paths, nothing is said.
        return (frozenset(found), shifts.pop()) if len(shifts) == 1 else nothing

    def _member(self, base: Base) -> tuple[str, str] | None:
        """The struct and the member that a pointer to links was loaded from."""
        where = base[3] if base[0] == "load" and base[4] == _WORD else None
        if not isinstance(where, tuple) or where[0] is None or where[0][0] == "phi":
            return None
        typed = self._types.of((where[0], 0, where[2]))
        holder = None if typed is None else pointed_to(typed.type)
        found = None if holder is None else member_at(holder, signed(where[1]), _WORD)
        links = None if found is None else pointed_to(found.type)
        if holder is None or found is None or links is None:
            return None
        tag = _tag(holder)
        if tag is None or tag in _LINKS or _tag(links) not in _LINKS:
            return None
        return tag, _INDEX.sub("[]", found.path)


def first_name(flow: FunctionFlow, base: Base) -> tuple[Base, int]:
    """What a pointer that only one path brings is called there, and the bytes added to that."""
    moved = 0
    for _ in range(_MAX_DEPTH):
        brought = {v for v in flow.brought(base) or () if v != (base, 0, 64)}
        value = brought.pop() if len(brought) == 1 else None
        if value is None or value[0] is None or value[2] < 64:
            break
        base, moved = value[0], moved + signed(value[1])
    return base, moved


def walkers(made: Recovery, flow: FunctionFlow, head: List) -> Iterator[FunctionFlow]:
    """The functions that may walk the same list as one does."""
    own = made.text.function(flow.code.start)
    if isinstance(own, str):
        return iter(())
    if not isinstance(head, int):
        return map(made.flow, _neighbours(made, own))
    from btfdbg.frames.globals import functions_naming

    try:
        symbol = made.session.prog.symbol(head)
    except LookupError:
        return iter(())
    named = functions_naming(made.session, symbol, own.module)[:_MAX_FUNCTIONS]
    return map(made.flow, named)


def same(made: Recovery, one: List, other: List) -> bool:
    """Whether two are one list: heads in the same variable, or the same member."""
    if not isinstance(one, int) or not isinstance(other, int):
        return one == other
    try:
        symbol = made.session.prog.symbol(one)
    except LookupError:
        return False
    return bool(symbol.address <= other < symbol.address + symbol.size)


def _tag(type_: drgn.Type) -> str | None:
    real = underlying(type_)
    records = (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION)
    return real.tag if real.kind in records else None


def _is_next(base: Base) -> bool:
    """Whether a pointer was loaded through one that differs by the path, as in a loop."""
    where = base[3] if base[0] == "load" else None
    return isinstance(where, tuple) and where[0] is not None and where[0][0] == "phi"


def _neighbours(made: Recovery, own: Function) -> list[Function]:
    """The functions around one, the nearest first, in the same text."""
    found: list[Function] = []
    up: Function | None = own
    down: Function | None = own
    while len(found) < MAX_NEIGHBOURS and (up is not None or down is not None):
        up = None if up is None else _beside(made, up, 1)
        down = None if down is None else _beside(made, down, -1)
        found += [f for f in (up, down) if f is not None and not f.names[0].startswith(_PADDING)]
    return found


def _beside(made: Recovery, function: Function, step: int) -> Function | None:
    """The function behind (1) or before (-1) another."""
    at = function.end if step > 0 else function.start - 1
    for _ in range(_MAX_GAP // _ALIGNED):
        found = made.text.function(at)
        if not isinstance(found, str) and found.start != function.start:
            if found.module != function.module:
                return None
            # A part that stands elsewhere is not the next one.
            return found if found.start <= at < found.end else None
        at += step * _ALIGNED
        if step > 0:
            at &= -_ALIGNED
    return None
