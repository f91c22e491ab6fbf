"""``btfdbg vars list --c-decls``: plain C declarations, and what is none is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.cli.vars.list import _not_plain
from btfdbg.kallsyms.model import Sym
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.program.session import Session

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


def test_a_name_that_a_function_has_too_is_left_out(
    whole: Session, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["verbose", "event_function", "sysrq_handler"]
    assert main(["vars", "list", str(x86_core), *shared]) == 0
    assert "verbose" in capsys.readouterr().out  # there is a variable
    assert main(["vars", "list", str(x86_core), *shared, "modules", "--c-decls"]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == ["struct list_head modules;"]
    assert "3 names that several symbols have" in output.err
    # Its reader asks for the symbol of a name: there is code of that name too.
    for name in shared:
        assert {"t"} < {sym.type_letter for sym in whole.lookup_symbols(name)}


@pytest.mark.parametrize(
    ("declaration", "why"),
    [
        ("int (*rows)[4]", "pointers to arrays"),
        ("int (*hook)(char (*)[4])", "function pointers"),
        ("int (*hooks[4])(int)", "function pointers"),
    ],
)
def test_what_has_parentheses_is_named(declaration: str, why: str) -> None:
    assert _not_plain("x", declaration) == why


def test_patterns_may_stand_behind_options(
    x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([str(x86_core), "--c-decls", "modules"], ["--c-decls", str(x86_core), "modules"]):
        assert main(["vars", "list", *words]) == 0
        assert capsys.readouterr().out == "struct list_head modules;\n"
    assert main(["vars", "list", str(x86_core), "nosuch", "--c-decls", "no*such"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "no data symbol of the kernel matches nosuch no*such" in output.err


@pytest.mark.parametrize("other", ["--untyped", "--counts"])
def test_what_is_no_declaration_is_not_asked_for_with_them(
    other: str, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vars", "list", str(x86_core), "modules", "--c-decls", other]) == 2
    assert f"give --c-decls or {other}, not both" in capsys.readouterr().err


def test_a_whole_list_looks_no_name_up_in_kallsyms(
    x86_core: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each takes milliseconds before v6.2, which keeps them unsorted: 20,000 took minutes."""
    asked = []
    looked_up = KallsymsTable.by_name

    def by_name(self: KallsymsTable, name: str) -> tuple[Sym, ...]:
        asked.append(name)
        return looked_up(self, name)

    monkeypatch.setattr(KallsymsTable, "by_name", by_name)
    assert main(["vars", "list", str(x86_core), "module*", "--c-decls"]) == 0
    listed = {line.rstrip(";").split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert "module_bug_list" in listed
    assert not (listed - {"modules"}) & set(asked)  # that one is asked for when the dump is opened
