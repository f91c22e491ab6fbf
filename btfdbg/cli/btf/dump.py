"""``btfdbg btf dump``: a BTF's types as text.

raw   bpftool's notation, which `btfdbg btf assemble` reads back; --exact makes that
      the very same bytes
c     a header that compiles; --sort --kfuncs for what bpftool prints
json  every word of every type, which `btfdbg btf assemble` reads back too
"""

from __future__ import annotations

import sys

from btfdbg.btf.btf import Btf
from btfdbg.cli.btf.common import (
    add_file,
    add_output,
    encoded,
    open_args,
    parse_read,
    read_btf,
    write_out,
    write_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from btfdbg.images import BtfBlobs


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
    if args.format == "c":
        return _run_c(args)
    btf = open_args(args)
    if args.format == "raw":
        from btfdbg.btf.text.rawtext import dump

        write_text(args.output, dump(btf, exact=args.exact))
    else:
        from btfdbg.btf.text.jsondump import dump_json

        write_text(args.output, dump_json(btf))
    return 0


def _run_c(args: argparse.Namespace) -> int:
    options = {"assertions": args.assertions, "sort": args.sort, "kfuncs": args.kfuncs}
    remarks: list[str] = []
    kept = header = None
    if args.base:
        btf: Btf | BtfBlobs = open_args(args)
    else:
        btf = read_btf(args.file)
        if btf.base is None:
            from btfdbg.cli.btf.kept_header import KeptHeader

            kept = KeptHeader.of(btf.raw if isinstance(btf, Btf) else btf.btf, **options)
            header = None if kept is None else kept.load(remarks)
    if header is not None:
        write_out(args.output, (header,))
    else:
        from btfdbg.btf.cheader.header import dump_c

        if not isinstance(btf, Btf):
            btf = parse_read(args.file, btf)
        chunks = encoded(dump_c(btf, **options, remarks=remarks))
        write_out(args.output, chunks if kept is None else kept.keep(chunks, remarks))
    for remark in remarks:
        print(f"btfdbg: {remark}", file=sys.stderr)
    return 0
