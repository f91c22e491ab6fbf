"""``btfdbg btf merge``: several BTFs of one base into one.

Types that several have are in the result once; types of one name that differ stay
several.
"""

from __future__ import annotations

from btfdbg.btf.merge import merge
from btfdbg.cli.btf.common import add_base, add_output, open_base, open_btf, write_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="BTF on top of the base")
    add_base(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    base = open_base(args.base, force=args.force)
    merged = merge([open_btf(path, base, force=args.force) for path in args.files])
    write_out(args.output, bytes(merged.raw))
    return 0
