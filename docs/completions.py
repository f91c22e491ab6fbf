"""Write the shell completion files from the parser: ``python3 docs/completions.py``.

Needs shtab (in the ``dev`` extra); the files it writes need nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import shtab
from cli_parser import full_parser

FOLDER = Path(__file__).resolve().parent / "completions"
FILES = {"bash": "btfdbg.bash", "zsh": "_btfdbg", "fish": "btfdbg.fish"}

_FILE_METAVARS = frozenset(("FILE", "CORE", "OUT", "BASE", "SPLIT", "A", "B", "TEXT"))


def mark_files(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are files and folders."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in set(action.choices.values()):
                mark_files(sub)
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        if metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined] # shtab's interface
        elif metavar in _FILE_METAVARS and not isinstance(action, argparse._StoreTrueAction):
            action.complete = shtab.FILE  # type: ignore[attr-defined] # shtab's interface


def generate() -> dict[str, str]:
    """File name to its text."""
    found = {}
    for shell, name in FILES.items():
        parser = full_parser()
        mark_files(parser)
        found[name] = shtab.complete(parser, shell=shell)
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in generate().items():
        (FOLDER / name).write_text(text)
