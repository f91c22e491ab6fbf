"""``btfdbg btf diff``: what changed between two BTFs' types.

Exit status as diff(1): 0 the same, 1 different, 2 trouble. With --kabi, only changes
that break code built for the first count and are shown. What only the encoders made
different (signs that one did not write, functions that one left out) is no change, and
is said on stderr.
"""

from __future__ import annotations

import json
import sys

from btfdbg.btf.diff import Change, diff_with_remarks
from btfdbg.btf.encoder import remarks
from btfdbg.cli.btf.common import add_base, open_base, open_btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the older")
    parser.add_argument("b", metavar="B", help="the newer")
    add_base(parser)
    parser.add_argument(
        "--base-b",
        metavar="FILE",
        action="append",
        default=[],
        help="base of B, if it is another one than A's",
    )
    parser.add_argument("--name", metavar="PATTERN", help="only types of this name (glob)")
    parser.add_argument("--kabi", action="store_true", help="only what breaks existing code")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of lines")


def run(args: argparse.Namespace) -> int:
    force = args.force
    base = open_base(args.base, force=force)
    base_b = open_base(args.base_b, force=force) if args.base_b else base
    a, b = open_btf(args.a, base, force=force), open_btf(args.b, base_b, force=force)
    changes, left_out = diff_with_remarks(a, b, names=args.name)
    for which, btf in (("A", a), ("B", b)):
        for remark in remarks(btf):
            print(f"btfdbg: {which}: {remark}", file=sys.stderr)
    for remark in left_out:
        print(f"btfdbg: {remark}", file=sys.stderr)
    if args.kabi:
        changes = [change for change in changes if change.breaking]
    if args.json:
        print(json.dumps([change.as_dict() for change in changes], indent=1))
    else:
        for change in changes:
            _print(change, args.kabi)
    return 1 if changes else 0


def _print(change: Change, kabi: bool) -> None:
    mark = {"added": "+", "removed": "-", "changed": "~"}[change.status]
    print(f"{mark} {change.kind} {change.name}")
    for detail in change.details:
        if detail.breaking or not kabi:
            print(f"    {'!' if detail.breaking else ' '} {detail}")
