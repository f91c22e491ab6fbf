"""Completion within expressions of C: members behind a cast or an arrow, types in brackets.

Owns what the completion of Python cannot know: ``((struct page *)ADDR)->fl``. The expression in
front of the last arrow is evaluated as ``p`` would; whatever it misses costs the suggestions.
"""

from __future__ import annotations

import re

import drgn

from btfdbg.cdecl import CDeclError, expression
from btfdbg.commands import values
from btfdbg.commands.c_values import Evaluator
from btfdbg.commands.candidates import struct_of
from btfdbg.commands.state import state_of
from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session
from btfdbg.repl.complete import python
from btfdbg.repl.complete.model import Completion
from btfdbg.repl.complete.sources import sources_of

_LAST = re.compile(r"(?:->|\.)(?=\w*\Z)")
_TYPE = re.compile(r"\b(?:struct|union|enum) \w*\Z")
_NAME = re.compile(r"[&*!~(+-]+(?=[A-Za-z_]\w*\Z)")


def complete_c(typed: str, start: int, session: Session) -> list[Completion]:
    """
    Suggestions for an expression that only C can mean; empty where Python may know.

    :param typed: The expression up to the cursor.
    :param start: Where it begins in the line.
    """
    type_ = _TYPE.search(typed)
    if type_ and "(" in typed:
        begin = start + type_.start()
        found = python.types_(type_[0], begin, sources_of(session))
        return [c for c in found if c.start >= begin]
    name = _NAME.match(typed)
    if name:
        return python.symbols(typed[name.end() :], start + name.end(), sources_of(session))
    last = _LAST.search(typed)
    if last is None or not ("(" in typed or "->" in typed):
        return []
    tail = typed[last.end() :]
    target = _struct(typed[: last.start()], session)
    if target is None:
        return []
    return python.member_path(target, tail, start + len(typed) - len(tail))


def _struct(head: str, session: Session) -> drgn.Type | None:
    """The struct that an expression is, or points to."""
    head = head.lstrip("&*!~-+ ")
    state = state_of(session.prog)
    own = {name: state.globals[name] for name in state.own_names()}
    try:
        tree = expression.parse_expression(head, lambda word: values.names_type(session, word))
        found = Evaluator(session, own, state.dollar).value(tree)
        return struct_of(found.type_)
    except (CDeclError, BtfdbgError, LookupError, NameError, TypeError, drgn.FaultError):
        return None
