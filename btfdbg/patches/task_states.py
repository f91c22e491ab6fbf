"""Constraints of ``foreach`` and ``ps``: crash's names of states, and a word when none matches.

Owns the translation of crash's two-letter states into the kernel's letters, which drgn 0.3
knows alone, and the count of tasks that a command was given. A constraint that no task meets
prints nothing in drgn, and succeeds: of a mistyped name or state nobody learns.

Facts: crash ``task.c`` (initialize_task_state(), ``help foreach``); ``fs/proc/array.c``
(task_state_array); drgn ``commands/_crash/_ps.py`` (what a constraint is).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import drgn
from drgn import Object

from btfdbg.errors import BtfdbgError
from btfdbg.patches.install import reach
from btfdbg.program.session import find_session

_COMMON = "drgn.commands._crash.common"
_STATES = {
    "RU": "R", "IN": "S", "UN": "D", "ST": "T", "TR": "t", "ZO": "Z", "DE": "X", "PA": "P",
    "ID": "I",
}  # fmt: skip
# States that crash knows and the kernel does not report: no dump has a task in one of them.
_NEVER_REPORTED = {"SW": "swapping", "WA": "waking", "NE": "new"}
_KEYWORDS = ("kernel", "user", "gleader", "active")
Command = Callable[..., Any]


class NoTaskError(BtfdbgError):
    """No task meets a constraint."""


class _Matched:
    """The tasks that one command was given."""

    def __init__(self) -> None:
        self.count = 0
        self.tasks: list[Object] = []

    def take(self, task: Object) -> None:
        self.count += 1
        self.tasks.append(task)


_matched: _Matched | None = None


def counted_tasks(original: Command) -> Command:
    """
    ``_TaskSelector.tasks()``, whose tasks are counted for the command that runs.

    drgn prints a line among the output for a pid that there is not, and succeeds. Here the
    other tasks are given, and then it fails.
    """

    def tasks(self: Any) -> Iterator[Object]:
        matched = _matched
        missed = _take_missing(self) if find_session(self.prog) is not None else []
        # With nothing left of what was asked for drgn would give all tasks.
        for task in () if missed and _asks_nothing(self) else original(self):
            if matched is not None:
                matched.take(task)
            yield task
        # foreach and ps hold all their constraints against the tasks in the end.
        if missed and matched is None:
            raise NoTaskError(f"no task matches {' '.join(missed)}; ps lists tasks")

    return tasks


def _take_missing(selector: Any) -> list[str]:
    """Take pids and addresses out of a selector of which there is no task; as they are typed."""
    find = reach(_COMMON, "crash_get_context")
    asked = getattr(selector, "_exact_task_args", None)
    if find is None or not asked:
        return []
    missed = []
    for argument in list(asked):
        if argument is None or argument == ("pid", 0):
            continue
        try:
            find(selector.prog, argument)
        except LookupError:
            kind, value = argument
            missed.append(f"{value:x}" if kind == "task" else f"{value}")
            asked.remove(argument)
            # Another way through the tasks compares with these, and tells of the rest itself.
            for name in ("_pids", "_task_structs"):
                getattr(selector, name, set()).discard(value)
    return missed


def _asks_nothing(selector: Any) -> bool:
    names = ("_exact_task_args", "_commands", "_command_patterns")
    return not any(getattr(selector, name, ()) for name in names)


def foreach(original: Command) -> Command:
    """``foreach``, with crash's states, that fails where a constraint matches no task."""

    def run(prog: drgn.Program, name: str, quoted_args: Sequence[str], **kwargs: Any) -> Any:
        if find_session(prog) is None:
            return original(prog, name, quoted_args, **kwargs)
        args = list(quoted_args)
        end = _command_at(args)
        constraints = [a for a in args[:end] if not a.startswith("-")]
        args[:end] = [_state(a) for a in args[:end]]
        if "--drgn" in args:
            return original(prog, name, args, **kwargs)
        if args and end == len(args) and not any(a.startswith("-") for a in args):
            commands = ", ".join(sorted(reach(_COMMON, "_CRASH_FOREACH_SUBCOMMANDS") or ()))
            raise NoTaskError(f"no command in {' '.join(quoted_args)!r}; over tasks go {commands}")
        found = [_named(a) for a in constraints if a not in _KEYWORDS and not _is_state(a)]
        exact = [] if "gleader" in constraints else found
        return _run(lambda: original(prog, name, args, **kwargs), constraints, exact)

    return run


def ps(original: Command) -> Command:
    """``ps``, that fails where a constraint matches no task."""

    def run(
        prog: drgn.Program,
        name: str,
        quoted_args: Sequence[str],
        *,
        parser: argparse.ArgumentParser,
        **kwargs: Any,
    ) -> Any:
        def call() -> Any:
            return original(prog, name, quoted_args, parser=parser, **kwargs)

        args = parser.parse_args([_unquoted(a) for a in quoted_args])
        if find_session(prog) is None or args.drgn:
            return call()
        options = (("-k", args.kernel), ("-u", args.user), ("-A", args.active))
        constraints = [option for option, given in options if given]
        if args.policy is not None:
            constraints.append(f"-y {args.policy}")
        words = [_word(task) for task in args.tasks]
        leaders = args.group_leader or getattr(args.func, "__name__", "") == "_ps_thread_groups"
        exact = [] if leaders else [_named(w) for w in words]
        return _run(call, constraints + words, exact)

    return run


def _run(call: Callable[[], Any], constraints: list[str], exact: list[_Named]) -> Any:
    """
    Run a command, and hold its constraints against the tasks that it was given.

    :param exact: Those that each ask for a task.
    :raises NoTaskError: one of them, or all together, matched none.
    """
    global _matched
    before, _matched = _matched, _Matched()
    matched = _matched
    try:
        result = call()
    finally:
        _matched = before
    if constraints and not matched.count:
        raise NoTaskError(f"no task matches {' '.join(constraints)}; ps lists tasks")
    missed = [word for word, test in exact if not any(test(task) for task in matched.tasks)]
    if missed:
        raise NoTaskError(f"no task matches {' '.join(missed)}; ps lists tasks")
    return result


def _command_at(args: Sequence[str]) -> int:
    """Where the command that is run for each task stands."""
    commands = reach(_COMMON, "_CRASH_FOREACH_SUBCOMMANDS") or {}
    return next((i for i, arg in enumerate(args) if arg in commands), len(args))


def _is_state(word: str) -> bool:
    letters = reach("drgn.helpers.linux.sched", "_TASK_STATE_CHAR_TO_STATE") or {}
    return word in _STATES or word in letters


def _state(word: str) -> str:
    if word in _NEVER_REPORTED:
        raise NoTaskError(
            f"{word} ({_NEVER_REPORTED[word]}) is no state that this kernel reports; a command of"
            f" that name is \\{word}"
        )
    return _STATES.get(word, word)


_Named = tuple[str, Callable[[Object], bool]]


def _named(word: str) -> _Named:
    """A word that asks for tasks, and how to tell that a task is one of them."""
    if re.fullmatch(r"[0-9]+", word):
        return word, lambda task: bool(task.pid.value_() == int(word))
    if re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", word):
        return word, lambda task: bool(task.value_() == int(word, 16))
    if len(word) > 1 and word[0] == word[-1] == "'":
        pattern = re.compile(word[1:-1])
        return word, lambda task: pattern.search(_comm(task)) is not None
    name = word.removeprefix("\\")
    return word, lambda task: _comm(task) == name


def _comm(task: Object) -> str:
    return str(task.comm.string_().decode(errors="surrogateescape"))


def _word(parsed: tuple[str, Any]) -> str:
    """What was typed for a constraint that drgn has parsed."""
    kind, value = parsed
    if kind == "task":
        return f"{value:x}"
    if kind == "command_pattern":
        return f"'{value.pattern}'"
    return (
        f"\\{value}" if kind == "command" and re.fullmatch(r"[0-9a-fA-F]+", value) else f"{value}"
    )


def _unquoted(word: str) -> str:
    from drgn.commands import unquote_shell_word

    return word if word.startswith(("'", "\\")) else unquote_shell_word(word)
