"""Look a function's name up in the rules.

Owns the look-up tables of the rules' patterns, one per use and made when it is first asked
for, and a bounded memory of answers.
"""

from __future__ import annotations

from btfdbg.lazy_pattern import pattern
from btfdbg.report.blame.names import rule_name
from btfdbg.report.blame.rules import RULES, Rule

_REMEMBERED = 20_000
_tables: dict[str, _Table] = {}
# How functions end that a work item, a timer, an interrupt or a grace period calls.
_REGISTERED = pattern(
    r"_(?:work(?:fn|_fn|_func)?|worker|timer_fn|tasklet|softirq|callback|rcu|interrupt)(?:\.|$)"
)
_answers: dict[tuple[str, str], Rule | None] = {}


class _Table:
    """
    A use's patterns, for a look-up that costs no more with a thousand of them than with ten.

    Whole names and beginnings (``foo*``) are keys; only the few others are tried one by one.
    No regular expressions: compiling them took longer than a log's or a prompt's few look-ups.
    """

    __slots__ = ("beginnings", "names", "others", "rows")

    def __init__(self, rows: list[Rule], *, leading: bool) -> None:
        self.rows = rows
        self.names: dict[str, int] = {}
        self.beginnings: dict[str, int] = {}
        self.others: list[tuple[int, str]] = []
        for number, row in enumerate(rows):
            for text in row.names.split():
                if text.isidentifier():
                    self.names.setdefault(text, number)
                elif text[-1] == "*" and text[:-1].isidentifier():
                    self.beginnings.setdefault(text[:-1], number)
                elif text[-1] == "]":
                    stem, _, ends = text[:-1].partition("[")
                    for end in ends:
                        self.names.setdefault(stem + end, number)
                elif leading or text[0] != "*":
                    self.others.append((number, text))

    def find(self, name: str) -> Rule | None:
        """Return the first row that covers a name."""
        best = self.names.get(name, len(self.rows))
        beginnings = self.beginnings
        for end in range(1, len(name) + 1):
            number = beginnings.get(name[:end])
            if number is not None and number < best:
                best = number
        for number, text in self.others:
            if number >= best:
                break
            if covers(text, name):
                best = number
                break
        return self.rows[best] if best < len(self.rows) else None


def covers(text: str, name: str) -> bool:
    """
    Say whether a shell pattern covers a name: ``*`` is anything, ``#`` a hexadecimal digit.

    >>> covers("print_*_bug", "print_deadlock_bug"), covers("f_##*", "f_0ax")
    (True, True)
    """
    first, *middle = text.split("*")
    if "#" in first:
        stem = first.rstrip("#")
        digits = name[len(stem) : len(first)]
        if len(digits) < len(first) - len(stem) or digits.strip("0123456789abcdef"):
            return False
        first = stem + digits
    if not middle:
        return name == first
    last = middle.pop()
    end = len(name) - len(last)
    at = len(first)
    if end < at or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _table(use: str) -> _Table:
    """Return a use's patterns; with ``!`` after it those that start with a name."""
    table = _tables.get(use)
    if table is None:
        rows = [rule for rule in RULES if rule.use == use.rstrip("!")]
        table = _tables[use] = _Table(rows, leading=use[-1] != "!")
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
    rule = _table(use).find(rule_name(name))
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
