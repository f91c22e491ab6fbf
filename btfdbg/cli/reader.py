"""Read a command line that has nothing wrong, without ``argparse``.

Owns one reading by a table of options: either what argparse would make of the line, or
``None``, and then argparse decides: mistakes, ``--help``, abbreviations, bundled letters.

Why: importing argparse and making a parser takes 15 ms of the 130 ms CPU in which a dump
is opened and a first object shown, and twice what relocating a small module's BTF takes
(``python -m tests.bench.commandline`` measures both ways).
"""

from __future__ import annotations

from types import SimpleNamespace

from btfdbg.cli.options import table, takes_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Known = Mapping[str, tuple[str, dict[str, Any]]]

_KEYWORDS = frozenset(
    {"action", "choices", "const", "default", "dest", "help", "metavar", "required", "type"}
)
_ACTIONS = frozenset({None, "append", "store_true"})


class _Unusual(Exception):
    """This is for argparse."""


def quick(argv: Sequence[str], commands: Sequence[str]) -> tuple[SimpleNamespace, list[str]] | None:
    """
    Read a command line that looks at a dump.

    Options may stand before CORE or between CORE and SCRIPT, never after SCRIPT.

    :param commands: The subcommands.
    :return: What argparse would have made of the options, and the operands;
        ``None`` if it is for argparse to say, or runs a subcommand.
    """
    known = table()
    values: dict[str, Any] = {}
    for dest, keywords in known.values():
        if dest not in values or "default" in keywords:
            default = False if keywords.get("action") == "store_true" else None
            values[dest] = keywords.get("default", default)

    def last(operands: list[str]) -> bool:
        if operands[0] in commands:
            raise _Unusual
        return len(operands) == (1 if values["live"] or values["qemu"] is not None else 2)

    try:
        operands = _read(known, values, list(argv), last)
    except _Unusual:
        return None
    return SimpleNamespace(**values), operands


def read(add_arguments: Callable[[Any], None], argv: Sequence[str]) -> SimpleNamespace | None:
    """
    Read the command line of a verb.

    :param add_arguments: The verb's, as it would fill an ``ArgumentParser``.
    :param argv: What follows the verb.
    :return: What argparse would make of it, ``None`` to leave it to argparse.
    """
    try:
        arguments = _Arguments()
        add_arguments(arguments)
        values = dict(arguments.defaults)
        seen: set[str] = set()
        operands = _read(arguments.options, values, list(argv), None, seen)
        if not arguments.required <= seen or len(operands) != len(arguments.operands):
            return None
        for (dest, keywords), text in zip(arguments.operands, operands, strict=True):
            values[dest] = _value(text, keywords)
    except _Unusual:
        return None
    return SimpleNamespace(**values)


def _read(
    known: Known,
    values: dict[str, Any],
    argv: list[str],
    last: Callable[[list[str]], bool] | None,
    seen: set[str] | None = None,
) -> list[str]:
    """
    Put what options say into ``values``.

    :param last: Whether all that follows the latest operand belongs to the operands;
        ``None`` where options may stand anywhere, and then no value begins with a dash.
    :param seen: Gets the destinations that the line sets.
    :return: The operands.
    """
    operands: list[str] = []
    at = 0
    while at < len(argv):
        token = argv[at]
        at += 1
        if token == "--" and last is not None:
            operands.extend(argv[at:])
            break
        if token[:1] != "-" or token == "-":
            operands.append(token)
            if last is not None and last(operands):
                operands.extend(argv[at:])
                break
            continue
        name, glued, text = _split(token)
        if name not in known:
            raise _Unusual
        dest, keywords = known[name]
        if seen is not None:
            seen.add(dest)
        if not takes_value(keywords):
            if glued:
                raise _Unusual
            values[dest] = keywords.get("const", True)
            continue
        if not glued:
            if at == len(argv) or (last is None and argv[at][:1] == "-" and argv[at] != "-"):
                raise _Unusual
            text = argv[at]
            at += 1
        value = _value(text, keywords)
        if keywords.get("action") == "append":
            value = [*(values[dest] or ()), value]
        values[dest] = value
    return operands


def _split(token: str) -> tuple[str, bool, str]:
    """An option's name, whether its value is in the same word, and that."""
    if token.startswith("--"):
        name, equals, text = token.partition("=")
        return name, bool(equals), text
    if token[2:3] == "=":
        raise _Unusual  # argparse takes the sign away
    return token[:2], len(token) > 2, token[2:]


def _value(text: str, keywords: Mapping[str, Any]) -> Any:
    if text == "--":
        raise _Unusual
    try:
        value = keywords.get("type", str)(text)
    except Exception:  # argparse knows which of them are mistakes of the user's
        raise _Unusual from None
    if "choices" in keywords and value not in keywords["choices"]:
        raise _Unusual
    return value


class _Arguments:
    """Takes the place of the parser that a verb adds its arguments to."""

    def __init__(self) -> None:
        self.operands: list[tuple[str, dict[str, Any]]] = []
        self.options: dict[str, tuple[str, dict[str, Any]]] = {}
        self.defaults: dict[str, Any] = {}
        self.required: set[str] = set()

    def add_argument(self, *names: str, **keywords: Any) -> None:
        action, default = keywords.get("action"), keywords.get("default")
        if not keywords.keys() <= _KEYWORDS or action not in _ACTIONS:
            raise _Unusual
        if "type" in keywords and isinstance(default, str):
            raise _Unusual  # argparse would convert it
        if names[0][0] != "-":
            self.operands.append((names[0], keywords))
            return
        dest = keywords.get("dest") or next((n for n in names if n[:2] == "--"), names[0])
        dest = dest.lstrip("-").replace("-", "_")
        self.defaults[dest] = False if action == "store_true" else default
        if keywords.get("required"):
            self.required.add(dest)
        for name in names:
            self.options[name] = dest, keywords

    def __getattr__(self, name: str) -> Any:
        raise _Unusual  # groups and the like
