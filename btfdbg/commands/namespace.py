"""Find and run a command line of the prompt.

Owns the order of lookup: btfdbg's own, then drgn's (``sh``, ``py``,
``source``), then drgn's crash mode under its crash spelling (``bt``, ``ps``, …);
and what goes around a command: redirection, pager, ``--json``, errors in one
line. Modules with commands are imported when the first command is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import drgn
from drgn.commands import (
    DEFAULT_COMMAND_NAMESPACE,
    Command,
    CommandArgumentError,
    CommandError,
    CommandNamespace,
    CommandNotFoundError,
    ParsedCommand,
)

from btfdbg.commands import aliases, extensions, output, reads, where, words
from btfdbg.commands.arguments import options_first
from btfdbg.commands.define import NAMESPACE, own
from btfdbg.commands.state import PromptState, state_of
from btfdbg.commands.text import one_line
from btfdbg.errors import BtfdbgError
from btfdbg.interrupts import held, pass_on
from btfdbg.lazy_pattern import pattern
from btfdbg.patches import install
from btfdbg.patches.install import reach
from btfdbg.patches.watchdog import watched
from btfdbg.program.session import Session

# Commands whose arguments are not ours to look into.
_VERBATIM = frozenset(("sh", "py", "source", "crash", "eval"))
# A line of these is whole, however wide the terminal is: it is text of others, or another
# command breaks it; and so it is with options that ask for JSON or Python.
_WHOLE_LINES = frozenset(("sh", "py", "source", "gdb", "tb"))
_WHOLE_LINES_OPTIONS = frozenset(("--json", "--json-lines", "--drgn"))
# What prints C.
_CODE_LINES = frozenset(("p", "p/", "x/", "struct", "union", "*", "whatis", "list", "task", "tree"))

# drgn's own crash prompt and its way out make no sense within ours.
_HIDDEN = frozenset(("drgn", "exit", "q"))

_WORD = pattern(r"\*|[^\s<>|;&#'\"()]+")
_FORMATTED = pattern(r"(p|x)/(\w+)(?=\s|$)")

_HELP = pattern(r"\s*(--help|-h)\s*(?=$|[|>])")

LEAVE = frozenset(("q", "quit", "exit"))
"""Lines that end a session."""

EXIT_OK = 0

_loaded = False


def load_commands() -> None:
    """Make all commands known: drgn's, ours, the user's; cheap after the first call."""
    global _loaded
    if _loaded:
        return
    import pkgutil

    from btfdbg.commands.crash.attach import attach

    # Half of them would be registered, and could not be a second time.
    with held():
        install.import_commands()
        from btfdbg.commands import prompt

        for module in pkgutil.iter_modules(prompt.__path__, prompt.__name__ + "."):
            import_module(module.name)
        _loaded = True
        install.install_commands()
        attach()
        extensions.load()


def are_loaded() -> bool:
    """Whether :func:`load_commands` was called: what was asked for did not stand alone."""
    return _loaded


def stands_alone(word: str, state: PromptState) -> bool:
    """
    Whether a word is a command that needs nothing but its own modules, which are imported.

    Not where something else may have that name: an alias, a command of the user's.
    """
    if _loaded or state.aliases or not where.is_known(word) or extensions.are_there():
        return False
    where.load((word,))
    return True


def _spaces() -> Iterator[CommandNamespace]:
    yield NAMESPACE
    yield DEFAULT_COMMAND_NAMESPACE
    # Reached last: it imports what all of crash mode needs.
    crash = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    if crash is not None:
        yield crash


def _is_crash(space: CommandNamespace) -> bool:
    return space is not NAMESPACE and space is not DEFAULT_COMMAND_NAMESPACE


def lookup(prog: drgn.Program, name: str) -> Command[Any]:
    """
    The command of a name.

    :raises CommandNotFoundError: there is none.
    """
    found = _lookup(prog, name) if stands_alone(name, state_of(prog)) else None
    if found is None:
        load_commands()
        found = _lookup(prog, name)
    if found is None:
        import keyword

        stands_for = aliases.meaning(name, state_of(prog).aliases)
        # An alias may stand for an expression as well, which begins with no word.
        word = _WORD.match(stands_for or "")
        if word and name not in keyword.kwlist:
            found = _lookup(prog, word[0])
    if found is None:
        raise CommandNotFoundError(name)
    return found


def _lookup(prog: drgn.Program, name: str) -> Command[Any] | None:
    for space in _spaces():
        if name in _HIDDEN and _is_crash(space):
            continue
        try:
            return space.lookup(prog, name)
        except CommandNotFoundError:
            pass
    return None


def is_command(prog: drgn.Program, word: str) -> bool:
    """Whether a word names a command of btfdbg, drgn or drgn's crash mode."""
    try:
        lookup(prog, word)
    except CommandNotFoundError:
        return False
    return True


def commands(prog: drgn.Program) -> dict[str, Command[Any]]:
    """All commands by name, sorted; of two of one name the one that runs."""
    load_commands()
    found: dict[str, Command[Any]] = {}
    for space in _spaces():
        for name, command in space.enabled(prog):
            if not (name in _HIDDEN and _is_crash(space)):
                found.setdefault(name, command)
    return dict(sorted(found.items()))


def parser_of(command: Command[Any]) -> argparse.ArgumentParser | None:
    """A command's argument parser; drgn's framework does not show it, but has one for all."""
    reach("drgn.commands", "_CustomCommand._parser")
    parser = getattr(command, "_parser", None)
    return parser if isinstance(parser, argparse.ArgumentParser) else None


def split(line: str) -> tuple[str, str]:
    """
    Name and the rest of a command line; ``p/x EXPR`` is the command ``p/`` with ``x EXPR``.

    :raises SyntaxError: the line does not start with a name.
    """
    line = line.strip()
    formatted = _FORMATTED.match(line)
    if formatted:
        return formatted[1] + "/", line[2:]
    word = _WORD.match(line)
    if not word:
        raise SyntaxError(f"a command's name was expected at {line[:20]!r}")
    return word.group(), line[word.end() :].lstrip()


def run(session: Session, line: str, globals_: dict[str, Any], *, expanded: bool = False) -> bool:
    """
    Run one command line; print what goes wrong in one line.

    :param expanded: An alias at its start has been replaced already.
    :return: Whether it succeeded.
    :raises SystemExit: it asks to leave.
    """
    state = state_of(session.prog)
    if state.bind is None and not state.bound:
        state.bound = globals_
        state.given = frozenset(globals_)
    line = line.strip().removeprefix("%").lstrip()
    if not expanded:
        line = aliases.expand(line, state.aliases)
    if not line:
        return True
    if line in LEAVE:
        raise SystemExit(EXIT_OK)
    match = _WORD.match(line)
    with reads.counted(session, match.group() if match else ""):
        try:
            return _run_reported(session, state, line)
        finally:
            install.note_on(session)


def _run_reported(session: Session, state: PromptState, line: str) -> bool:
    word = ""
    try:
        word, tail = split(line)
        with (
            watched(),
            output.captured(
                color=state.color, paged=state.paged, pager_program=state.pager_program
            ),
        ):
            _run(session, state, word, tail)
    except BrokenPipeError:
        if not state.interactive:
            raise
    # What a command raises is a report to the user, whatever its class: its
    # input is a damaged machine's memory.
    except Exception as e:
        pass_on(e)
        report(session, state, word, e)
        return False
    return True


def _run(session: Session, state: PromptState, word: str, tail: str) -> None:
    prog = session.prog
    try:
        command = lookup(prog, word)
    except CommandNotFoundError:
        if not _names_type(prog, word.partition(".")[0]):
            raise
        word, tail, command = "*", f"{word} {tail}", lookup(prog, "*")
    if word == "foreach" and not _loaded:
        asked = where.FOREACH.intersection(tail.split())
        where.load(asked) if asked else load_commands()
    if _wants_help(command, tail):
        rest = _HELP.sub("", tail, count=1)
        word, tail, command = "help", f"{word} {rest}", lookup(prog, "help")
    as_json = ""
    if word not in _VERBATIM and own(prog, word) is None:
        as_json, tail = _take_json(tail)
        tail = words.arrows(_expand(state, tail))
    parsed: ParsedCommand[Any] = command.parse(tail)
    args = parsed.args
    parser = parser_of(command)
    # The words behind foreach are those of another command.
    if parser is not None and isinstance(args, list) and own(prog, word) is None:
        args = args if word == "foreach" else options_first(parser, args)
    whole = (
        bool(as_json) or word in _WHOLE_LINES or not _WHOLE_LINES_OPTIONS.isdisjoint(tail.split())
    )
    with (
        output.redirected(parsed.redirections, parsed.pipeline),
        contextlib.nullcontext() if whole else output.broken_lines(code=word in _CODE_LINES),
        _json(as_json),
        _terse(),
    ):
        # Of what is imported by itself none looks at names but through the state.
        alone = where.is_known(word)
        command.run(prog, word, args, globals=state.bound if alone else state.globals)


def _wants_help(command: Command[Any], tail: str) -> bool:
    """Whether ``--help`` or ``-h`` asks for the help that drgn's commands lack."""
    match = _HELP.match(tail)
    if not match:
        return False
    parser = parser_of(command)
    return parser is None or match[1] not in parser._option_string_actions


@contextlib.contextmanager
def _terse() -> Iterator[None]:
    """Keep argparse from printing its usage above an error of one line; ``foreach`` has many."""
    usage = argparse.ArgumentParser.print_usage
    argparse.ArgumentParser.print_usage = (  # type: ignore[method-assign] # for this run
        lambda self, file=None: None
    )
    try:
        yield
    finally:
        argparse.ArgumentParser.print_usage = usage  # type: ignore[method-assign] # as it was


def _take_json(tail: str) -> tuple[str, str]:
    """Take ``--json`` or ``--json-lines`` off a command line of drgn's, before a redirection."""
    if "--json" not in tail:
        return "", tail
    option = r"(?:^|\s)(--json(?:-lines)?)(?=\s|$)"
    match = re.search(option, re.split(r"[|<>]", tail, maxsplit=1)[0])
    if not match:
        return "", tail
    return match[1], tail[: match.start()] + tail[match.end() :]


@contextlib.contextmanager
def _json(wanted: str) -> Iterator[None]:
    if not wanted:
        yield
        return
    from btfdbg.commands.tables import tables_as_json

    with tables_as_json(lines=wanted == "--json-lines"):
        yield


_DOLLAR = pattern(r"(?<![\w$\\'\"])\$(\w*)(?=$|[\s|<>)+\-.,])")


def _expand(state: PromptState, tail: str) -> str:
    """
    Replace ``$name`` by its value where a command takes an address.

    A pipeline is the shell's; its variables stay.
    """
    head, bar, pipeline = tail.partition("|")

    def value(match: re.Match[str]) -> str:
        found = state.dollar(match[1])
        if isinstance(found, drgn.Object):
            address = found.address_ if found.type_.kind is not drgn.TypeKind.POINTER else None
            found = found.value_() if address is None else address
        return f"{found:x}" if isinstance(found, int) else str(found)

    return _DOLLAR.sub(value, head) + bar + pipeline if "$" in head else tail


def _names_type(prog: drgn.Program, name: str) -> bool:
    """Whether a word names a struct or union, or a typedef of one."""
    from btfdbg.commands.candidates import struct_of

    if not name.isidentifier():
        return False
    for spelling in (f"struct {name}", f"union {name}", name):
        try:
            found = prog.type(spelling)
        except (LookupError, SyntaxError):
            continue
        return found.kind is not drgn.TypeKind.POINTER and struct_of(found) is not None
    return False


def names_type(prog: drgn.Program, name: str) -> bool:
    """Whether ``NAME.member ADDRESS`` may mean ``struct NAME``."""
    return _names_type(prog, name)


def report(session: Session, state: PromptState, word: str, error: Exception) -> None:
    """Print an error as one line on stderr; keep it for ``tb``."""
    state.remember_error(error)
    reads.count_error(session, error)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    text = one_line(reads.told_with(session, error)) or one_line_about(session, error, word)
    if not text:
        return
    prefix = "btfdbg" if isinstance(error, CommandNotFoundError) or not word else word
    if text.startswith(prefix + ":"):
        prefix = ""
    message = f"{prefix}: {text}" if prefix else text
    output.print_error(state, message)


def one_line_about(session: Session, error: BaseException, word: str = "") -> str:
    """
    The one line that is shown for an error.

    :param word: The command's name, if it is one's.
    """
    from btfdbg.commands import equivalents, failure, usage_errors
    from btfdbg.commands.candidates import candidates
    from btfdbg.program import untyped

    names = candidates(session, _loaded_names(session.prog))

    def known(name: str) -> str:
        return untyped.explain(session, name)

    if isinstance(error, CommandNotFoundError):
        instead = equivalents.INSTEAD.get(error.name)
        if instead:
            return f"{error}; {instead}"
        return f"{error}{failure.did_you_mean(error.name, names('command'))}"
    if isinstance(error, CommandArgumentError):
        # argparse's message has the usage above it.
        said = str(error).strip()
        if word and said and ": error: " not in said:  # raised by the command, not by argparse
            said = f"{word}: error: {said}"

        def near(name: str) -> str:
            return failure.symbols_near(name, names)

        return one_line(usage_errors.worded(said.splitlines()[-1], near)) if said else ""
    if isinstance(error, (CommandError, BtfdbgError)) and not isinstance(error, LookupError):
        return (
            one_line(str(error))
            if isinstance(error, CommandError)
            else (failure.describe(error, names, known))
        )
    group = getattr(error, "exceptions", None)
    if group:
        return one_line_about(session, group[0])
    return failure.describe(error, names, known)


def _loaded_names(prog: drgn.Program) -> list[str]:
    return list(commands(prog)) if _loaded else []
