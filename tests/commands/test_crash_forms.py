"""What a crash user types works, or says in one line what to type instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btfdbg.commands import namespace
from btfdbg.commands.crash import table
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session
from tests.commands.forms import FORMS, Form, command_line, places

jsonschema = pytest.importorskip("jsonschema")

# What a trimmed dump has not: the pages that these forms go through.
_GONE = ("not in the dump", "cannot read", "is not mapped", "excluded", "no area", "neither a slab")
_SCHEMA = json.loads(
    (Path(namespace.__file__).parent / "table.schema.json").read_text(encoding="utf-8")
)
JSON_LINES = (
    "bt", "bt -a", "log", "ps", "mod", "mount", "sys -t", "sys -c read", "runq", "net", "mach",
    "set -v", "kmem -s", "irq", "vtop init_task", "foreach bt", "tele init_task -n 4", "timer",
)  # fmt: skip


@pytest.fixture(scope="module")
def known() -> dict[int, dict[str, str]]:
    return {}


def _line(form: Form, session: Session, known: dict[int, dict[str, str]]) -> str:
    key = id(session)
    if key not in known:
        prepare(session)
        known[key] = places(session)
    line = command_line(form, known[key])
    if line is None:
        pytest.skip(f"this dump has nothing for {form.line}")
    return line


@pytest.mark.parametrize("form", FORMS, ids=[form.line for form in FORMS])
def test_a_form_of_crash_works_or_says_what_to_type(
    form: Form,
    session: Session,
    known: dict[int, dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = _line(form, session, known)
    good = run_line(session, line)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "unrecognized arguments" not in err
    assert "command not found" not in err
    if not good:
        said = [row for row in err.splitlines() if row.strip()]
        assert said, "it fails without a word"
        assert all(len(row) < 400 for row in said)
    if not form.answers:
        assert not good, out
        assert not out.strip()
        assert len(err.strip().splitlines()) == 1
    elif not good and not form.if_any:
        # The bundled dumps have few pages; nothing else is an excuse.
        assert any(word in err for word in _GONE), err


def test_a_refusal_names_what_to_type() -> None:
    for option in table.OPTIONS:
        assert bool(option.run) + bool(option.refusal) <= 1, option
        if option.refusal:
            assert any(w in option.refusal for w in ("type ", "no running kernel", "the dump"))


def test_every_function_of_the_table_exists() -> None:
    from importlib import import_module

    for option in table.OPTIONS:
        if option.run:
            module, _, name = option.run.partition(":")
            assert callable(getattr(import_module(f"btfdbg.commands.crash.{module}"), name))


@pytest.mark.parametrize("line", JSON_LINES)
def test_json_follows_the_schema(
    line: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(session)
    if not run_line(session, f"{line} --json"):
        pytest.skip("this dump has no such table")
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, _SCHEMA)
    assert run_line(session, f"{line} --json-lines")
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert all(isinstance(row, dict) for row in rows)
    assert len(rows) == len(list(_flat(found)))


def _flat(found: list[dict[str, Any]]) -> Iterator[Any]:
    for item in found:
        if item.keys() == {"text", "rows"}:
            yield from item["text"]
            yield from item["rows"]
        else:
            yield item


def test_structure_behind_a_null_pointer_is_one_line(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(session)
    assert not session.prog["init_task"].mm
    capsys.readouterr()
    assert not run_line(session, "p *init_task.mm")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "p: *init_task.mm: the pointer is NULL\n"
