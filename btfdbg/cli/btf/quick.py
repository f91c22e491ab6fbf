"""Command lines of verbs that have nothing wrong, read without ``argparse``.

Owns a reading of what ``add_arguments()`` asks for that either is what argparse would
have made of the command line, or is left to argparse: mistakes, ``--help``, abbreviated
options, values glued to an option's letter, and any keyword that is not used here.

Why: argparse and its parsers take 15 ms, twice as long as what a small module's BTF
takes to be relocated.
"""

from __future__ import annotations

from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_KEYWORDS = frozenset(
    {"action", "choices", "default", "dest", "help", "metavar", "required", "type"}
)
_ACTIONS = frozenset({None, "append", "store_true"})


class _Unusual(Exception):
    """This is for argparse."""


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


def _value(text: str, keywords: dict[str, Any]) -> Any:
    if text[:1] == "-" and text != "-":
        raise _Unusual
    try:
        value = keywords.get("type", str)(text)
    except Exception:  # argparse knows which of them are mistakes of the user's
        raise _Unusual from None
    if "choices" in keywords and value not in keywords["choices"]:
        raise _Unusual
    return value


def read(add_arguments: Callable[[Any], None], argv: Sequence[str]) -> SimpleNamespace | None:
    """
    Return what argparse would make of a verb's command line, ``None`` to leave it to it.

    :param add_arguments: The verb's.
    :param argv: What follows the verb.
    """
    try:
        arguments = _Arguments()
        add_arguments(arguments)
        return SimpleNamespace(**_read(arguments, list(argv)))
    except _Unusual:
        return None


def _read(arguments: _Arguments, argv: list[str]) -> dict[str, Any]:
    found = dict(arguments.defaults)
    missing = set(arguments.required)
    operands: list[str] = []
    tokens = iter(argv)
    for token in tokens:
        if token[:1] != "-" or token == "-":
            operands.append(token)
            continue
        name, equals, text = token.partition("=")
        if name not in arguments.options or (equals and name[:2] != "--"):
            raise _Unusual
        dest, keywords = arguments.options[name]
        missing.discard(dest)
        action = keywords.get("action")
        if equals and (action == "store_true" or not text):
            raise _Unusual
        if action == "store_true":
            found[dest] = True
            continue
        value = _value(text if equals else next(tokens, "--"), keywords)
        found[dest] = [*(found[dest] or ()), value] if action == "append" else value
    if missing or len(operands) != len(arguments.operands):
        raise _Unusual
    for (dest, keywords), text in zip(arguments.operands, operands, strict=True):
        found[dest] = _value(text, keywords)
    return found
