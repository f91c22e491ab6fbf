"""What crash is told beside the file, and what it gives up at.

Owns crash 9's own needs: memory that it reads whole while it opens a dump, symbols without which
it takes no vmlinux, an option that it has no other way to know. None is of the file's format.

Facts: crash 9.0.2, kernel.c (kernel_init()), x86_64.c and arm64.c; arch/arm64/mm/init.c
(arm64_memblock_init()) of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping

from btfdbg.btf import Btf, TypeId
from btfdbg.errors import BtfError
from btfdbg.handover.vmlinux.sections import Missing
from btfdbg.kallsyms.model import Memory, Sym, try_read
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

# The table of per-CPU areas, and where memory is mapped: crash ends where one cannot be read.
_READ_WHOLE = ("page_offset_base", "__per_cpu_offset")
# What kallsyms has only with CONFIG_KALLSYMS_ALL: where the image ends (else arm64's variables are
# taken for the linear map's), who the kernel is, its queues.
_NAMES = ("_text", "_end", "__init_end", "linux_banner", "runqueues")
_MAX_SIZE = 1 << 20
_PAGE = 4096
_BITS = range(36, 53)
_MASK64 = (1 << 64) - 1


def unread(
    read: Memory,
    first: Callable[[str], Sym | None],
    types: Mapping[tuple[str, int], TypeId],
    btf: Btf,
) -> Iterator[Missing]:
    """
    What crash reads whole, and the dump has not; no vmlinux can help.

    :param first: gives the first symbol of a name.
    """
    for name in _READ_WHOLE:
        sym = first(name)
        type_id = None if sym is None else types.get((name, sym.address))
        if sym is None or type_id is None:
            continue
        try:
            size = btf.resolve_size(type_id)
        except BtfError:
            continue
        end = sym.address + min(size, _MAX_SIZE)
        lost, at = 0, sym.address
        while at < end:
            step = min(_PAGE - at % _PAGE, end - at)
            if try_read(read, at, step) is None:
                lost += step
            at += step
        if lost:
            yield Missing(name, sym.address, lost, f"crash reads all {size} bytes")


def unnamed(symbols: Container[str]) -> tuple[str, ...]:
    """Symbols that crash takes no vmlinux without, and the dump has not."""
    return tuple(name for name in _NAMES if name not in symbols)


def phys_offset(info: VmcoreInfo) -> int | None:
    """
    What ``crash -m phys_offset=`` must be given; None if VMCOREINFO's own does.

    An arm64 kernel that was built for more bits of addresses than its processor has counts
    PHYS_OFFSET from the linear map of the larger space, which does not begin where that of the
    smaller does. crash takes it as counted from the smaller one's.

    Tried with pages of 4 KiB only, and given for no others.

    >>> info = VmcoreInfo.parse(
    ...     b"PAGESIZE=4096\\nNUMBER(VA_BITS)=52\\nNUMBER(TCR_EL1_T1SZ)=0x10\\n"
    ...     b"NUMBER(PHYS_OFFSET)=0xfff0d29f00000000\\n")
    >>> hex(phys_offset(info))
    '0xffffd29f00000000'
    """
    numbers = info.numbers
    if not {"VA_BITS", "TCR_EL1_T1SZ", "PHYS_OFFSET"} <= numbers.keys():
        return None
    built, bits = numbers["VA_BITS"], 64 - numbers["TCR_EL1_T1SZ"]
    if built not in _BITS or bits not in _BITS or bits >= built:
        return None
    if info.values.get("PAGESIZE") != str(_PAGE):
        return None
    return (numbers["PHYS_OFFSET"] + (1 << built) - (1 << bits)) & _MASK64
