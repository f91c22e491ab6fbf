"""``btfdbg triage PATH...``: many dumps and logs, which of them are one bug.

Finds dumps and logs in folders, reads each within bounds, groups them by signature and
says how often, since when, on which kernels, hosts and models. One bad file stops no other.

Owns the command line and the progress. The reading is ``btfdbg.report.workers``', the
grouping ``btfdbg.report.triage``'s.
"""

from __future__ import annotations

import argparse
import os
import sys

from btfdbg.errors import DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.finding import Found
    from btfdbg.report.known import Known
    from btfdbg.report.triage import Crash
    from btfdbg.report.workers import Limits, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths, the bounds and what is known."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="dumps, logs, or folders of them")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("-o", metavar="FILE", dest="out", help="write there instead of stdout")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
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

    :raises DebugInfoError: known.toml cannot be used, or FILE not written.
    """
    from btfdbg.report import triage, triage_text
    from btfdbg.report.kept import Kept, default_path
    from btfdbg.report.workers import Limits

    known = _known(args.known)
    limits = Limits(max(1.0, args.seconds), max(256, args.memory) << 20, max(1, args.jobs))
    kept = Kept(None if args.afresh else args.results or default_path())
    crashes, errors, interrupted = _read(args, kept, limits)
    if kept.problem:
        print(f"btfdbg: {kept.problem}", file=sys.stderr)
    groups = triage.group(crashes, known)
    hints = triage.hints(groups)
    if args.format == "json":
        import json

        lines = [json.dumps(row) for row in triage_text.rows(groups, hints, errors)]
    else:
        lines = [triage_text.as_text(groups, hints, errors)]
    _write("".join(line + "\n" for line in lines), args.out)
    if interrupted:
        print("btfdbg: interrupted; what was read is above, and kept", file=sys.stderr)
        return 130
    return 1 if any(one.error for one in errors) or not crashes else 0


def _known(path: str | None) -> tuple[Known, ...]:
    if path is None:
        return ()
    from btfdbg.report.known import parse_known

    try:
        with open(path, encoding="utf-8") as f:
            return parse_known(f.read(1 << 24), path)
    except (OSError, UnicodeDecodeError) as e:
        raise DebugInfoError(f"{path}: {getattr(e, 'strerror', None) or e}", step="known") from e


def _read(
    args: argparse.Namespace, kept: object, limits: Limits
) -> tuple[list[Crash], list[Result], bool]:
    """Return crashes, what could not be read, and whether Ctrl-C came."""
    from btfdbg.report.finding import find
    from btfdbg.report.kept import Kept
    from btfdbg.report.workers import Result, read_all

    assert isinstance(kept, Kept)
    crashes: list[Crash] = []
    errors: list[Result] = []
    new: list[Found] = []
    show = sys.stderr.isatty() and not args.quiet
    try:
        for found in find(args.paths):
            if found.skipped:
                errors.append(Result(found, None))
                continue
            crash = kept.get(found)
            if crash is None:
                new.append(found)
            else:
                crashes.append(crash)
        for done, result in enumerate(read_all(new, limits), 1):
            if result.crash is None:
                errors.append(result)
            else:
                crashes.append(result.crash)
                kept.add(result.found, result.crash)
            if show:
                print(f"\r{done}/{len(new)}", end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        return crashes, errors, True
    finally:
        kept.close()
        if show and new:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return crashes, errors, False


def _write(text: str, out: str | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        with open(out, "w", encoding="utf-8") as f:
            f.write(text)
    except OSError as e:
        raise DebugInfoError(f"{out}: {e.strerror}", step="output") from e
