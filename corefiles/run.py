"""
Running host programs, and the one error of the builder.

Owns: how a command is started and how its failure is worded.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class BuildError(Exception):
    """A dump could not be built; the message says at which step and why."""


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | None = subprocess.PIPE,
    timeout: float | None = None,
) -> str:
    """
    Run a command and return its standard output.

    :param env: Added to the builder's own environment.
    :param timeout: Seconds.
    :raises BuildError: the program is missing, failed or took too long; the
        message carries the end of what it said.
    """
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(f"{words[0]}: not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(words[:3])}: no end after {timeout} s") from error
    text = (done.stdout or b"").decode(errors="replace")
    if done.returncode:
        tail = (text + done.stderr.decode(errors="replace")).strip().splitlines()[-15:]
        raise BuildError(
            f"{' '.join(words[:6])}: exit status {done.returncode}:\n" + "\n".join(tail)
        )
    return text
