"""``btfdbg vars extract``

Read the names and types of all variables, and the source files of all functions, out of
the DWARF of a kernel and its modules, put them into the text sources of the variable
database and of the table of source files, and compile these.

  btfdbg vars extract /usr/lib/debug/lib/modules/$R/vmlinux /usr/lib/debug/lib/modules/$R

A folder stands for all modules (*.ko, *.ko.debug) below it. A kernel that the source
has already is replaced. With no files at all the sources are only compiled.
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
    from btfdbg.vardb.textdb import Kernel
    from btfdbg.varextract.extract import Image

SOURCE = "variables.txt"
CURATED = "curated.txt"
FUNCTIONS = "functions.txt"
_HEADER = """\
# Types of the kernel's global variables, out of DWARF; "btfdbg vars extract" writes this
# file and btfdbg/vardb/textdb.py explains it.
"""
_FUNCTIONS_HEADER = """\
# Source files of the functions of kernels, out of DWARF; "btfdbg vars extract" writes this
# file and btfdbg/frames/sources/text.py explains it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("vmlinux", metavar="VMLINUX", nargs="?", type=Path, help="with DWARF")
    parser.add_argument(
        "modules",
        metavar="MODULE",
        nargs="*",
        default=[],
        type=Path,
        help="module with DWARF, or a folder",
    )
    parser.add_argument(
        "--source",
        metavar="DIR",
        type=Path,
        default=Path("corefiles/variables"),
        help=f"folder of {SOURCE} and {CURATED} (default: %(default)s, as in a checkout)",
    )
    parser.add_argument("--release", help="the kernel's release, if its files do not say it")
    parser.add_argument(
        "--flavour", help="as Debian names it, architecture first (default: guessed, amd64-full)"
    )
    parser.add_argument(
        "--only", choices=("variables", "functions"), help="leave the others as they are"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="compiled database, or with --only functions table (default: shipped)",
    )


def run(args: argparse.Namespace) -> int:
    """Extract, merge, compile."""
    if not args.source.is_dir():
        raise DebugInfoError(
            f"{args.source}: no such folder", step="vars", hint="run it in a checkout, or --source"
        )
    if args.only != "functions":
        _variables(args)
    if args.only != "variables":
        _functions(args)
    return 0


def _kernel(args: argparse.Namespace, machine: str) -> Kernel:
    from btfdbg.vardb.textdb import Kernel
    from btfdbg.varextract.extract import release_of

    release = args.release or release_of(args.vmlinux)
    if not release:
        raise DebugInfoError(f"{args.vmlinux}: which release? give --release", step="vars")
    kernel = Kernel.of(release, machine)
    if args.flavour:
        kernel = Kernel(args.flavour, kernel.series, kernel.release, kernel.machine)
    return kernel


def _functions(args: argparse.Namespace) -> None:
    """Source files of functions: extract, merge, compile."""
    from btfdbg.errors import BtfdbgError
    from btfdbg.frames.sources.pack import pack
    from btfdbg.frames.sources.table import BUILTIN
    from btfdbg.frames.sources.text import FunctionText
    from btfdbg.varextract.extract import module_name
    from btfdbg.varextract.functions import extract_functions

    source = args.source / FUNCTIONS
    text = FunctionText.read(source) if source.exists() else FunctionText()
    if args.vmlinux is not None:
        start = time.monotonic()
        images = [extract_functions(args.vmlinux)]
        for path in _files(args.modules):
            try:
                images.append(extract_functions(path, module=module_name(path)))
            except BtfdbgError as e:
                print(f"{path}: skipped: {e}", file=sys.stderr)
        kernel = _kernel(args, images[0].machine)
        keys = text.merge(kernel, images)
        text.write(source, _FUNCTIONS_HEADER)
        print(
            f"{kernel.release}: {len(images) - 1} modules, {sum(len(i.rows) for i in images)} "
            f"functions, {keys} keys, {time.monotonic() - start:.1f} s"
        )
    packed = pack(text)
    output = args.output if args.only and args.output else Path(BUILTIN)
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(packed)
    print(f"{output.name}: {len(packed)} bytes, {len(text.kernels)} kernels")


def _variables(args: argparse.Namespace) -> None:
    """Types of variables: extract, merge, compile."""
    from btfdbg.vardb.database import BUILTIN, Database
    from btfdbg.vardb.textdb import TextDatabase
    from btfdbg.varextract.merge import merge

    source, curated = args.source / SOURCE, args.source / CURATED
    text = TextDatabase.read(source) if source.exists() else TextDatabase()
    if args.vmlinux is not None:
        start = time.monotonic()
        images = list(_images(args.vmlinux, list(_files(args.modules))))
        kernel = _kernel(args, images[0].machine)
        merged = merge(text, kernel, images)
        text.write(source, _HEADER)
        print(
            f"{kernel.release}: {len(images) - 1} modules, {merged.rows} variables, "
            f"{merged.kept} kept, {time.monotonic() - start:.1f} s"
        )
    text = TextDatabase.read(*(path for path in (source, curated) if path.exists()))
    database = Database.from_text(text)
    packed = database.pack()
    output = args.output or Path(BUILTIN)
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(packed)
    print(
        f"{output.name}: {len(packed)} bytes, {len(database)} names, "
        f"{len(database.families)} families, {len(database.kernels)} kernels"
    )


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
