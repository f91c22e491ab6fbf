"""
Answers: what DWARF says about one dump, as a compressed JSON file beside it.

Keys: ``version``, ``release``, ``build_id``, ``debug`` (how many modules had
DWARF), ``types``, ``variables``, ``stacks``, ``commands``.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import drgn

from . import views
from .dwarf import open_with_dwarf, raw_btf
from .invocations import for_dump
from .names import count_names

VERSION = 1


def path_for(dump: Path) -> Path:
    """Where the answers about a dump lie: beside it."""
    return dump.with_name(dump.name + ".answers.json.xz")


def unique_names(prog: drgn.Program) -> list[str]:
    """Types whose name occurs once in the BTF of the kernel and its modules together."""
    counts: Counter[tuple[str, str]] = Counter()
    base = b""
    for name, data in raw_btf(prog):
        if name == "vmlinux":
            found, base = count_names(data)
        else:
            found, _ = count_names(data, base)
        counts += found
    return sorted(
        name if keyword == "typedef" else f"{keyword} {name}"
        for (keyword, name), count in counts.items()
        if count == 1
    )


def variables(prog: drgn.Program) -> dict[str, Any]:
    """Variables that DWARF knows at the address that the one symbol of their name has."""
    by_name: dict[str, list[drgn.Symbol]] = {}
    for symbol in prog.symbols():
        by_name.setdefault(symbol.name, []).append(symbol)
    found: dict[str, Any] = {}
    for name, symbols in sorted(by_name.items()):
        if len(symbols) != 1 or symbols[0].kind != drgn.SymbolKind.OBJECT:
            continue
        answer = views.variable(prog, name)
        if answer is not None and answer[2] == symbols[0].address:
            found[name] = answer
    return found


def record(core: Path, debug: Path, more: Iterable[Path] = ()) -> dict[str, Any]:
    """
    Ask DWARF everything about a dump.

    :param debug: Folder with ``vmlinux`` and, below it, the modules' .ko files.
    :param more: .ko files of modules that came from elsewhere.
    :raises drgn.MissingDebugInfoError: the files are another kernel's.
    """
    prog = open_with_dwarf(core, debug, more)
    info = prog["VMCOREINFO"].string_().decode(errors="replace")
    modules = [m for m in prog.modules() if isinstance(m, drgn.RelocatableModule)]
    with_dwarf = [m for m in modules if m.debug_file_status == drgn.ModuleFileStatus.HAVE]
    # Stacks first: nothing that runs before may have changed the Program.
    stacks = views.stacks(prog)
    return {
        "version": VERSION,
        "release": prog["UTS_RELEASE"].string_().decode(),
        "build_id": _line(info, "BUILD-ID"),
        "debug": {"modules": len(modules), "with_dwarf": len(with_dwarf)},
        "stacks": stacks,
        "types": views.types(prog, unique_names(prog)),
        "variables": variables(prog),
        "commands": {line: views.command(prog, line) for line in for_dump(prog)},
    }


def _line(text: str, key: str) -> str:
    match = re.search(rf"^{key}=(.*)$", text, re.M)
    return match[1] if match else ""


def write(path: Path, answers: dict[str, Any]) -> None:
    """Write answers, compressed."""
    text = json.dumps(answers, separators=(",", ":"))
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def read(path: Path) -> dict[str, Any]:
    """Read answers."""
    answers: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    if answers["version"] != VERSION:
        raise ValueError(f"{path}: version {answers['version']}, expected {VERSION}")
    return answers
