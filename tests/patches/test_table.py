"""Each row of the table fits the installed drgn, and one that does not is left out."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drgn
import pytest

from btfdbg.commands import execute, namespace
from btfdbg.patches import install, watchdog
from btfdbg.patches.table import ROWS, Row, Use
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core

_PRODUCT = Path(install.__file__).parents[1]
_PRIVATE = re.compile(r"_[a-z]\w*")
_IN_TEXT = re.compile(r"_drgn\.[\w.]+|drgn(\.\w+)*\._[a-z][\w.]*")


def row_id(row: Row) -> str:
    return f"{row.module}.{row.name}:{row.patch or row.use.name}"


@pytest.fixture
def session(oops_core: Path) -> Session:
    prog, info = open_core(oops_core)
    return attach(prog, None, info)


@pytest.fixture(autouse=True)
def all_installed() -> None:
    namespace.load_commands()


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_a_row_fits_the_installed_drgn(row: Row) -> None:
    assert row.why
    assert row.lost
    if row.use is Use.ENVIRONMENT:
        held = (importlib.import_module(name) for name in ("_drgn", "_drgn_util.plugins"))
        files = (Path(module.__file__ or "") for module in held)
        assert any(row.name.encode() in file.read_bytes() for file in files)
        return
    if row.use in (Use.IMPORTED, Use.PUT_OFF):
        assert importlib.import_module(row.module)
        return
    found = install.find(row)
    if not row.patch:
        return
    module, _, name = row.patch.partition(":")
    make = getattr(importlib.import_module(f"btfdbg.patches.{module}"), name)
    assert callable(make)
    # What is there now is ours, around drgn's.
    assert hasattr(found, "__wrapped__")
    assert "btfdbg" in found.__code__.co_filename


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.use is Use.EVERYWHERE and "." not in r.name], ids=row_id
)
def test_no_module_of_drgn_holds_what_is_replaced(row: Row) -> None:
    original = install.find(row)
    while hasattr(original, "__wrapped__") and "btfdbg" in original.__code__.co_filename:
        original = original.__wrapped__
    holders = [
        f"{name}.{attribute}"
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "drgn"
        for attribute, value in vars(module).items()
        if value is original
    ]
    assert holders == []


def test_commands_and_subcommands_run_what_is_in_place() -> None:
    common = importlib.import_module("drgn.commands._crash.common")
    for name in ("p", "struct", "rd", "mod", "search"):
        command: Any = common.CRASH_COMMAND_NAMESPACE._commands[name]
        assert "btfdbg" in command._argparse_func.__code__.co_filename
    for name in ("ps", "foreach"):
        command = common.CRASH_COMMAND_NAMESPACE._commands[name]
        assert "btfdbg" in command._func.__code__.co_filename
    for subcommand in common._CRASH_FOREACH_SUBCOMMANDS.values():
        assert "btfdbg" in subcommand.func.__code__.co_filename


def test_nothing_was_left_out() -> None:
    assert install.skipped() == ()


def test_what_the_watchdog_looks_at_is_in_the_table() -> None:
    rows = {(row.module, row.name) for row in ROWS if row.use is Use.WATCHED}
    assert rows == set(watchdog.WALKS) | watchdog.QUICK


def _private_names(path: Path) -> Iterator[str]:
    """Private modules and names of drgn's that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] not in ("drgn", "_drgn", "_drgn_util"):
                continue
            names = [alias.name for alias in node.names]
            if any(_PRIVATE.fullmatch(p) for p in [*parts[1:], *names]) or parts[0] != "drgn":
                yield f"{node.module}: {', '.join(names)}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] in ("_drgn", "_drgn_util") or (
                    parts[0] == "drgn" and any(_PRIVATE.fullmatch(p) for p in parts[1:])
                ):
                    yield alias.name
        elif isinstance(node, ast.Constant) and _IN_TEXT.fullmatch(str(node.value)):
            yield str(node.value)


def test_nothing_private_of_drgn_is_reached_past_the_table() -> None:
    modules = {row.module for row in ROWS}
    found = {
        f"{path.relative_to(_PRODUCT)}: {name}"
        for path in sorted(_PRODUCT.rglob("*.py"))
        if path.name != "table.py"
        for name in _private_names(path)
        if name not in modules
    }
    assert found == set()


def test_every_variable_of_drgns_environment_is_in_the_table() -> None:
    named = {
        name
        for path in _PRODUCT.rglob("*.py")
        for name in re.findall(r"\bDRGN_[A-Z_]+\b", path.read_text())
    }
    known = {row.name for row in ROWS if row.use is Use.ENVIRONMENT}
    # Only mentioned, in the facts of program/plugins.py.
    assert named - {"DRGN_PLUGINS"} == known


@pytest.fixture
def misfits(monkeypatch: pytest.MonkeyPatch) -> tuple[Row, ...]:
    """Rows that do not fit, installed as the first ones."""
    helper = "drgn.helpers.linux.pid"
    rows = (
        Row(helper, "no_such_helper", "lists:list_for_each", ("head",), "why", "ps is slower"),
        Row(helper, "find_pid", "lists:list_for_each", ("head",), "why", "bt is shorter"),
        Row("drgn.helpers.no_such", "x", "lists:list_for_each", None, "why", "vm is empty"),
    )
    used = (row for row in ROWS if not row.patch)
    monkeypatch.setattr(install, "ROWS", (*rows, *used))
    monkeypatch.setattr(install, "_installed", set())
    monkeypatch.setattr(install, "_skipped", {})
    return rows


def test_a_row_that_does_not_fit_is_left_out_with_one_note(
    misfits: tuple[Row, ...], session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    import drgn.helpers.linux.pid as pid

    before = dict(vars(pid))
    install.install_helpers()
    assert dict(vars(pid)) == before
    assert [item.row for item in install.skipped()] == list(misfits)
    for _ in range(2):
        assert execute.run_commands(session, ["ps 1"]) == 0
    notes = [note for note in session.notes if note.step == "drgn"]
    assert len(notes) == 1
    for part in ("no_such_helper is not there", "find_pid() takes prog, ns, pid", "bt is shorter",
                 "there is no drgn.helpers.no_such"):  # fmt: skip
        assert part in notes[0].what
    err = capsys.readouterr().err
    assert err.count("is not the one that btfdbg knows") == 1
    assert "Traceback" not in err


def test_what_has_no_row_cannot_be_reached() -> None:
    with pytest.raises(KeyError, match="no row"):
        install.reach("drgn.helpers.linux.pid", "find_pid")


_DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_about_drgn_is_the_table() -> None:
    from btfdbg.patches.__main__ import lines

    assert (_DOCS / "drgn.md").read_text() == "\n".join(lines()) + "\n"


@pytest.mark.parametrize("row", [r for r in ROWS if r.upstream == "docs/upstream.md"], ids=row_id)
def test_a_report_is_prepared_for_what_is_drgns(row: Row) -> None:
    assert row.name.rpartition(".")[2] in (_DOCS / "upstream.md").read_text()


def test_a_zone_size_of_zero_ends_no_search_for_an_area(session: Session) -> None:
    from btfdbg.patches.page_tables import vmap_zone_size

    assert vmap_zone_size(lambda prog: 0)(session.prog) == 1
    assert vmap_zone_size(lambda prog: 1 << 16)(session.prog) == 1 << 16


def test_a_zone_size_without_a_type_ends_no_search_for_an_area(session: Session) -> None:
    from drgn.helpers.linux.mm import find_vmap_area, for_each_vmap_area

    from btfdbg.patches.page_tables import vmap_zone_size

    def untyped(prog: drgn.Program) -> int:
        raise KeyError("vmap_zone_size")

    assert vmap_zone_size(untyped)(session.prog) == 1
    areas = [area.va_start.value_() for area in for_each_vmap_area(session.prog)]
    assert len(areas) > 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drgn.helpers.linux.mm._vmap_zone_size", vmap_zone_size(untyped))
        found = [find_vmap_area(session.prog, start).va_start.value_() for start in areas]
    assert found == areas
