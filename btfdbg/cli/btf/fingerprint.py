"""``btfdbg btf fingerprint``: 128 bits per type, comparable across kernels.

layout  what is in the type's memory; what is pointed to counts by name
deep    all that can be reached from it

Without NAME, every named struct, union, enum and typedef.
"""

from __future__ import annotations

from btfdbg.btf.fingerprint import Fingerprints
from btfdbg.btf.format import Kind, kind_name
from btfdbg.cli.btf.common import add_file, open_args
from btfdbg.errors import BtfFormatError, BtfNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_LISTED = frozenset({Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("name", metavar="NAME", nargs="*", default=[])
    parser.add_argument("--deep", action="store_true", help="deep instead of layout")


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    prints = Fingerprints(btf)
    ids: list[int] = []
    for name in args.name:
        found = btf.types_by_name(name)
        if not found:
            raise BtfNotFoundError(f"no type named {name!r}")
        ids += found
    if not args.name:
        ids = [t for t in btf.ids() if btf.kind_of(t) in _LISTED and btf.name_of(t)]
    status = 0
    for type_id in ids:
        what = f"{kind_name(btf.kind_of(type_id)).lower()} {btf.name_of(type_id)}"
        try:
            value = (prints.deep(type_id) if args.deep else prints.layout(type_id)).hex()
        except BtfFormatError as error:
            value, status = f"({error})", 1
        print(f"{value} {what}")
    return status
