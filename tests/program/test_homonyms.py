"""Several types of one name: told apart, chosen, and taken by what an object is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.btf import Btf, Builder
from btfdbg.commands import evaluate
from btfdbg.errors import BtfNotFoundError, DebugInfoError
from btfdbg.program import annotate, homonyms
from btfdbg.program.session import Session
from btfdbg.repl.complete import complete

CORE = Path(__file__).resolve().parents[2] / "corefiles" / "6.12-amd64-null.vmcore"


@pytest.fixture(scope="module")
def session() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(CORE))


def _run(session: Session, capsys: pytest.CaptureFixture[str], line: str) -> tuple[str, str]:
    evaluate.run_line(session, line)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_all_types_of_a_name_are_there_in_the_order_of_the_btf(session: Session) -> None:
    found = homonyms.homonyms(session, "struct", "irq_info")
    assert [(one.number, homonyms.size_of(one.type)) for one in found] == [
        (1, 136),
        (2, 32),
        (3, 16),
    ]
    assert [homonyms.number_of(found, one.type) for one in found] == [1, 2, 3]
    assert homonyms.homonyms_of(session, session.prog.type("struct task_struct")) == ()


@pytest.mark.parametrize(("text", "size"), [("irq_info#2", 32), ("struct irq_info#3", 16)])
def test_a_number_chooses(session: Session, text: str, size: int) -> None:
    type_ = homonyms.chosen(session, text)
    assert type_ is not None
    assert type_.size == size


def test_a_module_chooses(session: Session) -> None:
    type_ = homonyms.chosen(session, "struct xfs_mount#xfs")
    assert type_ is not None
    assert type_.tag == "xfs_mount"


@pytest.mark.parametrize("text", ["irq_info#0", "irq_info#4", "irq_info#", "irq_info#x", "no#1"])
def test_a_choice_that_is_none_says_which_there_are(session: Session, text: str) -> None:
    with pytest.raises(DebugInfoError, match=f"there is no {text}") as raised:
        homonyms.chosen(session, text)
    assert "irq_info#1: 136 bytes" in raised.value.hint or "no type" in raised.value.hint


def test_a_choice_of_another_kind_says_which_kind_there_is(session: Session) -> None:
    with pytest.raises(DebugInfoError, match="there is no union irq_info#2") as raised:
        homonyms.chosen(session, "union irq_info#2")
    assert raised.value.hint == "there is struct irq_info"


def test_what_has_no_choice_is_left_alone(session: Session) -> None:
    assert homonyms.chosen(session, "struct irq_info") is None


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("p sizeof(struct irq_info#3)", "= (unsigned long)16"),
        ("p sizeof(irq_info#2)", "= (unsigned long)32"),
        ("p offsetof(struct irq_info#3, irq)", "= (unsigned long)2"),
        ("p &((struct irq_info#2 *)0)->head", "(struct list_head **)0x18"),
        ("p sizeof(struct xfs_mount#xfs *)", "= (unsigned long)8"),
        ("p init_task.pid # a remark", "= (pid_t)0"),
    ],
)
def test_an_expression_takes_the_type_that_is_chosen(
    line: str, wanted: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = _run(session, capsys, line)
    assert wanted in out
    assert err == ""


def test_an_expression_says_which_types_there_are(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = _run(session, capsys, "p (struct irq_info#7 *)0")
    assert out == ""
    assert "there is no struct irq_info#7; irq_info#1: 136 bytes" in err


def test_whatis_lists_them(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = _run(session, capsys, "whatis irq_info#2")
    assert "/* size: 32, members: 4 */" in out
    assert "/* 3 types of the kernel are called so; this is #2:" in out
    assert " *   irq_info#3: 16 bytes (bus, devfn, irq, …)" in out
    assert "are called so" not in _run(session, capsys, "whatis struct list_head")[0]


def test_struct_says_that_there_are_others(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = _run(session, capsys, "struct irq_info")
    assert out.endswith("SIZE: 136\n")
    assert "given is #1 (136 bytes) of 3 types of that name (#2 32 bytes, #3 16 bytes)" in err
    out, err = _run(session, capsys, "struct irq_info#2")
    assert out.endswith("SIZE: 32\n")
    assert err == ""


_BUS = "struct irq_info {\n   [0] u8 bus;\n}\n"


@pytest.mark.parametrize(
    ("line", "shown", "given"),
    [
        ("struct irq_info#3.bus", _BUS, None),
        ("struct -o irq_info#3.bus", _BUS, None),
        # Only one of them has the member.
        ("struct irq_info.bus", _BUS, 3),
        ("struct -o irq_info.bus", _BUS, 3),
        # All three have it: the first is given.
        ("struct irq_info.irq", "struct irq_info {\n  [96] unsigned int irq;\n}\n", 1),
    ],
)
def test_struct_takes_the_type_that_has_the_member(
    session: Session, capsys: pytest.CaptureFixture[str], line: str, shown: str, given: int | None
) -> None:
    out, err = _run(session, capsys, line)
    assert out == shown
    assert f"given is #{given} (" in err if given else not err


def test_struct_of_an_object_takes_the_type_that_has_the_member(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    place = session.prog.symbol("init_task").address
    out, err = _run(session, capsys, f"struct irq_info.bus {place:x}")
    assert out.startswith("bus = (u8)")
    assert "given is #3 (16 bytes) of 3 types of that name" in err


def test_member_that_no_type_of_the_name_has_is_named(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = _run(session, capsys, "struct irq_info.nosuch")
    assert out == ""
    assert "'struct irq_info' has no member 'nosuch'" in err
    assert "given is #1 (136 bytes) of 3 types of that name" in err


def test_struct_takes_the_type_of_the_variable_at_the_address(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = _run(session, capsys, "struct console.name early_vga_console")
    assert (out, err) == ('name = (char [16])"earlyvga"\n', "")


@pytest.mark.parametrize(
    ("room", "number"),
    [(32, 2), (16, 3), (192, 1), (64, None), (8, None), (1 << 30, None)],
)
def test_an_object_of_a_kmalloc_cache_is_the_type_that_its_size_is_for(
    session: Session, monkeypatch: pytest.MonkeyPatch, room: int, number: int | None
) -> None:
    def info(prog: drgn.Program, address: int) -> Any:
        return SimpleNamespace(address=address, slab_cache=SimpleNamespace(object_size=room))

    monkeypatch.setattr("drgn.helpers.linux.slab.slab_object_info", info)
    found = homonyms.homonyms(session, "struct", "irq_info")
    one = homonyms.of_object(session, found, 0xFFFF_8880_0000_1000)
    assert (one.number if one else None) == number


def test_a_cache_is_named_after_the_one_of_its_size(session: Session) -> None:
    name, why = annotate.slab_type(session, "irq_info", 32)
    assert name == "struct irq_info"
    assert why == "cache irq_info: its name and size 32 agree, irq_info#2"
    assert annotate.slab_type(session, "irq_info", 48)[0] is None


def _two() -> Btf:
    builder = Builder()
    word = builder.add_int("int", 4)
    for names in (("a", "x"), ("x", "b", "c")):
        builder.add_struct("twice", 4 * len(names))
        for place, name in enumerate(names):
            builder.add_field(name, word, 32 * place)
    return Btf.parse(builder.build())


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("struct irq_info#", ["irq_info#1", "irq_info#2", "irq_info#3"]),
        ("struct irq_info#2", ["irq_info#2"]),
        ("struct irq_info#2.", ["node", "irq", "lock", "head"]),
        ("struct irq_info#3.irq,b", ["bus"]),
        ("struct irq_info#4.", []),
        ("struct task_struct#", []),
        ("struct task_struct.comm,tgi", ["tgid"]),
    ],
)
def test_a_number_is_completed_and_so_are_its_members(
    line: str, wanted: list[str], session: Session
) -> None:
    assert [one.text for one in complete(line, len(line), session)] == wanted


def test_offset_says_which_and_takes_a_number() -> None:
    btf = _two()
    with pytest.raises(BtfNotFoundError) as raised:
        btf.offset_of("twice", "x")
    assert str(raised.value) == (
        "twice.x is ambiguous: bit 32 in twice#1 (8 bytes), bit 0 in twice#2 (12 bytes)"
    )
    assert btf.offset_of("twice#1", "x") == 32
    assert btf.offset_of("struct twice#2", "x") == 0
    assert btf.offset_of("twice", "c") == 64
    for text in ("twice#3", "twice#0", "twice#", "twice#-1", "twice#" + "9" * 50):
        with pytest.raises(BtfNotFoundError, match="there are 2 of that name"):
            btf.offset_of(text, "x")
