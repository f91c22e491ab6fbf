"""``vm`` with crash's options: pages, structures and flags of a task's memory.

Owns where a user page is: in memory, in swap, in a file, or nowhere yet. drgn's own ``vm``
lists the areas.

Facts: ``include/linux/mm.h`` (VM_*); ``include/linux/swapops.h`` and each architecture's
``pgtable.h`` for a swapped page's entry. Since Linux kernel commit 2b6a3f061f11 ("mm: declare
VMA flags by bit") (in v6.19) the flags are enumerators that a dump has the names of; before
they are macros, of which bits 0-31 are the same on all architectures but for VM_ARCH_1.
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, header, hexadecimal
from btfdbg.commands.crash.page_tables import Walk, walk_user

_FLAGS = (
    (0x1, "READ"), (0x2, "WRITE"), (0x4, "EXEC"), (0x8, "SHARED"),
    (0x10, "MAYREAD"), (0x20, "MAYWRITE"), (0x40, "MAYEXEC"), (0x80, "MAYSHARE"),
    (0x100, "GROWSDOWN"), (0x200, "UFFD_MISSING"), (0x400, "PFNMAP"), (0x800, "DENYWRITE"),
    (0x1000, "UFFD_WP"), (0x2000, "LOCKED"), (0x4000, "IO"), (0x8000, "SEQ_READ"),
    (0x10000, "RAND_READ"), (0x20000, "DONTCOPY"), (0x40000, "DONTEXPAND"),
    (0x80000, "LOCKONFAULT"), (0x100000, "ACCOUNT"), (0x200000, "NORESERVE"),
    (0x400000, "HUGETLB"), (0x800000, "SYNC"), (0x1000000, "ARCH_1"), (0x2000000, "WIPEONFORK"),
    (0x4000000, "DONTDUMP"), (0x8000000, "SOFTDIRTY"), (0x10000000, "MIXEDMAP"),
    (0x20000000, "HUGEPAGE"), (0x40000000, "NOHUGEPAGE"), (0x80000000, "MERGEABLE"),
)  # fmt: skip
_NEWER = ("MAYBE_GUARD", "DROPPABLE", "ALLOW_ANY_UNCACHED", "UFFD_MINOR", "SEALED", "STACK")
_MAX_PAGES = 1 << 24

AREAS = ("VMA", "START", "END", "FLAGS", "FILE")
"""Headings of a table of areas."""


def flags(call: Call) -> None:
    """``-f``: the bits of a vm_flags value by name."""
    value = hexadecimal(str(call.option("-f")), "value of vm_flags")
    known = _enumerators(call.prog) or dict(_FLAGS)
    names = [name for bit, name in known.items() if value & bit]
    rest = value & ~sum(known)
    if rest:
        names.append(f"0x{rest:x} (an architecture's)")
    print(f"{value:x}: ({'|'.join(names) or 'none'})")


def _enumerators(prog: drgn.Program) -> dict[int, str]:
    """Flag to name, as the kernel's own enumerators VMA_*_BIT have it; empty before v6.19."""
    try:
        prog.constant("VMA_READ_BIT")
    except LookupError:
        return {}
    found: dict[int, str] = {}
    for name in (*(name for _, name in _FLAGS), *_NEWER):
        try:
            bit = prog.constant(f"VMA_{name}_BIT").value_()
        except LookupError:
            continue
        if 0 <= bit < 64:
            found.setdefault(1 << bit, name)
    return dict(sorted(found.items()))


def _summary(task: drgn.Object, mm: drgn.Object) -> None:
    from drgn.helpers.linux.mm import task_rss

    page = task.prog_["PAGE_SIZE"].value_() // 1024
    rows: list[tuple[object, ...]] = [("MM", "PGD", "RSS", "TOTAL_VM")]
    rss, total = task_rss(task).total * page, mm.total_vm.value_() * page
    rows.append((
        tables.hexadecimal(mm.value_()), tables.hexadecimal(mm.pgd.value_()),
        f"{rss}k", f"{total}k",
    ))  # fmt: skip
    tables.section(rows)


def area_row(vma: drgn.Object) -> tuple[object, ...]:
    """The row of an area under AREAS."""
    from drgn.helpers.linux.mm import vma_name

    try:
        name = vma_name(vma).decode("utf-8", "backslashreplace")
    except drgn.FaultError:
        name = "?"
    return (
        tables.hexadecimal(vma.value_()), tables.hexadecimal(vma.vm_start.value_()),
        tables.hexadecimal(vma.vm_end.value_()), tables.hexadecimal(vma.vm_flags.value_()), name,
    )  # fmt: skip


def _each(call: Call) -> Iterator[tuple[drgn.Object, drgn.Object]]:
    """Each task that has an address space, after its header."""
    count = 0
    for task in call.tasks():
        mm = task.mm.read_()
        if count:
            print()
        count += 1
        header(task)
        if not mm:
            print("(no user memory: a kernel thread, or a task that has exited)")
            continue
        yield task, mm


def pages(call: Call) -> None:
    """``-p``: every page of every area."""
    from drgn.helpers.linux.mm import for_each_vma

    for task, mm in _each(call):
        _summary(task, mm)
        for vma in for_each_vma(mm):
            tables.section([AREAS, area_row(vma)])
            _pages_of(call, mm, vma)


def pages_of(call: Call) -> None:
    """``-P VMA``: the pages of one area."""
    wanted = hexadecimal(str(call.option("-P")))
    from drgn.helpers.linux.mm import for_each_vma

    for task, mm in _each(call):
        found = next((v for v in for_each_vma(mm) if v.value_() == wanted), None)
        if found is None:
            raise CommandError(f"-P {wanted:x}: no area of pid {task.pid.value_()}; vm lists them")
        tables.section([AREAS, area_row(found)])
        _pages_of(call, mm, found)


def _pages_of(call: Call, mm: drgn.Object, vma: drgn.Object) -> None:
    size = call.prog["PAGE_SIZE"].value_()
    start, end = vma.vm_start.value_(), vma.vm_end.value_()
    if not start <= end or (end - start) // size > _MAX_PAGES:
        raise CommandError(f"an area from {start:x} to {end:x} cannot be")
    rows: list[tuple[object, ...]] = [("VIRTUAL", "PHYSICAL")]
    at = start
    while at < end:
        walk = walk_user(call.session, mm, at)
        if walk.physical is None:
            # Of what no table exists for, the pages are not gone through one by one.
            step = 1 << walk.steps[-1].shift if walk.steps and not walk.steps[-1].value else size
            upto = min((at & -step) + step, end)
            for page in range(at, upto, size):
                rows.append((tables.hexadecimal(page), _elsewhere(vma, page, walk, size)))
            at = upto
        else:
            rows.append((tables.hexadecimal(at), tables.hexadecimal(walk.physical)))
            at += size
    tables.section(rows)


def _elsewhere(vma: drgn.Object, page: int, walk: Walk, size: int) -> str:
    """Where a page is that is not in memory."""
    if walk.problem:
        return f"({walk.problem})"
    entry = walk.steps[-1].value if walk.steps else 0
    if entry:
        return f"SWAP or in migration: entry {entry:x}"
    file = vma.vm_file.read_()
    if file:
        offset = vma.vm_pgoff.value_() * size + page - vma.vm_start.value_()
        return f"FILE: {_file_name(vma)}  OFFSET: {offset:x}"
    return "(not mapped)"


def _file_name(vma: drgn.Object) -> str:
    from drgn.helpers.linux.mm import vma_name

    try:
        return str(vma_name(vma).decode("utf-8", "backslashreplace"))
    except drgn.FaultError:
        return "?"


def _radix(call: Call) -> dict[str, int]:
    return {"integer_base": 16} if call.has("-x") else {"integer_base": 10}


def mm_struct(call: Call) -> None:
    """``-m``: the struct mm_struct."""
    for _, mm in _each(call):
        print(mm[0].format_(**_radix(call)))


def vma_structs(call: Call) -> None:
    """``-v``: each struct vm_area_struct."""
    from drgn.helpers.linux.mm import for_each_vma

    for _, mm in _each(call):
        for vma in for_each_vma(mm):
            print(vma[0].format_(**_radix(call)))


def reference(call: Call) -> None:
    """``-R``: areas whose address, bounds, flags or file are what is asked for."""
    from drgn.helpers.linux.mm import for_each_vma

    wanted = str(call.option("-R"))
    try:
        number: int | None = int(wanted, 16)
    except ValueError:
        number = None
    shown = 0
    for task in call.tasks():
        mm = task.mm.read_()
        if not mm:
            continue
        rows = []
        for vma in for_each_vma(mm):
            start, end = vma.vm_start.value_(), vma.vm_end.value_()
            numbers = (vma.value_(), start, end, vma.vm_flags.value_())
            inside = number is not None and (number in numbers or start <= number < end)
            if inside or (vma.vm_file.read_() and wanted in _file_name(vma)):
                rows.append(area_row(vma))
        if rows or (number is not None and number in (mm.value_(), mm.pgd.value_())):
            if shown:
                print()
            shown += 1
            header(task)
            _summary(task, mm)
            tables.section([AREAS, *rows])
    if not shown:
        raise CommandError(f"-R {wanted}: no address, flag or file of these tasks' areas is that")


def of_mm(call: Call) -> None:
    """``-M``: an address space that its task has let go of."""
    from drgn.helpers.linux.mm import for_each_vma

    task = call.task()
    if task.mm.read_():
        raise CommandError(
            f"-M: pid {task.pid.value_()} still has its mm_struct; type vm {task.pid.value_()}"
        )
    place = hexadecimal(str(call.option("-M")))
    mm = drgn.Object(call.prog, "struct mm_struct *", place)
    header(task)
    tables.section([
        ("MM", "PGD", "TOTAL_VM"),
        (tables.hexadecimal(place), tables.hexadecimal(mm.pgd.value_()), mm.total_vm.value_()),
    ])  # fmt: skip
    tables.section([AREAS, *(area_row(vma) for vma in for_each_vma(mm))])
