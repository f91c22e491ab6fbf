"""``info``: what the dump holds and where each thing was found."""

from __future__ import annotations

import argparse

from drgn.commands import argument

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
    arguments=(argument("--json", action="store_true", help="print JSON"),),
    examples=(("info", "for people"), ("info --json", "for programs")),
)
def info(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    print(facts.as_json(session) if args.json else facts.as_text(session))
