"""VMCOREINFO's lines for a kernel's image in memory, one function an architecture.

Owns what each architecture writes of itself, and how the page tables in an image say where
it is mapped. To add an architecture: a function and its row in ``WAYS``. ``early_boot``
finds the images and judges the result.

Facts: ``arch_crash_save_vmcoreinfo()`` in arch/*/kernel, Documentation/arch/x86/boot.rst
(``pref_address``), arch/arm64/mm/init.c (``memstart_addr``), include/linux/mmzone.h and
arch/*/include/asm/sparsemem.h (``SECTION_SIZE_BITS``, ``MAX_PHYSMEM_BITS``),
arch/s390/include/asm/page.h (``struct vm_layout``, ``__kernel_pa()``),
arch/powerpc/mm/book3s64/Makefile (hash_64k.o or hash_4k.o, by the size of a page).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from drgn import Architecture

from btfdbg.btf import Btf, Kind
from btfdbg.errors import BtfError
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.model import ByteOrder, try_read
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.elfcore import NT_GNU_BUILD_ID, parse_notes
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.paging import NotMappedError, Paging, ways_to_translate
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_MAX_NOTES = 1 << 16
_MAX_BTF = 128 << 20
# Where x86 maps the kernel's image (__START_KERNEL_map).
_X86_MAP = 0xFFFFFFFF80000000
# Where ppc64 maps all of memory, and its kernel with it.
_PPC64_LINEAR = 0xC000000000000000
_MASK64 = (1 << 64) - 1
_MAX_TABLE_PAGES = 1 << 14
# Of the x86 boot protocol, bytes from the start of struct boot_params.
_BOOT_MAGIC, _PREF_ADDRESS = 0x202, 0x258


@dataclass(frozen=True, slots=True)
class Image:
    """
    A kernel image in physical memory.

    :ivar release: By its banner.
    :ivar banner: Physical address of ``linux_banner``.
    :ivar table: Its symbols, as the tables have them.
    :ivar physical: What to add to an address of ``table`` to get a physical one; 0 for
        place-relative tables, which were read at physical addresses.
    """

    release: str
    banner: int
    table: KallsymsTable
    physical: int

    def place(self, name: str) -> int | None:
        """Physical address of a symbol; ``None`` unless there is exactly one."""
        found = self.table.by_name(name)
        return found[0].address + self.physical if len(found) == 1 else None


Mapped = tuple[int, list[str]]
"""Virtual minus physical address of an image, and the lines that only its architecture writes."""


def number(memory: PhysicalMemory, image: Image, name: str, size: int = 8) -> int | None:
    """Value of a little-endian integer variable."""
    place = image.place(name)
    data = try_read(memory.read, place, size) if place is not None else None
    return None if data is None else int.from_bytes(data, "little")


def common(memory: PhysicalMemory, image: Image, distance: int, order: ByteOrder) -> Iterator[str]:
    """Lines that all architectures write."""
    yield f"OSRELEASE={image.release}"
    build_id = _build_id(memory, image, "<" if order == "little" else ">")
    if build_id:
        yield f"BUILD-ID={build_id}"
    for name in ("init_uts_ns", "_stext"):
        place = image.place(name)
        if place is not None:
            yield f"SYMBOL({name})={place + distance & _MASK64:x}"


def _build_id(memory: PhysicalMemory, image: Image, order: str) -> str:
    """Build id out of the image's own notes."""
    start, end = image.place("__start_notes"), image.place("__stop_notes")
    if start is None or end is None or not 0 < end - start <= _MAX_NOTES:
        return ""
    for note in parse_notes(try_read(memory.read, start, end - start) or b"", order):
        if note.name == "GNU" and note.type == NT_GNU_BUILD_ID and 2 <= len(note.desc) <= 64:
            return note.desc.hex()
    return ""


def _roots(image: Image, names: Iterable[str]) -> Iterator[int]:
    """Physical addresses of the page tables that the image has."""
    for name in names:
        place = image.place(name)
        if place is not None and place % 4096 == 0:
            yield place


def _distances(memory: PhysicalMemory, image: Image, paging: Paging, low: int) -> Iterator[int]:
    """
    Virtual minus physical address of the image.

    :param low: Lowest virtual address that an image may have.
    """
    if image.table.layout.encoding is not Encoding.PLACE:
        yield -image.physical
        return
    start = image.place("_stext")
    if start is None:
        return
    for virtual, physical, size in islice(
        paging.leaves(memory.read, low, _MAX_TABLE_PAGES), _MAX_TABLE_PAGES << 9
    ):
        if physical <= start < physical + size:
            yield virtual - physical


def _is_mapped(
    memory: PhysicalMemory,
    image: Image,
    architecture: Architecture,
    lines: Iterable[str],
    distance: int,
    ways: int | None = None,
) -> bool:
    """
    Whether page tables lead to the image at a distance that is known otherwise.

    :param lines: That name the tables.
    :param ways: How many ways of translating under them to try.
    """
    start = image.place("_stext")
    if start is None:
        return False
    if image.table.layout.encoding is not Encoding.PLACE and distance != -image.physical:
        return False
    text = VmcoreInfo.parse("".join(f"{line}\n" for line in lines).encode())
    for paging in islice(ways_to_translate(architecture, text), ways):
        try:
            if paging.translate(memory.read, start + distance)[0] == start:
                return True
        except NotMappedError:
            continue
    return False


def _x86_64(memory: PhysicalMemory, image: Image) -> Iterator[Mapped]:
    known = number(memory, image, "__pgtable_l5_enabled", 4)
    sme = number(memory, image, "sme_me_mask") or 0
    for root in _roots(image, ("init_top_pgt", "init_level4_pgt", "early_top_pgt")):
        for five in (0, 1) if known is None else (int(bool(known)),):
            base = VmcoreInfo.parse(
                f"SYMBOL(swapper_pg_dir)={root + _X86_MAP:x}\nNUMBER(pgtable_l5_enabled)={five}\n"
                f"NUMBER(sme_mask)={sme}\n".encode()
            )
            for paging in ways_to_translate(Architecture.X86_64, base):
                for distance in _distances(memory, image, paging, _X86_MAP):
                    virtual = root + distance & _MASK64
                    lines = [
                        "PAGESIZE=4096",
                        f"SYMBOL(swapper_pg_dir)={virtual:x}",
                        f"SYMBOL(init_top_pgt)={virtual:x}",
                        f"NUMBER(phys_base)={_X86_MAP - distance}",
                        f"NUMBER(pgtable_l5_enabled)={five}",
                    ]
                    if sme:
                        lines.append(f"NUMBER(sme_mask)={sme}")
                    lines += _x86_offset(memory, image, distance)
                    yield distance, lines + _sections(memory, image, 4096, 52 if five else 46, 27)


def _x86_offset(memory: PhysicalMemory, image: Image, distance: int) -> list[str]:
    """KERNELOFFSET: how far from where it was linked to run the image lies."""
    params, text = image.place("boot_params"), image.place("_text")
    if params is None or text is None:
        return []
    magic = try_read(memory.read, params + _BOOT_MAGIC, 4)
    linked = try_read(memory.read, params + _PREF_ADDRESS, 8)
    if magic != b"HdrS" or linked is None:
        return []
    offset = text + distance - _X86_MAP - int.from_bytes(linked, "little")
    return [f"KERNELOFFSET={offset:x}"] if 0 <= offset < 1 << 31 else []


def _btf(memory: PhysicalMemory, image: Image) -> Btf | None:
    """The kernel's BTF out of its image."""
    start, stop = image.place("__start_BTF"), image.place("__stop_BTF")
    if start is None or stop is None or not 0 < stop - start <= _MAX_BTF:
        return None
    try:
        return Btf.parse(try_read(memory.read, start, stop - start) or b"")
    except BtfError:
        return None


def _sections(
    memory: PhysicalMemory, image: Image, page_size: int, physical_bits: int, section_bits: int
) -> list[str]:
    """How the kernel divides memory (SPARSEMEM_EXTREME), by its own BTF."""
    btf = _btf(memory, image) if image.place("mem_section") is not None else None
    if btf is None:
        return []
    try:
        (type_id,) = btf.types_by_name("mem_section", (Kind.STRUCT,))
        size = btf.resolve_size(type_id)
    except (BtfError, ValueError):
        return []
    if not size or page_size % size:
        return []
    roots = (1 << physical_bits - section_bits) // (page_size // size)
    return [
        f"LENGTH(mem_section)={roots}",
        f"NUMBER(SECTION_SIZE_BITS)={section_bits}",
        f"NUMBER(MAX_PHYSMEM_BITS)={physical_bits}",
    ]


def _arm64(memory: PhysicalMemory, image: Image) -> Iterator[Mapped]:
    start = number(memory, image, "memstart_addr")
    for root in _roots(image, ("swapper_pg_dir", "init_pg_dir")):
        for page_size, bits in _ARM64_SIZES:
            base = VmcoreInfo.parse(
                f"SYMBOL(swapper_pg_dir)={root:x}\nPAGESIZE={page_size}\n"
                f"NUMBER(kimage_voffset)=0\nNUMBER(VA_BITS)={bits}\n".encode()
            )
            # The image lies in the upper half of the kernel's addresses, its copy in the
            # linear mapping in the lower.
            low = (1 << 64) - (1 << bits - 1)
            for paging in ways_to_translate(Architecture.AARCH64, base):
                for distance in _distances(memory, image, paging, low):
                    lines = [
                        f"PAGESIZE={page_size}",
                        f"SYMBOL(swapper_pg_dir)={root + distance & _MASK64:x}",
                        f"NUMBER(kimage_voffset)=0x{distance & _MASK64:x}",
                        f"NUMBER(TCR_EL1_T1SZ)=0x{64 - bits:x}",
                        # Bits that translate nothing; where no CPU signs pointers they are set.
                        f"NUMBER(KERNELPACMASK)=0x{(1 << 64) - (1 << bits):x}",
                        f"NUMBER(VA_BITS)={_arm64_built_for(image, start, bits)}",
                    ]
                    # All ones until the kernel knows its memory.
                    if start is not None and start != _MASK64:
                        lines.append(f"NUMBER(PHYS_OFFSET)=0x{start:x}")
                    yield distance, lines + _arm64_sections(memory, image, start, page_size, bits)


def _arm64_built_for(image: Image, start: int | None, bits: int) -> int:
    """
    VA_BITS that the kernel was built for; a CPU may have less.

    Only a kernel for 52 has a variable for what it found, and below that it moves the start
    of memory to a negative number.
    """
    negative = start is not None and start != _MASK64 and start >> 63
    return 52 if image.place("vabits_actual") is not None or negative else bits


def _arm64_sections(
    memory: PhysicalMemory, image: Image, start: int | None, page_size: int, bits: int
) -> list[str]:
    """
    Where the configuration follows from how pages are translated.

    52 bits with small pages are LPA2, which physical addresses of 52 bits alone select
    (arch/arm64/Kconfig), and they need virtual ones of 52.
    """
    built = _arm64_built_for(image, start, bits)
    if page_size == 65536 or built != bits:
        return []
    # Linux kernel commit f0b13ee23241 ("arm64/sparsemem: reduce SECTION_SIZE_BITS") (v5.12).
    numbers = re.match(r"(\d+)\.(\d+)", image.release)
    recent = numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 12)
    physical = 52 if bits == 52 else 48
    return _sections(memory, image, page_size, physical, 27 if recent else 30)


_ARM64_SIZES = (
    (4096, 48), (4096, 39), (4096, 52), (16384, 47), (16384, 48), (16384, 52), (16384, 36),
    (65536, 48), (65536, 52), (65536, 42),
)  # fmt: skip


def _riscv64(memory: PhysicalMemory, image: Image) -> Iterator[Mapped]:
    for root in _roots(image, ("swapper_pg_dir", "early_pg_dir")):
        for bits in (57, 48, 39):
            base = VmcoreInfo.parse(
                f"SYMBOL(swapper_pg_dir)={root:x}\nNUMBER(va_kernel_pa_offset)=0\n"
                f"NUMBER(VA_BITS)={bits}\n".encode()
            )
            for paging in ways_to_translate(Architecture.RISCV64, base):
                for distance in _distances(memory, image, paging, _X86_MAP):
                    yield (
                        distance,
                        [
                            "PAGESIZE=4096",
                            f"SYMBOL(swapper_pg_dir)={root + distance & _MASK64:x}",
                            f"NUMBER(va_kernel_pa_offset)=0x{distance & _MASK64:x}",
                            f"NUMBER(VA_BITS)={bits}",
                        ],
                    )


def _ppc64le(memory: PhysicalMemory, image: Image) -> Iterator[Mapped]:
    """With the radix MMU; the hash MMU has no tables that lead to the image, nor does drgn."""
    page_size = _ppc64_page_size(image)
    for root in _roots(image, ("swapper_pg_dir",)) if page_size else ():
        lines = [
            f"PAGESIZE={page_size}",
            f"SYMBOL(swapper_pg_dir)={root + _PPC64_LINEAR:x}",
            "NUMBER(RADIX_MMU)=1",
        ]
        # The first way is by tables; the other takes the linear mapping for granted.
        if _is_mapped(memory, image, Architecture.PPC64, lines, _PPC64_LINEAR, 1):
            yield _PPC64_LINEAR, lines


def has_hash_mmu(memory: PhysicalMemory, image: Image) -> bool:
    """
    Whether a kernel of ppc64le runs on a CPU with the hash MMU.

    Facts: MMU_FTR_HPTE_TABLE and MMU_FTR_TYPE_RADIX (arch/powerpc/include/asm/mmu.h) of
    ``cur_cpu_spec``, which is in the linear mapping.
    """
    spec = number(memory, image, "cur_cpu_spec") if _ppc64_page_size(image) else None
    if spec is None or spec < _PPC64_LINEAR:
        return False
    btf = _btf(memory, image)
    if btf is None:
        return False
    try:
        offset = btf.offset_of("cpu_spec", "mmu_features") // 8
    except BtfError:
        return False
    features = try_read(memory.read, spec - _PPC64_LINEAR + offset, 4)
    return features is not None and int.from_bytes(features, "little") & 0x41 == 0x01


def _ppc64_page_size(image: Image) -> int:
    """By the code for small pages, which one of two files has; 0 for a kernel without it."""
    if image.place("__hash_page_64K") is not None:
        return 65536
    return 4096 if image.place("__hash_page_4K") is not None else 0


def _s390x(memory: PhysicalMemory, image: Image) -> Iterator[Mapped]:
    """
    The boot loader's tables are the kernel's; where they put the image is written in it.

    Before v6.10 it lay at equal addresses.
    """
    layout = _s390x_layout(memory, image)
    distance = layout["kaslr_offset"] - layout["kaslr_offset_phys"] if layout else 0
    for root in _roots(image, ("swapper_pg_dir",)):
        lines = ["PAGESIZE=4096", f"SYMBOL(swapper_pg_dir)={root + distance & _MASK64:x}"]
        if layout:
            lines += [
                f"KERNELOFFSET={layout['kaslr_offset']:x}",
                f"KERNELOFFPHYS={layout['kaslr_offset_phys']:x}",
                f"IDENTITYBASE={layout['identity_base']:x}",
            ]
        if _is_mapped(memory, image, Architecture.S390X, lines, distance):
            yield distance, lines


def _s390x_layout(memory: PhysicalMemory, image: Image) -> dict[str, int]:
    """``vm_layout``, by the kernel's BTF; empty before v6.10 (commit c98d2ecae08f)."""
    place = image.place("vm_layout")
    btf = _btf(memory, image) if place is not None else None
    if place is None or btf is None:
        return {}
    found = {}
    for member in ("kaslr_offset", "kaslr_offset_phys", "identity_base"):
        try:
            offset = btf.offset_of("vm_layout", member) // 8
        except BtfError:
            return {}
        data = try_read(memory.read, place + offset, 8)
        if data is None:
            return {}
        found[member] = int.from_bytes(data, "big")
    return found


WAYS = {
    "x86_64": _x86_64,
    "aarch64": _arm64,
    "ppc64le": _ppc64le,
    "riscv64": _riscv64,
    "s390x": _s390x,
}
