"""``btfdbg report`` and ``btfdbg signature``: what happened, and what it is called.

Owns the two command lines. What is said is decided in ``btfdbg.report``.
"""

from __future__ import annotations

import sys

from btfdbg.errors import DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.cli.parser import Parser
    from btfdbg.report.files import Log


def report(argv: Sequence[str]) -> int:
    """Run ``btfdbg report``; return the exit status."""
    parser = _parser("report")
    parser.option("--format", choices=("text", "json"), default="text")
    parser.option("-o", metavar="FILE", dest="out", help="write there instead of stdout")
    args = parser.parse_args(list(argv))
    log, name = _log(parser, args)
    from btfdbg.report import log_report

    if args.format == "json":
        import json

        text = json.dumps(log_report.as_dict(log, name), indent=2)
    else:
        text = log_report.as_text(log, name)
    return _write(text + "\n", args.out)


def signature(argv: Sequence[str]) -> int:
    """Run ``btfdbg signature``; return the exit status."""
    parser = _parser("signature")
    parser.option("--why", action="store_true", help="the rule that kept or skipped each frame")
    parser.option("--all", action="store_true", help="of every report in the log")
    parser.option("--json", action="store_true", help="machine-readable")
    args = parser.parse_args(list(argv))
    log, _ = _log(parser, args)
    from btfdbg.report import log_report
    from btfdbg.report.severity import main_event
    from btfdbg.report.signature import signature_of

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


def _parser(name: str) -> Parser:
    from btfdbg.cli.parser import Parser

    parser = Parser()
    parser.prog = f"btfdbg {name}"
    parser.usage = f"btfdbg {name} [options] CORE | --log FILE"
    parser.add_argument("core", metavar="CORE", nargs="?", help="the dump")
    parser.option("--log", metavar="FILE", help="a kernel log instead of a dump; - for stdin")
    return parser


def _log(parser: Parser, args: object) -> tuple[Log, str]:
    """Return the log that is asked about, and its name."""
    from argparse import Namespace

    assert isinstance(args, Namespace)
    if args.log is not None:
        if args.core is not None:
            parser.error("give CORE or --log FILE, not both")
        from btfdbg.report.files import read_log

        return read_log(args.log), args.log
    if args.core is None and not args.live and args.qemu is None:
        parser.error("which dump? give CORE, or --log FILE")
    return _log_of_dump(args), args.core or "the running kernel"


def _log_of_dump(args: object) -> Log:
    """Read the kernel log that a dump holds."""
    from types import SimpleNamespace

    from btfdbg.cli.main import open_for
    from btfdbg.report.files import Log
    from btfdbg.report.text import Reader

    options = SimpleNamespace(**vars(args))
    prog, _ = open_for(options, options.core)
    from drgn.helpers.linux.printk import get_printk_records

    reader = Reader()
    try:
        for record in get_printk_records(prog):
            seconds, rest = divmod(record.timestamp, 10**9)
            caller = ""
            if record.caller_tid is not None:
                caller = f"[T{record.caller_tid}]"
            elif record.caller_cpu is not None:
                caller = f"[C{record.caller_cpu}]"
            for line in record.text.decode("utf-8", "replace").split("\n"):
                reader.feed(f"[{seconds}.{rest // 1000:06}]{caller} {line}\n")
    except (LookupError, ValueError) as e:
        raise DebugInfoError(f"the dump's log cannot be read: {e}", step="log") from e
    return Log(tuple(reader.finish()), reader.left_out)


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
