"""One argument parser of the whole ``btfdbg`` command, for what is generated from it.

The command itself parses in two steps (options of a script are the script's),
so nothing else has all of it in one place. Used for the shell completion files
and to check the manual page; not part of the package.
"""

from __future__ import annotations

import argparse
from typing import Any

from btfdbg.cli import main as cli
from btfdbg.cli.parser import Parser


def core_parser() -> argparse.ArgumentParser:
    """The options that every way of opening a dump takes."""
    return Parser(tuple(cli._subcommands()))


def full_parser() -> argparse.ArgumentParser:
    """Options, and every subcommand with its own options and verbs."""
    parser = argparse.ArgumentParser(
        prog="btfdbg", parents=[core_parser()], conflict_handler="resolve", add_help=True
    )
    # A dump or a subcommand: both are the first operand.
    subparsers = parser.add_subparsers(dest="command", metavar="CORE|COMMAND")
    for name in cli._subcommands():
        _add(subparsers, name)
    return parser


def _add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str) -> None:
    if name == "btf":
        from btfdbg.cli import btf as btftool

        verbs = subparsers.add_parser(name, help="the BTF toolkit")
        btftool.register(verbs.add_subparsers(dest="verb", metavar="VERB"))
    elif name == "vars":
        from btfdbg.cli import vars as vars_

        verbs = subparsers.add_parser(name, help="the database of variable types")
        vars_.register(verbs.add_subparsers(dest="verb", metavar="VERB"))
    else:
        sub = subparsers.add_parser(
            name,
            help=_HELP.get(name, ""),
            parents=[core_parser()],
            conflict_handler="resolve",
        )
        sub.add_argument("core", metavar="CORE", help="the dump")
        for options, keywords in _OWN.get(name, ()):
            sub.add_argument(*options, **keywords)


_HELP = {
    "info": "what a dump holds and how it was found",
    "trim": "a small dump, only what a session needs",
    "report": "what a dump says",
    "triage": "many dumps by cause",
}

_OWN: dict[str, tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = {
    "info": (
        (("--json",), {"action": "store_true", "help": "machine-readable"}),
        (("--save-vmcoreinfo",), {"metavar": "OUT", "help": "write the VMCOREINFO text"}),
    ),
    "trim": (
        (("out",), {"metavar": "OUT", "help": "the small dump"}),
        (("-x",), {"metavar": "COMMAND", "action": "append", "help": "what a session runs"}),
    ),
    "report": (
        (("--format",), {"metavar": "FORMAT", "help": "text, json or html"}),
        (("-o",), {"metavar": "FILE", "help": "where to write it"}),
    ),
    "triage": (
        (("--format",), {"metavar": "FORMAT", "help": "text, json or html"}),
        (("-j",), {"metavar": "N", "help": "processes"}),
        (("--scheduler",), {"metavar": "ADDRESS", "help": "ask for work there"}),
    ),
}
