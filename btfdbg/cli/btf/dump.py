"""``btfdbg btf dump``: a BTF's types as text.

raw   bpftool's notation, which `btfdbg btf assemble` reads back; --exact makes that
      the very same bytes
c     a header that compiles; --sort --kfuncs for what bpftool prints
json  every word of every type, which `btfdbg btf assemble` reads back too
"""

from __future__ import annotations

import sys

from btfdbg.cli.btf.common import add_file, add_output, open_args, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("-f", "--format", choices=("raw", "c", "json"), default="raw")
    parser.add_argument(
        "--exact", action="store_true", help="raw: header and strings too, for the same bytes back"
    )
    parser.add_argument(
        "--assertions",
        action="store_true",
        help="c: static assertions of every size and offset",
    )
    parser.add_argument(
        "--sort", action="store_true", help="c: by what types are and their names, as bpftool does"
    )
    parser.add_argument(
        "--kfuncs", action="store_true", help="c: prototypes of what BPF programs may call"
    )
    add_output(parser, required=False)


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    if args.format == "raw":
        from btfdbg.btf.text.rawtext import dump

        write_text(args.output, dump(btf, exact=args.exact))
    elif args.format == "json":
        from btfdbg.btf.text.jsondump import dump_json

        write_text(args.output, dump_json(btf))
    else:
        from btfdbg.btf.cheader.header import dump_c

        remarks: list[str] = []
        text = dump_c(
            btf, assertions=args.assertions, sort=args.sort, kfuncs=args.kfuncs, remarks=remarks
        )
        write_text(args.output, text)
        for remark in remarks:
            print(f"btfdbg: {remark}", file=sys.stderr)
    return 0
