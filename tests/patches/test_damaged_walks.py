"""Walks over damaged lists and trees keep what they got, end, and say what is missing."""

from __future__ import annotations

import re

import drgn
import pytest
from drgn import Object
from drgn.helpers.linux.list import list_for_each_entry

from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.handover.gdb.threads import Threads
from btfdbg.patches import install, missing
from btfdbg.patches.tasks import find_tasks
from btfdbg.program.session import Session
from btfdbg.vmcore.read_failures import unread
from tests.program.damaged import Dump

WILD = 0xFFFF_DEAD_BEEF_0000


@pytest.fixture
def dump(oops_core: object) -> Dump:
    install.install_helpers()
    return Dump(oops_core)  # type: ignore[arg-type] # a path, as the fixture says


def pids(session: Session) -> list[int]:
    return [int(task.pid.value_()) for task in find_tasks(session).tasks]


def all_pids(dump: Dump) -> list[int]:
    from drgn.helpers.linux.pid import for_each_task

    return sorted(int(task.pid.value_()) for task in for_each_task(dump.twin.prog))


def task(dump: Dump, pid: int) -> Object:
    from drgn.helpers.linux.pid import find_task

    return find_task(dump.twin.prog, pid)


def lose_pid_table(dump: Dump) -> None:
    root = dump.twin.prog["init_pid_ns"].idr.idr_rt.xa_head.value_()
    dump.lose(root & ~0xFFF, 4096)


def said(session: Session) -> str:
    return "\n".join(unread(session.prog).remarks())


def test_every_task_is_found_without_the_pid_table(dump: Dump) -> None:
    assert pids(dump.twin) == all_pids(dump)
    assert find_tasks(dump.twin).complete


def test_tasks_are_found_where_the_list_of_tasks_is_cut(dump: Dump) -> None:
    for pid in (5, 17, 40):
        dump.point(task(dump, pid).tasks.next.address_, WILD)
        dump.point(task(dump, pid).tasks.prev.address_, WILD)
    dump.point(dump.twin.prog["init_task"].tasks.next.address_, WILD)
    dump.point(dump.twin.prog["init_task"].tasks.prev.address_, 0)
    assert pids(dump.attach()) == all_pids(dump)


def test_tasks_whose_page_is_missing_are_counted_as_lost(dump: Dump) -> None:
    victim = task(dump, 17)
    dump.lose(victim.comm.address_, 16)
    session = dump.attach()
    found = find_tasks(session)
    assert 17 not in pids(session)
    assert not found.complete
    every = len(all_pids(dump))
    assert str(found) == f"{every - 1} of the {every} tasks that the kernel counted"


def test_what_only_looks_a_little_like_a_task_is_none(dump: Dump) -> None:
    """A list that leads into other data must not make tasks of it."""
    names = dump.twin.prog["init_task"].comm.address_
    dump.point(task(dump, 17).tasks.next.address_, names)
    dump.point(task(dump, 18).sibling.next.address_, names + 8)
    assert pids(dump.attach()) == all_pids(dump)


def test_ps_lists_every_task_without_the_pid_table(
    dump: Dump, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_pid_table(dump)
    session = dump.attach()
    prepare(session)
    assert run_line(session, "ps")
    out, err = capsys.readouterr()
    listed = [int(line.lstrip("> ").split()[0]) for line in out.splitlines()[1:]]
    assert sorted(p for p in listed if p) == all_pids(dump)
    assert "found by other ways" in err
    assert re.search(r"ps: [\d,]+ reads? .*failed", err)


def test_a_pid_is_looked_up_without_the_pid_table(dump: Dump) -> None:
    lose_pid_table(dump)
    session = dump.attach()
    from drgn.helpers.linux.pid import find_task

    assert find_task(session.prog, 17).pid.value_() == 17
    assert not find_task(session.prog, 99999)


def caches(dump: Dump, session: Session) -> list[int]:
    head = session.prog["slab_caches"].address_of_()
    return [c.value_() for c in list_for_each_entry("struct kmem_cache", head, "list")]


def test_a_list_is_walked_from_both_ends_around_a_wild_pointer(dump: Dump) -> None:
    whole = caches(dump, dump.twin)
    broken = Object(dump.twin.prog, "struct kmem_cache *", whole[7])
    dump.point(broken.list.next.address_, WILD)
    session = dump.attach()
    # The one that has lost its way cannot be told from one that is not of the list.
    assert caches(dump, session) == whole
    assert "a list is damaged and was walked from both ends" in said(session)


def test_a_list_is_walked_around_a_missing_page(dump: Dump) -> None:
    whole = caches(dump, dump.twin)
    lost = Object(dump.twin.prog, "struct kmem_cache *", whole[7])
    dump.lose(lost.list.address_, 16)
    session = dump.attach()
    assert caches(dump, session) == whole[:7] + whole[8:]
    assert "a list could not be read to its end and may have lost entries" in said(session)


def test_a_list_that_runs_in_a_circle_ends_and_loses_nothing(dump: Dump) -> None:
    whole = caches(dump, dump.twin)
    types = dump.twin.prog
    at = Object(types, "struct kmem_cache *", whole[20]).list.next.address_
    dump.point(at, Object(types, "struct kmem_cache *", whole[5]).list.address_)
    session = dump.attach()
    assert caches(dump, session) == whole
    assert "walked from both ends" in said(session)


def test_a_list_that_leads_into_other_data_does_not_show_it(dump: Dump) -> None:
    whole = caches(dump, dump.twin)
    at = Object(dump.twin.prog, "struct kmem_cache *", whole[9]).list.next.address_
    dump.point(at, dump.twin.prog["init_task"].comm.address_)
    assert caches(dump, dump.attach()) == whole


def test_a_circle_in_the_list_of_modules_ends(dump: Dump) -> None:
    from drgn.helpers.linux.module import for_each_module

    whole = [m.value_() for m in for_each_module(dump.twin.prog)]
    link = Object(dump.twin.prog, "struct module *", whole[3]).list
    dump.point(link.next.address_, link.address_)
    session = dump.attach()
    assert [m.value_() for m in for_each_module(session.prog)] == whole
    assert "walked from both ends" in said(session)


def test_an_undamaged_list_leaves_no_remark(dump: Dump) -> None:
    assert len(caches(dump, dump.twin)) > 100
    assert said(dump.twin) == ""


def test_a_node_of_a_tree_costs_its_branch_only(dump: Dump) -> None:
    from drgn.helpers.linux.idr import idr_for_each

    idr = dump.twin.prog["init_pid_ns"].idr
    whole = [index for index, _ in idr_for_each(idr)]
    root = Object(dump.twin.prog, "struct xa_node *", idr.idr_rt.xa_head.value_() - 2)
    child = next(e for e in root.slots if e)
    dump.lose(child.value_() - 2, 64)
    session = dump.attach()
    got = [index for index, _ in idr_for_each(session.prog["init_pid_ns"].idr)]
    assert got == [i for i in whole if i >= 64]
    assert got
    assert "nodes of a tree cannot be read" in said(session)


def test_a_maple_tree_that_leads_back_to_its_root_ends(dump: Dump) -> None:
    from drgn.helpers.linux.mapletree import mt_for_each

    prog = dump.twin.prog
    root = prog["sparse_irqs"].ma_root.value_()
    whole = {entry.value_() for _, _, entry in mt_for_each(prog["sparse_irqs"].address_of_())}
    node = Object(prog, "struct maple_node *", root & ~0xFF)
    dump.point(node.ma64.slot[1].address_, root)
    session = dump.attach()
    tree = session.prog["sparse_irqs"].address_of_()
    kept = {entry.value_() for _, _, entry in mt_for_each(tree)}
    assert kept
    assert kept < whole
    assert "nodes of a tree cannot be read" in said(session)


def test_a_stack_that_cannot_be_read_does_not_end_the_others(
    dump: Dump, capsys: pytest.CaptureFixture[str]
) -> None:
    dump.lose(task(dump, 17).thread.address_, 64)
    session = dump.attach()
    prepare(session)
    assert run_line(session, "foreach bt")
    out, err = capsys.readouterr()
    assert out.count("PID: ") == len(all_pids(dump)) + 2
    assert "tasks without a stack here (PID 17: 0x" in err


def test_a_task_that_gave_its_stack_back_has_none(
    dump: Dump, capsys: pytest.CaptureFixture[str]
) -> None:
    dump.point(task(dump, 17).stack.address_, 0)
    session = dump.attach()
    prepare(session)
    assert run_line(session, "bt 17")
    out, err = capsys.readouterr()
    assert "#0" not in out
    assert "gave its stack back" in err
    threads = Threads(session.prog)
    with pytest.raises(ValueError, match="given back"):
        threads.registers(threads.by_id[17])


def test_ps_shows_what_it_can_of_a_task_whose_parent_is_missing(
    dump: Dump, capsys: pytest.CaptureFixture[str]
) -> None:
    dump.lose(task(dump, 2).pid.address_, 4)
    session = dump.attach()
    prepare(session)
    assert run_line(session, "ps")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["PID", "PPID"]
    rows = {int(line.lstrip("> ").split()[0]): line for line in lines[1:]}
    # A task whose own number is missing is none that could be listed.
    assert sorted(p for p in rows if p) == [p for p in all_pids(dump) if p != 2]
    assert "?" in rows[17].split()
    assert "?" not in rows[1].split()
    assert "tasks that cannot be shown in full" in err


def test_foreach_goes_on_after_a_task_that_cannot_be_read(
    dump: Dump, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = task(dump, 17)
    dump.lose(fields.prio.address_, 4)
    session = dump.attach()
    prepare(session)
    assert run_line(session, "foreach task -R prio")
    out, err = capsys.readouterr()
    assert out.count("prio") == len(all_pids(dump)) + 1
    assert "tasks that cannot be shown in full (pid 17" in err


def test_a_task_in_a_module_whose_unwind_tables_are_damaged_does_not_end_the_others(
    dump: Dump,
) -> None:
    def damaged(*args: object) -> object:
        raise drgn.BadDataError("unrecognized .orc_header")

    session = dump.attach()
    there = Object(session.prog, "struct task_struct *", task(dump, 17).value_())
    assert not list(missing.kernel_stack_trace(damaged)(there))
    assert "tasks without a stack here (PID 17: unrecognized .orc_header)" in said(session)
