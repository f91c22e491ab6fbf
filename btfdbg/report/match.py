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
# How functions end that a work item, a timer, an interrupt or a grace period calls.
_REGISTERED = re.compile(
    r"_(?:work(?:fn|_fn|_func)?|worker|timer_fn|tasklet|softirq|callback|rcu|interrupt)(?:\.|$)"
)
_answers: dict[tuple[str, str], Rule | None] = {}


def _translate(pattern: str) -> str:
    """Return a shell pattern (``*``, ``[abc]``, ``#``: a hex digit) as a regular expression."""
    escaped = re.sub(r"\\\[(\w+)\\\]", r"[\1]", re.escape(pattern))
    return escaped.replace(r"\*", ".*").replace(r"\#", "[0-9a-f]")


def _table(use: str) -> tuple[re.Pattern[str], list[Rule]]:
    """Return a use's patterns as one; with ``!`` after it those that start with a name."""
    table = _tables.get(use)
    if table is None:
        rows = [rule for rule in RULES if rule.use == use.rstrip("!")]
        alternatives = []
        for rule in rows:
            names = [n for n in rule.names.split() if use[-1] != "!" or n[0] != "*"]
            alternatives.append("|".join(map(_translate, names)) or "(?!)")
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


def by_ending(name: str) -> bool:
    """
    Say whether a function is passed over only for what its name contains or ends in.

    Anybody may call a function ``foo_wait_read``; only the kernel's own helpers are
    called ``wait_for_completion``.

    >>> by_ending("foo_wait_read"), by_ending("wait_for_completion")
    (True, False)

    So is what is called as those are that somebody registers: ``rht_deferred_worker``.
    """
    if _REGISTERED.search(name):
        return True
    if match("skip!", name) or match("wait!", name):
        return False
    return match("skip", name) is not None or match("wait", name) is not None
