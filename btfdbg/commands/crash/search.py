"""``search`` where crash can search and drgn's does not: user memory, vmalloc.

Owns the ranges; which areas of vmalloc are memory is known to ``program.memory_search``. What
is searched in the linear mapping is drgn's own search; here memory is read page by page, since
pages that follow each other here do not in physical memory.

Facts: drgn ``commands/_crash/_search.py`` (the values and options).
"""

from __future__ import annotations

import argparse
import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drgn
from drgn.commands import CommandArgumentError, CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, address, header, private, task_of_user
from btfdbg.patches.cpus import with_tasks
from btfdbg.program.memory_search import vmalloc_areas
from btfdbg.vmcore.platforms import order_of

_PAGE = 4096
_STRING = 56
Range = tuple[int, int, Callable[[int, int], bytes]]
Matches = Callable[[bytes], list[tuple[int, str]]]


def plain(call: Call) -> Any:
    """drgn's search, with ``(expression)`` as a value; stacks are read page by page."""
    _resolve(call)
    args = call.args
    if (args.task_stacks or args.active_task_stacks) and not args.drgn and not args.context:
        _stacks(call)
        return None
    return _drgns(call)


def _drgns(call: Call) -> Any:
    """drgn's search; as JSON a row per place, as it is found."""
    if not tables.wanted() or call.args.context or call.args.drgn:
        return call.drgns()

    def cells(line: str) -> tuple[int, str] | None:
        place, colon, value = line.partition(": ")
        return (int(place, 16), value) if colon else None

    with contextlib.redirect_stdout(tables.RowsOfLines(("ADDRESS", "VALUE"), cells)):
        return call.drgns()


def _stacks(call: Call) -> None:
    """``-t``, ``-T``: pages of stacks that are not in the dump are left out."""
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import cpu_curr

    from btfdbg.commands.crash.stack import stack_of

    if any(v is not None for v in (call.args.start, call.args.end, call.args.length)):
        raise CommandArgumentError("-s, -e and -l go with neither -t nor -T")
    prog = call.prog
    tasks = (
        for_each_task(prog, idle=True)
        if call.args.task_stacks
        else (cpu_curr(prog, cpu) for cpu in with_tasks(prog, list(for_each_online_cpu(prog))))
    )
    matches = _matcher(call)
    rows: list[tuple[Any, ...]] = [("PID", "TASK", "ADDRESS", "VALUE")]
    for task in tasks:
        try:
            stack = stack_of(prog, task)
        except CommandError:
            continue  # it has exited
        found = [*_found([(stack.start, stack.end, prog.read)], (0, 1 << 64), matches)]
        if tables.wanted():
            pid, address = task.pid.value_(), task.value_()
            rows += [(pid, address, at, text) for at, text in found]
        elif found:
            header(task)
            for at, text in found:
                print(f"{at:x}: {text}")
            print()
    if tables.wanted():
        tables.section(rows)


def _resolve(call: Call) -> None:
    """Values in brackets become numbers."""
    if call.args.strings:
        return
    for i, word in enumerate(call.args.values):
        if word.startswith("(") and word.endswith(")"):
            call.args.values[i] = f"{address(call, word[1:-1]):x}"


def linear(call: Call) -> Any:
    """``-K``: what drgn's own search goes through."""
    _resolve(call)
    return _drgns(call)


def kernel(call: Call) -> None:
    """``-k``: the linear mapping, then vmalloc areas."""
    _resolve(call)
    _drgns(call)
    args = call.args
    # A range of addresses was searched as it is, wherever it lies.
    if args.start is None and args.end is None and args.length is None:
        _search(call, _areas(call))


def vmalloc(call: Call) -> None:
    """``-V``: vmalloc areas and modules."""
    _resolve(call)
    _search(call, _areas(call))


def user(call: Call) -> None:
    """``-u``: the areas of the current task."""
    _resolve(call)
    task = task_of_user(call.prog)
    if not tables.wanted():
        header(task)
    _search(call, _user_areas(call, task.mm.read_()))


def _areas(call: Call) -> Iterator[Range]:
    for start, end in vmalloc_areas(call.prog):
        yield start, end, call.prog.read


def _user_areas(call: Call, mm: drgn.Object) -> Iterator[Range]:
    from drgn.helpers.linux.mm import access_remote_vm, for_each_vma

    def read(at: int, size: int) -> bytes:
        data: bytes = access_remote_vm(mm, at, size)
        return data

    for vma in for_each_vma(mm):
        yield vma.vm_start.value_(), vma.vm_end.value_(), read


def _search(call: Call, ranges: Iterator[Range]) -> None:
    args = call.args
    if args.physical or args.task_stacks or args.active_task_stacks:
        raise CommandArgumentError("-p, -t and -T go with none of -k -K -V -u")
    rows: list[tuple[Any, ...]] = [("ADDRESS", "VALUE")]
    for at, text in _found(ranges, _bounds(call), _matcher(call)):
        if tables.wanted():
            rows.append((at, text))
        else:
            print(f"{at:x}: {text}")
    if tables.wanted():
        tables.section(rows)


def _found(
    ranges: Iterable[Range], bounds: tuple[int, int], matches: Matches
) -> Iterator[tuple[int, str]]:
    """Where in ranges of memory something matches; what cannot be read is left out."""
    for start, end, read in ranges:
        at, end = max(start, bounds[0]), min(end, bounds[1])
        while at < end:
            size = min(_PAGE - at % _PAGE, end - at)
            try:
                data = read(at, size)
            except (drgn.FaultError, ValueError, LookupError):
                data = b""
            for offset, text in matches(data):
                yield at + offset, text
            at += size


def _bounds(call: Call) -> tuple[int, int]:
    args, resolve = call.args, private("_resolve_addr_or_sym")
    first = 0 if args.start is None else resolve(call.prog, args.start)
    if args.end is not None:
        return first, resolve(call.prog, args.end)
    return first, 1 << 64 if args.length is None else first + args.length


def _matcher(call: Call) -> Matches:
    """What finds the values in a page: offsets and what stands there."""
    args = call.args
    if args.strings:
        needles = [value.encode() for value in args.values]
        return lambda data: _strings(data, needles)
    size = 4 if args.u32 else 2 if args.u16 else call.prog.address_size()
    order = order_of(call.prog.platform)
    code = {8: "Q", 4: "I", 2: "H"}[size]
    wanted, names = _values(call, args, size)
    ignore = args.ignore_mask or 0
    masked = {value & ~ignore for value in wanted}
    plain_needles = [struct.pack(f"{order}{code}", value) for value in wanted] if not ignore else []

    def find(data: bytes) -> list[tuple[int, str]]:
        # Most pages have none of the values: that is quick to say.
        if plain_needles and not any(needle in data for needle in plain_needles):
            return []
        count = len(data) // size
        words = struct.unpack(f"{order}{count}{code}", data[: count * size])
        return [
            (i * size, f"{word:x}" + (f" ({names[word]})" if word in names else ""))
            for i, word in enumerate(words)
            if word & ~ignore in masked
        ]

    return find


def _values(call: Call, args: argparse.Namespace, size: int) -> tuple[list[int], dict[int, str]]:
    values, names = [], {}
    for word in args.values:
        try:
            value = int(word, 16)
        except ValueError:
            value = call.prog.symbol(word).address
            names[value] = word
        if not 0 <= value < 1 << 8 * size:
            raise CommandError(f"{word}: more than {size} bytes")
        values.append(value)
    return values, names


def _strings(data: bytes, needles: list[bytes]) -> list[tuple[int, str]]:
    found = []
    for needle in needles:
        at = data.find(needle)
        while at >= 0:
            text = data[at : at + max(_STRING, len(needle))]
            found.append((at, "".join(chr(c) if 32 <= c < 127 else "." for c in text)))
            at = data.find(needle, at + 1)
    return sorted(found)
