"""``btfdbg triage PATH...``: many dumps and logs, which of them are one bug.

Finds dumps and logs in folders, reads each within bounds, groups them by signature and
says how often, since when, on which kernels, hosts and models. One bad file stops no other.

Owns the command line and the progress. The reading is ``btfdbg.report.triage.workers``', the
grouping ``btfdbg.report.triage.groups``'s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from btfdbg.cli.report import add_format
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import replace
from btfdbg.report.logs.lines import printable
from btfdbg.report.triage import workers
from btfdbg.report.triage.finding import find
from btfdbg.report.triage.singles import has_page, page_name
from btfdbg.report.triage.workers import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.report.triage.crash import Crash
    from btfdbg.report.triage.finding import Found
    from btfdbg.report.triage.kept import Kept
    from btfdbg.report.triage.known import Known
    from btfdbg.report.triage.workers import Limits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths, the bounds and what is known."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="dumps, logs, or folders of them")
    add_format(parser)
    parser.add_argument("-o", metavar="FILE", dest="out", help="write there instead of stdout")
    parser.add_argument(
        "--html",
        metavar="FOLDER",
        help="write an index there (index.html) whose rows open a report on each",
    )
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="read on the workers of this Dask scheduler"
    )
    parser.add_argument("--known", metavar="FILE", help="known.toml: what is known of crashes")
    parser.add_argument(
        "--seconds", type=float, default=300.0, metavar="N", help="for one dump (default: 300)"
    )
    parser.add_argument(
        "--memory", type=int, default=8192, metavar="MIB", help="for one dump (default: 8192)"
    )
    parser.add_argument("--results", metavar="FILE", help="where results are kept between runs")
    parser.add_argument("--afresh", action="store_true", help="read all, keep nothing")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> int:
    """
    Triage; return the exit status: 1 if a dump or log could not be read, or there is none.

    :raises DebugInfoError: known.toml cannot be used, or FILE or FOLDER not written.
    """
    from btfdbg.cli.outputs import is_stdout, spare_inputs, write_text
    from btfdbg.report.triage import as_text as triage_text
    from btfdbg.report.triage import groups as triage
    from btfdbg.report.triage.kept import Kept, default_path
    from btfdbg.report.triage.workers import Limits

    spare_inputs(args)
    known = _known(args.known)
    if args.scheduler is not None:
        from btfdbg.report.triage.on_dask import check_dask

        check_dask()
    if args.html is not None:
        from btfdbg.report.triage.as_html import make_folder

        make_folder(args.html)
    limits = Limits(
        max(1.0, args.seconds), max(256, args.memory) << 20, max(1, args.jobs), args.html
    )
    kept = Kept(None if args.afresh else args.results or default_path())
    have = _read(args, kept, limits)
    groups = triage.group(have.crashes, known)
    hints = triage.hints(groups)
    lines = [json.dumps(row) for row in triage_text.rows(groups, hints, have.errors)]
    joined = "".join(line + "\n" for line in lines)
    if args.format == "text":
        text = triage_text.as_text(groups, hints, have.errors)
        write_text((_for_terminal(text) if is_stdout(args.out) else text) + "\n", args.out)
    else:
        write_text(joined, args.out)
    for problem in filter(None, (kept.problem, *have.problems)):
        print(f"btfdbg: {printable(problem)}", file=sys.stderr)
    if args.html is not None:
        from btfdbg.report.triage.as_html import write_index

        index = write_index(args.html, groups, hints, have.errors, have.pages, joined)
        if not args.quiet:
            print(f"btfdbg: wrote {index}", file=sys.stderr)
    if have.interrupted:
        print("btfdbg: interrupted; what was read is above, and kept", file=sys.stderr)
        return 130
    bad = any(one.error for one in have.errors) or have.problems or not have.crashes
    return 1 if bad else 0


def _known(path: str | None) -> tuple[Known, ...]:
    if path is None:
        return ()
    from btfdbg.report.triage.known import parse_known

    try:
        with open(path, encoding="utf-8") as f:
            return parse_known(f.read(1 << 24), path)
    except (OSError, UnicodeDecodeError) as e:
        raise DebugInfoError(f"{path}: {getattr(e, 'strerror', None) or e}", step="known") from e


class _Have:
    """What is known by now."""

    def __init__(self, pages: str | None) -> None:
        self.crashes: list[Crash] = []
        self.errors: list[Result] = []
        self.pages: dict[str, str] = {}
        self.problems: list[str] = []
        self.interrupted = False
        self._folder = pages

    def take(self, result: Result) -> None:
        """Take a result that was just read."""
        if result.crash is None:
            self.errors.append(result)
            return
        if result.crash.source == "log" and result.crash.kind == "snapshot":
            # A text that tells of nothing is no crash; nor is a README among the dumps.
            skipped = f"it{result.crash.verdict.removeprefix('The log').rstrip('.')}"
            self.errors.append(Result(replace(result.found, skipped=skipped), None))
            return
        self.crashes.append(result.crash)
        if result.page_error:
            self.problems.append(f"no page for {result.found.path}: {result.page_error}")
        elif self._folder is not None:
            self.pages[result.found.path] = page_name(result.found)

    def take_kept(self, found: Found, kept: Kept) -> bool:
        """Take what an earlier run read; False if there is nothing, or its page is missing."""
        crash = kept.get(found)
        if crash is None or (self._folder is not None and not has_page(self._folder, found)):
            return False
        self.take(Result(found, crash))
        return True


def _read(args: argparse.Namespace, kept: Kept, limits: Limits) -> _Have:
    """Read all, or as much as there was time for before Ctrl-C."""
    from btfdbg.cli.live_table import LiveTable

    have = _Have(limits.pages)
    new: list[Found] = []
    try:
        for found in find(args.paths):
            if found.skipped:
                have.errors.append(Result(found, None))
            elif not have.take_kept(found, kept):
                new.append(found)
        with LiveTable(len(new), args.quiet) as table:
            failed = 0
            for done, result in enumerate(_results(new, limits, args.scheduler), 1):
                have.take(result)
                if result.crash is None:
                    failed += 1
                else:
                    kept.add(result.found, result.crash)
                table.update(have.crashes, done, failed)
    except KeyboardInterrupt:
        have.interrupted = True
    finally:
        kept.close()
    return have


def _results(new: list[Found], limits: Limits, scheduler: str | None) -> Iterator[Result]:
    if scheduler is None:
        return workers.read_all(new, limits)
    from btfdbg.report.triage.on_dask import read_on_dask

    return read_on_dask(new, limits, scheduler)


def _for_terminal(text: str) -> str:
    from btfdbg.commands.wrapping import for_stream

    return for_stream(text)
