"""Writing changed BTF back: as a raw file, or into a copy of the module it came from."""

from __future__ import annotations

import argparse

from btfdbg.btf.btf import Btf
from btfdbg.commands.btftool.common import read_bytes, write_out
from btfdbg.errors import ImageError
from btfdbg.images import compressed, elf
from btfdbg.images.modules import without_signature


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add ``-o`` and ``--into``."""
    parser.add_argument("-o", "--output", metavar="OUT", help="raw BTF to write")
    parser.add_argument(
        "--into",
        metavar="KO",
        help="write a copy of FILE, a module, with the result in it",
    )


def write_outputs(args: argparse.Namespace, btf: Btf, base: Btf | None = None) -> None:
    """
    Write what :func:`add_outputs` asks for.

    :param base: Distilled base; a copied module gets it as .BTF.base, else loses its own.
    :raises ImageError: neither was asked for, or FILE is no ELF file.
    """
    if args.output is None and args.into is None:
        raise ImageError("where to? give -o OUT or --into KO")
    if args.output is not None:
        write_out(args.output, bytes(btf.raw))
    if args.into is not None:
        data = read_bytes(args.file)
        if compressed.format_of(data):
            data = compressed.decompress(data)
        contents: dict[str, bytes | None] = {".BTF": bytes(btf.raw)}
        contents[".BTF.base"] = None if base is None else bytes(base.raw)
        write_out(args.into, elf.replace_sections(without_signature(data), contents))
