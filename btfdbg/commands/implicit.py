"""Lines that name no command and are no Python: a variable, a type, an expression of C.

Owns which command they are for. crash looks an unknown word up among the kernel's variables and
types, and so does this prompt, but only where Python could not mean anything.

Facts: crash's ``help input``.
"""

from __future__ import annotations

import ast
import builtins
import enum
import re
import warnings

from btfdbg.cdecl import CDeclError
from btfdbg.cdecl import expression as c
from btfdbg.commands import equivalents, namespace, values, words
from btfdbg.commands.language import Language, Line
from btfdbg.commands.state import state_of
from btfdbg.program.session import Session

# ``list_head -o`` is a difference to Python, of a name that it does not know.
_OF_TYPE = re.compile(r"([A-Za-z_]\w*)(?:\.[\w.,\[\]]+)?(?:\s+-\w.*)?")


def command(session: Session, line: Line) -> Line:
    """
    The line as ``p``, ``*`` or ``whatis`` of what it names, or as it is.

    >>> command(session, Line(Language.PYTHON, "init_task.pid"))
    Line(Language.COMMAND, "p init_task.pid")
    """
    text = line.text
    # A space in front forces Python.
    if not text or text[0].isspace() or "\n" in text.rstrip():
        return line
    text = text.strip()
    split = words.split_shell(text)
    bare = split.args.strip()
    shell = text[len(split.args) :] if split.pipeline or split.redirections else ""
    if bare.isidentifier():
        return _word(session, bare, shell) or line
    of_type = _OF_TYPE.fullmatch(bare)
    if of_type and _is_type_only(session, of_type[1]):
        return Line(Language.COMMAND, f"* {text}")
    try:
        tree = c.parse_expression(bare, lambda name: values.names_type(session, name))
    except CDeclError:
        return line
    kind = _python(values.dollars(words.arrows(bare)))
    if kind is _Python.STATEMENT:
        return line
    if kind is _Python.EXPRESSION:
        bound = state_of(session.prog).globals
        roots = list(c.names(tree))
        if not roots or any(name in bound or hasattr(builtins, name) for name in roots):
            return line
        if not all(_is_known(session, name) for name in roots):
            return line
    return Line(Language.COMMAND, f"p {text}")


def _is_type_only(session: Session, name: str) -> bool:
    """Whether a name is a struct's or union's and nothing else's."""
    if name in state_of(session.prog).globals or hasattr(builtins, name):
        return False
    return namespace.names_type(session.prog, name) and not _is_known(session, name)


def _word(session: Session, name: str, shell: str) -> Line | None:
    if name in state_of(session.prog).globals or hasattr(builtins, name):
        return None
    if name in equivalents.INSTEAD:
        return None  # ``up`` is gdb's before it is the function of semaphores
    if namespace.names_type(session.prog, name):
        return Line(Language.COMMAND, f"* {name}{shell}")
    if values.names_type(session, name):
        return Line(Language.COMMAND, f"whatis {name}{shell}")
    return Line(Language.COMMAND, f"p {name}{shell}") if _is_known(session, name) else None


def _is_known(session: Session, name: str) -> bool:
    if session.lookup_symbols(name):
        return True
    try:
        session.prog[name]
    except LookupError:
        return False
    return True


class _Python(enum.Enum):
    NONE = 0
    EXPRESSION = 1
    STATEMENT = 2


def _python(text: str) -> _Python:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return _Python.NONE
    expressions = all(isinstance(node, ast.Expr) for node in body)
    return _Python.EXPRESSION if expressions else _Python.STATEMENT
