"""``btfdbg btf offset``: where a member is.

PATH is members joined by dots, array elements in brackets (`d_name.len`, `slots[3]`).
Prints bytes, and bits if it does not start a byte.
"""

from __future__ import annotations

from btfdbg.cli.btf.common import add_file, open_args

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("type", metavar="TYPE", help="struct, union or typedef")
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--bits", action="store_true", help="print bits, always")


def run(args: argparse.Namespace) -> int:
    bits = open_args(args).offset_of(args.type, args.path)
    if args.bits:
        print(bits)
    else:
        print(f"{bits // 8}" + (f"+{bits % 8} bits" if bits % 8 else ""))
    return 0
