"""Other names of commands: crash's, gdb's, former ones, and the user's, made with ``alias``.

Owns the built-in ones and what an alias does to a line: its first word is replaced, once. A name
that the user bound, and a line that is Python by its form (``hex(5)``, ``print(x)``), stay.

Facts: crash's ``help alias``; gdb manual, "Aliases".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from btfdbg.lazy_pattern import pattern

BUILTIN = {
    "man": "help",
    "quit": "q",
    "exit": "q",
    "sf": "set scroll off",
    "sn": "set scroll on",
    "hex": "set radix 16",
    "dec": "set radix 10",
    "g": "gdb",
    "px": "p -x",
    "pd": "p -d",
    "for": "foreach",
    "size": "*",
    "dmesg": "log",
    "lsmod": "mod",
    "last": "ps -l",
}
"""Those of crash; ``?`` is the prompt's own."""

GDB = {
    "print": "p",
    "inspect": "p",
    "output": "p",
    "ptype": "whatis",
    "backtrace": "bt",
    "where": "bt",
    "disassemble": "dis",
}
"""What gdb calls commands that are here under crash's name."""

FORMER = {"id": "xinfo"}
"""Commands' own earlier names. Typed as they are used to: ``id (struct page *)x`` too."""

NAME = pattern(r"[A-Za-z_]\w*")

# What stands directly behind a word that is Python's, and assignment.
_PYTHON = pattern(r"\s*[(\[.,:]|\s*[-+*/%&|^@]?=(?!=)|\s*(?://|\*\*|<<|>>)=")
# What makes a command's own name Python's: see language.py.
_PYTHON_DIRECTLY = pattern(r"[(\[.]|\s*[-+*/%&|^@]?=(?!=)|\s*(?://|\*\*|<<|>>)=")
_FOR = pattern(r"for\s.*\bin\b", re.DOTALL)
_FORMAT = pattern(r"/[a-z]")


def meaning(word: str, own: dict[str, str]) -> str | None:
    """
    What a word stands for; ``None`` if it is no alias.

    :param own: The user's, which come first.
    """
    return own.get(word) or BUILTIN.get(word) or GDB.get(word) or FORMER.get(word)


def expand(
    line: str, own: dict[str, str], stays: Callable[[str], bool] = lambda word: False
) -> str:
    """
    A line with its first word replaced, if that is an alias.

    >>> expand("px jiffies", {})
    'p -x jiffies'

    :param own: The user's aliases.
    :param stays: Whether a word is bound at the prompt and means that.
    """
    word = NAME.match(line)
    if word is None:
        return line
    stands_for = meaning(word[0], own)
    rest = line[word.end() :]
    python = _PYTHON if word[0] not in FORMER or word[0] in own else _PYTHON_DIRECTLY
    if stands_for is None or "\n" in line or stays(word[0]) or python.match(rest):
        return line
    if word[0] == "for" and (_FOR.match(line) or not rest.strip()):
        return line
    if _FORMAT.match(rest):
        return stands_for + rest if stands_for == "p" else line
    if rest and not rest[0].isspace() and rest[0] not in "|><":
        return line
    return stands_for + rest
