"""Code with a compiler's ending is said to be what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import evaluate, namespace
from btfdbg.program import changed, untyped
from btfdbg.program.session import Session

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
COLD = "do_one_initcall.cold"


@pytest.fixture(scope="module")
def session() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(COREFILES / "6.12-amd64-null.vmcore"))


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (COLD, "do_one_initcall"),
        ("ext4_truncate.part.0.cold", "ext4_truncate"),
        ("f.constprop.0.isra.0", "f"),
        ("f.llvm.1234567890", "f"),
        ("f.lto_priv.3", "f"),
        ("f", "f"),
    ],
)
def test_the_function_in_the_source(name: str, base: str) -> None:
    assert changed.base_of(name) == base
    assert changed.is_changed(name) is (name != base)


@pytest.mark.parametrize(
    "name",
    ["", "f.", "f.colder", "f.cold.x", "f.part", "f.part.x", ".cold", "a b.cold", "x" * 9999],
)
def test_other_names_have_no_such_ending(name: str) -> None:
    assert not changed.is_changed(name)


@pytest.mark.parametrize(
    ("name", "what", "of", "prototype"),
    [
        (
            COLD,
            "the unlikely part of do_one_initcall",
            "do_one_initcall",
            "int do_one_initcall(initcall_t fn)",
        ),
        (
            "cf_level3.constprop.0",
            "a copy of cf_level3 for arguments that are always the same",
            "cf_level3",
            "int cf_level3(struct cf_widget *widget, int depth)",
        ),
        (
            "__mutex_lock.constprop.0",
            "a copy of __mutex_lock for arguments that are always the same",
            "__mutex_lock",
            "",
        ),
    ],
)
def test_what_it_is_of_which_function(
    session: Session, name: str, what: str, of: str, prototype: str
) -> None:
    found = changed.changed(session, name)
    assert found is not None
    assert (found.what, found.of, found.prototype) == (what, of, prototype)
    (place,) = found.places
    assert session.prog.symbol(place.address).name == name
    assert f"at {place.address:#x}, {place.size} bytes" in found.sentence()
    assert untyped.explain(session, name).startswith(found.sentence())


def test_a_part_of_a_copy_is_a_part_of_that(session: Session) -> None:
    assert session.symbols is not None
    name = next(s.name for s in session.symbols if s.name.endswith(".isra.0.cold"))
    found = changed.changed(session, name)
    assert found is not None
    assert (found.of, changed.base_of(name)) == (
        name.removesuffix(".cold"),
        name.removesuffix(".isra.0.cold"),
    )


def test_every_ending_of_this_kernel_is_known(session: Session) -> None:
    assert session.symbols is not None
    names = {s.name for s in session.symbols if s.type_letter in "tT" and "." in s.name}
    assert len(names) > 4000
    # Labels of assembly: ML_NAME.E_copy and the like.
    other = {name for name in names if not changed.is_changed(name)}
    assert all(name.rpartition(".")[2].startswith(("E_", "slowpath")) for name in other), other


def test_whatis_describes_it(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert namespace.run(session, f"whatis {COLD}", {})
    out = capsys.readouterr().out
    place = session.prog.symbol(COLD)
    whole = session.prog.symbol("do_one_initcall")
    for said in (
        "the unlikely part of do_one_initcall:",
        "it is jumped to and never called,\n * so that it has no prototype of its own",
        f"at {place.address:#x}, size: {place.size}",
        f"do_one_initcall is at {whole.address:#x}:\n * int do_one_initcall(initcall_t fn); */",
    ):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("line", [f"p {COLD}", f"prog['{COLD}']"])
def test_it_is_no_object_and_the_reason_is_told(
    session: Session, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert not evaluate.run_line(session, line)
    err = capsys.readouterr().err
    assert "the unlikely part of do_one_initcall" in err
    assert "no prototype of its own" in err


@pytest.mark.parametrize("line", ["whatis", "p", "sym", "xinfo", "dis"])
@pytest.mark.parametrize("name", ["schedule.cold", "__mutex_lock.part.3", "nosuchname.isra.0"])
def test_what_is_not_there_is_no_member_of_a_function(
    session: Session, capsys: pytest.CaptureFixture[str], line: str, name: str
) -> None:
    assert not namespace.run(session, f"{line} {name}", {})
    err = capsys.readouterr().err
    assert f"no symbol is named {name}" in err
    assert "structure" not in err


def test_a_member_of_a_variable_may_be_called_so(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not changed.is_of_function(session, "init_task.cold")
    assert not namespace.run(session, "whatis init_task.cold", {})
    assert "has no member 'cold'" in capsys.readouterr().err
