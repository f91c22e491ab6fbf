"""``btfdbg btf relocate``: put split BTF on top of another base.

FILE is a module with .BTF.base, or a raw split whose distilled base --base names. If
the new base lacks types, all of them are listed and nothing is written: status 1.
--rebase takes a split on top of a complete base, and --base names that.
"""

from __future__ import annotations

import sys

from btfdbg.btf.btf import Btf
from btfdbg.btf.relocate import relocate
from btfdbg.cli.btf.common import add_file, open_args, open_base, open_btf
from btfdbg.cli.btf.elfout import add_outputs, write_outputs
from btfdbg.errors import BtfRelocateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument(
        "-t",
        "--target",
        metavar="BASE",
        action="append",
        required=True,
        help="the new base; repeat for each further level",
    )
    parser.add_argument(
        "--compat",
        choices=("strict", "libbpf"),
        default="strict",
        help="decide as libbpf does, where that differs",
    )
    parser.add_argument(
        "--rebase", action="store_true", help="the base is complete, not a distilled one"
    )
    add_outputs(parser)


def run(args: argparse.Namespace) -> int:
    split = open_args(args) if args.base else open_btf(args.file)
    target = open_base(args.target, force=args.force)
    assert target is not None  # required
    try:
        out = _moved(args, split, target)
    except BtfRelocateError as error:
        for mismatch in error.mismatches:
            print(mismatch)
        print(f"btfdbg: {args.file}: {len(error.mismatches)} types do not match", file=sys.stderr)
        return 1
    write_outputs(args, out)
    return 0


def _moved(args: argparse.Namespace, split: Btf, target: Btf) -> Btf:
    if args.rebase:
        from btfdbg.btf.merge import rebase

        return rebase(split, target)
    return relocate(split, target, args.compat)
