"""``btfdbg btf embed``: put BTF into a copy of a module or object.

.BTF, and .BTF.base if given, are replaced or added; every other byte of the ELF file
stays where it is. A compressed module is written uncompressed. A signature at the
module's end (CONFIG_MODULE_SIG) no longer fits the new contents and is left out.
"""

from __future__ import annotations

from btfdbg.cli.btf.common import add_output, read_bytes, write_out
from btfdbg.images import compressed, elf
from btfdbg.images.modules import without_signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("elf", metavar="ELF", help="module (.ko, .xz, .zst, .gz) or object")
    parser.add_argument("--btf", metavar="FILE", help="raw BTF to put into .BTF")
    parser.add_argument("--distilled-base", metavar="FILE", help="raw BTF to put into .BTF.base")
    parser.add_argument(
        "--no-distilled-base", action="store_true", help="empty an existing .BTF.base"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    data = read_bytes(args.elf)
    if compressed.format_of(data):
        data = compressed.decompress(data)
    contents: dict[str, bytes | None] = {}
    if args.btf:
        contents[".BTF"] = read_bytes(args.btf)
    if args.distilled_base:
        contents[".BTF.base"] = read_bytes(args.distilled_base)
    elif args.no_distilled_base:
        contents[".BTF.base"] = None
    write_out(args.output, elf.replace_sections(without_signature(data), contents))
    return 0
