"""``btfdbg btf dedup``: merge types that are the same, drop unused strings.

With --base, FILE's types are merged with each other and into the base, which stays as
it is.
"""

from __future__ import annotations

import argparse
import sys

from btfdbg.btf.dedup import dedup
from btfdbg.commands.btftool.common import add_file, open_args
from btfdbg.commands.btftool.elfout import add_outputs, write_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_outputs(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what it gave")


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    out = dedup(btf)
    write_outputs(args, out)
    if args.verbose:
        print(
            f"{len(btf.offsets)} -> {len(out.offsets)} types, "
            f"{len(btf.raw)} -> {len(out.raw)} bytes",
            file=sys.stderr,
        )
    return 0
