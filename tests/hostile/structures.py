"""Target for what is read of a running kernel's structures: modules, their symbols and BTF.

Owns a bundled dump whose pages can be patched: every read of the kernel's addresses goes
through here, and an input overwrites bytes in the pages that the module code reads. Two
areas: the pages with lists and ``struct module``, and those with symbol tables and BTF.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cache
from itertools import islice
from typing import NamedTuple

import drgn

from btfdbg.btf import Btf
from btfdbg.errors import BtfError, DebugInfoError
from btfdbg.kallsyms.loaded import loaded_modules
from btfdbg.kallsyms.modules import ModuleSymbols
from btfdbg.program.attach import register
from btfdbg.program.find_btf import kernel_btfs, read_btf
from btfdbg.program.module_restore import restore_modules
from btfdbg.program.modules import create_modules
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from corefiles.manifest import BUNDLED, bundled

from .target import Target, patch, patches

_PAGE = 4096
_KERNEL_HALF = 1 << 63
_FEW = 200


class _Kernel(NamedTuple):
    """
    An attached dump.

    :ivar pages: What stands in the place of the dump's own, by page number.
    :ivar areas: Page numbers, by what was read in them.
    """

    session: Session
    pages: dict[int, bytearray]
    areas: tuple[list[int], list[int]]
    original: Callable[[int], bytes]


@cache
def _kernel() -> _Kernel:
    entry = next(e for e in bundled() if e["arch"] == "amd64" and e["scenario"] == "null-deref")
    path = BUNDLED.parent / entry["file"]
    below, _ = open_core(path)
    prog, info = open_core(path)
    pages: dict[int, bytearray] = {}
    seen: list[dict[int, None]] = []

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        first, last = address // _PAGE, (address + count - 1) // _PAGE
        if seen:
            seen[-1].update(dict.fromkeys(range(first, last + 1)))
        data: bytes = below.read(address, count)
        if pages.keys().isdisjoint(range(first, last + 1)):
            return data
        out = bytearray(data)
        for number in range(first, last + 1):
            page = pages.get(number)
            if page is not None:
                start = number * _PAGE - address
                part = page[max(0, -start) : min(_PAGE, count - start)]
                out[max(0, start) : max(0, start) + len(part)] = part
        return bytes(out)

    prog.add_memory_segment(_KERNEL_HALF, _KERNEL_HALF - 1, read)
    session = register(prog, None, info)
    session.ensure_modules()
    seen.append({})
    _walk(session)
    seen.append({})
    _contents(session)
    seen.append({})
    walked, contents = seen[0], seen[1]
    areas = (list(walked), [number for number in contents if number not in walked])
    seen.clear()

    def original(number: int) -> bytes:
        data: bytes = below.read(number * _PAGE, _PAGE)
        return data

    return _Kernel(session, pages, areas, original)


def _walk(session: Session) -> bool:
    good = True
    try:
        good = bool(loaded_modules(session.prog, lambda what: None))
    except (LookupError, drgn.FaultError):
        good = False
    try:
        list(kernel_btfs(session))
    except DebugInfoError:
        good = False
    return good


def _contents(session: Session, changed: Container[int] | None = None) -> bool:
    """
    Symbols and BTF of the modules.

    :param changed: Page numbers; BTF that is in none of them is left alone.
    """
    symbols = ModuleSymbols(session.prog)
    found = symbols.by_name("cf_trigger")
    for sym in islice(symbols, _FEW):
        symbols.by_address(sym.address)
    try:
        for entry in kernel_btfs(session):
            first, last = entry.data // _PAGE, (entry.data + entry.size) // _PAGE
            pages = range(first, min(last + 1, first + _FEW))
            if changed is not None and not any(page in changed for page in pages):
                continue
            if entry.kernel and entry.name not in ("", "vmlinux"):
                _one_btf(session, entry.data, entry.size)
    except DebugInfoError:
        return False
    return bool(found)


def _one_btf(session: Session, address: int, size: int) -> None:
    try:
        btf = Btf.parse(read_btf(session.prog, address, size, "a module"), session.vmlinux)
    except (DebugInfoError, BtfError):
        return
    for type_id in btf.own_ids()[:_FEW]:
        try:
            btf.type_by_id(type_id)
            btf.resolve_size(type_id)
        except BtfError:
            pass


def modules(data: bytes) -> bool:
    """Modules of a dump in which some bytes are others."""
    kernel = _kernel()
    kernel.pages.clear()
    for area, offset, content in patches(data):
        numbers = kernel.areas[area % 2]
        number = numbers[offset // _PAGE % len(numbers)]
        page = kernel.pages.setdefault(number, bytearray(kernel.original(number)))
        at = offset % _PAGE
        page[at : at + len(content)] = content[: _PAGE - at]
    try:
        good = _walk(kernel.session)
        create_modules(kernel.session)
        restore_modules(kernel.session)
        return _contents(kernel.session, kernel.pages) and good
    finally:
        kernel.pages.clear()
        del kernel.session.notes[:]
        del kernel.session.loaded[:]


def _seeds() -> list[bytes]:
    # Over what is zero anyway in most pages.
    return [b"", patch(0, 64, b"") + patch(1, 4096 * 3 + 8, b"")]


TARGETS = (Target("modules", modules, _seeds, slow=True, seconds=10.0),)
