"""``btfdbg btf encode-vars``

Write the variables of a kernel as BTF on top of its own BTF, out of its DWARF: VARs,
DATASECs and new names. Types are the kernel's own; one that it lacks (an array of arrays,
which pahole before 1.31 flattens) is added and counted. With the result a debugger knows
every variable:

  btfdbg btf encode-vars --base vmlinux.btf VMLINUX -o vmlinux-btf-extra
  btfdbg --btf-extra vmlinux-btf-extra CORE

For a module, on top of vmlinux's and the module's own BTF:

  btfdbg btf encode-vars --base vmlinux.btf --base MODULE.ko MODULE.ko.debug -o OUT

Put into ~/.local/share/btfdbg/btf-extra/BUILD-ID.btf it is found by itself; if OUT is a
folder, the file in it has that name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from btfdbg.errors import BtfdbgError, DebugInfoError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="vmlinux or module with DWARF")
    parser.add_argument(
        "-B",
        "--base",
        metavar="FILE",
        action="append",
        default=[],
        help="the kernel's own BTF (default: FILE's .BTF); repeat for a module's",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file, or folder"
    )
    parser.add_argument(
        "--profile",
        choices=("debug", "all"),
        default="debug",
        help="debug leaves out what tracing and static-call macros make (default)",
    )
    parser.add_argument(
        "--statics", action="store_true", help="also statics of functions, as symbols name them"
    )
    parser.add_argument(
        "--no-aliases", action="store_true", help="no symbols of assembly or the linker script"
    )


def run(args: argparse.Namespace) -> int:
    """Encode and write."""
    from btfdbg import images
    from btfdbg.btf import Btf
    from btfdbg.cli.outputs import require_file
    from btfdbg.varextract.dwarfvars import more_rows
    from btfdbg.varextract.elfsyms import build_id_of, read_symbols
    from btfdbg.varextract.encode import encode
    from btfdbg.varextract.extract import extract, own_module_name

    require_file(args.output)
    symbols = read_symbols(args.file)
    if symbols.is_relocatable and len(args.base) < 1:
        raise DebugInfoError(
            f"{args.file}: a module's BTF is on top of the kernel's",
            step="encode-vars",
            hint="give --base VMLINUX --base MODULE.ko",
        )
    base: Btf | None = None
    for path in args.base or [str(args.file)]:
        try:
            base = images.load_btf(path, base)
        except BtfdbgError as e:
            raise DebugInfoError(f"{path}: {e}", step="encode-vars") from e
    assert base is not None  # at least one path
    module = own_module_name(args.file) if symbols.is_relocatable else ""
    image = extract(args.file, module=module)
    build_id = build_id_of(args.file)
    done = encode(
        image,
        symbols,
        base,
        profile=args.profile,
        aliases=not args.no_aliases,
        more=more_rows(
            args.file, image, symbols, statics=args.statics, declared=not args.no_aliases
        ),
        build_id=build_id,
    )
    output = args.output
    if output.is_dir():
        if not build_id:
            raise DebugInfoError(f"{args.file}: it has no build id", step="encode-vars")
        output /= f"{build_id}.btf"
    try:
        output.write_bytes(done.btf)
    except OSError as e:
        raise DebugInfoError(f"{output}: {e.strerror}", step="encode-vars") from e
    print(
        f"{output}: {len(done.btf)} bytes, {done.variables} variables "
        f"({done.aliases} aliases), {done.added_types} types added, "
        f"{len(done.skipped)} skipped"
    )
    return 0
