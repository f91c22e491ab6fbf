"""The argument parser: for help, for mistakes, and for the subcommands' own options.

Owns nothing but the form; the options themselves are :mod:`btfdbg.cli.options`'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import btfdbg
from btfdbg.cli import options

USAGE = """\
btfdbg [options] CORE                     look at a dump interactively
       btfdbg [options] CORE -e CODE             run Python code with `prog` bound
       btfdbg [options] CORE -x 'COMMAND'        run a command of the prompt (repeatable)
       btfdbg [options] CORE SCRIPT [ARG...]     run a Python script with `prog` bound
       btfdbg info CORE [--json]                 what the dump holds and how it was found
       btfdbg report CORE | --log FILE           what happened, in a sentence, and the evidence
       btfdbg signature CORE | --log FILE        what the crash is called, and why (--why)
       btfdbg trim CORE OUT [-x COMMAND]         a small dump, only what a session needs
       btfdbg isf CORE -o FILE                   a symbol table for volatility3
       btfdbg btf VERB ...                       the BTF toolkit
       btfdbg vars VERB ...                      the database of variable types"""


class Parser(argparse.ArgumentParser):
    """
    Options that may stand before CORE or between CORE and SCRIPT, never after SCRIPT.

    :param commands: The subcommands.
    """

    def __init__(self, commands: Sequence[str] = ()) -> None:
        super().__init__(
            prog="btfdbg",
            usage=USAGE,
            description="Debug any Linux kernel crash dump with nothing but the dump.",
            allow_abbrev=False,
        )
        self.commands = commands
        self.takes_value: dict[str, bool] = {"-h": False, "--help": False}
        self.option("--version", action="version", version=f"btfdbg {btfdbg.__version__}")
        for title, rows in options.GROUPS:
            group = self.add_argument_group(title)
            for names, keywords in rows:
                self.option(*names, group=group, **keywords)

    def option(
        self, *names: str, group: argparse._ActionsContainer | None = None, **kwargs: object
    ) -> None:
        """Add an option and remember whether a value follows it."""
        (group or self).add_argument(*names, **kwargs)  # type: ignore[arg-type] # passed through
        for name in names:
            self.takes_value[name] = options.takes_value(kwargs)

    def split(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """Split into (options, positionals); all that follows the second positional is its own."""
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
                name = token.partition("=")[0]
                short = token[:2]
                value_follows = self.takes_value.get(name, False) and "=" not in token
                if not token.startswith("--") and len(token) > 2 and self.takes_value.get(short):
                    value_follows = False  # -sFILE
                if value_follows and i + 1 < len(argv):
                    i += 1
                    # argparse would take a value like "-1" for an option.
                    if token.startswith("--"):
                        found[-1] = f"{token}={argv[i]}"
                    else:
                        found[-1] = token + argv[i]
            else:
                positionals.append(token)
                script_at = 1 if {"-k", "--live"} & set(found) or _qemu(found) else 2
                if len(positionals) == script_at or token in self.commands:
                    positionals.extend(argv[i + 1 :])
                    break
            i += 1
        return found, positionals


def _qemu(found: Sequence[str]) -> bool:
    return any(o.startswith("--qemu") for o in found)
