"""``btfdbg btf holes``: a struct's members with offsets, holes and cache lines.

Notation and numbers are pahole's. Without NAME, structs of at least --min bytes in
holes and padding are listed, most first: bytes wasted, size, name.
"""

from __future__ import annotations

import argparse

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.format import COMPOSITES, Kind
from btfdbg.btf.holes import as_text, holes
from btfdbg.cli.btf.common import add_file, open_args
from btfdbg.errors import BtfNotFoundError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument(
        "name", metavar="NAME", nargs="*", default=[], help="struct, union or typedef of one"
    )
    parser.add_argument("--cacheline", metavar="BYTES", type=_positive, default=64)
    parser.add_argument("--min", metavar="BYTES", type=int, default=1)


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("expected a positive number")
    return value


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    texts = Texts(btf)
    if not args.name:
        return _list(btf, texts, args.min)
    for name in args.name:
        for type_id in _composites(btf, name):
            print("\n".join(as_text(holes(texts, type_id), args.cacheline)))
    return 0


def _composites(btf: Btf, name: str) -> list[int]:
    name = name.removeprefix("struct ").removeprefix("union ")
    found: list[int] = list(btf.types_by_name(name, COMPOSITES))
    if not found:
        targets = [btf.skip_mods_and_typedefs(t) for t in btf.types_by_name(name, Kind.TYPEDEF)]
        found = [int(t) for t in targets if btf.kind_of(t) in COMPOSITES]
    if not found:
        raise BtfNotFoundError(f"no struct, union or typedef of one named {name!r}")
    return sorted(set(found))


def _list(btf: Btf, texts: Texts, least: int) -> int:
    rows = []
    for type_id in btf.ids():
        if btf.kind_of(type_id) == Kind.STRUCT and btf.name_of(type_id):
            found = holes(texts, type_id)
            if found.wasted >= least:
                rows.append((-found.wasted, found.size, found.head))
    for wasted, size, head in sorted(rows):
        print(f"{-wasted:7} {size:7} {head}")
    return 0
