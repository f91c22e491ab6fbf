"""Help of commands without its markup: what drgn writes for its documentation is read as text.

Owns reading the marks. drgn's help is reStructuredText that its documentation is made of as
well; what a terminal shows of it still has the marks of literals, bold words, roles and links.

Facts: docutils' reStructuredText specification, "Inline Markup" (literals, strong, roles).
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.commands.text import Fragment
from btfdbg.lazy_pattern import pattern

# ``literal``, **strong**, *emphasis*, :role:`text <target>`, `text <URL>`_; none goes beyond its
# paragraph.
_MARK = pattern(
    r"``(?P<literal>(?s:(?!\n\s*\n).)+?)``"
    r"|\*\*(?P<strong>[^\s*](?:[^*\n]*[^\s*])?)\*\*"
    r"|(?<![\w*])\*(?P<emphasis>\w[\w-]*)\*(?![\w*])"
    r"|:[a-z:]+:`(?P<role>[^`<]+?)(?:\s*<[^`>]*>)?`"
    r"|`(?P<link>[^`<]+?)\s+<(?P<url>[^`>]+)>`__?"
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
        yield (
            "name",
            next(filter(None, mark.group("literal", "strong", "emphasis", "role", "link"))),
        )
        if mark["url"]:
            yield "", f" ({mark['url']})"
        begin = mark.end()
    yield "", help_[begin:]


def plain(help_: str) -> str:
    """
    Help without marks.

    >>> plain("treat **start** as in :doc:`crash_compatibility`")
    'treat start as in crash_compatibility'
    """
    return "".join(text for _, text in fragments(help_))
