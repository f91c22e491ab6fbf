"""Where each function's parameters are at its entry, by DWARF, against where we look for them.

``python -m tests.frames.mapping DUMP VMLINUX [--refused] [-n FUNCTIONS] [--seed N] [-v]``

A compiler may pass another thing than the source says; what it changed without a new name (clang
does) DWARF tells by a place at the entry that is not the ABI's, or by none at all. A parameter
without a place may be one that the function does not use, or one that callers no longer pass.
``--refused`` asks of the functions whose prototype is refused since clang may have changed it.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import btfdbg
from btfdbg.frames.arguments import recovery
from btfdbg.frames.prototypes import CHANGED, Prototype
from tests.frames.dwarf import Dwarf
from tests.frames.truth import function_names, with_dwarf


class Mapping:
    """The comparison for one kernel."""

    def __init__(self, dump: Path, vmlinux: Path) -> None:
        self.dwarf = Dwarf(with_dwarf(dump, vmlinux, None), vmlinux)
        self.made = recovery(btfdbg.session(btfdbg.program_from_core_dump(dump)))
        self.counts: Counter[str] = Counter()
        self.elsewhere: list[str] = []

    def functions(self, count: int, seed: int) -> Iterator[int]:
        """Starts of random functions that BTF has."""
        for name in function_names(self.made, random.Random(seed))[:count]:
            symbols = self.made.text.by_name(name, "")
            if len({s.address for s in symbols}) == 1:
                yield symbols[0].address

    def unchecked(self, start: int) -> Prototype | str:
        """BTF's prototype of a function as if GCC had built the kernel."""
        prototypes = self.made.text._prototypes
        was, prototypes._clang = prototypes._clang, ""
        try:
            return prototypes._read(start, is_kept=False)
        finally:
            prototypes._clang = was

    def run(self, count: int, seed: int, refused: bool) -> None:
        """Compare that many functions."""
        for start in self.functions(count, seed):
            prototype = self.made.text.prototype_at(start)
            if isinstance(prototype, str):
                self.counts["refused"] += 1
                if prototype != CHANGED or not refused:
                    continue
                prototype = self.unchecked(start)
            if isinstance(prototype, str) or not prototype.signature.params:
                continue
            self.counts["functions"] += 1
            odd = False
            for param in prototype.signature.params:
                if len(param.registers) != 1 or param.by_reference:
                    continue
                places = self.dwarf.places(start, param.name)
                if places is None:
                    self.counts["not in DWARF"] += 1
                    continue
                self.counts["parameters"] += 1
                at = places[0]
                if at == param.registers[0]:
                    self.counts["the same"] += 1
                elif not at:
                    self.counts["no place"] += 1
                else:
                    odd = True
                    self.counts["ELSEWHERE"] += 1
                    where = f"{prototype.name} {param.name}"
                    self.elsewhere.append(f"{where}: {at}, ours {param.registers[0]}")
            self.counts["functions with one elsewhere"] += odd


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("--refused", action="store_true")
    parser.add_argument("-n", type=int, default=1 << 20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    found = Mapping(args.dump, args.vmlinux)
    found.run(args.n, args.seed, args.refused)
    print(*(f"{name}: {count}" for name, count in sorted(found.counts.items())), sep="  ")
    for text in found.elsewhere[: None if args.verbose else 40]:
        print(f"elsewhere: {text}")


if __name__ == "__main__":
    main()
