"""``btfdbg vars extract``

Read the names and types of all variables out of the DWARF of a kernel and its modules,
put them into the text source of the variable database, and compile that.

  btfdbg vars extract /usr/lib/debug/lib/modules/$R/vmlinux /usr/lib/debug/lib/modules/$R

A folder stands for all modules (*.ko, *.ko.debug) below it. A kernel that the source
has already is replaced. With no files at all the source is only compiled.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from btfdbg.errors import DebugInfoError

if TYPE_CHECKING:
    from btfdbg.varextract.extract import Image

SOURCE = "variables.txt"
CURATED = "curated.txt"
_HEADER = """\
# Types of the kernel's global variables, out of DWARF; "btfdbg vars extract" writes this
# file and btfdbg/vardb/textdb.py explains it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("vmlinux", metavar="VMLINUX", nargs="?", type=Path, help="with DWARF")
    parser.add_argument(
        "modules", metavar="MODULE", nargs="*", type=Path, help="module with DWARF, or a folder"
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        type=Path,
        default=Path("corefiles/variables"),
        help=f"folder of {SOURCE} and {CURATED} (default: %(default)s, as in a checkout)",
    )
    parser.add_argument("--release", help="the kernel's release, if its files do not say it")
    parser.add_argument("--lane", help="architecture and flavour (default: guessed, amd64-full)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="compiled database (default: shipped)"
    )


def run(args: argparse.Namespace) -> int:
    """Extract, merge, compile."""
    from btfdbg.vardb.database import BUILTIN, Database
    from btfdbg.vardb.textdb import Kernel, TextDatabase
    from btfdbg.varextract.extract import release_of
    from btfdbg.varextract.merge import merge

    source, curated = args.source / SOURCE, args.source / CURATED
    if not args.source.is_dir():
        raise DebugInfoError(
            f"{args.source}: no such folder", step="vars", hint="run it in a checkout, or --source"
        )
    text = TextDatabase.read(source) if source.exists() else TextDatabase()
    if args.vmlinux is not None:
        start = time.monotonic()
        release = args.release or release_of(args.vmlinux)
        if not release:
            raise DebugInfoError(f"{args.vmlinux}: which release? give --release", step="vars")
        images = list(_images(args.vmlinux, list(_files(args.modules))))
        kernel = Kernel.of(release, images[0].machine)
        if args.lane:
            kernel = Kernel(args.lane, kernel.series, kernel.release, kernel.machine)
        merged = merge(text, kernel, images)
        text.write(source, _HEADER)
        print(
            f"{release}: {len(images) - 1} modules, {merged.rows} variables, {merged.kept} kept, "
            f"{time.monotonic() - start:.1f} s"
        )
    text = TextDatabase.read(*(path for path in (source, curated) if path.exists()))
    database = Database.from_text(text)
    packed = database.pack()
    output = args.output or BUILTIN
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(packed)
    print(
        f"{output.name}: {len(packed)} bytes, {len(database)} names, "
        f"{len(database.families)} families, {len(database.kernels)} kernels"
    )
    return 0


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*.ko*") if p.suffix in (".ko", ".debug"))
        else:
            yield path


def _images(vmlinux: Path, modules: list[Path]) -> Iterator[Image]:
    from btfdbg.errors import BtfdbgError
    from btfdbg.varextract.extract import extract_all

    for path, found in extract_all(vmlinux, modules):
        if isinstance(found, BtfdbgError):
            print(f"{path}: skipped: {found}", file=sys.stderr)
        else:
            yield found
