"""``vtop`` with the walk through the page tables, the area and the page.

Owns what is shown of a translation. The walk is in ``page_tables``.
"""

from __future__ import annotations

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, address, header, private
from btfdbg.commands.crash.page_tables import Walk, bits, walk_kernel, walk_user


def walk(call: Call) -> None:
    """Translate addresses, as the kernel or a task sees them."""
    addresses = [address(call, str(word)) for word in call.args.addresses]
    if call.selector is not None:
        tasks = list(call.tasks())
    else:
        tasks = [private("crash_get_context")(call.prog, call.args.task)]
    for number, task in enumerate(tasks):
        if number:
            print()
        if call.selector is not None:
            header(task)
        for i, place in enumerate(addresses):
            if i:
                print()
            _one(call, task, place)


def _one(call: Call, task: drgn.Object, place: int) -> None:
    mm = task.mm.read_()
    user = call.args.user or (not call.args.kernel and not place >> 63)
    if user and not mm and call.selector is not None:
        print("(no user memory)")
        return
    if user and not mm:
        raise CommandError(
            f"{place:x} is a user address, and pid {task.pid.value_()} has no user memory;"
            " name a task with -c PID"
        )
    found = walk_user(call.session, mm, place) if user else walk_kernel(call.session, place)
    physical = "(not mapped)" if found.physical is None else tables.hexadecimal(found.physical)
    tables.section([("VIRTUAL", "PHYSICAL"), (tables.hexadecimal(place), physical)])
    print()
    if found.problem:
        print(f"  {found.problem}")
    _steps(call, found)
    if user:
        _area(mm, place)
    if found.physical is not None:
        _page(call, found.physical)


def _steps(call: Call, found: Walk) -> None:
    rows: list[tuple[object, ...]] = [("LEVEL", "ENTRY AT", "ENTRY")]
    for step in found.steps:
        rows.append((step.level, tables.hexadecimal(step.place), tables.hexadecimal(step.value)))
    if len(rows) > 1:
        tables.section(rows)
        print()
    if found.physical is None or not found.steps:
        return
    last = found.steps[-1]
    page = found.physical & -(1 << last.shift)
    size = f"({1 << last.shift - 20}M)" if last.shift >= 20 else f"({1 << last.shift - 10}K)"
    names = "|".join(bits(call.prog, last.value))
    tables.section([
        (last.level, "PHYSICAL", "SIZE", "FLAGS"),
        (tables.hexadecimal(last.value), tables.hexadecimal(page), size, f"({names})"),
    ])  # fmt: skip
    print()


def _area(mm: drgn.Object, place: int) -> None:
    from drgn.helpers.linux.mm import vma_find

    from btfdbg.commands.crash.vm import AREAS, area_row

    vma = vma_find(mm, place)
    if not vma:
        print("(in no area of the task)")
    else:
        tables.section([AREAS, area_row(vma)])
    print()


def _page(call: Call, physical: int) -> None:
    from drgn.helpers.linux.mm import (
        decode_page_flags_value,
        for_each_valid_page_range,
        page_flags,
        page_index,
        pfn_to_page,
    )

    size = call.prog["PAGE_SIZE"].value_()
    frame = physical // size
    try:
        ranges = for_each_valid_page_range(call.prog)
        if not any(start <= frame < end for start, end, _ in ranges):
            print("(no struct page: it is not memory that the kernel manages)")
            return
        page = pfn_to_page(call.prog, frame)
        flags = page_flags(page)
        row = (
            tables.hexadecimal(page.value_()), tables.hexadecimal(frame * size),
            tables.hexadecimal(page.mapping.value_()),
            tables.hexadecimal(int(page_index(page))), page._refcount.counter.value_(),
            f"{flags.value_():x} {decode_page_flags_value(flags)}",
        )  # fmt: skip
    except (drgn.FaultError, LookupError, ValueError) as e:
        print(f"(its struct page is not known: {e})")
        return
    tables.section([("PAGE", "PHYSICAL", "MAPPING", "INDEX", "CNT", "FLAGS"), row])
