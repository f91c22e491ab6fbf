"""``btfdbg btf isf``: BTF as a symbol table for volatility3 (ISF JSON).

--symbols takes System.map or a saved /proc/kallsyms; types of variables come from the
BTF's own VARs, which an extra BTF on top of the kernel's can have more of.
"""

from __future__ import annotations

import json

from btfdbg import __version__
from btfdbg.btf.text.isf import to_isf
from btfdbg.cli.btf.common import add_file, open_args, read_bytes, write_text
from btfdbg.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--symbols", metavar="FILE", help="System.map or /proc/kallsyms")
    parser.add_argument("--banner", metavar="TEXT", help="the kernel's linux_banner")
    parser.add_argument("-o", "--output", metavar="OUT", help="file to write, stdout by default")


def _symbols(path: str) -> dict[str, int]:
    out: dict[str, int] = {}
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        try:
            address = int(words[0], 16)
            name = words[2]
        except (IndexError, ValueError):
            raise ImageError(f"{path}:{number}: expected ADDRESS TYPE NAME") from None
        if len(words) == 3:  # a fourth is the module it is in
            out.setdefault(name, address)
    return out


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    symbols = _symbols(args.symbols) if args.symbols else None
    banner = None
    if args.banner is not None:
        banner = args.banner.encode("utf-8", "surrogateescape")
        banner = banner.rstrip(b"\n\0") + b"\n\0"
    table = to_isf(btf, symbols, banner=banner, version=__version__)
    write_text(args.output, (json.dumps(table, indent=1), "\n"))
    return 0
