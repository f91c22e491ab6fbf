"""Time whole processes in turn: A B C A B C …, so that a noisy machine disturbs all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a process: seconds, and its peak memory in MiB."""

    wall: float
    cpu: float
    peak: float
    status: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]


def run_once(contender: Contender) -> Run:
    """Run a command with its output thrown away."""
    started = time.perf_counter()
    with open(os.devnull, "r+b") as null:
        process = subprocess.Popen(
            contender.argv,
            stdin=null,
            stdout=null,
            stderr=null,
            env={**os.environ, **contender.environment},
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def compare(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Run]]:
    """Run all contenders in turn; the first round warms caches and is not counted."""
    runs: dict[str, list[Run]] = {c.name: [] for c in contenders}
    for round_ in range(rounds + 1):
        for contender in contenders:
            run = run_once(contender)
            if round_:
                runs[contender.name].append(run)
    return runs


def table(runs: Mapping[str, Sequence[Run]], reference: str) -> str:
    """Medians, and the ratio to one of them, as text."""
    header = f"{'':<34}{'wall s':>8}{'cpu s':>8}{'MiB':>7}   ratios (wall, cpu, peak)"
    lines = [header]
    against = _medians(runs[reference]) if runs.get(reference) else None
    for name, found in runs.items():
        wall, cpu, peak = _medians(found)
        ratio = ""
        if against is not None:
            ratio = "  ".join(
                f"{a / b:.2f}" for a, b in zip((wall, cpu, peak), against, strict=True)
            )
        failed = "" if not any(r.status for r in found) else "  FAILED"
        lines.append(f"{name:<34}{wall:>8.3f}{cpu:>8.3f}{peak:>7.0f}   {ratio}{failed}")
    return "\n".join(lines)


def _medians(runs: Sequence[Run]) -> tuple[float, float, float]:
    return (
        statistics.median(r.wall for r in runs),
        statistics.median(r.cpu for r in runs),
        statistics.median(r.peak for r in runs),
    )
