"""The argument parsers: for help, for mistakes, and for the subcommands' own options.

Owns nothing but the form; what there is stands in :mod:`btfdbg.cli.options`.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import btfdbg
from btfdbg.cli import options
from btfdbg.cli.brief import Brief
from btfdbg.cli.options import SUBCOMMANDS, Subcommand

_WIDTH = 36
_COLUMNS = 79
_INDENT = 2


def _usage() -> str:
    rows = [
        ("[options] CORE", "look at a dump interactively"),
        ("CORE -e CODE", "run Python code with `prog` bound"),
        ("CORE -x 'COMMAND'", "run a command of the prompt (repeatable)"),
        ("CORE -x ctx", "where it happened: registers and stack"),
        ("CORE SCRIPT [ARG...]", "run a Python script with `prog` bound"),
        *((f"{row.name} {row.usage}", row.summary) for row in SUBCOMMANDS.values()),
    ]
    lines = []
    for form, what in rows:
        # argparse leaves a usage as it is.
        first, *more = textwrap.wrap(what, _COLUMNS - _WIDTH - _INDENT)
        lines.append(f"btfdbg {form}".ljust(_WIDTH - 1) + f" {first}")
        lines += [" " * _WIDTH + line for line in more]
    return "\n" + "\n".join(" " * _INDENT + line for line in lines)


class Parser(Brief):
    """
    Options that may stand before CORE or between CORE and SCRIPT, never after SCRIPT.

    :param command: The subcommand that opens a dump with them; ``None`` for the prompt.
    """

    def __init__(self, command: Subcommand | None = None) -> None:
        super().__init__(
            prog="btfdbg" if command is None else f"btfdbg {command.name}",
            usage=_usage() if command is None else None,
            description="Debug any Linux kernel crash dump with nothing but the dump.",
            epilog=(
                "What happened? btfdbg report CORE says so, with the evidence; at the prompt type"
                " report, then ctx. help there lists the commands, help crash those of crash."
                if command is None
                else None
            ),
            allow_abbrev=False,
        )
        self._takes_value: dict[str, bool] = {"-h": False, "--help": False}
        self._option("--version", action="version", version=f"btfdbg {btfdbg.__version__}")
        for title, rows in options.GROUPS:
            if command is not None and rows is options.RUN:
                continue
            group = self.add_argument_group(title)
            for names, keywords in rows:
                own = () if command is None else command.own
                shown = [name for name in names if name not in own]
                self._option(*shown, group=group, **keywords)

    def _option(
        self, *names: str, group: argparse._ActionsContainer | None = None, **kwargs: object
    ) -> None:
        (group or self).add_argument(*names, **kwargs)  # type: ignore[arg-type] # passed through
        for name in names:
            self._takes_value[name] = options.takes_value(kwargs)

    def split(self, argv: Sequence[str]) -> tuple[list[str], list[str], bool]:
        """
        Split into options and operands; all that follows the second operand is its own.

        :return: Options with their values in the same word; operands; whether the first
            operand is a subcommand (it is none behind ``--``).
        """
        found: list[str] = []
        positionals: list[str] = []
        i = 0
        while i < len(argv):
            token = argv[i]
            if token == "--":
                positionals.extend(argv[i + 1 :])
                break
            if token.startswith("-") and token != "-":
                found.append(token)
                name = token if token.startswith("--") else token[:2]
                if self._takes_value.get(name, False) and token == name and i + 1 < len(argv):
                    i += 1
                    # Glued, since argparse would take a value like "-1" for an option.
                    found[-1] = f"{token}={argv[i]}"
            else:
                positionals.append(token)
                if len(positionals) == 1 and token in SUBCOMMANDS:
                    return found, [*positionals, *argv[i + 1 :]], True
                if len(positionals) == (1 if self._no_core(found) else 2):
                    positionals.extend(argv[i + 1 :])
                    break
            i += 1
        return found, positionals, False

    @staticmethod
    def _no_core(found: Sequence[str]) -> bool:
        return any(
            option in ("-k", "--live") or option.partition("=")[0] == "--qemu" for option in found
        )


def subcommand_parser(command: Subcommand) -> argparse.ArgumentParser:
    """The parser of a subcommand's own command line, with its module's docstring as help."""
    from btfdbg.commands.text import fold

    module: Any = import_module(command.module)
    parser: argparse.ArgumentParser
    if command.opens:
        parser = Parser(command)
        parser.add_argument("core", metavar="CORE", nargs="?", help="the dump")
    else:
        parser = Brief(prog=f"btfdbg {command.name}", allow_abbrev=False)
    doc = (module.__doc__ or "").strip()
    text = doc.partition("\n\nOwns")[0].partition(": ")[2]
    parser.description = fold(text[:1].upper() + text[1:])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    return parser
