"""Which of the prompt's two languages a line is in.

Owns the rule and nothing else; it is pure. The rule, first match wins:

1. A leading space, or ``py CODE``, is Python. ``%CMD`` is a command; ``!CMD``
   is a shell's. ``EXPR?`` and ``?EXPR`` ask about an object, ``?`` alone for help.
2. A first word that names no command is Python (but ``task_struct.comm ADDR``,
   which is not Python and starts with a type of the kernel, is ``struct``).
3. A command's name directly followed by ``(``, ``[`` or ``.`` is Python, and
   so is one that is assigned to: ``list(x)``, ``set.add``, ``p = 1``.
4. If you assigned a variable of that name yourself and the line is valid
   Python, it is Python: after ``p = prog["init_task"]``, ``p`` shows your p.
5. Else it is a command.

``p/x EXPR`` and ``x/8gx ADDR`` carry a format as in gdb; the word ends at ``/``.
"""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Callable, Collection

from btfdbg.lazy_dataclass import dataclass


class Language(enum.Enum):
    """What a line is."""

    NOTHING = "nothing"
    COMMAND = "command"
    PYTHON = "python"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line, resolved.

    :ivar text: The command line, the code, or the expression that is asked about.
    """

    language: Language
    text: str


_WORD = re.compile(r"\*|[A-Za-z_][\w-]*")
_ASSIGNMENT = re.compile(
    r"\s*(?:,\s*[\w.\[\]]+\s*)*(?::\s*[\w.\[\]]+\s*)?(?:\*\*|//|>>|<<|[-+*/%@&|^])?=(?!=)"
)
_STRUCT = re.compile(r"([A-Za-z_]\w*)(?:\.[\w.,\[\]]+)?\s+(?:-|0x)?[\w-]")
_FORMATTED = re.compile(r"([a-z]+/)\w*(?=\s|$)")
_ASK = re.compile(r"\s*(?:\?\s*(?P<before>[^?\n]+)|(?P<after>[^?\n]+?)\s*\?)\s*")


def resolve(
    line: str,
    is_command: Callable[[str], bool],
    own_names: Collection[str] = (),
    is_type: Callable[[str], bool] = lambda name: False,
) -> Line:
    """
    Tell the language of a line (or of a block of lines).

    :param is_command: Whether a word names a command.
    :param own_names: Variables that the user bound at this prompt.
    :param is_type: Whether a word names a struct, union or typedef of one.
    """
    text = line.rstrip()
    if not text.strip():
        return Line(Language.NOTHING, "")
    if text[0].isspace():
        return Line(Language.PYTHON, text)
    if text[0] == "%":
        return Line(Language.COMMAND, text[1:].lstrip())
    if text[0] == "!":
        return Line(Language.COMMAND, f"sh {text[1:].lstrip()}".rstrip())
    if text == "?":
        return Line(Language.COMMAND, "help")
    if text.startswith("py ") and "\n" not in text and not _pipes(text):
        return Line(Language.PYTHON, text[3:].lstrip())
    asked = _ASK.fullmatch(text)
    if asked and not _is_python(text):
        return Line(Language.ASK, (asked["before"] or asked["after"]).strip())
    formatted = _FORMATTED.match(text)
    if (
        formatted
        and is_command(formatted[1])
        and not (_is_python(text) and _bound(text, own_names))
    ):
        return Line(Language.COMMAND, text)
    word = first_word(text)
    if not word:
        return Line(Language.PYTHON, text)
    rest = text[len(word) :]
    if not is_command(word):
        struct = _STRUCT.match(text)
        if struct and not _is_python(text) and is_type(struct[1]):
            return Line(Language.COMMAND, "* " + text)
        return Line(Language.PYTHON, text)
    if word == "*":
        python = _is_python(text) and not _is_starred(text)
        return Line(Language.PYTHON if python else Language.COMMAND, text)
    if rest[:1] in ("(", "[", ".") or _ASSIGNMENT.match(rest):
        return Line(Language.PYTHON, text)
    if word in own_names and _is_python(text):
        return Line(Language.PYTHON, text)
    return Line(Language.COMMAND, text)


def first_word(text: str) -> str:
    """The word that may name a command; empty if the line does not start with one."""
    match = _WORD.match(text)
    return match.group() if match else ""


def _bound(text: str, own_names: Collection[str]) -> bool:
    return first_word(text) in own_names


def _pipes(text: str) -> bool:
    """Whether ``py CODE`` may carry a redirection, which drgn's own ``py`` sorts out."""
    return any(char in text for char in "|<>")


def _is_starred(text: str) -> bool:
    """Python parses ``* x`` alone and compiles it nowhere."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Starred)
        for node in ast.parse(text).body
    )


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
