"""``btfdbg serve --stdio``: dumps for an agent, over the Model Context Protocol.

The agent opens them, by the tool open_dump. The protocol's SDK has to be there:
pip install 'btfdbg[mcp]'.

Owns the command line, and where the tools' answers come from: the commands of the prompt,
``info``, ``report`` and ``signature``. The tools are ``btfdbg.handover.mcp``'s.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from typing import TYPE_CHECKING, Any

from btfdbg.errors import DebugInfoError

if TYPE_CHECKING:
    from btfdbg.program.session import Session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--stdio", action="store_true", help="speak on standard input and output (the only way)"
    )


def run(args: argparse.Namespace) -> int:
    """
    Serve until standard input ends.

    :raises BtfdbgError: the SDK is not installed, or ``--stdio`` was not given.
    """
    if not args.stdio:
        raise DebugInfoError("serve speaks on standard input and output only: give --stdio")
    from btfdbg.handover import mcp, mcp_lines

    mcp_lines.run(mcp.server(mcp.Dumps(_command, _facts, _report, _signature)))
    return 0


def _command(session: Session, line: str) -> str:
    """
    What a command says, first its answer and then what is about it.

    :raises DebugInfoError: it found nothing; why.
    """
    from btfdbg.commands import execute

    session.ensure_modules()
    out, err = io.StringIO(), io.StringIO()
    # Standard output is the protocol's; what a command says on stderr is about its answer.
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = execute.run_commands(session, [line], color="never")
    said, about = out.getvalue(), err.getvalue()
    if status and not said.strip():
        raise DebugInfoError(about.strip() or "nothing was found", step=line.split()[0])
    return said + about


def _facts(session: Session) -> dict[str, Any]:
    from btfdbg.commands import info

    return info.as_dict(session)


def _report(session: Session) -> dict[str, Any]:
    from btfdbg.report.as_json import as_dict
    from btfdbg.report.whole import report

    with contextlib.redirect_stdout(sys.stderr):
        return as_dict(report(session))


def _signature(session: Session) -> dict[str, Any]:
    from btfdbg.report.blame.signature import signature_of
    from btfdbg.report.dump_log import log_of_dump
    from btfdbg.report.logs import log_report
    from btfdbg.report.severity import main_event

    main = main_event(log_of_dump(session.prog).events)
    found = signature_of("snapshot", ()) if main is None else log_report.signature(main)
    return dict(log_report.signature_dict(found))
