"""Functions that the compiler folded into others: their files are where they were written."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.varextract.functions import extract_functions

EVENT = """\
#define EVENT(name) \\
\tstatic int name(int a) { return other(a * 3 + 1) + other(a + 2) + a; } \\
\tint (*name##_hook)(int) = name;
"""
MAIN = """\
int other(int);
#include "event.h"
EVENT(one)
#include "two.h"
#include "three.h"
int last(int b) { return other(b) - 1; }
__attribute__((cold)) int rare(int b) { return other(b) + 1; }
"""


def _built(folder: Path, dwarf: str, *, linked: bool) -> Path:
    """A file in which ``two`` and ``three`` are jumps to ``one``, without lines of their own."""
    (folder / "event.h").write_text(EVENT)
    (folder / "two.h").write_text("EVENT(two)\n")
    (folder / "three.h").write_text("\nint last(int);\nEVENT(three)\n")
    (folder / "main.c").write_text(MAIN)
    command = ["gcc", f"-gdwarf-{dwarf}", "-O2", "-fno-inline", "-fno-pic"]
    subprocess.run([*command, "-S", "main.c", "-o", "main.s"], check=True, cwd=folder)
    text = (folder / "main.s").read_text()
    # GCC 10 writes no line for such a jump; later ones do.
    for name in ("two", "three"):
        text, count = re.subn(
            rf"(?ms)^({name}:$.*?)^\t\.loc [^\n]*\n(.*?^\tjmp\tone$)", r"\1\2", text
        )
        assert count == 1
    (folder / "main.s").write_text(text)
    words = ["-nostdlib", "-no-pie", "-Wl,-e,last", "-Wl,--defsym,other=0x401000"]
    how, out = (words, "program") if linked else (["-c"], "main.o")
    subprocess.run(["gcc", *how, "main.s", "-o", out], check=True, cwd=folder)
    return folder / out


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("dwarf", ["4", "5"])
def test_a_folded_function_is_in_the_file_that_defines_it(
    tmp_path: Path, dwarf: str, linked: bool
) -> None:
    rows = extract_functions(_built(tmp_path, dwarf, linked=linked)).rows
    files = {row.name: (row.file, row.line) for row in rows}
    assert files == {
        "one": ("main.c", 3),
        "two": ("two.h", 1),
        "three": ("three.h", 3),
        "last": ("main.c", 6),
        "rare": ("main.c", 7),
    }
