"""``btfdbg btf distill``: make split BTF that can be relocated onto another base.

OUT is the split on top of the distilled base that --output-base names. With --into,
both go into a copy of the module, as .BTF and .BTF.base.
"""

from __future__ import annotations

from btfdbg.btf.distill import distill_base
from btfdbg.cli.btf.common import add_file, open_args, write_out
from btfdbg.cli.btf.elfout import add_outputs, write_outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_outputs(parser)
    parser.add_argument("--output-base", metavar="OUT", help="distilled base to write, raw")


def run(args: argparse.Namespace) -> int:
    base, split = distill_base(open_args(args))
    write_outputs(args, split, base)
    if args.output_base is not None:
        write_out(args.output_base, bytes(base.raw))
    return 0
