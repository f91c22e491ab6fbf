"""``btfdbg export-vmlinux CORE -o FILE``: a vmlinux made of the dump alone.

Owns the command line and its words; the file is ``btfdbg.handover.vmlinux``'s.
"""

from __future__ import annotations

import argparse
import gc

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
    from btfdbg.handover.vmlinux.export import export

    gc.disable()  # what is made is there to stay: looking through it is an eighth of the time
    session = open_session(args)
    done = export(session, args.output, runtime=args.runtime, every=args.all_variables)
    if args.log_level == "none":
        return 0
    print(
        f"{args.output}: {done.size >> 20} MiB, {done.symbols} symbols, {done.functions} functions,"
        f" {done.variables} variables with a type, {done.types} types"
        + (f", .debug_frame of {done.frames} ORC entries" if done.frames else "")
    )
    lost = [m for m in done.missing if not m.why.startswith("freed")]
    if lost:
        size = sum(m.size for m in lost)
        print(f"not in the dump, and without contents in the file: {size >> 10} KiB")
        for m in lost[:_SHOWN]:
            print(f"  {m.section} {m.address:#x}, {m.size} bytes")
        if len(lost) > _SHOWN:
            print(f"  and {len(lost) - _SHOWN} more; all are in its note .note.btfdbg")
    if done.lost:
        print(f"{done.lost} damaged types were left out")
    return 0
