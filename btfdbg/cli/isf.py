"""``btfdbg isf CORE -o FILE``: a symbol table for volatility3, made of the dump alone.

Owns the command line and its words; what is in the table is ``btfdbg.handover.isf``'s.
"""

from __future__ import annotations

import argparse
import gc
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="where to write it: .json, .json.xz, .json.gz or .json.bz2",
    )
    parser.add_argument(
        "--as-dwarf2json",
        action="store_true",
        help="name dwarf2json as the producer: volatility3's linux.hidden_modules takes no other",
    )


def run(args: argparse.Namespace) -> int:
    """
    Write the table and say what is in it.

    :raises BtfdbgError: the dump has too little for one, or FILE cannot be written.
    """
    from btfdbg.cli.main import open_session
    from btfdbg.cli.outputs import is_stdout
    from btfdbg.handover import isf

    gc.disable()  # what is made is there to stay: looking through it is an eighth of the time
    session = open_session(args)
    table, written = isf.table_of(session)
    if args.as_dwarf2json:
        isf.name_dwarf2json(table)
    if is_stdout(args.output):
        isf.write_to(sys.stdout.buffer, table)
        said = sys.stderr  # it must not get between the table and who reads it
    else:
        isf.write(table, args.output)
        said = sys.stdout
    if not written.banner:
        print(
            "btfdbg: linux_banner cannot be read: volatility3 will match this table to no image",
            file=sys.stderr,
        )
    if args.log_level != "none":
        print(
            f"{args.output}: {written.symbols} symbols, {written.typed} variables with a type,"
            f" {written.shared} names that several symbols have",
            file=said,
        )
        lacks = [
            f"{count} {what}"
            for count, what in (
                (written.untyped, "data symbols have no known type (void)"),
                (written.damaged, "types are damaged in the dump (void)"),
            )
            if count
        ]
        if not written.tables:
            lacks.append("kallsyms' own tables were not found (linux.kallsyms)")
        if lacks:
            print(f"lacking: {', '.join(lacks)}", file=said)
    return 0
