"""HTML pages as files that need nothing else: no network, no cookie, no foreign script.

Owns the templating, its escaping and the wish for Jinja2. What a page says is for
as_html.py (one report) and triage_html.py (many crashes).
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from btfdbg.errors import DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONG = 12  # characters of a word that lines may end in
_PARTS = re.compile(r"[^/_.+:,]*[/_.+:,]+|[^/_.+:,]+", re.DOTALL)
_IDENTITY = re.compile(r"[0-9a-f]{17,}")  # a build id: no address is as long
_DIGITS = re.compile(r"[0-9a-f]{1,16}")


def check_jinja() -> None:
    """:raises DebugInfoError: Jinja2 is not installed."""
    if find_spec("jinja2") is None:
        raise DebugInfoError(
            "an HTML report needs Jinja2", step="report", hint="pip install 'btfdbg[html]'"
        )


def render(template: str, values: dict[str, Any]) -> str:
    """
    Fill in a template of this folder; all text is escaped.

    :param template: File name, ``report.html.j2``.
    :raises DebugInfoError: Jinja2 is not installed.
    """
    check_jinja()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["parted"] = parted
    return environment.from_string(source(template)).render(**values)


def parted(text: object) -> str:
    """
    Escape a text and allow lines to end inside its long words: at ``/``, ``_``, ``.``, ``+``.

    A browser that may break a word anywhere breaks addresses, too, and a cut number is misread.

    >>> parted("in /sys/module/demo/parameters/<x>")
    Markup('in /<wbr>sys/<wbr>module/<wbr>demo/<wbr>parameters/<wbr>&lt;x&gt;')
    """
    from markupsafe import Markup, escape

    return Markup(" ").join(
        escape(word)
        if len(word) <= _LONG
        else Markup("<wbr>").join(
            escape(part)
            for part in (_DIGITS if _IDENTITY.fullmatch(word) else _PARTS).findall(word)
        )
        for word in str(text).split(" ")
    )


def source(name: str) -> str:
    """Return a file of this folder as text."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
