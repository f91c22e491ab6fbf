"""Look a function's name up in the rules.

Owns the translation of the rules' patterns to one regular expression per use, made when
it is first asked for, and a bounded memory of answers.
"""

from __future__ import annotations

import re

from btfdbg.report.names import rule_name
from btfdbg.report.rules import RULES, Rule

_REMEMBERED = 20_000
_tables: dict[str, tuple[re.Pattern[str], list[Rule]]] = {}
_answers: dict[tuple[str, str], Rule | None] = {}


def _translate(pattern: str) -> str:
    """Return a shell pattern (``*``, ``[abc]``, ``#``: a hex digit) as a regular expression."""
    escaped = re.sub(r"\\\[(\w+)\\\]", r"[\1]", re.escape(pattern))
    return escaped.replace(r"\*", ".*").replace(r"\#", "[0-9a-f]")


def _table(use: str) -> tuple[re.Pattern[str], list[Rule]]:
    table = _tables.get(use)
    if table is None:
        rows = [rule for rule in RULES if rule.use == use]
        alternatives = ("|".join(map(_translate, rule.names.split())) for rule in rows)
        table = re.compile("|".join(f"({one})" for one in alternatives)), rows
        _tables[use] = table
    return table


def match(use: str, name: str) -> Rule | None:
    """
    Return the first rule of a use that covers a function, or None.

    :param use: One of the uses that rules.py lists.
    :param name: As the kernel prints it, suffixes included.

    >>> match("skip", "__mutex_lock.constprop.0").id
    'sleeping-lock'
    """
    key = use, name
    try:
        return _answers[key]
    except KeyError:
        pass
    pattern, rows = _table(use)
    found = pattern.fullmatch(rule_name(name))
    rule = rows[found.lastindex - 1] if found and found.lastindex else None
    if len(_answers) >= _REMEMBERED:
        _answers.clear()
    _answers[key] = rule
    return rule
