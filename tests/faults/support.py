"""Real processes on real files, and what must hold of all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import limited

ROOT = Path(__file__).parents[2]
BTFDBG = (sys.executable, "-m", "btfdbg.cli.main")
NEVER = ("Traceback", "Fatal Python error", "Exception ignored", "Segmentation fault")


@dataclass(frozen=True)
class Result:
    """How a process ended."""

    status: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


def environment(home: Path, **more: str | None) -> dict[str, str]:
    """A plain user's environment with a home of its own; ``None`` takes a variable away."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    env.update({name: value for name, value in more.items() if value is not None})
    return {name: value for name, value in env.items() if more.get(name, "") is not None}


def run(
    *args: str | Path,
    env: Mapping[str, str],
    program: Sequence[str] = BTFDBG,
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = subprocess.PIPE,
    before: Callable[[], None] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run btfdbg to its end; check what must hold of every run."""
    done = subprocess.run(
        [*program, *map(str, args)],
        env=dict(env),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=limited(before),
        cwd=cwd,
    )
    out = (done.stdout or b"").decode("utf-8", "replace")
    result = Result(done.returncode, out, done.stderr.decode("utf-8", "replace"))
    check(result)
    return result


def check(result: Result) -> None:
    """No run ends in a traceback or in a signal that it did not get."""
    for words in NEVER:
        assert words not in result.err, result.err
    assert result.status >= 0, (result.status, result.err)


def start(*args: str | Path, env: Mapping[str, str], **more: Any) -> subprocess.Popen[bytes]:
    """Start btfdbg."""
    return subprocess.Popen(
        [*BTFDBG, *map(str, args)],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


def finish(process: subprocess.Popen[bytes]) -> Result:
    """Wait for a process."""
    out, err = process.communicate()
    return Result(
        process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    )


def files_below(folder: Path) -> list[str]:
    """Names of all files below a folder, sorted."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())
