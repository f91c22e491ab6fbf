"""
Time whole processes in turn: A B C A B C …, so that a noisy machine disturbs all alike.

Or count their instructions under valgrind's callgrind, which no load disturbs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_COUNTS = "callgrind.out"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a process: seconds, and its peak memory in MiB."""

    wall: float
    cpu: float
    peak: float
    status: int


@dataclass(frozen=True, slots=True)
class Contender:
    """
    A command to time.

    :ivar stdin: What it reads.
    :ivar cold: Each run has an empty cache folder of its own; else all share one.
    :ivar rounds: So many runs in all, for one that takes long; 0 for as many as the others.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    cold: bool = False
    rounds: int = 0


def run_once(contender: Contender, shared_cache: str = "") -> Run:
    """Run a command with its output in a regular file, which costs a writer of small pieces."""
    with (
        tempfile.TemporaryDirectory() as cache,
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        open(os.devnull, "r+b") as null,
    ):
        stdin.write(contender.stdin.encode())
        stdin.seek(0)
        folder = shared_cache if shared_cache and not contender.cold else cache
        environment = {**os.environ, "XDG_CACHE_HOME": folder, **contender.environment}
        started = time.perf_counter()
        process = subprocess.Popen(
            contender.argv, stdin=stdin, stdout=stdout, stderr=null, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def compare(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Run]]:
    """Run all contenders in turn; the first round warms caches and is not counted."""
    runs: dict[str, list[Run]] = {c.name: [] for c in contenders}
    with tempfile.TemporaryDirectory() as cache:
        for round_ in range(rounds + 1):
            for contender in contenders:
                if contender.rounds and not 0 < round_ <= contender.rounds:
                    continue
                run = run_once(contender, cache)
                if round_:
                    runs[contender.name].append(run)
    return runs


def medians(runs: Sequence[Run]) -> tuple[float, float, float]:
    """Median wall time, CPU time and peak memory."""
    return (
        statistics.median(r.wall for r in runs),
        statistics.median(r.cpu for r in runs),
        statistics.median(r.peak for r in runs),
    )


def table(runs: Mapping[str, Sequence[Run]], reference: str) -> str:
    """Medians, and the ratio to one of them, as text."""
    header = f"{'':<34}{'wall s':>8}{'cpu s':>8}{'MiB':>7}   ratios (wall, cpu, peak)"
    lines = [header]
    against = medians(runs[reference]) if runs.get(reference) else None
    for name, found in runs.items():
        wall, cpu, peak = medians(found)
        ratio = ""
        if against is not None:
            ratio = "  ".join(
                f"{a / b:.2f}" for a, b in zip((wall, cpu, peak), against, strict=True)
            )
        failed = "" if not any(r.status for r in found) else "  FAILED"
        lines.append(f"{name:<34}{wall:>8.3f}{cpu:>8.3f}{peak:>7.0f}   {ratio}{failed}")
    return "\n".join(lines)


def markdown(title: str, runs: Mapping[str, Sequence[Run]], reference: str) -> list[str]:
    """Rows of a table: what, who, medians, and the ratios of CPU time and memory."""
    against = medians(runs[reference]) if runs.get(reference) else None
    lines = []
    for name, found in runs.items():
        wall, cpu, peak = medians(found)
        ratios = "|  |  |"
        if against is not None and name != reference:
            ratios = f"| {cpu / against[1]:.2f} | {peak / against[2]:.2f} |"
        failed = " (FAILED)" if any(r.status for r in found) else ""
        lines.append(f"| {title} | {name}{failed} | {wall:.2f} | {cpu:.3f} | {peak:.0f} {ratios}")
        title = ""
    return lines


def as_installed(folder: str) -> None:
    """Let processes find what is imported compiled before, and runs be alike; an own cache."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(
        PYTHONPYCACHEPREFIX=f"{folder}/compiled",
        PYTHONHASHSEED="0",
        XDG_CACHE_HOME=f"{folder}/cache",
    )


@contextlib.contextmanager
def drgn_alone() -> Iterator[None]:
    """Let drgn in the processes that are started meanwhile load no plugin of ours."""
    os.environ["DRGN_DISABLE_PLUGINS"] = "btfdbg"
    try:
        yield
    finally:
        del os.environ["DRGN_DISABLE_PLUGINS"]


def under_callgrind(folder: Path) -> list[str]:
    """Return what comes before a command, for :func:`counted` to be known of it."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("valgrind is not installed")
    return [valgrind, "--tool=callgrind", f"--callgrind-out-file={folder / _COUNTS}", "--quiet"]


def counted(folder: Path) -> int:
    """Return the instructions of the command that has ended."""
    counts = (folder / _COUNTS).read_text()
    found = re.search(r"^(?:totals|summary): (\d+)", counts, re.MULTILINE)
    assert found is not None
    return int(found[1])
