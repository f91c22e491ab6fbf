"""Options where their command's parser expects them: before the operands.

Owns the order of the words of a command line. crash permutes as getopt(3) does, so that
``struct task_struct -x ADDR`` and ``task_struct.comm ADDR -px`` work; argparse gives an optional
operand up at the first option behind it.

Facts: ``argparse`` (a group of positionals is matched at once, the optional ones as empty).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def options_first(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """
    The words of a command line with all options in front, each with its value.

    >>> options_first(parser, ["task_struct", "-c", "2", "ffff888000000000"])
    ['-c', '2', 'task_struct', 'ffff888000000000']

    :return: The words as they are, if how many an option takes depends on what follows.
    """
    if any(action.nargs == argparse.REMAINDER for action in parser._actions):
        return list(words)
    options: list[str] = []
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            operands.extend(rest)
            break
        action, has_value = _option(parser, word)
        if action is None:
            # What is no option of the parser's is its to complain about, where it stands.
            (options if word.startswith("-") and len(word) > 1 else operands).append(word)
            continue
        options.append(word)
        if has_value or action.nargs == 0:
            continue
        if action.nargs is not None:
            return list(words)
        value = next(rest, None)
        if value is not None:
            options.append(value)
    if any(word.startswith("-") for word in operands):
        return [*options, "--", *operands]
    return [*options, *operands]


def _option(parser: argparse.ArgumentParser, word: str) -> tuple[argparse.Action | None, bool]:
    """The option that a word is, and whether it holds its value, too; of flags the last."""
    known = parser._option_string_actions
    if not word.startswith("-") or word == "-":
        return None, False
    if word in known:
        return known[word], False
    name, equals, _ = word.partition("=")
    if equals and name in known:
        return known[name], True
    if word.startswith("--"):
        return None, False
    for i in range(1, len(word)):
        action = known.get("-" + word[i])
        if action is None:
            return None, False
        if action.nargs != 0:
            return action, i + 1 < len(word)
    return action, False
