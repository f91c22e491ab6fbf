"""What a WARNING says in words, which stands before its header or inside it.

Owns finding that text again: the header alone says a file and a function.

Facts: ``kernel/panic.c`` (``__warn_printk()`` prints CUT_HERE, then the message of ``WARN()``,
and ``__warn()`` the header after it; ``WARN_ON()`` has no message); ``include/asm-generic/bug.h``
(CUT_HERE; the condition in the header as ``WARNING: [condition] file:line``, since v6.19).
"""

from __future__ import annotations

from btfdbg.lazy_pattern import pattern
from btfdbg.report.logs.lines import Line, parse_line

TOLD_WITHIN = 1 << 11
"""Characters before a header in which its words are looked for."""
_CUT_HERE = "[ cut here ]"
_LINES = 8
_TOLD = 3  # lines of one message
_LONGEST = 200  # characters of it
_CONDITION = pattern(r"WARNING: \[(?P<condition>.+)\] \S+:\d+ at ")


def told(before: str, header: Line) -> str:
    """
    Return what a WARNING says, empty if it says nothing or that cannot be told.

    Other CPUs print in between. Where the kernel does not say who printed a line, more than one
    line may be of another, and none is taken.

    :param before: The text before the header, as far as it is there.

    >>> cut = "[ 1.0] ------------[ cut here ]------------"
    >>> told(f"{cut}\\n[ 1.0] Fix it!\\n", parse_line("[ 1.0] WARNING: at f.c:1 f+0x1/0x2", 3))
    'Fix it!'
    """
    said: list[str] = []
    for raw in reversed(before.rstrip("\n").split("\n")[-_LINES:]):
        line = parse_line(raw, 0)
        if line.caller != header.caller:
            continue
        if _CUT_HERE in line.text:
            if said and len(said) <= (_TOLD if header.caller else 1):
                return shortened(" ".join(reversed(said)), _LONGEST)
            break
        said.append(line.text.strip())
    found = _CONDITION.match(header.text)
    return shortened(found["condition"], _LONGEST) if found is not None else ""


def shortened(text: str, limit: int) -> str:
    """
    Text of at most ``limit`` characters, with an ellipsis if something is missing.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"
