"""Frames of functions that the compiler made copies of, under the names of the source.

GCC calls a copy of ``__mutex_lock`` that is made for one constant ``__mutex_lock.constprop.0``,
a part that is hardly ever run ``__handle_sysrq.cold``. With DWARF ``StackFrame.name`` is the
function's name all the same, and scripts look for frames by it: without it the walk over who
waits for a mutex finds nobody, and says so. (``StackFrame.symbol()`` is the symbol in both.)

drgn takes a frame's name from DWARF or from the symbol, and asks nobody else. So it is given
DWARF of these functions: where each is, and its name. They stand inside of blocks, where drgn's
index by name does not look (``prog["__mutex_lock"]`` stays what our own finder says), some
in a unit each, and a table of addresses leads to the unit: a frame costs as much as one does
that has no DWARF.

Owns what a symbol's name says of the function's, and the DWARF. For drgn's own users (the plugin);
btfdbg's own commands show symbols, as crash does.

Facts: GCC ``cgraphclones.cc``, ``clone_function_name()`` (name, kind, number); LLVM
``ModuleSummaryIndex::getGlobalNameForLocal()``; drgn 0.3 ``libdrgn/stack_trace.c``
(``drgn_stack_frame_name()``), ``libdrgn/dwarf_info.c`` (``drgn_module_find_dwarf_scopes()``);
DWARF 4, 6.1.2 and 7.5. That DWARF calls them so is measured: tests/program/test_frame_names.py.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import drgn

from btfdbg.program.bare_dwarf import elf_of, give
from btfdbg.program.session import Session

_MAX_FUNCTIONS = 1 << 17
_IN_UNIT = 16
_ADDRESS = 8
_TEXT = frozenset("tTwW")
# What the compilers put behind a name; "lto_priv" and "llvm" rename, the rest are copies.
_KINDS = r"(?:constprop|isra|part|cold|lto_priv|llvm|localalias|unlikely)"
_COPY = re.compile(rf"([A-Za-z_]\w*)(?:\.{_KINDS}(?:\.\d+)*)+", re.ASCII)
_KIND = re.compile(rf"\.{_KINDS}\b", re.ASCII)
# What compilers leave before a function; what the kernel's build puts before names of files that
# run elsewhere (arch/arm64/kvm/hyp/nvhe/Makefile, arch/*/boot/startup and kernel/pi,
# drivers/firmware/efi/libstub), where DWARF keeps those of the source.
_NOT_THESE = ("__pfx_", "__cfi_", "__kvm_nvhe_", "__pi_", "__efistub_")

# Abbreviations: a unit with a range, a block with one, a function with one and a name.
_UNIT, _BLOCK, _FUNCTION = b"\x01", b"\x02", b"\x03"
_RANGE = b"\x11\x01\x12\x07"  # DW_AT_low_pc DW_FORM_addr, DW_AT_high_pc DW_FORM_data8
_ABBREVIATIONS = (
    _UNIT + b"\x11\x01" + _RANGE + b"\0\0"
    + _BLOCK + b"\x0b\x01" + _RANGE + b"\0\0"
    + _FUNCTION + b"\x2e\0\x03\x08" + _RANGE + b"\0\0"
    + b"\0"
)  # fmt: skip


class Function(NamedTuple):
    """
    A copy of a function.

    :ivar start: Address as it was linked.
    :ivar size: Bytes.
    :ivar name: In the source.
    """

    start: int
    size: int
    name: str


def source_name(symbol: str) -> str:
    """
    What a function is called in the source.

    >>> source_name("__mutex_lock.constprop.0"), source_name("a.isra.0.cold"), source_name("a.b")
    ('__mutex_lock', 'a', 'a.b')
    """
    found = _COPY.fullmatch(symbol)
    return symbol if found is None else found[1]


def dwarf_of(functions: Iterable[Function], start: int, end: int) -> bytes:
    """
    An ELF file whose DWARF names these functions and no others.

    :param functions: Any order; those that overlap an earlier one or leave the range are left out.
    :param start: First address of the code that they are part of, as it was linked.
    :param end: Behind its last.
    """
    info, table = bytearray(), bytearray()
    left = iter(list(_apart(sorted(functions), start, end)))
    here = list(islice(left, _IN_UNIT))
    at = start
    while at < end:
        following = list(islice(left, _IN_UNIT))
        # Up to the next unit's first, so that an address between functions is found as fast.
        upto = following[0].start if following else end
        offset = len(info)
        info += _unit(here, at, upto)
        table += _addresses(offset, at, upto - at)
        here, at = following, upto
    return elf_of(
        {
            ".debug_info": bytes(info),
            ".debug_abbrev": _ABBREVIATIONS,
            ".debug_aranges": bytes(table),
        }
    )


def _apart(functions: list[Function], start: int, end: int) -> Iterator[Function]:
    last = start
    for function in functions:
        if function.start >= last and 0 < function.size <= end - function.start:
            yield function
            last = function.start + function.size


def _unit(functions: Iterable[Function], start: int, end: int) -> bytes:
    span = struct.pack("<QQ", start, end - start)
    body = b"".join(
        _FUNCTION + f.name.encode() + b"\0" + struct.pack("<QQ", f.start, f.size) for f in functions
    )
    body = _UNIT + span + _BLOCK + span + body + b"\0\0"
    # Version 4, abbreviations at 0.
    header = struct.pack("<HIB", 4, 0, _ADDRESS)
    return struct.pack("<I", len(header) + len(body)) + header + body


def _addresses(unit: int, start: int, size: int) -> bytes:
    # Version 2, no segments; pairs begin at a multiple of their size.
    header = struct.pack("<HIBB", 2, unit, _ADDRESS, 0)
    pairs = struct.pack("<QQQQ", start, size, 0, 0)
    padding = bytes(-(4 + len(header)) % (2 * _ADDRESS))
    return struct.pack("<I", len(header) + len(padding) + len(pairs)) + header + padding + pairs


def copies(session: Session) -> list[Function]:
    """
    Functions of the kernel's image that the compiler made copies of.

    Of one place that has copies of two functions (GCC merges those that came out alike) none is
    given: DWARF has one of the names, and nothing here says which.
    """
    names, offset = session.all_names(), session.vmcoreinfo.kernel_offset
    if names is None or offset is None:
        return []
    found: dict[int, Function | None] = {}
    for sym in islice(names.matching(_KIND), _MAX_FUNCTIONS):
        name = source_name(sym.name)
        if sym.type_letter not in _TEXT or name == sym.name or name.startswith(_NOT_THESE):
            continue
        function = Function(_linked(sym.address, offset), sym.size, name)
        if found.setdefault(function.start, function) != function:
            found[function.start] = None
    return [function for function in found.values() if function is not None]


def _linked(address: int, offset: int) -> int:
    return (address - offset) % (1 << 64)


def name_frames(session: Session, module: drgn.Module) -> None:
    """
    Have drgn call frames of the kernel as with DWARF.

    :param module: The main module, with its address range. Nothing is done where a file with
        DWARF is there already, or where it is not known how far the kernel was moved.
    """
    offset, ranges = session.vmcoreinfo.kernel_offset, module.address_ranges
    if offset is None or not ranges or not module.wants_debug_file():
        return
    start, end = min(low for low, _ in ranges), max(high for _, high in ranges)
    if functions := copies(session):
        give(module, dwarf_of(functions, _linked(start, offset), _linked(end, offset)))
