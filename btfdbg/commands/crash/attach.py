"""Put the added options into drgn's parsers, and run their functions.

Owns the order: a refusal first, then the function of an option, then drgn's command. An
option that the installed drgn has is drgn's: argparse knows it already, and the row is left
out. The functions are imported when they are run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import words
from btfdbg.commands.crash import value_table
from btfdbg.commands.crash.call import Call, dest
from btfdbg.commands.crash.table import EXPRESSIONS, OPTIONS, SUBCOMMANDS, WORDS, Option
from btfdbg.patches.install import reach

_COMMON = "drgn.commands._crash.common"


_attached: set[str] = set()


def attach(names: Collection[str] | None = None) -> None:
    """
    Add the rows of the table to the commands that drgn has defined and that are mended.

    Cheap where it was done before.

    :param names: Of commands that were imported by themselves; ``None`` for all there are.
    """
    space = reach(_COMMON, "CRASH_COMMAND_NAMESPACE")
    subcommands = reach(_COMMON, "_CRASH_FOREACH_SUBCOMMANDS")
    if space is None or reach("drgn.commands", "_ArgparseCommand._argparse_func") is None:
        return
    reach("drgn.commands", "_CustomCommand._parser")
    # Another drgn may keep its commands elsewhere; what is missing is noted by reach().
    commands: dict[str, Any] = getattr(space, "_commands", {})
    by_command: dict[str, list[Option]] = {}
    for option in (*OPTIONS, *value_table.VALUES):
        if names is None or option.command in names:
            by_command.setdefault(option.command, []).append(option)
    for name, options in by_command.items():
        command: Any = commands.get(name)
        if name in _attached or command is None:
            continue
        _attached.add(name)
        parser = getattr(command, "_parser", None)
        inner = getattr(command, "_argparse_func", None)
        if isinstance(parser, argparse.ArgumentParser) and inner is not None:
            added = _add(parser, options)
            command._argparse_func = _command(name, inner, added)
            command.parse = _parse(name, command.parse)
    if subcommands is None:
        return
    for name in SUBCOMMANDS:
        if names is None or name in names:
            _add_subcommand(subcommands, name)
    for name, options in by_command.items():
        held = subcommands.get(name)
        if held is not None and f"foreach {name}" not in _attached:
            _attached.add(f"foreach {name}")
            added = _add(held.parser, [o for o in options if o.foreach])
            subcommands[name] = held._replace(func=_subcommand(name, held.func, added))


def _add(parser: argparse.ArgumentParser, options: Sequence[Option]) -> list[Option]:
    """Add options to a parser; give those that it did not know before."""
    added = []
    for option in options:
        if not option.flags and not option.operand:
            added.append(option)  # it is asked at every run
            continue
        refused = f"not here: {option.refusal}".replace("%", "%%")
        keywords: dict[str, Any] = {"help": option.help or (refused if option.refusal else "")}
        if option.operand:
            known = next((a for a in parser._actions if a.dest == option.operand), None)
            if known is not None:
                known.type, known.nargs = option.type, option.nargs or known.nargs
                continue
            keywords |= {"nargs": option.nargs or "*", "default": [], "type": option.type}
            keywords["metavar"] = option.metavar or None
            parser.add_argument(option.operand, **keywords)
            continue
        keywords["dest"] = dest(option.flags[0])
        if option.metavar:
            keywords |= {"metavar": option.metavar, "nargs": option.nargs}
            if option.nargs == "?":
                keywords["const"] = ""
        else:
            keywords["action"] = "store_true"
        try:
            parser.add_argument(*option.flags, **keywords)
        except argparse.ArgumentError:
            continue  # drgn has it
        added.append(option)
    return added


def _parse(name: str, inner: Callable[[str], Any]) -> Callable[[str], Any]:
    """Split a command line; refuse words that argparse would take for something else."""
    # What stands in brackets belongs together.
    split = words.parse if name in EXPRESSIONS | value_table.EXPRESSIONS else inner

    def parse(source: str) -> Any:
        parsed = split(source)
        for word in parsed.args:
            why = WORDS.get((name, word))
            if why:
                raise CommandError(f"{word}: {why}")
        return parsed

    return parse


def _command(name: str, inner: Callable[..., Any], options: Sequence[Option]) -> Any:
    def run(prog: drgn.Program, called: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        def drgns() -> Any:
            return inner(prog, called, args, **kwargs)

        return _run(Call(name, prog, args, drgns), options)

    return run


def _subcommand(name: str, inner: Callable[..., Any], options: Sequence[Option]) -> Any:
    def run(selector: Any, args: argparse.Namespace, **kwargs: Any) -> Any:
        def drgns() -> Any:
            return inner(selector, args, **kwargs)

        return _run(Call(name, selector.prog, args, drgns, selector), options)

    return run


def _run(call: Call, options: Sequence[Option]) -> Any:
    given = [o for o in options if o.flags and call.has(o.flags[0])]
    for option in given:
        if option.refusal:
            raise CommandError(f"{option.flags[0]}: {option.refusal}")
    function = next((o.run for o in given if o.run), "")
    if not function:
        function = next((o.run for o in options if not o.flags and o.run), "")
    if not function:
        return call.drgns()
    if getattr(call.args, "drgn", False):
        if any(o.run for o in given):
            raise CommandError("--drgn: this option is btfdbg's, there is no drgn code behind it")
        return call.drgns()
    module, _, name = function.partition(":")
    found: Callable[[Call], Any] = getattr(import_module(f"{__package__}.{module}"), name)
    return found(call)


def _add_subcommand(subcommands: dict[str, Any], name: str) -> None:
    """Let ``foreach`` run a command that drgn's does not know."""
    if name in subcommands:
        return
    decorator = reach(_COMMON, "_crash_foreach_subcommand")
    if decorator is None:
        return

    def nothing(selector: Any, args: argparse.Namespace) -> None:
        raise CommandError(f"foreach {name}: an option is required; help {name} lists them")

    decorator(name=name)(nothing)
