"""``btfdbg gdbserver CORE``: a dump as gdb's remote target.

Owns the command line and its words; the protocol is ``btfdbg.handover.gdb``'s.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from btfdbg.errors import DebugInfoError

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:1234",
        help="where gdb connects to (default: 127.0.0.1:1234; port 0: any that is free)",
    )
    parser.add_argument(
        "--stdio",
        action="store_true",
        help="speak on standard input and output: target remote | btfdbg gdbserver --stdio CORE",
    )
    parser.add_argument("--once", action="store_true", help="end when the first client leaves")


def run(args: argparse.Namespace) -> int:
    """
    Serve until interrupted.

    :raises BtfdbgError: the dump's architecture is not known to gdb's stub, or the address
        cannot be listened on.
    """
    from btfdbg.cli.main import open_session
    from btfdbg.handover.gdb import server

    session = open_session(args)
    stub = server.Stub(session)
    if args.stdio:
        server.serve_pipe(stub, sys.stdin.buffer, sys.stdout.buffer)
        return 0
    host, colon, text = args.listen.rpartition(":")
    if not colon or not text.isdecimal() or int(text) > 0xFFFF:
        raise DebugInfoError(f"--listen {args.listen}: expected HOST:PORT", step="gdbserver")
    host = host.strip("[]") or "127.0.0.1"
    with server.listen(host, int(text)) as listening:
        where = ":".join(map(str, listening.getsockname()[:2]))
        if args.log_level != "none":
            print(_hint(session, stub.threads.problem, len(stub.threads.by_id), where), flush=True)
        if host not in _LOOPBACK:
            print(
                f"btfdbg: {where} can be reached from elsewhere: whoever connects reads the dump",
                file=sys.stderr,
            )
        server.serve_socket(stub, listening, once=args.once)
    return 0


def _hint(session: Session, problem: str, threads: int, where: str) -> str:
    lines = [f"{threads} threads, waiting for gdb on {where}"]
    if problem:
        lines.append(f"some tasks are missing: {problem}")
    lines.append(
        "  btfdbg export-vmlinux --runtime CORE -o vmlinux"
        f"; gdb vmlinux -ex 'target remote {where}'"
    )
    offset = session.vmcoreinfo.kernel_offset
    if offset:
        lines.append(f"  with a vmlinux of a package: gdb -ex 'symbol-file -o {offset:#x} vmlinux'")
    return "\n".join(lines)
