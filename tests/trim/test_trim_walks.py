"""What crash reads in one piece, or walks to its end, is touched in that way."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import drgn
import pytest
from drgn.helpers.linux.block import for_each_disk
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.module import for_each_module

import btfdbg
from btfdbg.trim import disks, needs, walks
from btfdbg.trim.recorder import Recorder

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


class Touches:
    """Stands for a recorder: what is touched, and no page of it."""

    def __init__(self, prog: drgn.Program) -> None:
        self.prog = prog
        self.ranges: set[tuple[int, int]] = set()

    def touch(self, address: int, size: int) -> int:
        self.ranges.add((address, size))
        return 0


@pytest.fixture(scope="module", params=["6.12-amd64-null", "6.1-amd64-hung"])
def touches(request: pytest.FixtureRequest) -> Touches:
    return Touches(btfdbg.program_from_core_dump(COREFILES / f"{request.param}.vmcore"))


def recorded(touches: Touches) -> Recorder:
    return cast(Recorder, touches)


def test_the_walk_for_disks_touches_every_class_and_what_counts_requests(
    touches: Touches,
) -> None:
    """crash's ``dev -d`` was silent over a trimmed dump: a class's page was not in it."""
    prog = touches.prog
    disks.disk_list(recorded(touches), btfdbg.session(prog))
    starts = {address for address, _ in touches.ranges}
    classes = 0
    try:
        head = prog["class_kset"].list.address_of_()
        for kobject in list_for_each_entry("struct kobject", head, "entry"):
            assert kobject.value_() in starts
            classes += 1
    except drgn.FaultError:
        pass  # this dump ends there
    assert classes >= 10
    counted = 0
    for disk in for_each_disk(prog):
        assert disk.value_() in starts
        try:
            contexts = disks._hardware_contexts(disk.queue)
            for context in contexts:
                tags: Any = context.tags.read_()
                assert {context.value_(), tags.value_()} <= starts
                counted += 1
        except drgn.FaultError:
            continue  # of a disk that was not in use when the dump was made small
    assert counted >= 8


def test_the_walk_for_task_groups_touches_queues_and_cgroups(touches: Touches) -> None:
    """crash's ``runq -g`` was silent over a trimmed dump: a cgroup's name was not in it."""
    prog = touches.prog
    with suppress(drgn.FaultError):  # one of these dumps ends within the list
        walks.task_groups(recorded(touches), btfdbg.session(prog))
    starts = {address for address, _ in touches.ranges}
    root = prog["root_task_group"]
    assert root.address_ in starts
    assert root.css.cgroup.value_() in starts
    try:
        queues = {root.cfs_rq[cpu].value_() for cpu in for_each_possible_cpu(prog)}
    except drgn.FaultError:
        return  # made small before they were touched
    assert queues <= starts


def test_the_table_of_disks_before_5_11_is_touched_with_all_that_is_chained_in_it() -> None:
    """crash's ``dev`` named no disk over a trimmed 5.10: it reads the table in one piece."""
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    table, chained, other = 0x1000, 0x2000, 0x3000
    probe: drgn.Type = prog.struct_type(
        "probe", 8, (drgn.TypeMember(lambda: prog.pointer_type(probe), "next"),)
    )
    to_probe = prog.pointer_type(probe)
    members = (drgn.TypeMember(prog.array_type(to_probe, 2), "probes"),)
    kobj_map = prog.struct_type("kobj_map", 40, members)  # a lock is behind the probes
    memory = {table: [chained, 0, 0, 0, 0], chained: [other], other: [0]}

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        start = address & ~0xFFF
        words = b"".join(word.to_bytes(8, "little") for word in memory[start])
        return (words + bytes(count))[address - start :][:count]

    prog.add_memory_segment(table, 0x3000, read)
    found = drgn.Object(prog, prog.pointer_type(kobj_map), table)
    prog.register_object_finder(
        "test", lambda _, name, *__: found if name == "bdev_map" else None, enable_index=0
    )
    touches = Touches(prog)
    disks._numbers(recorded(touches))
    assert touches.ranges == {(table, 40), (chained, 8), (other, 8)}


def test_without_such_a_table_nothing_is_touched() -> None:
    touches = Touches(drgn.Program(drgn.Platform(drgn.Architecture.X86_64)))
    disks._numbers(recorded(touches))
    assert not touches.ranges


def test_code_of_modules_is_touched_where_crash_reads_a_module_in_one_piece(
    touches: Touches,
) -> None:
    """Before v6.4: crash named nothing of a module, and called functions by the one before."""
    needs.modules(recorded(touches), btfdbg.session(touches.prog))
    modules = list(for_each_module(touches.prog))
    assert modules
    for module in modules:
        try:
            parts = [module.core_layout]
        except AttributeError:
            text = touches.prog.constant("MOD_TEXT").value_()
            parts = [part for at, part in enumerate(module.mem) if at != text and part.size]
        assert {(int(p.base), int(p.size)) for p in parts} <= touches.ranges
