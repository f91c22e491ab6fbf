"""Which modules are loaded, and where their memory is: for their symbols only.

Owns the walk of the kernel's list of modules, from both ends, so that one lost
page of it loses as little as possible. drgn's own enumeration needs much more of
each module (section names and addresses) and leaves out a module that misses any
of it; for its symbols none of that is needed.

Facts: include/linux/module.h. ``mem`` since 6.4, Linux kernel commit
ac3b43283923 ("module: replace module_layout with module_memory"); before,
``core_layout`` and ``init_layout`` (since 4.5), before that ``module_core`` and
``core_size``.
"""

from __future__ import annotations

from collections.abc import Callable

from drgn import FaultError, Object, Program

from btfdbg.kallsyms.model import MAX_NAME, text_of
from btfdbg.lazy_dataclass import dataclass

_MAX_MODULES = 1 << 14
_MAX_SIZE = 1 << 32


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """
    One module.

    :ivar object: ``struct module *``.
    :ivar ranges: (start, end) of its memory.
    """

    name: str
    object: Object
    ranges: tuple[tuple[int, int], ...]


def loaded_modules(prog: Program, note: Callable[[str], None]) -> list[LoadedModule]:
    """
    Walk the list of modules.

    :param prog: With types of the kernel and the variable ``modules``.
    :param note: Called with what is wrong with the list, if anything is.
    :return: In the order of the list; without those that cannot be read.
    :raises LookupError: the Program has no such types or variable.
    :raises drgn.FaultError: the head of the list cannot be read.
    """
    head = prog["modules"]
    start = head.address_
    if start is None:
        raise LookupError("modules has no address")
    pointer = prog.type("struct module *")
    offset = prog.type("struct module").member("list").bit_offset // 8
    found: dict[int, LoadedModule] = {}

    def walk(first: int, step: str) -> str:
        """Add what is reached that way; say why it ended, if not at the head."""
        at = first
        seen = set()
        while at != start:
            if at in seen:
                return "runs in a circle"
            if len(found) >= _MAX_MODULES:
                return f"has more than {_MAX_MODULES} entries"
            seen.add(at)
            module = Object(prog, pointer, at - offset)
            try:
                memory = at_once(module)
                if at not in found:
                    found[at] = _described(module, memory)
                at = getattr(memory.list, step).value_()
            except FaultError as error:
                return f"cannot be read at 0x{at:x}: {error}"
        return ""

    broken = walk(head.next.value_(), "next")
    forward = list(found.values())
    if not broken:
        return forward
    # What lies behind the break is reached from the other end.
    walk(head.prev.value_(), "prev")
    backward = list(found.values())[len(forward) :]
    modules = forward + backward[::-1]
    note(f"the list of modules {broken}; {len(modules)} modules were reached")
    return modules


def at_once(module: Object) -> Object:
    """
    A module's members, read at once; where a page of it is missing, each when it is asked for.

    To read the sixteen that are asked for one by one, each by way of the page tables, takes five
    times as long.
    """
    try:
        return module[0].read_()
    except FaultError:
        return module


def _described(module: Object, memory: Object) -> LoadedModule:
    name = text_of(memory.name.string_()[:MAX_NAME])
    return LoadedModule(name, module, tuple(_ranges(memory)))


def _ranges(module: Object) -> list[tuple[int, int]]:
    pairs: list[tuple[Object, Object]]
    try:
        pairs = [(memory.base, memory.size) for memory in module.mem]
    except AttributeError:
        try:
            layouts = (module.core_layout, module.init_layout)
            pairs = [(layout.base, layout.size) for layout in layouts]
        except AttributeError:
            pairs = [(module.module_core, module.core_size)]
    sizes = [(base.value_(), size.value_()) for base, size in pairs]
    return [(base, base + size) for base, size in sizes if base and 0 < size < _MAX_SIZE]
