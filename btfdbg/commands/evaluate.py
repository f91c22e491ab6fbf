"""Run what is typed: a command, a line or block of Python, a question about an object.

Owns what happens with a result (shown, numbered, bound to ``_``) and with an
error (one line, kept for ``tb``). Used by the prompt and by scripts on standard
input; knows no terminal.
"""

from __future__ import annotations

import ast
import builtins
import codeop
import inspect
import keyword
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drgn
from drgn.commands import CommandNotFoundError

from btfdbg.commands import (
    aliases,
    display,
    equivalents,
    implicit,
    kernel_names,
    language,
    namespace,
    output,
    reads,
    values,
    words,
)
from btfdbg.commands.globals import all_globals
from btfdbg.commands.language import Language
from btfdbg.commands.state import PromptState, state_of
from btfdbg.commands.text import Fragment
from btfdbg.errors import DebugInfoError
from btfdbg.interrupts import pass_on
from btfdbg.program.session import Session

_FILENAME = "<prompt>"
_MAX_REPR = 1 << 20
_MAX_DEPTH = 8  # of files that read files


def prepare(session: Session) -> PromptState:
    """Bind the names of the prompt; cheap after the first call."""
    state = state_of(session.prog)
    state.bind_names()
    if "prog" not in state.globals:
        # In place: the prompt may hold the dict already.
        state.globals.update(all_globals(session.prog))
    if not state.given:
        state.globals["__dollar__"] = state.dollar
        state.given = frozenset((*state.globals, "_", "__builtins__", "__annotations__"))
    return state


def resolve(session: Session, line: str) -> language.Line:
    """Which language a line is in, for this Program and what the user has bound."""
    state = prepare(session)
    own = state.own_names()
    return language.resolve(
        aliases.expand(line, state.aliases, own.__contains__),
        lambda word: namespace.is_command(session.prog, word),
        own,
        lambda name: namespace.names_type(session.prog, name),
    )


def run_line(session: Session, line: str) -> bool:
    """
    Run one line or block.

    :return: Whether it succeeded.
    :raises SystemExit: it asks to leave.
    :raises KeyboardInterrupt: the user stopped it.
    """
    state = prepare(session)
    if line.startswith("<"):
        return run_file(session, line[1:].strip())
    found = resolve(session, line)
    if found.language is Language.NOTHING:
        return True
    if found.text in namespace.LEAVE and found.text not in state.own_names():
        raise SystemExit(namespace.EXIT_OK)
    if found.language is Language.PYTHON:
        found = implicit.command(session, found)
    if found.language is Language.COMMAND:
        return namespace.run(session, found.text, state.globals, expanded=True)
    with reads.counted(session, ""):
        return _run_typed(session, state, found)


def _run_typed(session: Session, state: PromptState, found: language.Line) -> bool:
    try:
        with output.captured(
            color=state.color, paged=state.paged, pager_program=state.pager_program
        ):
            if found.language is Language.ASK:
                ask(session, found.text)
            else:
                run_python(session, state, found.text)
    except BrokenPipeError:
        if not state.interactive:
            raise
    # Whatever the user's code raises is theirs: one line, and ``tb`` for more.
    except Exception as e:
        pass_on(e)
        namespace.report(session, state, "", _misspelt(state, found.text, e) or e)
        return False
    return True


def _misspelt(state: PromptState, text: str, error: Exception) -> Exception | None:
    """``pss -a`` is no Python because it was meant as a command."""
    word = language.first_word(text)
    known = word in equivalents.INSTEAD
    if known and isinstance(error, NameError) and error.name == word:
        return CommandNotFoundError(word)
    if (
        isinstance(error, SyntaxError)
        and word
        and "\n" not in text.strip()
        and (text[len(word) : len(word) + 1].isspace() or known)
        and (known or not keyword.iskeyword(word))
        and word not in state.globals
        and not hasattr(builtins, word)
    ):
        return CommandNotFoundError(word)
    return None


def to_python(source: str) -> str:
    """
    Source as Python: ``$name`` looked up, ``->`` where it is not Python as ``.``.

    ``x->y`` alone is never valid Python, so nothing valid changes its meaning.
    """
    source = values.dollars(source.lstrip(" \t") if "\n" not in source else source)
    if "->" in source and not _parses(source):
        dotted = words.arrows(source)
        if _parses(dotted):
            return dotted
    return source


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def incomplete(source: str) -> bool:
    """Whether Python waits for more lines."""
    source = to_python(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(source, _FILENAME, "exec") is None
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return False


def run_python(session: Session, state: PromptState, source: str) -> None:
    """Run Python; every expression statement is shown, as at Python's own prompt."""
    source = to_python(source)
    tree = ast.parse(source, _FILENAME)
    hook = sys.displayhook
    sys.displayhook = lambda value: show_result(session, state, value)
    try:
        for node in tree.body:
            code = compile(ast.Interactive([node]), _FILENAME, "single")
            exec(code, state.globals)
    finally:
        sys.displayhook = hook


_TEMPLATE = "the template of a per-CPU variable, which no CPU uses; see per_cpu(VARIABLE, CPU)"


def show_result(session: Session, state: PromptState, value: Any) -> None:
    """Show a value and bind it to ``_`` and its number."""
    if value is None:
        return
    fragments = list(format_result(value))
    number = state.remember_result(value)
    builtins._ = value  # type: ignore[attr-defined] # what Python's prompt does
    head: list[Fragment] = [("dim", f"${number} = ")] if state.interactive else []
    with output.broken_lines(code=True):
        output.emit(*head, *fragments)
    if isinstance(value, drgn.Object) and value.address_ is not None:
        from btfdbg.program.per_cpu import in_template

        if in_template(session, value.address_):
            output.emit(("comment", f"/* {_TEMPLATE} */"))


def format_result(value: Any) -> Iterator[Fragment]:
    """A value as fragments; never raises for memory that is missing."""
    if isinstance(value, drgn.Object):
        columns = output.current().columns
        try:
            yield from display.highlight(display.format_object(value, columns))
        except (TypeError, ValueError):  # void, absent: no value to print
            yield ("", repr(value))
        return
    if isinstance(
        value,
        (
            drgn.Type,
            drgn.StackTrace,
            drgn.StackFrame,
            drgn.SourceLocation,
            drgn.SourceLocationList,
        ),
    ):
        yield from display.highlight(str(value))
        return
    if type(value).__module__ == "drgn.helpers.linux.stack":
        yield from display.highlight(str(value))
        return
    text = repr(value)
    if len(text) > _MAX_REPR:
        text = text[:_MAX_REPR] + "…"
    yield ("", text)


# EXPR?


def ask(session: Session, expression: str) -> None:
    """
    ``EXPR?``: type, size, members with offsets and holes; the help of a helper or command.

    :raises NameError: there is no such thing.
    """
    state = prepare(session)
    if namespace.is_command(session.prog, expression) and expression not in state.own_names():
        from btfdbg.commands.prompt.help import explain

        explain(session, expression)
        return
    try:
        found = values.evaluate(session, expression)
    except (NameError, kernel_names.ArgumentError):
        try:
            found = kernel_names.find_type(session, expression)
        except (LookupError, kernel_names.ArgumentError):
            found = None
        if found is None:
            raise
    if isinstance(found, drgn.Object):
        _ask_object(session, found)
    elif isinstance(found, drgn.Type):
        output.lines(display.type_lines(found))
    else:
        _ask_python(found)


def _ask_object(session: Session, obj: drgn.Object) -> None:
    from btfdbg.commands.candidates import struct_of
    from btfdbg.program import annotate

    where = f" at {obj.address_:#x}" if obj.address_ is not None else " (a value)"
    output.emit(*display.highlight(obj.type_.type_name()), ("dim", where))
    target = struct_of(obj.type_)
    if obj.type_.kind is drgn.TypeKind.POINTER:
        try:
            pointer = int(obj.value_())
        except drgn.FaultError:
            pass
        else:
            for identity in annotate.identify(session, pointer):
                output.emit(("address", f"{pointer:#x}"), "  ", ("symbol", identity.text))
                break
    output.lines(display.type_lines(target if target is not None else obj.type_))


def _ask_python(value: Any) -> None:
    callable_ = inspect.isroutine(value) or inspect.isclass(value)
    if callable_:
        try:
            signature = str(inspect.signature(value))
        except (TypeError, ValueError):
            signature = "(…)"
        output.emit(("name", getattr(value, "__name__", "?")), signature)
    else:
        output.emit(("type", type(value).__name__))
    documentation = inspect.getdoc(value)
    if documentation:
        output.emit("")
        print(documentation)
    module = getattr(value, "__module__", None)
    if callable_ and module:
        output.emit("", ("dim", f"from {module}"))


# Standard input


def chunks(text: str, starts_command: Callable[[str], bool]) -> Iterator[str]:
    """
    Split a script into lines and blocks as the prompt would take them.

    A block ends before the next line that stands at the margin and does not
    continue it (``else:``, a closing bracket).
    """
    pending: list[str] = []
    for line in text.splitlines():
        if pending:
            waits = incomplete("\n".join(pending))
            continues = (
                not line.strip()
                or line[0].isspace()
                or line.startswith((")", "]", "}"))
                or line.split(None, 1)[0].rstrip(":") in ("else", "elif", "except", "finally")
            )
            if waits and (continues or _open_brackets("\n".join(pending))):
                pending.append(line)
                continue
            yield "\n".join(pending) + "\n"
            pending = []
        if not line.strip() or line.startswith(("#", "//")):
            continue
        if starts_command(line) or not (incomplete(line) or line.startswith("@")):
            yield line
        else:
            pending.append(line)
    if pending:
        yield "\n".join(pending) + "\n"


def _open_brackets(source: str) -> bool:
    """Whether a bracket or a string is still open."""
    return incomplete(source + "\n\n")


def run_text(session: Session, text: str) -> bool:
    """
    Run a script of commands and Python, as typed line by line.

    :return: Whether everything succeeded.
    """
    prepare(session)

    def starts_command(line: str) -> bool:
        return resolve(session, line).language is not Language.PYTHON

    good = True
    for chunk in chunks(text, starts_command):
        good = run_line(session, chunk) and good
    return good


def run_file(session: Session, name: str) -> bool:
    """
    Run the lines of a file as if they were typed.

    :return: Whether everything succeeded.
    :raises SystemExit: a line asks to leave.
    """
    from btfdbg.commands import scripts

    state = state_of(session.prog)
    if state.depth >= _MAX_DEPTH:
        output.print_error(state, f"btfdbg: {name}: files that read files {_MAX_DEPTH} deep")
        return False
    try:
        text = scripts.read(Path(os.path.expanduser(name)))
    except DebugInfoError as e:
        namespace.report(session, state, "", e)
        return False
    state.depth += 1
    try:
        return run_text(session, text)
    finally:
        state.depth -= 1
