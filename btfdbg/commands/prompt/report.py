"""``report``: what happened, in a sentence, and the evidence for it."""

from __future__ import annotations

import argparse
import json

from drgn.commands import argument

from btfdbg.commands import output
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import escape
from btfdbg.program.session import Session


def _code(session: Session, args: argparse.Namespace) -> str:
    sections = [*(args.section or ()), *args.ids]
    only = f", {sections!r}" if sections else ""
    return (
        "import btfdbg\n"
        "from btfdbg.report.as_text import as_text\n"
        "from btfdbg.report.whole import report\n\n\n"
        f"print(as_text(report(btfdbg.session(prog){only})))"
    )


@prompt_command(
    name="report",
    description="say what happened, with the evidence for it",
    long_description="""
    Say what happened in one sentence, what that rests on, and then section by section
    what the kernel was doing: the task that panicked, the CPUs, blocked tasks with the
    locks they wait for, memory, disks, modules, the log. A section that this dump cannot
    give says why. Each ends with the commands that show more.
    """,
    arguments=(
        argument("ids", nargs="*", metavar="ID", help="only this section; the same as -s ID"),
        argument("-s", "--section", metavar="ID", action="append", help="only this section"),
        argument("-l", "--list", action="store_true", help="list the sections"),
        argument("--json", action="store_true", help="machine-readable"),
    ),
    examples=(
        ("report", "everything"),
        ("report -s blocked", "blocked tasks only"),
        ("report -l", "which sections there are"),
    ),
    drgn_code=_code,
    complete=("section",),
)
def report(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    from btfdbg.report import whole
    from btfdbg.report.as_text import as_text

    if args.list:
        for name, title in whole.section_titles():
            output.emit(("name", f"{name:12}"), ("", title))
        return
    only = [*(args.section or ()), *args.ids]
    problem = whole.unknown_sections(only)
    if problem:
        raise LookupError(problem)
    found = whole.report(session, only)
    if args.json:
        from btfdbg.report.as_json import as_dict

        output.emit(("", json.dumps(as_dict(found), indent=2, ensure_ascii=False)))
        return
    for number, line in enumerate(as_text(found).split("\n")):
        style = "bad" if not number or line.lstrip().startswith("!") else ""
        if line.isupper() and not line.startswith(" "):
            style = "heading"
        output.emit((style, escape(line)))
