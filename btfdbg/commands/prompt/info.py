"""``info``: what the dump holds and where each thing was found."""

from __future__ import annotations

import argparse

from drgn.commands import CommandError, argument

from btfdbg.commands import info as facts
from btfdbg.commands.define import prompt_command
from btfdbg.program.session import Session


@prompt_command(
    name="info",
    description="show what the dump holds and where it was found",
    long_description="""
    Show the dump's format, the kernel, and where its symbols, types and the types of
    its modules were found; the same as ``btfdbg info CORE``.
    """,
    arguments=(
        argument("what", nargs="*", help="of gdb's info: registers, symbol ADDR, threads, ..."),
        argument("--json", action="store_true", help="print JSON"),
    ),
    examples=(("info", "for people"), ("info --json", "for programs")),
)
def info(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    if args.what:
        from btfdbg.commands import equivalents, evaluate

        here = equivalents.of_gdb(" ".join(("info", *args.what)))
        if here is None:
            raise CommandError(f"info {args.what[0]}: help gdb lists what is here for gdb's info")
        evaluate.run_line(session, here)
        return
    print(facts.as_json(session) if args.json else facts.as_text(session))
