"""Physical layouts that a raw memory image may have.

A raw image says nothing of itself: where its first byte belongs and where it
skips (the hole for devices below 4 GiB on x86_64) is guessed from what machines
do, and each guess is then held against the page tables (``recover.choose``).

Facts: QEMU ``hw/i386/pc_piix.c``, ``pc_q35.c`` (memory below 4 GiB),
``hw/arm/virt.c`` and ``hw/riscv/virt.c`` (base of RAM); VMware keeps 3 GiB below.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.vmcore.memory import Extent, FileMemory
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_4G = 1 << 32
# Where memory below 4 GiB may end: q35, VMware and i440fx, q35 with little memory.
_LOW_ENDS = (0x80000000, 0xC0000000, 0xB0000000, 0xE0000000)


def layouts(memory: FileMemory, info: VmcoreInfo) -> Iterator[FileMemory]:
    """
    Yield the layouts to try for a raw image, likeliest first.

    :param info: Of the text that is tried; an empty one for those of all architectures.
    """
    numbers = info.numbers
    if not info.raw:
        yield from _of_x86(memory)
    elif "phys_base" in numbers or "init_top_pgt" in info.symbols:
        yield from _of_x86(memory)
        return
    bases = [numbers.get("PHYS_OFFSET"), numbers.get("phys_ram_base"), 0]
    # arm64 rounds PHYS_OFFSET down, riscv64 may leave out the firmware before it.
    bases += [0x40000000, 0x80000000]
    for base in dict.fromkeys(b for b in bases if b is not None and 0 <= b < 1 << 52):
        if info.raw or base:
            yield _at(memory, base)


def _of_x86(memory: FileMemory) -> Iterator[FileMemory]:
    """In one piece, or with a hole for devices below 4 GiB."""
    yield _at(memory, 0)
    size = memory.size
    for low in _LOW_ENDS:
        if size > low:
            yield memory.with_extents(
                (Extent(0, low, 0, low), Extent(_4G, size - low, low, size - low))
            )


def _at(memory: FileMemory, base: int) -> FileMemory:
    return memory.with_extents((Extent(base, memory.size, 0, memory.size),))
