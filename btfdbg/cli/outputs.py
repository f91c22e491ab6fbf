"""Where an output may go: not over what it is made of, and ``-`` is stdout.

Owns telling so before anything is written: ``info CORE --save-vmcoreinfo CORE`` left 3 KiB of
text where the only copy of a dump had been, and ``--save-vmcoreinfo -`` a file named ``-``.
"""

from __future__ import annotations

import argparse
import os
import sys

from btfdbg.errors import DebugInfoError

_OUTPUTS = ("output", "out", "save_vmcoreinfo")
_INPUTS = ("core", "log", "btf", "kallsyms", "vmcoreinfo", "symbols", "paths", "known")


def spare_inputs(args: argparse.Namespace) -> None:
    """
    Refuse an output that is one of the inputs.

    :param args: Of a subcommand; only what it has of the usual options counts.
    :raises DebugInfoError: it is, by this name or another.
    """
    outputs = [path for name in _OUTPUTS for path in _paths(getattr(args, name, None))]
    inputs = [path for name in _INPUTS for path in _paths(getattr(args, name, None))]
    for out in outputs:
        for path in inputs:
            if _is_one(out, path):
                raise DebugInfoError(
                    f"{out} is one of the inputs, and would be lost",
                    step="output",
                    hint="name another file",
                )


def is_stdout(path: str | None) -> bool:
    """Whether an output that may be left out goes to stdout: left out, or ``-``."""
    return path is None or path == "-"


def write_text(text: str, path: str | None) -> None:
    """
    Write to a file, or to stdout.

    :raises DebugInfoError: the file cannot be written.
    """
    if path is None or is_stdout(path):
        sys.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror}", step="output") from e


def require_file(path: str | os.PathLike[str]) -> None:
    """
    Refuse ``-`` for an output that is written out of order, or several files.

    :raises DebugInfoError: it is ``-``.
    """
    if os.fspath(path) == "-":
        raise DebugInfoError(
            "this cannot be written to stdout",
            step="output",
            hint="name a file; ./- is one of that name",
        )


def _paths(value: object) -> list[str]:
    if isinstance(value, (str, os.PathLike)):
        return [os.fspath(value)]
    return [os.fspath(one) for one in value] if isinstance(value, (list, tuple)) else []


def _is_one(one: str, other: str) -> bool:
    """Whether two names are of one regular file that is there."""
    try:
        return os.path.isfile(one) and os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
