"""Figures of triage: ``python -m tests.bench.triage``.

Fifty copies of the bundled dumps, read one after the other, two at a time, again with what an
earlier run kept, and by fifty processes of ``btfdbg report``; and 1,000 logs. Wall and CPU
time of each, and their ratios: all in one run, since machines differ and are loaded.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import bundled_dumps
from tests.report.test_events import ARM64, HUNG, NULL, stamped
from tests.report.test_triage_dask import Cluster

_MAIN = "import sys; from btfdbg.cli.main import main; sys.exit(main())"


def spent(command: Sequence[str], state: Mapping[str, str]) -> tuple[float, float]:
    """
    Wall and CPU seconds of a command.

    :param state: Where it keeps what it keeps, as environment.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", _MAIN, *command],
        stdout=subprocess.DEVNULL, env={**os.environ, **state}, check=True,
    )  # fmt: skip
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def logs(folder: Path, count: int) -> int:
    """Write logs of 900 lines before a crash; return their bytes."""
    random.seed(1)
    folder.mkdir()
    size = 0
    for number in range(count):
        noise = "".join(
            f"[{i / 50:12.6f}] pci 0000:00:{i % 32:02x}.0: BAR {i % 6}"
            f" [mem {random.getrandbits(32):#x}] assigned to device {number}\n"
            for i in range(900)
        )
        text = noise + stamped((NULL, HUNG, ARM64)[number % 3], f"[   20.{number:06}] ")
        size += len(text)
        (folder / f"{number}.log").write_text(text)
    return size


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.triage", description=__doc__)
    parser.add_argument("--dumps", type=int, default=50)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--dask", action="store_true", help="with distributed, too")
    args = parser.parse_args()
    dumps = [path for path, _ in bundled_dumps()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dumps").mkdir()
        for number in range(args.dumps):
            core = dumps[number % len(dumps)]
            shutil.copyfile(core, folder / "dumps" / f"{number:03}.vmcore")
        state = {"XDG_STATE_HOME": name, "XDG_CACHE_HOME": f"{name}/cache"}
        for core in dumps:  # what a first look at a kernel build leaves for the next
            spent(["report", str(core)], state)
        all_dumps = ["triage", str(folder / "dumps")]
        rows = {
            "one after the other (-j 1)": spent([*all_dumps, "-j", "1", "--afresh"], state),
            "two at a time (-j 2)": spent([*all_dumps, "-j", "2"], state),
            "second run": spent([*all_dumps, "-j", "2"], state),
            "with pages (--html)": spent(
                [*all_dumps, "-j", "2", "--afresh", "--html", f"{name}/html"], state
            ),
        }
        single = (0.0, 0.0)
        for core in sorted((folder / "dumps").iterdir()):
            wall, cpu = spent(["report", str(core)], state)
            single = single[0] + wall, single[1] + cpu
        rows["single reports"] = single
        size = logs(folder / "logs", args.logs)
        rows[f"{args.logs} logs of {size / args.logs / 1024:.0f} KiB (-j 2)"] = spent(
            ["triage", str(folder / "logs"), "-j", "2", "--afresh"], state
        )
        for workers in (1, 2) if args.dask else ():
            place = folder / f"dask{workers}"
            place.mkdir()
            cluster = Cluster(place, workers, 0.0)
            try:
                command = [*all_dumps, "--afresh", "--scheduler", cluster.address]
                spent(["triage", str(dumps[0]), *command[2:]], state)  # all have started
                time.sleep(10)
                rows[f"Dask, workers: {workers}"] = spent(command, state)
            finally:
                cluster.end()
        for words, (wall, cpu) in rows.items():
            print(f"{words:34} {wall:8.1f} s wall {cpu:8.1f} s CPU")
        two, one = rows["two at a time (-j 2)"], rows["one after the other (-j 1)"]
        for words, a, b in (
            ("-j 2 to -j 1", two, one),
            ("-j 2 to single reports", two, single),
            ("second run to first", rows["second run"], two),
        ):
            print(f"{words:34} {a[0] / b[0]:8.2f} of wall {a[1] / b[1]:8.2f} of CPU")
        if args.dask:
            both, alone = rows["Dask, workers: 2"], rows["Dask, workers: 1"]
            print(f"{'Dask, two workers to one':34} {both[0] / alone[0]:8.2f} of wall")
        print(f"load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
