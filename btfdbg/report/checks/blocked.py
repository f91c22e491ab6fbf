"""Tasks in D: by stack and lock, with who holds what, chains and circles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from btfdbg.report.blocked import Blockage, Blocked, Group
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.counts import counted
from btfdbg.report.happened import DecidedLook
from btfdbg.report.parts import Bars, Graph, Item, Line, part_of_stack
from btfdbg.report.registry import check

_GROUPS = 20
_NAMED = 6
_FRAMES = 24
_NODES = 60


@check("blocked", "Blocked tasks", more=("ps -m", "foreach UN bt"), order=40)
def blocked(look: DecidedLook) -> Iterator[Item]:
    """Print groups of tasks that wait, and what for."""
    blockage = look.happened.blockage
    yield from _states(look)
    if not blockage.tasks:
        yield Line(blockage.none, "note" if blockage.untold else "")
        return
    if blockage.untold:
        untold = counted(blockage.untold, "more tasks")
        yield Line(f"Of {untold} it cannot be told.", "note")
    for circle in blockage.cycles:
        names = " → ".join(str(one.task) for one in (*circle, circle[0]))
        yield Line(f"Circle: {names}.", "bad")
    for frozen in blockage.frozen:
        yield Line(f"{frozen} is frozen.", "bad")
    for group in blockage.groups[:_GROUPS]:
        yield from group_items(blockage, group)
    if len(blockage.groups) > _GROUPS:
        left = counted(len(blockage.groups) - _GROUPS, "more groups")
        yield Line(f"{left}: foreach UN bt", "note")
    graph = _graph(blockage)
    if graph is not None:
        yield graph


def _states(look: DecidedLook) -> Iterator[Item]:
    from drgn.helpers.linux.sched import get_task_state

    count: Counter[str] = Counter()
    for task in look.tasks:
        try:
            count[get_task_state(task)] += 1
        except UNREADABLE:
            look.pass_over()
            count["?"] += 1
    rows = tuple((name, float(number)) for name, number in count.most_common())
    if rows:
        yield Bars("tasks by state, without the idle ones of CPUs", "tasks", rows)


def group_items(blockage: Blockage, group: Group) -> Iterator[Item]:
    """Yield what a group waits for, in lines, then its stack."""
    first = group.first
    named = ", ".join(str(one.task) for one in group.members[:_NAMED])
    if len(group.members) > _NAMED:
        named += f" and {len(group.members) - _NAMED} more"
    count = len(group.members)
    longest = ""
    if first.seconds is not None:
        longest = f", {'the longest ' if count > 1 else ''}for {first.seconds:.1f} s"
    yield Line(f"{counted(count, 'tasks')}: {named}{longest}.")
    if first.lock is not None:
        holder = blockage.holder(first.lock)
        mode = f" to {first.lock.mode}" if first.lock.mode else ""
        held = f"held by {holder}" if holder is not None else "its holder is not recorded"
        they = "They wait" if count > 1 else "It waits"
        others = {one.lock.address for one in group.members if one.lock is not None}
        if len(others) > 1:
            held = f"{len(others) - 1:,} others wait for one of their own"
        yield Line(f"{they} for {first.lock}{mode}; {held} ({first.lock.how}).")
        frozen = blockage.frozen_for(first.lock)
        if frozen is not None:
            yield Line(f"It guards {frozen}, which is frozen.", "bad")
    else:
        yield Line("No lock is involved that the dump shows: nobody holds anything.", "note")
    files = Counter(one.file for one in group.members if one.file)
    for file, number in files.most_common(_NAMED):
        who = "It works" if count == 1 else f"{number} of them work{'s' if number == 1 else ''}"
        yield Line(f"{who} on {file}.")
    if not files:
        doing = Counter(one.doing for one in group.members if one.doing)
        for what, number in doing.most_common(_NAMED):
            yield Line(f"{_they_are(number, count)} {what}.")
    chain = blockage.chain(first)
    if len(chain) > 1 and not blockage.cycles:
        yield Line(f"Chain: {' → '.join(str(one.task) for one in chain)}.")
    yield part_of_stack(first.stack, _FRAMES, f"stack of {first.task}", first.task.pid)


def _they_are(number: int, count: int) -> str:
    if number == count:
        return "They are" if count > 1 else "It is"
    return f"{number:,} of them {'are' if number > 1 else 'is'}"


def _graph(blockage: Blockage) -> Graph | None:
    nodes: dict[str, tuple[str, str, str]] = {}
    edges = []

    def task_node(one: Blocked) -> str:
        key = f"t{one.task.address:x}"
        nodes.setdefault(key, (key, str(one.task), "task"))
        return key

    for one in blockage.tasks:
        if one.lock is None or len(nodes) >= _NODES:
            continue
        lock = f"l{one.lock.address:x}"
        nodes.setdefault(lock, (lock, str(one.lock), "lock"))
        edges.append((task_node(one), lock, "waits for"))
        holder = blockage.holder(one.lock)
        if holder is not None:
            key = f"t{holder.address:x}"
            nodes.setdefault(key, (key, str(holder), "task"))
            edge = (lock, key, "held by")
            if edge not in edges:
                edges.append(edge)
    if not edges:
        return None
    cycle = tuple(f"t{one.task.address:x}" for circle in blockage.cycles for one in circle)
    return Graph("who waits for whom", tuple(nodes.values()), tuple(edges), cycle)
