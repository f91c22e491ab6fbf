"""``btfdbg btf convert``: the same types in another form.

Options may be combined. Ids stay, unless types are sorted.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.cli.btf.common import add_file, add_output, open_args, write_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_output(parser)
    parser.add_argument("--byteorder", choices=("little", "big"))
    parser.add_argument(
        "--sort", action="store_true", help="by name, as kernels from 7.0 on have them"
    )
    parser.add_argument(
        "--for-kernel",
        metavar="RELEASE",
        help="replace kinds that this kernel cannot load, e.g. 5.15",
    )
    parser.add_argument("--header", type=int, choices=(24, 32), help="bytes of the header")
    layout = parser.add_mutually_exclusive_group()
    layout.add_argument("--layout", action="store_true", help="write a layout section")
    layout.add_argument("--no-layout", action="store_true", help="leave the layout section out")


def run(args: argparse.Namespace) -> int:
    from btfdbg.btf.builder import Builder
    from btfdbg.btf.pack import with_byteorder

    btf = open_args(args)

    def again(data: bytes) -> Btf:
        return Btf.parse(data, btf.base)

    if args.for_kernel:
        from btfdbg.btf.downlevel import downlevel, features_of

        btf = again(downlevel(btf, features_of(args.for_kernel)))
    if args.sort:
        from btfdbg.btf.order import sort_by_name

        btf = again(sort_by_name(btf))
    if args.layout or args.no_layout or args.header:
        builder = Builder.like(btf)
        builder.layout = args.layout or (builder.layout and not args.no_layout)
        builder.header_len = args.header or builder.header_len
        btf = again(builder.build())
    write_out(args.output, with_byteorder(btf, args.byteorder or btf.byteorder))
    return 0
