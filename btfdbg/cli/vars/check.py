"""``btfdbg vars check``

Compare the types that btfdbg gives variables with those of DWARF: how many are exactly
right, wrong, or without a type, by source ("open": right but for an array's length, which
is not given). Only symbols with a unique name count.

  btfdbg vars check CORE -s VMLINUX         a dump, and its vmlinux with DWARF
  btfdbg vars check CORE -s VMLINUX --code  with what the dump's code says; some minutes
  btfdbg vars check VMLINUX                 no dump: the vmlinux's own symbols and BTF
  btfdbg vars check VMLINUX --leave-out 6.12
  btfdbg vars check VMLINUX --btf-extra vmlinux-btf-extra
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from btfdbg.errors import DebugInfoError

if TYPE_CHECKING:
    from drgn import Program

    from btfdbg.btf import Btf
    from btfdbg.varextract.elfkernel import ElfKernel
    from btfdbg.variables import Database, VariableTypes
    from btfdbg.variables.evidence import Accesses
    from btfdbg.variables.symbols import Symbol


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("core", metavar="CORE", type=Path, help="a dump, or a vmlinux with DWARF")
    parser.add_argument("-s", "--symbols", metavar="VMLINUX", type=Path, help="with DWARF")
    parser.add_argument(
        "--leave-out",
        metavar="SERIES",
        action="append",
        default=[],
        help="use the database as if it had no kernel of this series (6.12); repeat",
    )
    parser.add_argument("--database", metavar="FILE", type=Path, help="instead of the shipped one")
    parser.add_argument(
        "--btf-extra", metavar="FILE", type=Path, help="extra BTF of this kernel (btf encode-vars)"
    )
    parser.add_argument(
        "--code", action="store_true", help="ask the dump's code, too, where nothing else knows"
    )
    parser.add_argument("--wrong", action="store_true", help="list the wrong ones")
    parser.add_argument("--untyped", action="store_true", help="list those without a type")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> int:
    """Measure and print; status 1 if a type is wrong."""
    from btfdbg.varextract.check import compare
    from btfdbg.varextract.extract import extract

    if args.code and args.symbols is None:
        raise DebugInfoError("--code: the code is read from a dump", step="vars", hint="add -s")
    database = _database(args)
    unique, variables, vmlinux, btf = (
        _of_vmlinux(args.core, database, args.btf_extra)
        if args.symbols is None
        else _of_core(args.core, args.symbols, database, args.btf_extra, code=args.code)
    )
    report = compare(extract(vmlinux).rows, unique, variables.find, btf, variables.cause)
    if args.json:
        print(
            json.dumps(
                {
                    "total": report.total,
                    "right": dict(report.right),
                    "open": report.open,
                    "wrong": [asdict(w) for w in report.wrong],
                    "untyped": [asdict(row) for row in report.untyped],
                    "causes": dict(report.causes),
                }
            )
        )
    else:
        for line in report.lines():
            print(line)
        for wrong in report.wrong if args.wrong else ():
            print(f"wrong: {wrong.name}: {wrong.truth} | {wrong.given} | {wrong.note}")
        for row in report.untyped if args.untyped else ():
            print(f"untyped: {row.name}: {row.type}")
    return 1 if report.wrong else 0


def _database(args: argparse.Namespace) -> Callable[[], Database]:
    from btfdbg.variables import Database, shipped_database

    database = shipped_database() if args.database is None else Database.load(args.database)
    if args.leave_out:
        series = set(args.leave_out)
        unknown = series - {kernel.series for kernel in database.kernels}
        if unknown:
            have = ", ".join(sorted({kernel.series for kernel in database.kernels}))
            raise DebugInfoError(
                f"--leave-out: no kernel of {', '.join(sorted(unknown))} in the database",
                step="vars",
                hint=f"there are {have}",
            )
        database = database.without(lambda kernel: kernel.series in series)
    return lambda: database


_Kernel = tuple[Callable[[str], bool], "VariableTypes", Path, "Btf"]


def _with_extra(prog: Program, btf: Btf, path: Path | None) -> dict[str, Any]:
    """What lets a lookup use extra BTF."""
    from btfdbg.program.convert import TypeConverter
    from btfdbg.variables.extra import ExtraBtf

    if path is None:
        return {}
    extra = ExtraBtf.load(path, btf)
    converter = TypeConverter(prog, extra.btf, TypeConverter(prog, btf))
    return {"extra": lambda: extra, "convert": lambda _, type_id: converter.convert(type_id)}


def _of_vmlinux(path: Path, database: Callable[[], Database], extra: Path | None) -> _Kernel:
    from btfdbg.varextract.elfkernel import ElfKernel
    from btfdbg.varextract.extract import release_of
    from btfdbg.variables import VariableTypes
    from btfdbg.variables.evidence import DumpEvidence

    kernel = ElfKernel(path)
    btf = kernel.btf()
    variables = VariableTypes(
        kernel.prog,
        DumpEvidence(
            kernel,
            release=release_of(path),
            architecture=kernel.machine,
            btf=lambda: btf,
            symbol_at=kernel.by_address,
            accesses=_accesses(kernel),
            **_with_extra(kernel.prog, btf, extra),
        ),
        database=database,
    )
    return lambda name: len(kernel.by_name(name)) == 1, variables, path, btf


def _accesses(kernel: ElfKernel) -> Callable[[Symbol], Accesses | None] | None:
    """What the code in the file does at its variables' addresses; None if it cannot be read."""
    from btfdbg.frames.accesses import AccessReader
    from btfdbg.kallsyms.model import try_read

    def read(address: int, size: int) -> bytes | None:
        return try_read(kernel.prog.read, address, size)

    def extent(address: int) -> tuple[int, int] | None:
        symbol = kernel.by_address(address)
        return None if symbol is None else (symbol.address, symbol.address + symbol.size)

    bounds = [kernel.by_name(name) for name in ("_stext", "_etext", "_end")]
    if not all(len(found) == 1 for found in bounds):
        return None
    start, end, last = (found[0].address for found in bounds)
    try:
        reader = AccessReader.of_machine(
            kernel.machine, read, lambda: [(start, end)], extent, range(end, last)
        )
    except DebugInfoError:
        return None
    return lambda symbol: reader.of(symbol.address, symbol.size)


def _of_core(
    core: Path,
    vmlinux: Path,
    database: Callable[[], Database],
    extra: Path | None,
    *,
    code: bool,
) -> _Kernel:
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session
    from btfdbg.variables import VariableTypes
    from btfdbg.variables.evidence import DumpEvidence
    from btfdbg.vmcore.platforms import machine_of

    prog = program_from_core_dump(core)
    found = session(prog)
    symbols = found.symbols
    if symbols is None:
        raise DebugInfoError(f"{core}: no symbols were found in it", step="vars")
    several: dict[str, list[Symbol]] = {}
    for symbol in symbols:
        several.setdefault(symbol.name, []).append(symbol)

    class Table:
        """Every symbol decoded once, since every one is asked for."""

        def by_name(self, name: str) -> list[Symbol]:
            return several.get(name, [])

    variables = VariableTypes(
        prog,
        DumpEvidence(
            Table(),
            release=found.release,
            architecture=machine_of(prog.platform),
            btf=lambda: found.vmlinux,
            symbol_at=symbols.by_address,
            code=found.type_from_code if code else None,
            bears_out=found.borne_out if code else None,
            accesses=found.accesses,
            **_with_extra(prog, found.vmlinux, extra),
        ),
        database=database,
    )
    if code:
        # What code says of one variable depends on the types of others: of this database's.
        found.variables = variables
    return lambda name: len(several.get(name, ())) == 1, variables, vmlinux, found.vmlinux
