"""Where in a line the cursor stands: in which string, in which call, after which dot.

Pure text; knows Python's quotes and brackets and nothing of the dump.
"""

from __future__ import annotations

import re

from btfdbg.lazy_dataclass import dataclass

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class OpenBracket:
    """
    A bracket that is still open at the cursor.

    :ivar position: Where it stands.
    :ivar commas: Arguments before the cursor's, if it is a call.
    :ivar argument: Where the cursor's argument starts.
    """

    char: str
    position: int
    commas: int
    argument: int


@dataclass(frozen=True, slots=True)
class Scan:
    """
    State at the end of a text.

    :ivar string_start: First character of the string that is open, or ``None``.
    :ivar brackets: Open brackets, innermost last.
    """

    string_start: int | None
    brackets: tuple[OpenBracket, ...]


def scan(text: str) -> Scan:
    """Read a text up to its end."""
    stack: list[OpenBracket] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char in "'\"":
            quote = char * 3 if text.startswith(char * 3, i) else char
            end = _string_end(text, i + len(quote), quote)
            if end is None:
                return Scan(i + len(quote), tuple(stack))
            i = end
            continue
        if char == "#":
            end = text.find("\n", i)
            if end < 0:
                break
            i = end
        elif char in "([{":
            stack.append(OpenBracket(char, i, 0, i + 1))
        elif char in ")]}":
            if stack:
                stack.pop()
        elif char == "," and stack:
            top = stack.pop()
            stack.append(OpenBracket(top.char, top.position, top.commas + 1, i + 1))
        i += 1
    return Scan(None, tuple(stack))


def _string_end(text: str, i: int, quote: str) -> int | None:
    """Just after a string's closing quote; ``None`` if it is open."""
    while i < len(text):
        if text[i] == "\\":
            i += 2
        elif text.startswith(quote, i):
            return i + len(quote)
        elif text[i] == "\n" and len(quote) == 1:
            return i  # not closed on its line: not a string after all
        else:
            i += 1
    return None


def word_start(text: str) -> int:
    """Where the identifier starts that ends the text."""
    match = _IDENTIFIER.search(text)
    return match.start() if match else len(text)


def expression_before(text: str, end: int) -> str:
    """The longest expression of names, calls, subscripts and dots that ends at ``end``."""
    i = end
    while i > 0:
        char = text[i - 1]
        if char in ")]":
            start = _matching(text, i - 1)
            if start is None:
                break
            i = start
        elif char.isalnum() or char in "_$":
            while i > 0 and (text[i - 1].isalnum() or text[i - 1] in "_$"):
                i -= 1
        elif char in "'\"":
            start = _string_begin(text, i - 1)
            if start is None:
                break
            i = start
            break
        else:
            break
        # What may join this to more on its left: a dot, an arrow, or nothing
        # (a call's or subscript's bracket follows its callee directly).
        if i > 0 and text[i - 1] == ".":
            i -= 1
        elif text.endswith("->", 0, i):
            i -= 2
        elif i > 0 and (text[i - 1].isalnum() or text[i - 1] in "_)]") and text[i] in "([":
            continue
        else:
            break
    return text[i:end]


def _matching(text: str, position: int) -> int | None:
    """Where the bracket opens that closes at a position."""
    opened = []
    i = 0
    while i <= position:
        char = text[i]
        if char in "'\"":
            end = _string_end(text, i + 1, char)
            i = end if end is not None else i + 1
            continue
        if char in "([{":
            opened.append(i)
        elif char in ")]}":
            if not opened:
                return None
            start = opened.pop()
            if i == position:
                return start
        i += 1
    return None


def _string_begin(text: str, position: int) -> int | None:
    quote = text[position]
    start = text.rfind(quote, 0, position)
    return start if start >= 0 else None
