"""What drgn's readers lack or get wrong about virtual memory, put over them.

Owns the segments that are added to a Program after its memory was set (later
segments win): a translation for riscv64, which drgn 0.3 has none for, and for
s390x where memory has holes; the physical segments of QEMU's s390x ELF; the
linear mapping of ppc64 kernels that do not say which MMU they use; and NULL and
other user-space addresses, which must fault as they did in the kernel.

Why the last: QEMU's ELF dumps without paging give every segment a virtual
address equal to its physical one (or 0), so that drgn reads physical memory at
virtual 0: a NULL pointer dereferences to BIOS data instead of raising
FaultError. Never where the kernel itself lives low, as on s390x.
"""

from __future__ import annotations

from collections.abc import Callable

import drgn

from btfdbg.vmcore.elfcore import PT_LOAD, ElfCore, read_elf
from btfdbg.vmcore.identify import DumpInfo, Format
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.paging import NotMappedError, Paging, ways_to_translate
from btfdbg.vmcore.recover import believable_paging
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

Segment = Callable[[int, int, int, bool], bytes]

# The lower half of the address space belongs to user space on every 64-bit
# architecture whose kernel has BTF but s390x. The largest user half is
# riscv64's and x86_64's with five levels, 2**56.
_USER_END = 1 << 56
_KERNEL_HALF = 1 << 63
_ALL = (1 << 64) - 1
_PPC64_LINEAR = 0xC000000000000000
_PPC64_LINEAR_SIZE = 1 << 52
_S390_TABLE = 2048 * 8
_MAX_CACHED = 1 << 16
_CACHE_KEY = "btfdbg.memory"


def complete_memory(prog: drgn.Program, info: DumpInfo, vmcoreinfo: VmcoreInfo) -> None:
    """
    Add the segments that this dump needs, once.

    :param prog: Its memory is set and nothing was looked up in it yet.
    :raises DebugInfoError: the file's headers cannot be read any more.
    """
    platform = prog.platform
    if platform is None or _CACHE_KEY in prog.cache:
        return
    prog.cache[_CACHE_KEY] = True
    if info.format is Format.KCORE:
        return
    core = read_elf(info.file) if info.format is Format.ELF else None
    if core is not None and core.vmcoreinfo() is None:
        _add_physical(prog, info, core)
    if platform.arch is drgn.Architecture.RISCV64:
        _add_translation(prog, vmcoreinfo, platform.arch)
    elif platform.arch is drgn.Architecture.S390X and isinstance(info.memory, FileMemory):
        # Zeros behind a table hide what is there, and what is not, so the walk
        # is ours where memory has holes.
        if len(info.memory.extents) > 1:
            _add_translation(prog, vmcoreinfo, platform.arch)
        else:
            _pad_page_tables(prog, info.memory)
    elif platform.arch is drgn.Architecture.PPC64 and "RADIX_MMU" not in vmcoreinfo.numbers:
        # drgn asks cur_cpu_spec, whose type nobody knows yet; the kernel's image
        # and all that finding it needs are in the linear mapping.
        prog.add_memory_segment(_PPC64_LINEAR, _PPC64_LINEAR_SIZE, _linear(prog))
    kernel = vmcoreinfo.symbols.get("swapper_pg_dir", 0)
    if core is not None and needs_null_overlay(core, kernel):
        add_null_overlay(prog)


def needs_null_overlay(core: ElfCore, kernel_address: int) -> bool:
    """
    Whether an ELF dump maps physical memory at user-space addresses.

    :param kernel_address: Any virtual address of the kernel image.
    """
    if kernel_address < _KERNEL_HALF:
        return False
    return any(s.type == PT_LOAD and s.memsz and s.vaddr < _USER_END for s in core.segments)


def add_null_overlay(prog: drgn.Program) -> None:
    """Cover the user half of the address space with a segment that always faults."""
    prog.add_memory_segment(0, _USER_END, _fault)


def _fault(address: int, count: int, offset: int, physical: bool) -> bytes:
    raise drgn.FaultError("address is not mapped in the kernel", address)


def _linear(prog: drgn.Program) -> Segment:
    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        data: bytes = prog.read(offset, count, physical=True)
        return data

    return read


def _add_physical(prog: drgn.Program, info: DumpInfo, core: ElfCore) -> None:
    """
    Add the physical memory that drgn takes for unknown.

    Without a note, drgn believes physical addresses only if one is not 0, and
    QEMU's s390x ELF is one segment at 0.
    """
    if any(s.paddr for s in core.loads):
        return
    memory = info.memory
    if memory is None:
        return

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return memory.read(address, count)

    for e in core.extents():
        prog.add_memory_segment(e.address, e.size, read, True)


def _pad_page_tables(prog: drgn.Program, memory: FileMemory) -> None:
    """
    Let drgn read beyond a page table at the end of memory.

    drgn 0.3 reads 2048 entries of every s390x table, also of the last, which
    has 256; where that is the end of memory the whole walk would fault.
    """

    def zeros(address: int, count: int, offset: int, physical: bool) -> bytes:
        return bytes(count)

    for e in memory.extents[-1:]:
        prog.add_memory_segment(e.end, _S390_TABLE, zeros, True)


def _add_translation(
    prog: drgn.Program, vmcoreinfo: VmcoreInfo, architecture: drgn.Architecture
) -> None:
    def read_physical(address: int, size: int) -> bytes:
        data: bytes = prog.read(address, size, physical=True)
        return data

    paging = believable_paging(vmcoreinfo, architecture, read_physical)
    if paging is None:
        paging = next(ways_to_translate(architecture, vmcoreinfo), None)
    if paging is not None:
        prog.add_memory_segment(0, _ALL, Translated(paging, read_physical).read_segment)


class Translated:
    """Virtual memory by a page-table walk of ours, with the pages seen so far remembered."""

    def __init__(self, paging: Paging, read: Callable[[int, int], bytes]) -> None:
        self._paging = paging
        self._read = read
        self._pages: dict[int, int] = {}
        self._large: dict[int, int] = {}

    def _translate(self, address: int) -> tuple[int, int]:
        large = self._large.get(address >> 21)
        if large is not None:
            within = address & (1 << 21) - 1
            return large + within, (1 << 21) - within
        page = self._pages.get(address >> 12)
        if page is not None:
            within = address & 0xFFF
            return page + within, 0x1000 - within
        physical, run = self._paging.translate(self._read, address)
        if len(self._pages) >= _MAX_CACHED:
            self._pages.clear()
        # A run of more than 64 KiB (the largest of contiguous pages) is a large leaf.
        if run > 1 << 16 and run + (address & (1 << 21) - 1) >= 1 << 21:
            self._large[address >> 21] = physical - (address & (1 << 21) - 1)
        else:
            self._pages[address >> 12] = physical - (address & 0xFFF)
        return physical, run

    def read_segment(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        """A drgn memory segment."""
        parts = []
        at, left = address, count
        while left:
            try:
                where, run = self._translate(at)
            except NotMappedError as e:
                raise drgn.FaultError(str(e), at) from None
            n = min(left, run)
            parts.append(self._read(where, n))
            at += n
            left -= n
        return parts[0] if len(parts) == 1 else b"".join(parts)
