"""Writing changed BTF back: as a raw file, or into a copy of the module it came from."""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.cli.btf.common import read_bytes, write_out
from btfdbg.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add ``-o`` and ``--into``."""
    parser.add_argument("-o", "--output", metavar="OUT", help="raw BTF to write")
    parser.add_argument(
        "--into",
        metavar="KO",
        help="write a copy of FILE, a module, with the result in it",
    )


def _read_elf(path: str) -> bytes:
    from btfdbg.images import compressed

    data = read_bytes(path)
    return compressed.decompress(data) if compressed.format_of(data) else data


def read_section(path: str, name: str) -> bytes | None:
    """Return a section of an ELF file, ``None`` if it has no such or is none."""
    from btfdbg.images import elf

    data = _read_elf(path)
    return elf.sections(data, (name,)).get(name) if data[:4] == elf.MAGIC else None


def write_outputs(
    args: argparse.Namespace, btf: Btf, base: Btf | None = None, ext: bytes | None = None
) -> None:
    """
    Write what :func:`add_outputs` asks for.

    :param base: Distilled base; a copied module gets it as .BTF.base, else loses its own.
    :param ext: What a copied object gets as .BTF.ext, if that changed.
    :raises ImageError: neither was asked for, or FILE is no ELF file.
    """
    if args.output is None and args.into is None:
        raise ImageError("where to? give -o OUT or --into KO")
    if args.output is not None:
        write_out(args.output, bytes(btf.raw))
    if args.into is not None:
        from btfdbg.images import elf
        from btfdbg.images.modules import without_signature

        data = _read_elf(args.file)
        contents: dict[str, bytes | None] = {".BTF": bytes(btf.raw)}
        contents[".BTF.base"] = None if base is None else bytes(base.raw)
        if ext is not None:
            contents[".BTF.ext"] = ext
        write_out(args.into, elf.replace_sections(without_signature(data), contents))
