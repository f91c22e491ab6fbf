"""Which tests the fast loop leaves out: ``python -m tests.slow CPU_TIMES...``.

Owns the choice and the list ``tests/slow.txt``, by which ``conftest`` gives tests the marker
``slow``. The choice is made from ``pytest --cpu-times FILE`` of a whole run: what took the
most CPU goes first, until all that is left takes at most :data:`BUDGET` seconds, but at least
one test of every folder stays. Whole functions are marked, with all their parameters.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

BUDGET = 12.0
"""CPU seconds of the tests alone; collecting them, and fixtures that left-out tests had paid,
bring it to the 60 that the loop may take."""
LIST = Path(__file__).parent / "slow.txt"


def function_of(name: str) -> str:
    """A test without its parameters."""
    return name.partition("[")[0]


def slow_tests() -> frozenset[str]:
    """The functions that are marked."""
    try:
        return frozenset(LIST.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()


def choose(times: dict[str, float], budget: float = BUDGET) -> list[str]:
    """
    The functions to leave out.

    :param times: Test function to CPU seconds of all its parameters.
    """
    left = sum(times.values())
    folders: dict[str, int] = defaultdict(int)
    for name in times:
        folders[name.rpartition("/")[0]] += 1
    chosen = []
    for name, seconds in sorted(times.items(), key=lambda item: -item[1]):
        folder = name.rpartition("/")[0]
        if left <= budget:
            break
        if folders[folder] > 1:
            folders[folder] -= 1
            left -= seconds
            chosen.append(name)
    return sorted(chosen)


def main() -> int:
    """Write the list from the files that the command line names."""
    times: dict[str, float] = defaultdict(float)
    for path in sys.argv[1:]:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            seconds, _, name = line.strip().partition(" ")
            times[function_of(name)] += float(seconds)
    found = choose(times)
    LIST.write_text("".join(f"{name}\n" for name in found), encoding="utf-8")
    rest = sum(seconds for name, seconds in times.items() if name not in found)
    print(f"{len(found)} of {len(times)} are slow; the others take {rest:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
