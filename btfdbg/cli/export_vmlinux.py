"""``btfdbg export-vmlinux CORE -o FILE``: a vmlinux made of the dump alone.

Owns the command line and its words; the file is ``btfdbg.handover.vmlinux``'s.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from btfdbg.handover.vmlinux.modules import ExportedModule

_SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write it")
    parser.add_argument(
        "--runtime",
        action="store_true",
        help="addresses as in memory, KASLR applied (for gdb); crash and drgn want the others",
    )
    parser.add_argument(
        "--modules",
        metavar="DIR",
        help="also write DIR/NAME.ko for each loaded module, for crash's mod -S DIR",
    )
    parser.add_argument(
        "--all-variables",
        action="store_true",
        help="also the variables that macros make by the thousand (tracepoints, initcalls)",
    )


def run(args: argparse.Namespace) -> int:
    """
    Write the file and say what is in it, and what is not.

    :raises BtfdbgError: the dump has too little for one, or FILE cannot be written.
    """
    from btfdbg.cli.main import open_session
    from btfdbg.cli.outputs import require_file
    from btfdbg.handover.vmlinux.crash import phys_offset
    from btfdbg.handover.vmlinux.export import export
    from btfdbg.handover.vmlinux.modules import export_modules

    require_file(args.output)
    gc.disable()  # what is made is there to stay: looking through it is an eighth of the time
    session = open_session(args)
    done = export(session, args.output, runtime=args.runtime, every=args.all_variables)
    modules = export_modules(session, args.modules) if args.modules else []
    if args.log_level == "none":
        return 0
    print(
        f"{args.output}: {done.size >> 20} MiB, {done.symbols} symbols, {done.functions} functions,"
        f" {done.variables} variables with a type, {done.types} types"
        + (
            f", .debug_frame of {done.frames} {done.frame_source}"
            if done.frames
            else ", no .debug_frame"
        )
    )
    lost = [m for m in done.missing if not m.why.startswith("freed")]
    if lost:
        size = sum(m.size for m in lost)
        print(f"not in the dump, and without contents in the file: {size >> 10} KiB")
        for m in lost[:_SHOWN]:
            print(f"  {m.section} {m.address:#x}, {m.size} bytes")
        if len(lost) > _SHOWN:
            print(f"  and {len(lost) - _SHOWN} more; all are in its note .note.btfdbg")
    for m in done.needed:
        print(
            f"crash will not open this dump, with any vmlinux: {m.size} bytes of {m.section} are"
            f" not in it, and {m.why}"
        )
    if done.unnamed:
        print(
            "crash will not take this file: the dump's symbols have no"
            f" {', '.join(done.unnamed)}; give the kernel's own with --kallsyms SYSTEM_MAP"
        )
    offset = phys_offset(session.vmcoreinfo)
    if offset is not None and not args.runtime:
        print(f"crash opens it with -m phys_offset={offset:#x}")
    if done.lost:
        print(f"{done.lost} damaged types were left out")
    if modules:
        _print_modules(args.modules, modules)
    return 0


def _print_modules(folder: str, modules: Sequence[ExportedModule]) -> None:
    written = [m for m in modules if not m.why]
    print(
        f"{folder}: {len(written)} of {len(modules)} modules,"
        f" {sum(m.symbols for m in written)} symbols,"
        f" {sum(m.functions for m in written)} functions,"
        f" {sum(m.variables for m in written)} variables with a type"
    )
    by_reason: dict[str, list[str]] = {}
    for m in modules:
        if m.why:
            by_reason.setdefault(m.why, []).append(m.name)
    for why, names in by_reason.items():
        print(f"without a file, because {why}: {' '.join(names)}")
    lacking = [m for m in written if m.missing]
    if lacking:
        first = lacking[0]
        print(
            f"not in the dump: some sections of {len(lacking)} modules, as"
            f" {' '.join(x.section for x in first.missing[:_SHOWN])} of {first.name}; each file's"
            " note .note.btfdbg has its own"
        )
