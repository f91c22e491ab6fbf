"""Highlighting of the line that is typed.

Owns a lexer of the prompt's two languages: a command's name, options and types;
Python through Pygments, with C types within its strings. Colours only what is on
the screen and knows no dump.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer
from pygments.lexers.python import PythonLexer
from pygments.token import String, _TokenType

_C_TYPE = re.compile(r"\b(struct|union|enum)(\s+)(\w+)")
_COMMAND = re.compile(
    r"(?P<string>\"[^\"]*\"?|'[^']*'?)|(?P<option>(?<=\s)-[-\w]+)|(?P<shell>\|.*|>>?\s*\S*)"
    r"|(?P<number>\b0x[0-9a-fA-F]+\b|\b[0-9]+\b|\b[0-9a-f]{12,16}\b)|(?P<dollar>\$\w*)"
)
_STYLES = {
    "string": "class:pygments.literal.string",
    "option": "class:pygments.name.attribute",
    "shell": "class:pygments.operator",
    "number": "class:pygments.literal.number",
    "dollar": "class:pygments.name.variable",
}
_MAX_LINE = 4000


class PromptLexer(Lexer):
    """
    Lexer for lines of the prompt.

    :param language: Tells for a text whether it is a command: its first word, or "".
    """

    def __init__(self, command_of: Callable[[str], str]) -> None:
        self._command_of = command_of
        self._python = PythonLexer(stripnl=False, ensurenl=False)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Fragments of each line."""
        text = document.text
        lines = document.lines
        if len(text) > _MAX_LINE * 4:
            return lambda number: [("", lines[number])] if number < len(lines) else []
        word = self._command_of(text)
        if word:
            first = command_fragments(lines[0], word)
            plain: list[StyleAndTextTuples] = [first]
            for line in lines[1:]:
                plain.append([("", line)])
        else:
            plain = self._python_lines(text)
        return lambda number: plain[number] if number < len(plain) else []

    def _python_lines(self, text: str) -> list[StyleAndTextTuples]:
        lines: list[StyleAndTextTuples] = [[]]
        for token, value in self._python.get_tokens(text):
            style = style_of(token)
            for i, part in enumerate(value.split("\n")):
                if i:
                    lines.append([])
                if not part:
                    continue
                if token[: len(String)] == String:
                    lines[-1].extend(_with_types(part, style))
                else:
                    lines[-1].append((style, part))
        return lines


def style_of(token: _TokenType) -> str:
    """Pygments' token as prompt_toolkit's class."""
    return "class:pygments." + ".".join(token).lower() if token else ""


def _with_types(text: str, style: str) -> StyleAndTextTuples:
    fragments: StyleAndTextTuples = []
    position = 0
    for match in _C_TYPE.finditer(text):
        fragments += [
            (style, text[position : match.start()]),
            ("class:pygments.keyword", match[1]),
            (style, match[2]),
            ("class:pygments.name.class", match[3]),
        ]
        position = match.end()
    fragments.append((style, text[position:]))
    return fragments


def command_fragments(line: str, word: str) -> StyleAndTextTuples:
    """A command line in colours."""
    begin = line.find(word) + len(word)
    fragments: StyleAndTextTuples = [("class:pygments.keyword", line[:begin])]
    position = begin
    for match in _COMMAND.finditer(line[:_MAX_LINE], begin):
        fragments.append(("", line[position : match.start()]))
        fragments.append((_STYLES[match.lastgroup or "string"], match.group()))
        position = match.end()
    fragments.append(("", line[position:]))
    return fragments
