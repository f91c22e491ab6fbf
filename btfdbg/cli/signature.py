"""``btfdbg signature``: what a crash is called, so that two of one kind are found.

Owns the command line. The rules are in ``btfdbg.report``.
"""

from __future__ import annotations

import argparse

from btfdbg.cli.report import add_log, log_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is named, and how much is said."""
    add_log(parser)
    parser.add_argument(
        "--why", action="store_true", help="the rule that kept or skipped each frame"
    )
    parser.add_argument("--all", action="store_true", help="of every report in the log")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> int:
    """
    Print the title and what it was made from; return the exit status.

    :raises BtfdbgError: the dump or log cannot be used.
    """
    from btfdbg.report.logs import log_report

    if args.log is None and not args.all:
        return _of_dump(args)
    log, _ = log_of(args)
    from btfdbg.report.blame.signature import signature_of
    from btfdbg.report.severity import main_event

    main = main_event(log.events)
    events = list(log.events) if args.all else [main] if main is not None else []
    if args.json:
        import json

        found = [log_report.signature_dict(log_report.signature(event)) for event in events]
        found = found or [log_report.signature_dict(signature_of("snapshot", ()))]
        print(json.dumps(found if args.all else found[0], indent=2))
        return 0
    if not events:
        print(signature_of("snapshot", ()).title)
    print("\n\n".join(log_report.signature_text(event, args.why) for event in events), end="")
    if events:
        print()
    return 0


def _of_dump(args: argparse.Namespace) -> int:
    """Name what the dump itself shows, its log being the second witness."""
    from btfdbg.cli.main import open_session
    from btfdbg.report.happened import Happened
    from btfdbg.report.logs import log_report
    from btfdbg.report.look import Look

    if args.core is None and not args.live and args.qemu is None:
        from btfdbg.errors import DebugInfoError

        raise DebugInfoError("which dump? give CORE, or --log FILE")
    look = Look(open_session(args))
    found = Happened(look).signature
    if args.json:
        import json

        print(json.dumps(log_report.signature_dict(found), indent=2))
        return 0
    lines = log_report.title_lines(found)
    if args.why:
        lines += ["", *log_report.why_lines(found), *look.doubts.said]
    print(log_report.printable_lines(lines))
    return 0
