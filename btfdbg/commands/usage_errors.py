"""What is wrong with the words of a command line, as one line that says what to type.

Owns the wording; argparse's names its own types and destinations, which nobody types.

Facts: ``argparse`` (messages of ``ArgumentParser.error()``); the names of types are those that
drgn's commands register (``drgn/commands/_crash/common.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from btfdbg.lazy_pattern import pattern

_TYPES = {
    "hexadecimal": "{} is no hexadecimal number",
    "decimal_or_hexadecimal": "{} is no number",
    "int": "{} is no number",
    "float": "{} is no number",
    "addr_or_sym": "{} is neither an address nor a symbol",
    "pid_or_task": "{} is neither a pid nor the address of a task",
}
_BY_NAME = frozenset(("bt", "files", "net", "sig", "task", "vm"))
"""Commands of tasks that take no name themselves, while ``foreach NAME COMMAND`` does."""

_INVALID = pattern(r"argument (?P<name>.+?): invalid '?(?P<type>\w+)'? value: (?P<value>.+)")
_CHOICE = pattern(
    r"argument (?P<name>.+?): invalid choice: (?P<value>.+) \(choose from (?P<known>.+)\)"
)
_EXCLUDED = pattern(r"argument (?P<name>.+?): not allowed with argument (?P<other>.+)")
_VALUE = pattern(r"argument (?P<name>.+?): expected (?P<count>.+)")
_MISSING = pattern(r"the following arguments are required: (?P<names>.+)")
# What says what is wrong, and not what would be right.
_UNTOLD = pattern(
    r"unrecognized arguments: |not a pid, task, or option: |no command given|.* is required$"
)
_MANY = pattern(r"argument (?P<name>.+?): ignored explicit argument (?P<value>.+)")


def worded(said: str, near: Callable[[str], str] = lambda name: "") -> str:
    """
    One line about a command line that its parser refuses.

    >>> worded("bt: error: argument pid|task: invalid 'pid_or_task' value: 'sh'")
    "bt: 'sh' is neither a pid nor the address of a task; by name: foreach sh bt"

    :param said: argparse's error, the last line of what it prints.
    :param near: ``; did you mean …?`` for a symbol that there is not.
    """
    command, found, what = said.partition(": error: ")
    if not found:
        return said
    return f"{command}: {_what(command, what, near)}"


def _what(command: str, what: str, near: Callable[[str], str]) -> str:
    listed = f"help {command.split()[-1]} lists what it takes"
    match = _INVALID.fullmatch(what)
    if match and match["type"] in _TYPES:
        return _TYPES[match["type"]].format(match["value"]) + _instead(command, match, near)
    if match := _CHOICE.fullmatch(what):
        known = match["known"]
        few = f"is none of {known}" if "," in known else f"is not known; {known} is"
        return f"{match['value']} {few}"
    if match := _EXCLUDED.fullmatch(what):
        return f"{match['name']} is not allowed with {match['other']}"
    if match := _VALUE.fullmatch(what):
        count = "a value" if match["count"] == "one argument" else match["count"]
        return f"{match['name']} takes {count}; {listed}"
    if match := _MANY.fullmatch(what):
        return f"{match['name']} takes no value: {match['value']}; {listed}"
    if match := _MISSING.fullmatch(what):
        return f"required: {match['names']}; {listed}"
    return f"{what}; {listed}" if _UNTOLD.match(what) else what


def _instead(command: str, match: re.Match[str], near: Callable[[str], str]) -> str:
    value = match["value"].strip("'\"")
    if match["type"] == "pid_or_task" and value.isprintable() and not value.startswith("-"):
        if command in _BY_NAME:
            return f"; by name: foreach {value} {command}"
        return f"; ps {value} finds tasks by name"
    return near(value) if match["type"] == "addr_or_sym" else ""
