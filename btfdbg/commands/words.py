"""Split the arguments of our own commands: words, redirections, a pipeline.

As a shell does, but an argument may be an expression: what stands in brackets
or quotes belongs together and keeps its quotes (``prog["init_task"].fs``,
``find_task(prog, 1)``), and ``->`` is C's arrow, not a redirection. A word that
is one quoted string loses its quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from drgn.commands import ParsedCommand, ShellRedirection

from btfdbg.lazy_pattern import pattern

_OPEN = {"(": ")", "[": "]", "{": "}"}
_ARROW = pattern(r"(?<=[\w)\]])\s*->\s*(?=[A-Za-z_])")
_REDIRECT = pattern(r"(\d?)(>>|>|<)\s*")


def arrows(source: str) -> str:
    """C's ``->`` as ``.``, outside quotes and before any pipeline."""
    if "->" not in source:
        return source
    parts = re.split(r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", source)
    for i in range(0, len(parts), 2):
        head, bar, tail = parts[i].partition("|")
        parts[i] = _ARROW.sub(".", head) + bar + tail
        if bar:
            break
    return "".join(parts)


def parse(source: str) -> ParsedCommand[Sequence[str]]:
    """
    Parse what follows a command's name.

    :raises SyntaxError: a quote or bracket is not closed, or a file is missing.
    """
    source = arrows(source)
    words: list[str] = []
    redirections: list[ShellRedirection] = []
    pipeline = None
    i = 0
    while i < len(source):
        char = source[i]
        if char.isspace():
            i += 1
        elif char == "#":
            break
        elif char == "|":
            pipeline = source[i + 1 :].strip()
            if not pipeline:
                raise SyntaxError("a command was expected after '|'")
            break
        elif (match := _REDIRECT.match(source, i)) and source[i - 1 : i] != "-":
            path, i = _word(source, match.end())
            if not path:
                raise SyntaxError(f"a file was expected after {match[2]!r}")
            fd = int(match[1]) if match[1] else 0 if match[2] == "<" else 1
            redirections.append(ShellRedirection(fd, match[2], _unquote(path)))  # type: ignore[arg-type] # one of the three
        else:
            word, i = _word(source, i)
            words.append(_unquote(word))
    return ParsedCommand(words, redirections, pipeline)


_SHELL = pattern(r"\s(?:\||>>?|<)\s")


def split_shell(source: str) -> ParsedCommand[str]:
    """
    Split a pipeline and redirections off an expression, in which ``|`` and ``>`` are operators.

    They are the shell's where spaces stand around them, outside brackets and quotes, unless a
    number follows: ``x >> 3`` and ``x > 3`` are expressions, ``(x | y)`` is one.
    """
    for match in _SHELL.finditer(source):
        head, tail = source[: match.start()], source[match.start() :]
        if (
            not head.strip()
            or _is_open(head)
            or (tail.strip(" <>|").isalnum() and (tail.strip(" <>|")[:1].isdecimal()))
        ):
            continue
        try:
            parsed = parse(tail)
        except SyntaxError:
            continue
        if not parsed.args:
            return ParsedCommand(head, parsed.redirections, parsed.pipeline)
    return ParsedCommand(source)


def _is_open(source: str) -> bool:
    """Whether a bracket or a quote is not closed."""
    try:
        parse(source)
    except SyntaxError as e:
        return "is not closed" in str(e) or "is missing" in str(e)
    return False


def _word(source: str, start: int) -> tuple[str, int]:
    """The word that starts at a position, and where it ends."""
    closing: list[str] = []
    i = start
    while i < len(source):
        char = source[i]
        if char in "'\"":
            end = source.find(char, i + 1)
            while end > 0 and source[end - 1] == "\\":
                end = source.find(char, end + 1)
            if end < 0:
                raise SyntaxError(f"{char} is not closed")
            i = end
        elif closing and char == closing[-1]:
            closing.pop()
        elif char in _OPEN:
            closing.append(_OPEN[char])
        elif not closing and (char.isspace() or char in "|<" or _is_redirect(source, i)):
            break
        i += 1
    if closing:
        raise SyntaxError(f"{closing[-1]} is missing")
    return source[start:i], i


def _is_redirect(source: str, i: int) -> bool:
    """Whether a ``>`` stands there that is no part of an arrow."""
    return source[i] == ">" and source[i - 1 : i] != "-"


def _unquote(word: str) -> str:
    quote = word[:1]
    if len(word) >= 2 and quote in ("'", '"') and word.find(quote, 1) == len(word) - 1:
        return word[1:-1]
    return word
