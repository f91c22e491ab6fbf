"""What a trimmed dump keeps for crash, by what the walks touch."""

from __future__ import annotations

import contextlib
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.program.session import session as session_of
from btfdbg.trim import needs, others
from tests.conftest import bundled_dumps

HUNG = next(path for path, _ in bundled_dumps() if "6.1-amd64" in path.name)


class Touched:
    """A recorder that remembers what it is told, and leaves reads alone."""

    def __init__(self, prog: drgn.Program) -> None:
        self.prog = prog
        self.ranges: list[tuple[int, int]] = []

    def touch(self, address: int, size: int) -> None:
        self.ranges.append((address, size))


@pytest.fixture(scope="module")
def hung() -> Any:
    prog = btfdbg.program_from_core_dump(HUNG)
    session_of(prog).ensure_modules()
    return prog


def test_the_call_before_each_return_address_is_kept(hung: drgn.Program) -> None:
    session, recorder = session_of(hung), Touched(hung)
    needs.code_on_stacks(recorder, session)  # type: ignore[arg-type]
    ends = {address + size for address, size in recorder.ranges}
    code = range(hung.symbol("_stext").address, hung.symbol("_etext").address)
    assert all(address in code and size == 8 for address, size in recorder.ranges)
    called = {
        frame.pc
        for task in for_each_task(hung)
        for frame in list(hung.stack_trace(task))[1:]
        if frame.pc in code and not frame.interrupted
    }
    assert len(called) > 20
    assert called <= ends
    assert called < ends  # what earlier calls left there, too


def test_super_blocks_and_the_map_of_memory_are_kept(hung: drgn.Program) -> None:
    recorder = Touched(hung)
    others.memory_map(recorder, session_of(hung))  # type: ignore[arg-type]
    table = hung["e820_table"]
    assert recorder.ranges == [(table.value_(), drgn.sizeof(table.type_.type))]
    recorder.ranges.clear()
    # An older trim kept the first of them only: drgn's walk raises there, ours ends.
    with contextlib.suppress(drgn.FaultError):
        others.super_blocks(recorder, session_of(hung))  # type: ignore[arg-type]
    entry = hung["super_blocks"].next
    first = drgn.container_of(entry, "struct super_block", "s_list")
    assert recorder.ranges[0] == (first.value_(), drgn.sizeof(first.type_.type))


def test_a_stack_has_the_size_of_its_area(hung: drgn.Program) -> None:
    session, first = session_of(hung), hung["init_task"].address_of_()
    sizes = {others.stack_size(session, task) for task in for_each_task(hung)}
    assert sizes == {16 << 10}
    assert others.stack_size(session, first) == 16 << 10  # it has no area
