"""Arguments and the faulting access in the bundled dump of a module's oops."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.errors import DebugInfoError
from btfdbg.frames.access import faulting_access
from btfdbg.frames.arguments import Argument, arguments
from btfdbg.frames.pointers import state_of
from btfdbg.program.session import Session

pytest.importorskip("capstone")


@pytest.fixture(scope="module")
def oops(oops_core: Path) -> Session:
    """A Session of the dump."""
    return btfdbg.session(btfdbg.program_from_core_dump(oops_core))


def crashed(session: Session) -> drgn.StackTrace:
    """The stack of the task that crashed."""
    return session.prog.crashed_thread().stack_trace()


def by_name(session: Session) -> dict[str, tuple[Argument, ...]]:
    """Arguments of each frame of that stack."""
    trace = crashed(session)
    return {f.name or "": a for f, a in zip(trace, arguments(session, trace), strict=True)}


def test_a_module_function_has_its_argument_from_a_saved_register(oops: Session) -> None:
    value, param = by_name(oops)["cf_trigger"]
    assert value.name == "value"
    assert value.type.type_name() == "const char *"
    assert value.value is not None
    assert value.value.string_().rstrip() == b"null"
    assert value.source == "register rbx"
    assert (param.name, param.value) == ("param", None)
    assert param.why


def test_the_session_gives_the_same(oops: Session) -> None:
    trace = crashed(oops)
    ours = [[str(a) for a in args] for args in oops.arguments(trace)]
    assert ours == [[str(a) for a in args] for args in arguments(oops, trace)]
    assert len(ours) == len(trace)


def test_a_name_with_a_suffix_takes_no_prototype_of_its_base(oops: Session) -> None:
    found = by_name(oops)
    assert found["cf_level3.constprop.0"] == ()
    assert found["cf_level1.constprop.0"] == ()


def test_tables_that_are_not_in_the_dump_cost_the_values_with_a_reason(oops: Session) -> None:
    # The bundled dump was trimmed before exception tables were kept.
    for argument in by_name(oops)["vfs_write"]:
        assert argument.value is None
        assert "exception table" in argument.why


def test_the_faulting_access_in_words(oops: Session) -> None:
    access = faulting_access(oops, crashed(oops))
    assert access is not None
    assert str(access) == (
        "cf_level3.constprop.0+0x1a writes 4 bytes at NULL+0x10; rdx is cf_victim, NULL"
    )
    assert (access.address, access.kind, access.size) == (0x10, "write", 4)
    assert (access.register, access.value, access.displacement) == ("rdx", 0, 0x10)
    assert access.origin == "cf_victim"
    assert access.instruction == "mov dword ptr [rdx + 0x10], eax"


def test_an_address_that_no_instruction_accesses_is_not_explained(oops: Session) -> None:
    assert faulting_access(oops, crashed(oops), fault_address=0x10) is not None
    assert faulting_access(oops, crashed(oops), fault_address=0x1234) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "NULL"),
        (0x18, "NULL+0x18"),
        ((1 << 64) - 12, "an error: -ENOMEM"),
        (0xDEAD000000000100, "LIST_POISON1: a list entry that was removed"),
        (0xDEAD000000000128, "LIST_POISON2: a list entry that was removed"),
        (0x6B6B6B6B6B6B6B6B, "slab poison: freed memory"),
        (0x7FFDCE8E3E80, "a user's address"),
        (0x4141414141414141, "no canonical address"),
        (0x6B6B6B6B6B6B6B5B, "slab poison less 0x10: freed memory"),
        (0xDEAD0000000000C0, "LIST_POISON1 less 0x40: a list entry that was removed"),
        (0x6B6B6B6B6B6B6A5B, "no canonical address"),
        (0xFFFF888000001000, ""),
    ],
)
def test_a_pointer_says_something_of_itself(value: int, text: str) -> None:
    assert state_of(value) == text


def test_without_capstone_one_line_says_so(oops: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from btfdbg.frames import disasm

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DebugInfoError, match="capstone is not installed") as caught:
        disasm.open_disassembler("x86_64")
    assert "btfdbg[disasm]" in caught.value.hint
    with pytest.raises(DebugInfoError, match="s390x"):
        disasm.open_disassembler("s390x")
