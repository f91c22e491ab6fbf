"""``kmem`` with operands: what an address or a name of its belongs to, or that there is none.

Owns the reading of the operands. drgn's ``kmem`` takes virtual addresses and names of slab
caches, and prints nothing, or a line among the output, for what it does not find.

Facts: crash's ``help kmem`` (an address is a virtual or a physical one); drgn
``commands/_crash/_kmem.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import failure, tables
from btfdbg.commands.crash.another import run_line
from btfdbg.commands.crash.call import Call, address, hexadecimal, name_of

_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]+")
_ABSENT = {
    "slab": "is in no slab object",
    "vmalloc": "is in no vmalloc area",
    "pages": "is in no page of the machine's memory",
    None: "no symbol, task, page, vmalloc area or slab object is there",
}
"""Modes that take addresses, and what is said of one that is not found."""


def plain(call: Call) -> Any:
    """drgn's ``kmem``; ``-s list``; operands that are not found fail after the others."""
    args = call.args
    if args.drgn or not args.name:
        return call.drgns()
    if args.mode == "slab" and list(args.name) == ["list"]:
        rows: list[tuple[Any, ...]] = [("CACHE", "NAME")]
        rows += ((tables.hexadecimal(c.value_()), name_of(c.name)) for c in _caches(call))
        tables.section(rows)
        return None
    mode = "pages" if args.page_members is not None else args.mode
    if mode not in _ABSENT:
        return call.drgns()
    absent = _take_names(call) if mode == "slab" else []
    found = []
    for word in args.name:
        place = _place(call, word, mode)
        if place is None:
            absent.append(f"{word}: {_ABSENT[mode]}")
        else:
            found.append(place)
    args.name = found
    result = call.drgns() if found else None
    if absent:
        raise CommandError("; ".join(absent))
    return result


def _place(call: Call, word: str, mode: str | None) -> str | None:
    """A word as drgn's command is to get it; ``None`` if nothing is there."""
    if not _HEX.fullmatch(word):
        # Names of caches have been looked at before.
        return word if mode == "slab" else f"{address(call, word):x}"
    number = hexadecimal(word)
    if _is_known(call.prog, number, mode):
        return word
    _check_page(call.prog, number)
    virtual = _of_physical(call.prog, number)
    if virtual is None:
        return None
    if not _is_known(call.prog, virtual, mode):
        _check_page(call.prog, virtual)
        return None
    return f"{virtual:x}"


def _check_page(prog: drgn.Program, number: int) -> None:
    """
    Look whether what tells of an address could be read; drgn's helpers pass over what fails.

    :raises drgn.FaultError: its ``struct page`` is not in the dump: nothing can be said of it.
    """
    from drgn.helpers.linux.mm import in_direct_map, virt_to_page

    if in_direct_map(prog, number):
        virt_to_page(prog, number).flags.read_()


def _is_known(prog: drgn.Program, number: int, mode: str | None) -> bool:
    """Whether drgn's command has something to say of a virtual address."""
    from drgn.helpers.common.memory import identify_address_all
    from drgn.helpers.linux import common

    found = list(identify_address_all(prog, number) or ())
    kinds: dict[str | None, type[Any]] = {
        "slab": common.IdentifiedSlabObject,
        "vmalloc": common.IdentifiedVmap,
        "pages": common.IdentifiedPage,
        None: object,
    }
    if any(isinstance(each, kinds[mode]) for each in found):
        return True
    return mode in (None, "pages") and _is_mapped(prog, number)


def _is_mapped(prog: drgn.Program, number: int) -> bool:
    from drgn.helpers.linux.mm import follow_pfn

    try:
        follow_pfn(prog["init_mm"].address_of_(), number)
    except (drgn.FaultError, NotImplementedError, LookupError, ValueError):
        return False
    return True


def _of_physical(prog: drgn.Program, number: int) -> int | None:
    """The virtual address of a physical one; ``None`` if it is behind the end of memory."""
    from drgn.helpers.linux.mm import phys_to_virt

    try:
        end = prog["max_pfn"].value_() << prog["PAGE_SHIFT"].value_()
        if number >= end:
            return None
        virtual: int = phys_to_virt(prog, number).value_()
    except (LookupError, drgn.FaultError):
        return None
    return virtual


def _caches(call: Call) -> Iterator[drgn.Object]:
    from drgn.helpers.linux.slab import for_each_slab_cache

    yield from for_each_slab_cache(call.prog)


def _take_names(call: Call) -> list[str]:
    """Take names out of the arguments that no slab cache has; what is said of them."""
    words = call.args.name
    asked = [word for word in words if not _HEX.fullmatch(word)]
    if not asked:
        return []
    known = [name_of(cache.name) for cache in _caches(call)]
    missing = [name for name in asked if name not in known]
    if not missing:
        return []
    call.args.name = [word for word in words if word not in missing]
    near = failure.did_you_mean(missing[0], known)
    more = near or "; kmem -s list lists them"
    return [f"-s: no slab cache is named {', '.join(missing)}{more}"]


def physical(call: Call) -> None:
    """``-P ADDRESS``: what a physical address belongs to."""
    words = list(call.args.name) + list(call.args.address)
    if not words:
        raise CommandError("-P: a physical address is required")
    page = call.prog["PAGE_SIZE"].value_()
    from drgn.helpers.linux.mm import phys_to_virt

    for word in words:
        number = hexadecimal(str(word), "physical address")
        try:
            call.prog.read(number & -page, 1, physical=True)
        except drgn.FaultError:
            raise CommandError(f"-P {number:x}: not in the dump's physical memory") from None
        virtual = phys_to_virt(call.prog, number).value_()
        mode = {"pages": ["-p"], "slab": ["-s"]}.get(call.args.mode or "", [])
        run_line(call.prog, "kmem", [*mode, f"{virtual:x}"])
