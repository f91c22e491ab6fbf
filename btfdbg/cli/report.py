"""``btfdbg report``: what happened, in a sentence, and the evidence for it.

Owns the command line. What is said is decided in ``btfdbg.report``.
"""

from __future__ import annotations

import argparse
import sys

from btfdbg.errors import DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.files import Log


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add ``--log``, in place of CORE."""
    parser.add_argument("--log", metavar="FILE", help="a kernel log instead of a dump; - for stdin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is reported on, and how."""
    add_log(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("-o", metavar="FILE", dest="out", help="write there instead of stdout")


def run(args: argparse.Namespace) -> int:
    """
    Report; return the exit status.

    :raises BtfdbgError: the dump or log cannot be used, or FILE not written.
    """
    log, name = log_of(args)
    from btfdbg.report import log_report

    if args.format == "json":
        import json

        text = json.dumps(log_report.as_dict(log, name), indent=2)
    else:
        text = log_report.as_text(log, name)
    return _write(text + "\n", args.out)


def log_of(args: argparse.Namespace) -> tuple[Log, str]:
    """
    Return the log that is asked about, and its name.

    :raises BtfdbgError: it cannot be used, or both or none were given.
    """
    if args.log is not None:
        if args.core is not None:
            raise DebugInfoError("give CORE or --log FILE, not both")
        from btfdbg.report.files import read_log

        return read_log(args.log), args.log
    return _log_of_dump(args), args.core or "the running kernel"


def _log_of_dump(args: argparse.Namespace) -> Log:
    """Read the kernel log that a dump holds."""
    from btfdbg.cli.main import open_session
    from btfdbg.report.dump_log import log_of_dump

    return log_of_dump(open_session(args).prog)


def _write(text: str, out: str | None) -> int:
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        with open(out, "w", encoding="utf-8") as f:
            f.write(text)
    except OSError as e:
        raise DebugInfoError(f"{out}: {e.strerror}", step="output") from e
    return 0
