"""``btfdbg info``: what a dump holds, where each thing was found, and what is missing.

Owns the command line and ``--save-vmcoreinfo``; the facts are ``commands.info``'s.
"""

from __future__ import annotations

import argparse
import sys

from btfdbg.errors import DebugInfoError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is done with the dump."""
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument(
        "--save-vmcoreinfo",
        metavar="OUT",
        help="write the VMCOREINFO text, found or recovered; - writes nothing else to stdout",
    )


def run(args: argparse.Namespace) -> int:
    """
    Print the facts; return the exit status.

    :raises BtfdbgError: the dump cannot be used, or OUT not written.
    """
    from btfdbg.cli.main import EXIT_OK, open_session
    from btfdbg.cli.outputs import is_stdout
    from btfdbg.commands import info
    from btfdbg.commands.text import escape
    from btfdbg.commands.wrapping import for_stream

    session = open_session(args)
    if args.save_vmcoreinfo is not None:
        if is_stdout(args.save_vmcoreinfo):
            sys.stdout.buffer.write(session.vmcoreinfo.raw)
            return EXIT_OK
        _save(args.save_vmcoreinfo, session.vmcoreinfo.raw)
    print(info.as_json(session) if args.json else for_stream(escape(info.as_text(session))))
    return EXIT_OK


def _save(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as f:
            f.write(data)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror}", step="vmcoreinfo") from e
