"""Types of an out-of-tree module's variables, by code alone, held against its DWARF.

    python -m tests.frames.module_globals DUMP KO

KO is the module's file with DWARF, whose name may have anything before ``cf_``
(``72a-bad-accesses-cf_fault.ko``). Counts how many of its variables have the type that DWARF
says, another one, or none, and lists the latter two. What the build adds to every module
(``__this_module``, ``____versions``, notes, ``__UNIQUE_ID_...``) is left out. Ends with 1 if
one is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from btfdbg import program_from_core_dump, session
from btfdbg.cdecl import format_type, parse_type
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.extract import Row, extract, own_module_name
from btfdbg.variables.convert import describe

_OF_THE_BUILD = ("__UNIQUE_ID_", "____versions", "__this_module", "_note_")


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One variable.

    :ivar given: Its type here, "" without one.
    :ivar source: What says so.
    """

    row: Row
    given: str
    source: str

    @property
    def is_right(self) -> bool:
        """Whether it is the type that DWARF has."""
        return self.given == format_type(parse_type(self.row.type))


def measure(dump: Path, module: Path) -> list[Verdict]:
    """Ask a dump for all variables of a module."""
    found = session(program_from_core_dump(dump))
    found.ensure_modules()
    verdicts = []
    for row in extract(module, module=own_module_name(module)).rows:
        if row.name.startswith(_OF_THE_BUILD):
            continue
        try:
            given = format_type(describe(found.prog[row.name].type_))
        except KeyError:
            given = ""
        verdicts.append(Verdict(row, given, found.variable_source(row.name) or ""))
    return verdicts


def main() -> int:
    """Print the counts."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("module", type=Path)
    args = parser.parse_args()
    verdicts = measure(args.dump, args.module)
    right = [v for v in verdicts if v.is_right]
    wrong = [v for v in verdicts if v.given and not v.is_right]
    total = len(verdicts) or 1
    print(
        f"{len(verdicts)} variables: {len(right)} right ({100 * len(right) / total:.0f} %), "
        f"{len(wrong)} wrong, {len(verdicts) - len(right) - len(wrong)} without a type"
    )
    for verdict in wrong:
        print(f"wrong: {verdict.row.name}: {verdict.row.type} | {verdict.given} | {verdict.source}")
    for verdict in verdicts:
        if not verdict.given:
            print(f"untyped: {verdict.row.name}: {verdict.row.type}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
