"""Why an address does not read: in words, and as a reason that can be counted.

Owns the step from a ``drgn.FaultError`` to what a user can make of it: a NULL or
corrupt pointer, a page that makedumpfile left out, a file that is cut short, a
damaged page table. Reads physical memory and the file's own tables; looks
nothing up in the Program.

Facts: include/linux/poison.h; makedumpfile(8), ``-d``.
"""

from __future__ import annotations

from enum import Enum

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.paging import NotMappedError, Paging, ReadPhysical, ways_to_translate
from btfdbg.vmcore.recover import believable_paging
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_CACHE_KEY = "btfdbg.explain"
_PAGE = 4096
_USER_END = 1 << 56
# IS_ERR_VALUE() in include/linux/err.h.
_MAX_ERROR = (1 << 64) - 4096
_ARM64 = drgn.Architecture.AARCH64
# Text in faults about physical addresses, ours and drgn's.
_PHYSICAL_WORDS = ("physical", "truncated", "memory segment", "short read")

# What the kernel writes where nothing may be read any more.
_POISON = (
    (0xDEAD000000000100, 0xDEAD000000000400, "a removed list entry (LIST_POISON)"),
    (0x6B6B6B6B6B6B0000, 0x6B6B6B6B6B6BFFFF, "freed slab memory (POISON_FREE)"),
    (0x5A5A5A5A5A5A0000, 0x5A5A5A5A5A5AFFFF, "uninitialised slab memory (POISON_INUSE)"),
    (0xCCCCCCCCCCCC0000, 0xCCCCCCCCCCCCFFFF, "freed init memory (POISON_FREE_INITMEM)"),
)


class Reason(Enum):
    """Why memory cannot be read; the value is the words for a count of them."""

    NULL = "NULL pointer"
    USER = "user-space address"
    ERROR = "error value in place of a pointer"
    POISON = "pointer into freed memory"
    PER_CPU = "per-CPU variable without a CPU"
    CORRUPT = "corrupt pointer"
    EXCLUDED = "page excluded from the dump"
    TRUNCATED = "the file is truncated"
    ABSENT = "memory that is not in the dump"
    DAMAGED = "damaged page table or page"
    UNKNOWN = "unreadable"


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why one address does not read.

    :ivar address: Virtual; physical if ``physical``.
    :ivar text: A sentence without its full stop.
    :ivar page: Number of the physical page of 4 KiB that is missing, -1 if none is known.
    """

    reason: Reason
    address: int
    text: str
    physical: bool = False
    page: int = -1

    def __str__(self) -> str:
        return self.text


def explain_fault(prog: drgn.Program, info: DumpInfo | None, fault: drgn.FaultError) -> Explanation:
    """
    Say why a read failed.

    :param info: What is known of the dump; ``None`` for a Program opened elsewhere.
    """
    physical = any(word in str(fault) for word in _PHYSICAL_WORDS)
    if physical and fault.address < _USER_END:
        return explain_physical(info, fault.address)
    return explain_address(prog, info, fault.address)


def explain_address(prog: drgn.Program, info: DumpInfo | None, address: int) -> Explanation:
    """Say why a virtual address does not read, or would not."""
    platform = prog.platform
    low_is_user = platform is None or platform.arch is not drgn.Architecture.S390X
    if low_is_user and address < _PAGE:
        what = f"{address:#x} is a NULL pointer" + (f" plus {address}" if address else "")
        return Explanation(Reason.NULL, address, what)
    if address > _MAX_ERROR:
        value = (1 << 64) - address
        return Explanation(
            Reason.ERROR, address, f"{address:#x} is the error value -{value}, not a pointer"
        )
    # drgn drops the tag, the top byte, of arm64 addresses.
    tag = 0xFF << 56 if platform is not None and platform.arch is _ARM64 else 0
    for first, last, what in _POISON:
        if first | tag <= address | tag <= last | tag:
            return Explanation(Reason.POISON, address, f"{address:#x} points to {what}")
    start, end = _per_cpu_template(prog)
    if start <= address < end:
        text = (
            f"{address:#x} is where a per-CPU variable's symbol is: each CPU has its own copy,"
            " per_cpu(VARIABLE, CPU)"
        )
        return Explanation(Reason.PER_CPU, address, text)
    if low_is_user and address < _USER_END:
        return Explanation(
            Reason.USER, address, f"{address:#x} is a user-space address, not a kernel pointer"
        )
    paging = kernel_paging(prog)
    if paging is None:
        return Explanation(Reason.UNKNOWN, address, f"{address:#x} cannot be read")
    try:
        physical, _ = paging.translate(_physical_reader(prog), address)
    except NotMappedError as e:
        if e.damaged:
            return Explanation(Reason.DAMAGED, address, f"{address:#x}: {e}")
        return Explanation(
            Reason.CORRUPT,
            address,
            f"{address:#x} is not mapped in the kernel: a corrupt or stale pointer",
        )
    found = explain_physical(info, physical)
    return Explanation(found.reason, address, f"{address:#x}: {found.text}", page=found.page)


def _per_cpu_template(prog: drgn.Program) -> tuple[int, int]:
    """Start and end of per-CPU symbols; offsets from 0 on x86-64 before v6.15."""
    try:
        ends: tuple[int, int] = (
            prog.symbol("__per_cpu_start").address,
            prog.symbol("__per_cpu_end").address,
        )
    except LookupError:
        return 0, 0
    return ends


def _physical_reader(prog: drgn.Program) -> ReadPhysical:
    def read(address: int, size: int) -> bytes:
        data: bytes = prog.read(address, size, physical=True)
        return data

    return read


def kernel_paging(prog: drgn.Program) -> Paging | None:
    """The kernel's page tables, ``None`` if nothing is known of them."""
    known = prog.cache.get(_CACHE_KEY)
    if known is not None:
        return known if isinstance(known, Paging) else None
    found = None
    if prog.platform is not None and prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        info = VmcoreInfo.parse(prog["VMCOREINFO"].string_())
        read = _physical_reader(prog)
        found = believable_paging(info, prog.platform.arch, read)
        found = found or next(ways_to_translate(prog.platform.arch, info), None)
    prog.cache[_CACHE_KEY] = found if found is not None else False
    return found


def explain_physical(info: DumpInfo | None, physical: int) -> Explanation:
    """Say why a physical address does not read."""
    where = f"physical {physical:#x}"

    def because(reason: Reason, text: str) -> Explanation:
        return Explanation(reason, physical, text, True, physical // _PAGE)

    if info is None:
        return because(Reason.ABSENT, f"{where} is not in the dump")
    if info.is_kdump:
        return because(*_explain_kdump(info, physical, where))
    memory = info.memory
    if isinstance(memory, FileMemory):
        extent = memory.extent(physical)
        if extent is None:
            return because(
                Reason.ABSENT, f"{where} is not in the dump: device memory, or it was left out"
            )
        at = physical - extent.address
        if at < extent.filled and extent.offset + at >= memory.size:
            return because(
                Reason.TRUNCATED,
                f"{where} is missing: the file ends at {memory.size:#x}, the page would be at"
                f" {extent.offset + at:#x}",
            )
        if at >= extent.filled:
            return because(Reason.EXCLUDED, f"{where} was left out of the dump")
    return because(Reason.UNKNOWN, f"{where} cannot be read")


def _explain_kdump(info: DumpInfo, physical: int, where: str) -> tuple[Reason, str]:
    try:
        pages = info.memory
        from btfdbg.vmcore.kdumpfile import Kdump
        from btfdbg.vmcore.kdumppages import KdumpPages

        if not isinstance(pages, KdumpPages):
            pages = KdumpPages(Kdump(info.file))
        held = pages.kdump.holds(physical)
    except (BtfdbgError, OSError):
        return Reason.UNKNOWN, f"{where} cannot be read"
    if held is None:
        return Reason.ABSENT, f"{where} is beyond the memory that was dumped"
    if not held:
        level = pages.kdump.header.dump_level
        with_level = f" (dump level {level})" if level > 0 else ""
        return (
            Reason.EXCLUDED,
            f"{where} is not in the dump: the page was left out{with_level}",
        )
    try:
        pages.read(physical, 1)
    except drgn.FaultError as e:
        if "truncated" in str(e) or pages.kdump.header.incomplete:
            return Reason.TRUNCATED, f"{where} was cut off: the dump is incomplete"
        return Reason.DAMAGED, f"{where} is in the dump but damaged"
    return Reason.UNKNOWN, f"{where} is in the dump but was not read"
