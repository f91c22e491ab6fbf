"""Where a module's code is, and the tables about it, by ``struct module``.

Owns the members' names of all kernels.

Facts: ``include/linux/module.h`` (``mem[MOD_TEXT]`` since 6.4, before ``core_layout``, before
4.5 ``module_core``); ``kernel/module/main.c`` (``extable``, ``jump_entries``).
"""

from __future__ import annotations

import drgn

from btfdbg.kallsyms.loaded import at_once
from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ModuleText:
    """Core text of a module, and its tables: (address, minus the number of entries)."""

    start: int
    end: int
    extable: tuple[int, int] | None
    jumps: tuple[int, int] | None


def module_text(module: drgn.Module, part: int | None) -> ModuleText | None:
    """
    Where a loaded module's code is; None if that cannot be told.

    :param part: ``MOD_TEXT``, None if the kernel has no such constant.
    :raises LookupError: its ``struct module`` lacks a member.
    """
    if not isinstance(module, drgn.RelocatableModule):
        return None
    obj = at_once(module.object)
    if part is not None:
        start, size = obj.mem[part].base.value_(), obj.mem[part].size.value_()
    else:
        try:
            start, size = obj.core_layout.base.value_(), obj.core_layout.text_size.value_()
        except AttributeError:
            start, size = obj.module_core.value_(), obj.core_text_size.value_()
    if not 0 < size < 1 << 30:
        return None
    return ModuleText(
        start,
        start + size,
        _module_table(obj, "extable", "num_exentries"),
        _module_table(obj, "jump_entries", "num_jump_entries"),
    )


def _module_table(obj: drgn.Object, pointer: str, count: str) -> tuple[int, int] | None:
    try:
        return obj.member_(pointer).value_(), -int(obj.member_(count).value_())
    except LookupError:
        return None
