"""``btfdbg vars list --c-decls``: plain C declarations, and what is none is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.cli.vars.list import _not_plain

PLAIN = re.compile(r"(?:\w+ )+\**\w+(?:\[\d*\])*;")


@pytest.mark.parametrize(
    ("name", "declaration", "why"),
    [
        ("modules", "struct list_head modules", ""),
        ("names", "const char *names[8]", ""),
        ("hook", "void (*hook)(int)", "function pointers"),
        ("x.12", "int x.12", "names that are not C's"),
        ("a", "struct {\n\tint b;\n} a", "of types without a name"),
    ],
)
def test_what_is_left_out(name: str, declaration: str, why: str) -> None:
    assert _not_plain(name, declaration) == why


def test_declarations_are_a_type_a_name_and_lengths(
    x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = ["modules", "init_task", "super_blocks", "panic_blink", "pm_power_off", "linux_*"]
    assert main(["vars", "list", str(x86_core), *patterns, "--c-decls"]) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert "struct list_head modules;" in lines
    assert "struct task_struct init_task;" in lines
    assert all(PLAIN.fullmatch(line) for line in lines), lines
    assert "function pointers" in output.err
