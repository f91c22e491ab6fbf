"""
Make a bundled dump: trim a full one, record DWARF's answers, enter both in the manifest.

The answers are about the full dump: a page that trimming lost shows up as a
difference. Every recorded command is handed to the trimmer, so that what it
reads is kept.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .. import manifest
from . import answers


def bundle(
    core: Path,
    debug: Path,
    name: str,
    more: Iterable[Path] = (),
    folder: Path = manifest.BUNDLED.parent,
) -> Path:
    """
    Add a dump to the bundled ones.

    :param core: Full dump with its manifest entry beside it.
    :param debug: Folder with ``vmlinux`` and, below it, the modules' .ko files.
    :param name: File name of the bundled dump.
    :param more: .ko files of modules that came from elsewhere.
    :return: The bundled dump.
    :raises subprocess.CalledProcessError: trimming failed.
    """
    entry = manifest.read_entry(core)
    truth = answers.record(core, debug, more)
    out = folder / name
    trim = [sys.executable, "-m", "btfdbg.cli.main", "trim", str(core), str(out)]
    for line, answer in truth["commands"].items():
        if "error" not in answer:
            trim += ["-x", f"crash {line}"]
    # Status 1: a command failed for which DWARF has an answer; the comparison
    # of the bundled dump is where that counts.
    status = subprocess.run(trim, check=False).returncode
    if status not in (0, 1):
        raise subprocess.CalledProcessError(status, trim[:6])
    answers.write(answers.path_for(out), truth)
    manifest.bundle(out, entry)
    return out
