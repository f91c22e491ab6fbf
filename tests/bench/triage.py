"""Figures of triage: ``python -m tests.bench.triage``.

Fifty copies of the bundled dumps, read one after the other, two at a time, again with what an
earlier run kept, and by fifty processes of ``btfdbg report``; and 1,000 logs. Wall and CPU
time of each, and their ratios: all in one run, since machines differ and are loaded.

``alone`` is the CPU time of the process that was started, while its readers wait for it: what
stays of the time however many readers there are. From it ``at best``: two readers to one, on a
machine with nothing else to do. For Dask that is the client and the busier worker.
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

_MAIN = """
import os, resource, sys
from btfdbg.cli.main import main
status = main()
own = resource.getrusage(resource.RUSAGE_SELF)
with open(os.environ["ALONE"], "w") as file:
    file.write(str(own.ru_utime + own.ru_stime))
sys.exit(status)
"""


def spent(command: Sequence[str], state: Mapping[str, str]) -> tuple[float, float, float]:
    """
    Wall and CPU seconds of a command, and those of its first process alone.

    :param state: Where it keeps what it keeps, as environment.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", _MAIN, *command],
        stdout=subprocess.DEVNULL, env={**os.environ, **state}, check=True,
    )  # fmt: skip
    alone = float(Path(state["ALONE"]).read_text())
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, alone


def _tree(pid: int) -> float:
    """CPU seconds of a process and of all that it started."""
    total = 0.0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(place.parent.name) == pid:
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        elif int(fields[1]) == pid:
            total += _tree(int(place.parent.name))
    return total


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
        state = {
            "XDG_STATE_HOME": name,
            "XDG_CACHE_HOME": f"{name}/cache",
            "ALONE": f"{name}/alone",
        }
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
        single = (0.0, 0.0, 0.0)
        for core in sorted((folder / "dumps").iterdir()):
            wall, cpu, _ = spent(["report", str(core)], state)
            single = single[0] + wall, single[1] + cpu, 0.0
        rows["single reports"] = single
        size = logs(folder / "logs", args.logs)
        rows[f"{args.logs} logs of {size / args.logs / 1024:.0f} KiB (-j 2)"] = spent(
            ["triage", str(folder / "logs"), "-j", "2", "--afresh"], state
        )
        busiest: dict[int, float] = {}  # CPU seconds of the busiest worker
        for workers in (1, 2) if args.dask else ():
            place = folder / f"dask{workers}"
            place.mkdir()
            cluster = Cluster(place, workers, 0.0)
            try:
                command = [*all_dumps, "--afresh", "--scheduler", cluster.address]
                spent(["triage", str(dumps[0]), *command[2:]], state)  # all have started
                time.sleep(10)
                before = [_tree(worker.pid) for worker in cluster.processes[1:]]
                found = spent(command, state)
                after = [_tree(worker.pid) for worker in cluster.processes[1:]]
                rows[f"Dask, workers: {workers}"] = found
                busiest[workers] = max(b - a for a, b in zip(before, after, strict=True))
            finally:
                cluster.end()
        for words, (wall, cpu, own) in rows.items():
            print(f"{words:34} {wall:8.1f} s wall {cpu:8.1f} s CPU, {own:.2f} of them alone")
        two, one = rows["two at a time (-j 2)"], rows["one after the other (-j 1)"]
        for words, a, b in (
            ("-j 2 to -j 1", two, one),
            ("-j 2 to single reports", two, single),
            ("second run to first", rows["second run"], two),
        ):
            print(f"{words:34} {a[0] / b[0]:8.2f} of wall {a[1] / b[1]:8.2f} of CPU")
        best = (two[2] + (two[1] - two[2]) / 2) / one[1]
        print(f"{'-j 2 to -j 1, at best':34} {best:8.2f}")
        if args.dask:
            both, alone = rows["Dask, workers: 2"], rows["Dask, workers: 1"]
            print(f"{'Dask, two workers to one':34} {both[0] / alone[0]:8.2f} of wall")
            best = (both[2] + busiest[2]) / (alone[2] + busiest[1])
            print(f"{'Dask, at best':34} {best:8.2f}")
        print(f"load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
