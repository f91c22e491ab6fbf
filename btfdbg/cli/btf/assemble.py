"""``btfdbg btf assemble``: BTF from text.

Reads the raw notation (of `btfdbg btf dump`, bpftool, or written by hand) and the JSON
of `btfdbg btf dump --format json`.
"""

from __future__ import annotations

import sys

from btfdbg.btf.base_match import of_functions
from btfdbg.btf.btf import Btf
from btfdbg.cli.btf.common import add_base, add_output, open_base, read_bytes, write_out, wrong_base
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="file to read, - for stdin")
    add_base(parser)
    add_output(parser)


def _read(path: str) -> str:
    data = sys.stdin.buffer.read() if path == "-" else read_bytes(path)
    return data.decode("utf-8", "surrogateescape")


def run(args: argparse.Namespace) -> int:
    base = open_base(args.base, force=args.force)
    text = _read(args.text)
    try:
        if text.lstrip()[:1] == "{":
            from btfdbg.btf.text.jsondump import load_json

            data = load_json(text, base)
        else:
            from btfdbg.btf.text.assemble import assemble

            data = assemble(text, base)
    except BtfFormatError as error:
        raise BtfFormatError(f"{args.text}: {error}") from None
    if base is not None and not args.force:
        problem = of_functions(Btf.parse(data, base))
        if problem:
            raise wrong_base(args.text, problem)
    write_out(args.output, data)
    return 0
