"""``btfdbg report``: what happened, in a sentence, and the evidence for it.

Owns the command line. What is said is decided in ``btfdbg.report``.
"""

from __future__ import annotations

import argparse

from btfdbg.errors import DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.logs.files import Log


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add ``--log``, in place of CORE."""
    parser.add_argument("--log", metavar="FILE", help="a kernel log instead of a dump; - for stdin")


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add ``--format``: text, JSON, or one of more; and ``--json`` and the like, as other verbs."""
    parser.add_argument("--format", choices=("text", "json", *more), default="text")
    for name in ("json", *more):
        parser.add_argument(
            f"--{name}",
            dest="format",
            action="store_const",
            const=name,
            help=f"the same as --format {name}",
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is reported on, and how."""
    add_log(parser)
    add_format(parser, "html")
    parser.add_argument(
        "-s",
        "--section",
        dest="sections",
        metavar="ID",
        action="append",
        default=[],
        help="only this section of a dump's report, as at the prompt; may be repeated",
    )
    parser.add_argument("-l", "--list", action="store_true", help="list the sections, and exit")
    parser.add_argument("-o", metavar="FILE", dest="out", help="write there instead of stdout")


def run(args: argparse.Namespace) -> int:
    """
    Report; return the exit status.

    :raises BtfdbgError: the dump or log cannot be used, or FILE not written.
    """
    from btfdbg.cli.outputs import is_stdout, write_text

    if args.list:
        return _list_sections()
    _check_sections(args)
    text = _of_log(args) if args.log is not None else _of_dump(args)
    if args.format == "text" and is_stdout(args.out):
        from btfdbg.commands.wrapping import for_stream

        text = for_stream(text)
    write_text(text + "\n", args.out)
    return 0


def _list_sections() -> int:
    from btfdbg.report.whole import section_titles

    for name, title in section_titles():
        print(f"{name:12}{title}")
    return 0


def _check_sections(args: argparse.Namespace) -> None:
    """
    Refuse a section that there is not, before the dump is opened.

    :raises DebugInfoError: there is none of that name, or a log is reported on.
    """
    if not args.sections:
        return
    if args.log is not None:
        raise DebugInfoError("--section: the report on a log has no sections")
    import os

    from btfdbg.report.whole import unknown_sections

    problem = unknown_sections(args.sections)
    if problem:
        is_file = any(os.path.isfile(name) for name in args.sections)
        hint = "a file with DWARF is given by --symbols FILE" if is_file else ""
        raise DebugInfoError(f"--section: {problem}", hint=hint)


def _of_log(args: argparse.Namespace) -> str:
    from btfdbg.report.logs import log_report

    log, name = log_of(args)
    if args.format == "html":
        from btfdbg.report.as_html import as_html
        from btfdbg.report.logs.log_page import report_of_log

        return as_html(report_of_log(log, name))
    if args.format == "json":
        import json

        return json.dumps(log_report.as_dict(log, name), indent=2)
    return log_report.as_text(log, name)


def _of_dump(args: argparse.Namespace) -> str:
    from btfdbg.cli.main import open_session
    from btfdbg.report.whole import report

    if args.format == "html":
        from btfdbg.report.pages import check_jinja

        check_jinja()
    session = open_session(args)
    found = report(session, args.sections)
    if args.format == "json":
        import json

        from btfdbg.report.as_json import as_dict

        return json.dumps(as_dict(found), indent=2, ensure_ascii=False)
    if args.format == "html":
        from btfdbg.report.as_html import as_html

        return as_html(found)
    from btfdbg.report.as_text import as_text

    return as_text(found)


def log_of(args: argparse.Namespace) -> tuple[Log, str]:
    """
    Return the log that is asked about, and its name.

    :raises BtfdbgError: it cannot be used, or both or none were given.
    """
    if args.log is not None:
        if args.core is not None:
            raise DebugInfoError("give CORE or --log FILE, not both")
        from btfdbg.cli.outputs import spare_inputs
        from btfdbg.report.logs.files import read_log

        spare_inputs(args)
        return read_log(args.log), args.log
    return _log_of_dump(args), args.core or "the running kernel"


def _log_of_dump(args: argparse.Namespace) -> Log:
    """Read the kernel log that a dump holds."""
    from btfdbg.cli.main import open_session
    from btfdbg.report.dump_log import log_of_dump

    return log_of_dump(open_session(args).prog)
