"""``btfdbg btf isf``: BTF as a symbol table for volatility3 (ISF JSON).

--symbols takes System.map, a saved /proc/kallsyms or the output of ``sym -l``; types of
variables come from the BTF's own VARs, which an extra BTF on top of the kernel's can have
more of. A dump without --symbols gives what ``btfdbg isf`` does.
"""

from __future__ import annotations

import json
import sys

from btfdbg import __version__
from btfdbg.btf.text.isf import to_isf
from btfdbg.cli.btf.common import add_file, open_args, read_bytes, write_text
from btfdbg.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from btfdbg.kallsyms.model import Sym

# Where the kernel is linked: x86's CONFIG_PHYSICAL_START, arm64's KIMAGE_VADDR of the
# 48-bit layouts so far. Only to remark on addresses that are likely a running kernel's.
_LINKED = frozenset(
    {0xFFFFFFFF81000000, 0xFFFF800008000000, 0xFFFF800010000000, 0xFFFF800080000000}
)
_MASK64 = (1 << 64) - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument(
        "--symbols", metavar="FILE", help="System.map, /proc/kallsyms or what sym -l prints"
    )
    parser.add_argument(
        "--kernel-offset",
        metavar="BYTES",
        type=lambda text: int(text, 0),
        default=0,
        help="what KASLR added to the symbols' addresses; volatility3 wants them without",
    )
    parser.add_argument("--banner", metavar="TEXT", help="the kernel's linux_banner")
    parser.add_argument("-o", "--output", metavar="OUT", help="file to write, stdout by default")


def _symbols(path: str, kernel_offset: int) -> dict[str, int]:
    from btfdbg.kallsyms.sources import parse_map

    text = read_bytes(path)
    table = parse_map(text, path)
    by_name: dict[str, list[Sym]] = {}
    for sym in table:
        by_name.setdefault(sym.name, []).append(sym)
    start = by_name.get("__per_cpu_start")
    absolute = start is not None and start[0].address < 4096
    out = {}
    for name, syms in by_name.items():
        # As a debugger would: the global one of several.
        sym = next((s for s in syms if s.type_letter.isupper()), syms[0])
        stays = absolute and sym.percpu
        out[name] = sym.address if stays else (sym.address - kernel_offset) & _MASK64
    _remark(path, text, out.get("_text", out.get("_stext")))
    return out


def _remark(path: str, text: bytes, start: int | None) -> None:
    """Say so if the addresses are likely those of a running kernel."""
    if start is None or start & ~0xFFFF in _LINKED:
        return
    why = "and modules are listed" if b"]\n" in text else "where no known kernel is linked"
    print(
        f"btfdbg: {path}: _text is at {start:#x}, {why}: these look like a running kernel's"
        " addresses; volatility3 adds KASLR's displacement itself, take it off with"
        " --kernel-offset",
        file=sys.stderr,
    )


def run(args: argparse.Namespace) -> int:
    if args.symbols is None and not args.base and _is_dump(args.file):
        return _of_dump(args)
    btf = open_args(args)
    symbols = _symbols(args.symbols, args.kernel_offset) if args.symbols else None
    banner = None
    if args.banner is not None:
        banner = args.banner.encode("utf-8", "surrogateescape")
        banner = banner.rstrip(b"\n\0") + b"\n\0"
    table = to_isf(
        btf,
        symbols,
        banner=banner,
        version=__version__,
        symbol_kind="system-map",
        symbol_name=args.symbols or "",
    )
    write_text(args.output, (json.dumps(table, indent=1), "\n"))
    return 0


def _is_dump(path: str) -> bool:
    from btfdbg import images

    return images.is_dump(images.read_head(path))


def _of_dump(args: argparse.Namespace) -> int:
    from btfdbg.cli.outputs import is_stdout
    from btfdbg.handover import isf
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session

    table, _ = isf.table_of(session(program_from_core_dump(args.file)))
    if args.banner is not None:
        raise ImageError(f"{args.file}: a dump has a banner of its own; leave out --banner")
    if is_stdout(args.output):
        write_text(None, (json.dumps(table, indent=1), "\n"))
    else:
        isf.write(table, args.output)
    return 0
