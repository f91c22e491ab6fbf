"""Fuzz the parsers for as long as you like: ``python -m tests.hostile NAME... --seconds N``.

    python -m tests.hostile list
    python -m tests.hostile all --seconds 60
    python -m tests.hostile kallsyms --seconds 600 --keep FOLDER

Guided by coverage where atheris is installed (it is no dependency of the tests), else by
mutating the seeds. Each target runs in a process of its own, within 600 MB and its time
per input. What breaks a parser is left in FOLDER; put it into ``tests/hostile/found/NAME``,
where the tests try it for ever.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

_MEMORY = 600 << 20


class Hang(BaseException):
    """An input took longer than its target allows."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", type=Path, default=Path("hostile-found"), metavar="FOLDER")
    parser.add_argument("--engine", choices=("auto", "atheris", "own"), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the own engine")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    engine = args.engine
    if engine == "auto":
        engine = "atheris" if importlib.util.find_spec("atheris") else "own"
    if args.one:
        run_one = _with_atheris if engine == "atheris" else _without
        return run_one(args.names[0], args.seconds, args.keep, args.seed)
    from .targets import TARGETS

    if args.names == ["list"]:
        print("\n".join(TARGETS))
        return 0
    names = list(TARGETS) if args.names == ["all"] else args.names
    args.keep.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names:
        command = [sys.executable, "-m", "tests.hostile", name, "--one", "--engine", engine]
        command += ["--seconds", str(args.seconds), "--keep", str(args.keep)]
        command += ["--seed", str(args.seed)]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        output = done.stdout + done.stderr
        runs = re.findall(r"(?:number_of_executed_units|executions): (\d+)", output)
        peak = re.findall(r"(?:peak_rss_mb): (\d+)", output)
        print(
            f"{name:20} {runs[-1] if runs else '?':>9} executions"
            f" {time.monotonic() - start:6.0f} s {peak[-1] if peak else '?':>5} MB"
            f"  {'ok' if done.returncode == 0 else f'FAILED ({done.returncode})'}",
            flush=True,
        )
        if done.returncode:
            failed += 1
            (args.keep / f"{name}.log").write_text(output)
            print("\n".join(output.splitlines()[-25:]), flush=True)
    return 1 if failed else 0


def _with_atheris(name: str, seconds: int, keep: Path, seed: int) -> int:
    # By name, because type checkers run where it is not installed.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["btfdbg"]):
        from .targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        largest = 0
        for number, data in enumerate(target.seeds()):
            target.run(data)  # what is set up once is no input's time
            Path(folder, f"seed-{number}").write_bytes(data)
            largest = max(largest, len(data))
        for path in sorted(found_folder(name).glob("*")):
            Path(folder, path.name).write_bytes(path.read_bytes())

        def one(data: bytes) -> None:
            target.run(data)

        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                f"-timeout={max(10, int(target.seconds))}",
                f"-rss_limit_mb={_MEMORY >> 20}",
                f"-max_len={max(4096, largest * 5 // 4)}",
                f"-artifact_prefix={keep}/{name}-",
                "-print_final_stats=1",
                folder,
            ],
            one,
        )
        atheris.Fuzz()
    return 0


def _without(name: str, seconds: int, keep: Path, seed: int) -> int:
    from random import Random

    from .mutate import mutated
    from .targets import TARGETS

    target = TARGETS[name]
    random = Random(f"{name} {seed}")
    pool = [*target.seeds(), *(path.read_bytes() for path in sorted(found_folder(name).glob("*")))]

    def hang(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"an input took over {target.seconds} s of CPU")

    signal.signal(signal.SIGPROF, hang)
    end = time.monotonic() + seconds
    count = 0
    data = b""
    # Written first: a crash in a C library ends this process. Never closed in between,
    # for some file systems write to the disk then.
    current = keep / f"{name}-{os.getpid()}"
    file = os.open(current, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def keep_input(data: bytes) -> None:
        os.ftruncate(file, os.pwrite(file, data, 0))

    try:
        for data in pool:
            keep_input(data)
            target.run(data)
        while time.monotonic() < end:
            data = mutated(random.choice(pool), random)
            keep_input(data)
            signal.setitimer(signal.ITIMER_PROF, target.seconds)
            target.run(data)
            signal.setitimer(signal.ITIMER_PROF, 0)
            count += 1
            if peak() > _MEMORY:
                raise MemoryError(f"{peak() >> 20} MB")
        current.unlink()
    except (Exception, Hang):
        traceback.print_exc()
        return 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(f"executions: {count}\npeak_rss_mb: {peak() >> 20}")
    return 0


def peak() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def found_folder(name: str) -> Path:
    """Where inputs are kept that once broke a parser."""
    return Path(__file__).parent / "found" / name


if __name__ == "__main__":
    sys.exit(main())
