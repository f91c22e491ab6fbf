"""One argument parser of the whole ``btfdbg`` command, for what is generated from it.

The command itself parses in two steps (options of a script are the script's), so nothing
else has all of it in one place. Made from the command's own tables; used for the shell
completion files and to check the manual page; not part of the package.
"""

from __future__ import annotations

import argparse

from btfdbg.cli.options import SUBCOMMANDS
from btfdbg.cli.parser import Parser, subcommand_parser


def core_parser() -> argparse.ArgumentParser:
    """The options that every way of opening a dump takes."""
    return Parser()


def full_parser() -> argparse.ArgumentParser:
    """Options, and every subcommand with its own options and verbs."""
    parser = argparse.ArgumentParser(
        prog="btfdbg", parents=[core_parser()], conflict_handler="resolve", add_help=True
    )
    # A dump or a subcommand: both are the first operand.
    subparsers = parser.add_subparsers(dest="command", metavar="CORE|COMMAND")
    for row in SUBCOMMANDS.values():
        subparsers.add_parser(
            row.name,
            help=row.summary,
            parents=[subcommand_parser(row)],
            conflict_handler="resolve",
        )
    return parser
