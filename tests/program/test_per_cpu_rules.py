"""Per-CPU variables that no symbol names: what is derived is where the symbol has it."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import drgn
import pytest
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu

import btfdbg
from btfdbg.program import per_cpu_rules
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps
from tests.program.support import put


def opened(path: Path) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(path))


@pytest.fixture(scope="module", params=[path for path, _ in bundled_dumps()], ids=lambda p: p.stem)
def session(request: pytest.FixtureRequest) -> Session:
    return opened(request.param)


@pytest.mark.parametrize("name", per_cpu_rules.RULES)
def test_a_rule_gives_the_symbol_s_address(session: Session, name: str) -> None:
    (symbol,) = session.lookup_symbols(name)
    assert symbol.source != "derived"  # else this would hold the rule against itself
    assert per_cpu_rules.RULES[name](session) == symbol.address


@pytest.mark.parametrize("name", per_cpu_rules.RULES)
def test_a_copy_that_says_another_cpu_proves_nothing(x86_core: Path, name: str) -> None:
    session = opened(x86_core)
    prog = session.prog
    cpu = max(for_each_possible_cpu(prog))
    place = per_cpu(prog[name], cpu).cpu.address_
    assert place is not None
    prog.add_memory_segment(place, 4, lambda *_: struct.pack("<i", cpu + 1), False)
    assert per_cpu(prog[name], cpu).cpu.value_() == cpu + 1
    try:
        found = per_cpu_rules.RULES[name](session)
    except drgn.FaultError:
        found = None
    assert found is None


def test_a_run_queue_whose_idle_task_is_none_proves_nothing(x86_core: Path) -> None:
    session = opened(x86_core)
    prog = session.prog
    for cpu in for_each_possible_cpu(prog):
        idle = per_cpu(prog["runqueues"], cpu).idle
        place = idle.pid.address_
        assert place is not None
        prog.add_memory_segment(place, 4, lambda *_: struct.pack("<i", 9), False)
    assert per_cpu_rules.runqueues(session) is None


_CODE, _RQ, _IDLE_TASK = 0xFFFFFFFF81094A70, 0xFFFFFFFF81A55E00, 0xFFFFFFFF81A1E540
_OFFSET = 0x830


@pytest.mark.parametrize(("idle", "found"), [(_IDLE_TASK, _RQ), (_IDLE_TASK + 64, None)])
def test_the_one_run_queue_is_where_idle_task_reads(idle: int, found: int | None) -> None:
    """CONFIG_SMP=n, CONFIG_FAIR_GROUP_SCHED=n: no task says which run queue it is on."""
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    distance = _RQ + _OFFSET - (_CODE + 11)
    put(prog, _CODE, b"\xf3\x0f\x1e\xfa\x48\x8b\x05" + struct.pack("<i", distance) + b"\xc3")
    put(prog, _RQ + _OFFSET, struct.pack("<Q", idle))
    entity = SimpleNamespace(type_=SimpleNamespace(has_member=lambda name: False))
    task: Any = SimpleNamespace(address_=_IDLE_TASK, se=entity)
    made = SimpleNamespace(
        prog=_Kernel(prog, task),
        lookup_symbols=lambda name: [SimpleNamespace(address=_CODE, size=12)],
        vmlinux=SimpleNamespace(offset_of=lambda *names: _OFFSET * 8),
    )
    assert per_cpu_rules.runqueues(cast(Session, made)) == found


class _Kernel:
    """A program with memory and an ``init_task``."""

    def __init__(self, prog: drgn.Program, task: Any) -> None:
        self.read, self.read_u64, self.platform = prog.read, prog.read_u64, prog.platform
        self._task = task

    def __getitem__(self, name: str) -> Any:
        assert name == "init_task"
        return self._task
