"""Dumps and sessions for the tests of the prompt and of its commands."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

import btfdbg
from btfdbg.program.session import Session
from btfdbg.repl.complete import sources_of

_ROOT = Path(__file__).resolve().parents[2]

# The names of dumps that were made on purpose, one per architecture.
_WANTED = {
    "x86_64": ("6.12-amd64-qemu-elf.vmcore", "6.12-amd64-sysrq-qemu-elf.vmcore"),
    "aarch64": ("6.12-arm64-qemu-elf.vmcore", "6.12-arm64-null-qemu-elf.vmcore"),
}
ARCHITECTURES = tuple(_WANTED)


def dump_path(architecture: str) -> Path:
    """A dump of an architecture; skips the test if there is none."""
    folder = os.environ.get("BTFDBG_DUMPS")
    if folder:
        for name in _WANTED[architecture]:
            path = Path(folder) / name
            if path.exists():
                return path
    tag = {"x86_64": "amd64", "aarch64": "arm64"}[architecture]
    for path in sorted((_ROOT / "corefiles").glob("*.vmcore"), reverse=True):
        if tag in path.name or architecture in path.name:
            return path
    pytest.skip(f"no {architecture} dump: none in corefiles/, none in $BTFDBG_DUMPS")


@functools.cache
def open_session(path: Path) -> Session:
    """One Session per dump and process: opening costs more than most tests."""
    prog = btfdbg.program_from_core_dump(path)
    session = btfdbg.session(prog)
    sources_of(session).build()
    return session


def session_of(architecture: str) -> Session:
    """The Session of an architecture's dump; skips the test if there is none."""
    return open_session(dump_path(architecture))
