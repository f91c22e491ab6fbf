"""A name that is there without a type is explained; it is never said not to exist."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import btfdbg
from btfdbg.btf import Btf, Builder, kinds
from btfdbg.commands import failure, namespace
from btfdbg.program import placed, untyped
from btfdbg.program.session import Session
from btfdbg.variables.provenance import Rejection

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


@pytest.fixture(scope="module")
def session() -> Session:
    """README's own dump: a NULL dereference in a module that no database knows."""
    return btfdbg.session(btfdbg.program_from_core_dump(COREFILES / "6.12-amd64-null.vmcore"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cf_victim",
            "cf_victim is there (at 0xffffffffc0ade5c0, 8 bytes in module cf_fault), its type is "
            "not known: variables of such names are of several types; "
            "try p (void *)cf_victim, rd cf_victim 1",
        ),
        ("max_cstate", "2 symbols are named max_cstate: type not known at 0xffffffff9f7cb240"),
        ("__mutex_lock", "only as the compiler changed it: __mutex_lock.constprop.0"),
        ("task_struct", "task_struct is a type and no variable; try whatis struct task_struct"),
        ("init_task", "init_task is a variable of the kernel, struct task_struct"),
        ("struct cf_victim", "cf_victim is a variable at 0xffffffffc0ade5c0"),
        ("union task_struct", "there is struct task_struct"),
        ("struct mtd_info", "its members are in no BTF of this dump"),
    ],
)
def test_what_is_there_is_told(session: Session, name: str, said: str) -> None:
    assert said in untyped.explain(session, name)


def test_without_btf_it_is_not_the_evidence_that_is_weak() -> None:
    symbol = SimpleNamespace(
        name="init_task",
        address=0x1000,
        size=64,
        module="",
        percpu=False,
        type="D",
        type_letter="D",
    )
    damaged = SimpleNamespace(
        lookup_symbols=lambda name: [symbol], module_objects=None, converter=None, variables=None
    )
    (named,) = untyped.symbols_named(damaged, "init_task")  # type: ignore[arg-type] # what it asks
    assert named.why == "the dump has no BTF of this kernel that can be read (info says why)"


@pytest.mark.parametrize(
    "name", ["nosuchname", "struct nosuch", "", " ", "a b c", "x" * 4096, "a\0b", "é"]
)
def test_what_is_not_there_is_not_explained(session: Session, name: str) -> None:
    assert untyped.explain(session, name) == ""


@pytest.mark.parametrize("line", ["p cf_victim", 'prog["cf_victim"]', "whatis cf_victim"])
def test_every_way_to_ask_for_a_variable_says_so(
    session: Session, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    from btfdbg.commands import evaluate

    assert not evaluate.run_line(session, line)
    said = capsys.readouterr().err
    assert "0xffffffffc0ade5c0, 8 bytes in module cf_fault" in said
    assert "did you mean" not in said


def test_a_type_that_is_missing_is_called_a_type(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not namespace.run(session, "whatis struct nosuch", {})
    assert capsys.readouterr().err == "whatis: no type 'struct nosuch' in this dump\n"


def _named(address: int, type_: str, **more: Any) -> untyped.Named:
    return untyped.Named("v", address, 4, "", False, False, type_, **more)


def test_variables_of_one_name_are_all_offered() -> None:
    said = untyped._of_symbols([_named(0x10, "int"), _named(0x20, "unsigned int")], "v")
    assert said == (
        "2 symbols are named v: int at 0x10, 4 bytes, unsigned int at 0x20, 4 bytes; "
        "choose one: p *(int *)0x10"
    )


def test_variables_of_one_name_without_a_type_are_told_with_those_of_other_kernels() -> None:
    two = [_named(at, "", elsewhere=("int", "unsigned int", "long")) for at in (0x10, 0x20)]
    assert untyped._of_symbols(two, "v") == (
        "2 symbols are named v: type not known at 0x10, 4 bytes, type not known at 0x20, 4 bytes; "
        "other kernels have int, unsigned int; as the first: p *(int *)0x10"
    )


def test_types_of_other_kernels_are_named() -> None:
    said = untyped._of_one(_named(0x10, "", why="does not fit", elsewhere=("bool", "int", "u8")))
    assert "its type is not known: does not fit (bool, int); try p (int)v, rd v 1" in said


def test_a_per_cpu_variable_is_read_of_a_cpu() -> None:
    named = untyped.Named("v", 0x10, 8, "", True, False, "", "unknown")
    assert "try rd v:0 1" in untyped._of_one(named)


@pytest.mark.parametrize(
    ("type_name", "pointer"),
    [
        ("int", "int *"),
        ("char *", "char **"),
        ("const char [4]", "char *"),
        ("int [2][3]", "int *"),
        ("struct x", "struct x *"),
    ],
)
def test_a_cast_points_to_the_type(type_name: str, pointer: str) -> None:
    assert placed.pointer_to(type_name) == pointer


def test_an_enumerator_that_is_not_believed_says_why() -> None:
    builder = Builder()
    builder.add_enum("hmm", 8, [kinds.Enumerator("HMM_PFN_ERROR", 0)])
    session: Any = SimpleNamespace(
        lookup_symbols=lambda name: (),
        module_objects=None,
        has_btf=True,
        vmlinux=Btf.parse(builder.build()),
        symbols=None,
    )
    error = NameError("name 'HMM_PFN_ERROR' is not defined", name="HMM_PFN_ERROR")
    said = failure.describe(error, known=lambda name: untyped.explain(session, name))
    assert said == (
        "HMM_PFN_ERROR is an enumerator, its value is not known: the encoder cut the values of "
        "this 8-byte enum to 32 bits: none is believed"
    )


def test_a_variable_of_which_code_uses_one_byte_is_read_as_one() -> None:
    why = untyped._WHY[Rejection.SHRUNK]
    said = untyped._of_symbols([_named(0x10, "", why=why, elsewhere=("int",), used=1)], "v")
    assert "clang may keep a variable of two values as a byte that says which" in said
    assert said.endswith("(int); try p (unsigned char)v, rd v 1")
