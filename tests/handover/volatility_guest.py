"""What volatility3's plugins say, held against what the guest said before it died.

    python -m tests.handover.volatility_guest RESULTS.json MANIFEST.json

RESULTS is what ``tests.handover.volatility --json`` wrote, MANIFEST what ``corefiles`` wrote
beside the image (IMAGE.json). Prints for each plugin how many of the guest's facts are among
its rows; what is missing is named. A task or a line of the log that came or went between the
guest's look and its death may be missing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

Rows: TypeAlias = list[list[str]]
Facts: TypeAlias = dict[str, Any]
Results: TypeAlias = dict[str, dict[str, tuple[str, Rows]]]
_SHOWN = 6


def _tasks(facts: Facts) -> set[str]:
    """Pids with names as task_struct has them: /proc adds a worker's work, and more than 15."""
    names = (
        (t["pid"], re.sub(r"^(kworker/u?\d+:\d+H?)-.*", r"\1", t["name"])[:15])
        for t in facts["tasks"]
    )
    return {f"{pid} {name}" for pid, name in names}


def _columns(*numbers: int) -> Callable[[Rows], set[str]]:
    return lambda rows: {" ".join(row[n] for n in numbers if n < len(row)) for row in rows}


def _mounts(facts: Facts) -> set[str]:
    return {f"{m['device']} {m['root']} {m['target']}" for m in facts["mounts"]}


def _addresses(facts: Facts) -> set[str]:
    found = (re.match(r"\d+: (\S+)\s+inet6? ([^/ ]+)/(\d+)", line) for line in facts["interfaces"])
    return {f"{m[1]} {m[2]} {m[3]}" for m in found if m}


def _iomem(facts: Facts) -> set[str]:
    out = set()
    for line in facts["iomem"]:
        m = re.match(r"\s*([0-9a-f]+)-([0-9a-f]+) : (.*)", line)
        if m:
            out.add(f"{m[3]} {int(m[1], 16)} {int(m[2], 16)}")
    return out


def _iomem_rows(rows: Rows) -> set[str]:
    return {f"{row[0].strip()} {row[1]} {row[2]}" for row in rows}


def _log(facts: Facts) -> set[str]:
    return {line.partition("] ")[2] for line in facts["dmesg"] if "] " in line} - {""}


CHECKS: dict[str, tuple[Callable[[Facts], set[str]], Callable[[Rows], set[str]]]] = {
    "linux.pslist.PsList": (_tasks, _columns(1, 4)),
    "linux.pstree.PsTree": (_tasks, _columns(1, 4)),
    "linux.pidhashtable.PIDHashTable": (_tasks, _columns(1, 4)),
    "linux.psaux.PsAux": (
        lambda facts: {str(t["pid"]) for t in facts["tasks"]},
        _columns(0),
    ),
    "linux.lsmod.Lsmod": (lambda facts: {m["name"] for m in facts["modules"]}, _columns(1)),
    "linux.mountinfo.MountInfo": (_mounts, _columns(3, 4, 5)),
    "linux.ip.Addr": (_addresses, _columns(2, 5, 6)),
    "linux.iomem.IOMem": (_iomem, _iomem_rows),
    "linux.kmsg.Kmsg": (_log, _columns(4)),
}


def held(results: dict[str, tuple[str, Rows]], facts: Facts) -> Iterable[tuple[str, int, set[str]]]:
    """Yield a plugin, how many facts of the guest there are, and which its rows lack."""
    for plugin, (of_guest, of_rows) in CHECKS.items():
        if plugin in results:
            wanted = of_guest(facts)
            yield plugin, len(wanted), wanted - of_rows(results[plugin][1])


def main(argv: list[str]) -> int:
    """Print the table."""
    results: Results = json.loads(Path(argv[0]).read_text())
    facts: Facts = json.loads(Path(argv[1]).read_text())["facts"]
    for tool, found in results.items():
        for plugin, count, lacking in held(found, facts):
            names = ", ".join(sorted(lacking)[:_SHOWN])
            print(
                f"{tool} {plugin}: {count - len(lacking)} of {count}"
                + (f"; not {names}" if lacking else "")
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
