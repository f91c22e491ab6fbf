"""``btfdbg btf find``: types by name, pattern, kind or member.

One line per type: id, kind, name, size in bytes; with --member, one per member: its
offset in bytes (and bits), and what it is a member of. Exit status 1 if there is none.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.find import Found, find
from btfdbg.btf.format import Kind, kind_name
from btfdbg.cli.btf.common import add_file, open_args
from btfdbg.errors import BtfFormatError, BtfNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_KINDS = {kind.name.lower(): int(kind) for kind in Kind if kind}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="name or glob pattern")
    kinds = ", ".join(sorted(_KINDS))
    parser.add_argument(
        *("-k", "--kind"),
        choices=sorted(_KINDS),
        action="append",
        default=[],
        metavar="KIND",
        help=f"one of {kinds}; may be repeated",
    )
    parser.add_argument("-m", "--member", metavar="NAME", help="has such a member (glob)")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of lines")


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    found = find(btf, args.name, kinds=[_KINDS[k] for k in args.kind], member=args.member)
    if args.json:
        import json

        rows = [
            {
                "id": f.type_id,
                "kind": kind_name(f.kind).lower(),
                "name": f.name,
                "size": _size(btf, f.type_id),
                "members": [{"name": n, "bit_offset": at} for n, at in f.members],
            }
            for f in found
        ]
        print(json.dumps(rows, indent=1))
    else:
        for row in found:
            _print(btf, row)
    return 0 if found else 1


def _size(btf: Btf, type_id: int) -> int | None:
    try:
        return btf.resolve_size(type_id)
    except (BtfNotFoundError, BtfFormatError):
        return None  # it has none, or contains itself


def _print(btf: Btf, found: Found) -> None:
    what = f"[{found.type_id}] {kind_name(found.kind)} '{found.name or '(anon)'}'"
    for name, bit_offset in found.members:
        at = f"{bit_offset // 8}" + (f"+{bit_offset % 8} bits" if bit_offset % 8 else "")
        print(f"{what} {name} at {at}")
    if not found.members:
        size = _size(btf, found.type_id)
        print(what if size is None else f"{what} size={size}")
