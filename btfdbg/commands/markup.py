"""Help of commands without its markup: what drgn writes for its documentation is read as text.

Owns reading the marks. drgn's help is reStructuredText that its documentation is made of as
well; what a terminal shows of it still has the marks of literals, of bold words and of roles.

Facts: docutils' reStructuredText specification, "Inline Markup" (literals, strong, roles).
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.commands.text import Fragment
from btfdbg.lazy_pattern import pattern

# ``literal``, **strong**, :role:`text <target>`; none goes beyond its paragraph.
_MARK = pattern(
    r"``(?P<literal>(?s:(?!\n\s*\n).)+?)``"
    r"|\*\*(?P<strong>[^\s*](?:[^*\n]*[^\s*])?)\*\*"
    r"|:[a-z:]+:`(?P<role>[^`<]+?)(?:\s*<[^`>]*>)?`"
)


def fragments(help_: str) -> Iterator[Fragment]:
    """
    Help as fragments; what was marked is in the style of names.

    >>> list(fragments("the pid of ``task_struct``"))
    [('', 'the pid of '), ('name', 'task_struct')]
    """
    begin = 0
    for mark in _MARK.finditer(help_):
        yield "", help_[begin : mark.start()]
        yield "name", mark["literal"] or mark["strong"] or mark["role"]
        begin = mark.end()
    yield "", help_[begin:]


def plain(help_: str) -> str:
    """
    Help without marks.

    >>> plain("treat **start** as in :doc:`crash_compatibility`")
    'treat start as in crash_compatibility'
    """
    return "".join(text for _, text in fragments(help_))
