"""``btfdbg btf dedup``: merge types that are the same, drop unused strings.

With --base, FILE's types are merged with each other and into the base, which stays as
it is. The .BTF.ext of a BPF object follows when both go into a copy of it (--into).
"""

from __future__ import annotations

import sys

from btfdbg.btf.dedup.dedup import PreparedBase, dedup_with_map
from btfdbg.cli.btf.common import add_file, keep_until_the_end, open_args
from btfdbg.cli.btf.elfout import add_outputs, read_section, write_outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    add_outputs(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what it gave")


def run(args: argparse.Namespace) -> int:
    btf = open_args(args)
    prepared = None
    if btf.base is not None:
        prepared = PreparedBase(btf.base)
        keep_until_the_end(prepared)
    result = dedup_with_map(btf, prepared)
    out, ext = result.btf, None
    data = read_section(args.file, ".BTF.ext") if args.into is not None else None
    if data is not None:
        from btfdbg.btf.btfext import move_ext

        ext, out = move_ext(data, btf, out, result.ids)
    write_outputs(args, out, ext=ext)
    if args.verbose:
        print(
            f"{len(btf.offsets)} -> {len(out.offsets)} types, "
            f"{len(btf.raw)} -> {len(out.raw)} bytes",
            file=sys.stderr,
        )
    return 0
