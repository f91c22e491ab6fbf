"""``tree`` over what is no tree says so, and over a damaged one does not leave it."""

from __future__ import annotations

from pathlib import Path

import pytest
from drgn.helpers.linux.percpu import per_cpu

import btfdbg
from btfdbg.commands.evaluate import run_line
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps

Said = pytest.CaptureFixture[str]
_TIMERS = "-r hrtimer_cpu_base.clock_base[0].active.rb_root hrtimer_bases:0"
_ARRAY = "&init_pid_ns.idr.idr_rt"
_MAPLE = "-r mm_struct.mm_mt find_task(prog,1)->mm"


@pytest.fixture(params=[path for path, _ in bundled_dumps()], ids=lambda p: p.stem)
def session(request: pytest.FixtureRequest) -> Session:
    path: Path = request.param
    return btfdbg.session(btfdbg.program_from_core_dump(path))


def _put(session: Session, address: int, value: int) -> None:
    """Lay a word over the dump's."""
    data = value.to_bytes(8, "little")

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return data[offset : offset + count]

    session.prog.add_memory_segment(address, 8, read)


@pytest.mark.parametrize("options", ["", "-p", "-l", "-p -l", "-o 8"])
@pytest.mark.parametrize("root", ["super_blocks", "init_task", "linux_banner", "modules"])
def test_what_is_no_red_black_tree_is_refused(
    session: Session, root: str, options: str, capsys: Said
) -> None:
    assert not run_line(session, f"tree -t rb {options} {root}")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is no root of a red-black tree" in captured.err


@pytest.mark.parametrize(
    ("kind", "words"),
    [("xarray", "is no array"), ("radix", "is no array"), ("maple", "is no maple tree")],
)
@pytest.mark.parametrize("root", ["linux_banner", "super_blocks"])
def test_what_is_no_array_or_maple_tree_is_refused(
    session: Session, kind: str, words: str, root: str, capsys: Said
) -> None:
    for options in ("", "-p"):
        assert not run_line(session, f"tree -t {kind} {options} {root}")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err


@pytest.mark.parametrize(
    "line",
    [_TIMERS, f"-t x {_ARRAY}", f"-t ra {_ARRAY}", f"-t m {_MAPLE}"],
)
def test_a_tree_is_walked_without_a_word(session: Session, line: str, capsys: Said) -> None:
    for options in ("", "-p"):
        assert run_line(session, f"tree {options} {line}")
        captured = capsys.readouterr()
        assert len(captured.out.splitlines()) >= 3
        assert "belong" not in captured.err


@pytest.mark.parametrize("options", ["", "-p", "-l"])
def test_a_pointer_astray_costs_its_branch_and_is_told(
    session: Session, options: str, capsys: Said
) -> None:
    assert run_line(session, f"tree {options} {_TIMERS}")
    whole = {int(line, 16) for line in capsys.readouterr().out.split("\n") if _is_address(line)}
    bases = per_cpu(session.prog["hrtimer_bases"], 0)
    root = bases.clock_base[0].active.rb_root.rb_root.rb_node
    lost = root.rb_left.value_()
    # To the root again, which has no parent: without a look at it the walk would go round.
    _put(session, root.rb_left.address_, root.value_())
    run_line(session, f"tree {options} {_TIMERS}")
    captured = capsys.readouterr()
    left = [int(line, 16) for line in captured.out.split("\n") if _is_address(line)]
    assert len(left) == len(set(left))
    assert set(left) < whole
    assert root.value_() in left
    assert lost not in left
    assert "do not belong to what they hang from" in captured.err


def _is_address(line: str) -> bool:
    return bool(line) and not line.startswith(" ")


def test_a_list_is_no_tree_from_a_node_either(session: Session, capsys: Said) -> None:
    run_line(session, "tree -t rb -N &init_task.tasks")
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "do not belong to what they hang from" in captured.err


def test_an_array_of_another_is_refused(session: Session, capsys: Said) -> None:
    array = session.prog["init_pid_ns"].idr.idr_rt
    node = int(array.xa_head) & ~3
    back = session.prog.type("struct xa_node").member("array").offset
    _put(session, node + back, 0xFFFF888000000000)
    assert not run_line(session, f"tree -t x {_ARRAY}")
    assert "which is another's" in capsys.readouterr().err


def test_an_arrays_node_of_another_is_told(session: Session, capsys: Said) -> None:
    array = session.prog["init_pid_ns"].idr.idr_rt
    type_ = session.prog.type("struct xa_node")
    first = int(array.xa_head) & ~3
    slots = first + type_.member("slots").offset
    below = next(
        entry & ~3
        for i in range(64)
        if (entry := session.prog.read_word(slots + 8 * i)) & 3 == 2 and entry > 4096
    )
    _put(session, below + type_.member("parent").offset, first + 576)
    assert run_line(session, f"tree -t x {_ARRAY}")
    assert "it is damaged, or no tree" in capsys.readouterr().err


def test_a_maple_tree_of_another_is_refused(session: Session, capsys: Said) -> None:
    from drgn.helpers.linux.pid import find_task

    root = int(find_task(session.prog, 1).mm.mm_mt.ma_root) & ~255
    _put(session, root, 0xFFFF888000000001)
    for options in ("", "-p", "-v"):
        assert not run_line(session, f"tree -t m {options} {_MAPLE}")
        assert "which is not its own" in capsys.readouterr().err
