"""Completion: ``complete(text, cursor, session)`` is a pure function of what it is given.

It runs nothing of the user's, reads no memory but short lists (tasks, slab
caches) within a budget of time, and never raises. The indexes over types and
symbols are built beside the prompt (``sources``); until they are there, the
names they hold are simply not suggested.

In reading order: ``model`` (what a completion is), ``scan`` (where the cursor stands),
``arguments`` (of a command), ``python``, ``c``, ``infer`` (the type of an expression),
``index`` (many names), ``sources`` (where they come from).
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from typing import Any

from btfdbg.commands import namespace
from btfdbg.commands.evaluate import prepare
from btfdbg.commands.language import Language, first_word
from btfdbg.commands.language import resolve as resolve_language
from btfdbg.program.session import Session
from btfdbg.repl.complete.arguments import complete_arguments, type_path
from btfdbg.repl.complete.model import MAX_SHOWN, Completion
from btfdbg.repl.complete.python import complete_python, symbols
from btfdbg.repl.complete.sources import Sources, sources_of

__all__ = ["Completion", "Sources", "complete", "sources_of"]

_MAX_TEXT = 20_000  # a pasted blob is not completed


def complete(
    text: str, cursor: int, session: Session, names: Mapping[str, Any] | None = None
) -> list[Completion]:
    """
    Suggestions for a line (or block) at a cursor.

    :param names: Names of the prompt; default: those of the Session's state.
    """
    if not 0 <= cursor <= len(text) or len(text) > _MAX_TEXT:
        return []
    state = prepare(session)
    if names is None:
        names = state.globals
    before = text[:cursor]
    if "\n" in before or before[:1].isspace():
        return complete_python(text, cursor, session, names)
    forced = before.startswith("%")
    begin = 1 if forced else 0
    begin += len(before[begin:]) - len(before[begin:].lstrip())
    if before.startswith("!"):
        return _command(session, "sh", before, 1, names)
    if before.startswith("py "):
        return complete_python(text, cursor, session, names)
    line = before[begin:]
    formatted = re.match(r"([px])/\w*", line)
    word = first_word(line)
    if formatted and namespace.is_command(session.prog, formatted[1] + "/"):
        return _command(session, formatted[1] + "/", before, begin + 2, names)
    if line == word:
        return _first_word(text, cursor, before, begin, session, names, forced=forced)
    if word and namespace.is_command(session.prog, word):
        rest = line[len(word) :]
        if forced or _stays_command(line, word, rest, session, state.own_names()):
            return _command(session, word, before, begin + len(word), names)
    elif word and re.match(r"[A-Za-z_]\w*\.", line) and word not in names:
        found = type_path(line, begin, session, frozenset())
        if found:
            return found
    bare = _is_variable(line, session, names)
    return complete_python(text, cursor, session, names, kernel_names=bare)


def _is_variable(line: str, session: Session, names: Mapping[str, Any]) -> bool:
    """Whether a line may be one that ``p`` is left out of; see ``commands.implicit``."""
    match = re.match(r"[A-Za-z_]\w*", line)
    return (
        match is not None
        and match[0] not in names
        and not hasattr(builtins, match[0])
        and bool(session.lookup_symbols(match[0]))
    )


def _stays_command(line: str, word: str, rest: str, session: Session, own: frozenset[str]) -> bool:
    """Whether a line that starts with a command's name is one, as far as it is typed."""
    if word == "*":
        return True
    resolved = resolve_language(line, lambda name: namespace.is_command(session.prog, name), own)
    if resolved.language is Language.COMMAND:
        return True
    return resolved.language is Language.ASK


def _command(
    session: Session, name: str, before: str, begin: int, names: Mapping[str, Any]
) -> list[Completion]:
    command = namespace.lookup(session.prog, name)
    return complete_arguments(name, command, before, begin, session, names)


def _first_word(
    text: str,
    cursor: int,
    before: str,
    begin: int,
    session: Session,
    names: Mapping[str, Any],
    *,
    forced: bool,
) -> list[Completion]:
    """Commands that match, then Python's names."""
    typed = before[begin:]
    if not typed:
        return []
    commands = namespace.commands(session.prog)
    found = [
        Completion(name, begin, name, command.description())
        for name, command in commands.items()
        if name.startswith(typed) and not name.endswith("/")
    ]
    if not forced:
        seen = {c.text for c in found}
        found += [c for c in complete_python(text, cursor, session, names) if c.text not in seen]
    if not found and not forced and typed.isidentifier():
        return symbols(typed, begin, sources_of(session))
    return found[:MAX_SHOWN]
