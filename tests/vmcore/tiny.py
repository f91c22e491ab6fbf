"""Kernels of a few MiB: memory that has page tables, a VMCOREINFO note, ``init_uts_ns``, no more.

Owns the making of physical memory for each architecture and of dumps in each
format, written here from the formats' descriptions and independent of the
readers they test.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import drgn

RELEASE = "6.99.0-tiny"
PAGE = 4096
MARK = b"this is what the kernel holds"


@dataclass(frozen=True)
class Arch:
    """One row: how an architecture's kernel is laid out and what its note says."""

    name: str
    drgn: drgn.Architecture
    machine: str
    elf_machine: int
    kernel: int
    levels: tuple[tuple[int, int], ...]
    table: Callable[[int, int], int]
    leaf: Callable[[int], int]
    note: Callable[[int, int], dict[str, str]]
    page: int = PAGE
    order: str = "<"
    entries: str = "<"
    ram: int = 0
    empty: int = 0

    def __str__(self) -> str:
        return self.name

    @property
    def platform(self) -> drgn.Platform:
        flags = drgn.PlatformFlags.IS_64_BIT
        if self.order == "<":
            flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
        return drgn.Platform(self.drgn, flags)


def _x86_note(five: int) -> Callable[[int, int], dict[str, str]]:
    def note(virtual: int, physical: int) -> dict[str, str]:
        base = physical - (virtual - 0xFFFFFFFF80000000)
        return {
            "NUMBER(phys_base)": str(base),
            "SYMBOL(init_top_pgt)": f"{virtual:x}",
            "NUMBER(pgtable_l5_enabled)": str(five),
            "KERNELOFFSET": "0",
        }

    return note


def _arm64_note(bits: int) -> Callable[[int, int], dict[str, str]]:
    def note(virtual: int, physical: int) -> dict[str, str]:
        return {
            "NUMBER(VA_BITS)": str(bits),
            "NUMBER(TCR_EL1_T1SZ)": f"0x{64 - bits:x}",
            "NUMBER(kimage_voffset)": f"0x{virtual - physical:x}",
            "NUMBER(PHYS_OFFSET)": "0x40000000",
        }

    return note


def _riscv_note(bits: int, exact: bool = True) -> Callable[[int, int], dict[str, str]]:
    def note(virtual: int, physical: int) -> dict[str, str]:
        lines = {
            "NUMBER(VA_BITS)": str(bits),
            "NUMBER(phys_ram_base)": str(0x80000000),
            "NUMBER(KERNEL_LINK_ADDR)": "0xffffffff80000000",
        }
        if exact:
            lines["NUMBER(va_kernel_pa_offset)"] = f"0x{virtual - physical:x}"
        return lines

    return note


def _x86(name: str, *levels: tuple[int, int]) -> Arch:
    return Arch(
        name, drgn.Architecture.X86_64, "x86_64", 62, 0xFFFFFFFF80100000, levels,
        lambda a, _: a | 0x63, lambda a: a | 0x163, _x86_note(int(len(levels) == 5)),
    )  # fmt: skip


def _arm64(name: str, page: int, bits: int, *levels: tuple[int, int], lpa2: bool = False) -> Arch:
    # Bits 8 and 9 are the shareability, or with LPA2 the top of the address.
    leaf = 0x403 if lpa2 else 0x703
    return Arch(
        name, drgn.Architecture.AARCH64, "aarch64", 183, 0xFFFF800008000000, levels,
        lambda a, _: a | 3, lambda a: a | leaf, _arm64_note(bits), page, ram=0x40000000,
    )  # fmt: skip


def _riscv(name: str, bits: int, exact: bool = True) -> Arch:
    levels = tuple((s, 9) for s in range(bits - 9, 11, -9))
    return Arch(
        name, drgn.Architecture.RISCV64, "riscv64", 243, 0xFFFFFFFF80000000 + (1 << 20), levels,
        lambda a, _: a >> 12 << 10 | 1, lambda a: a >> 12 << 10 | 0xEF, _riscv_note(bits, exact),
        ram=0x80000000,
    )  # fmt: skip


def _ppc64(name: str, page: int, last: tuple[int, int]) -> Arch:
    return Arch(
        name, drgn.Architecture.PPC64, "ppc64le", 21, 0xC000000000100000,
        ((39, 13), (30, 9), (21, 9), last),
        lambda a, _: a | 1 << 63, lambda a: a | 3 << 62 | 0x18E,
        lambda v, p: {"NUMBER(RADIX_MMU)": "1", "KERNELOFFSET": "0"},
        page, entries=">",
    )  # fmt: skip


def _s390x(name: str, kernel: int, note: Callable[[int, int], dict[str, str]]) -> Arch:
    return Arch(
        name, drgn.Architecture.S390X, "s390x", 22, kernel, ((31, 11), (20, 11), (12, 8)),
        # Type of the table that the entry is in: 1 region third, 0 segment; all of it is there.
        lambda a, level: a | (0x7 if level == 2 else 0), lambda a: a, note,
        order=">", entries=">", empty=0x24,
    )  # fmt: skip


def _s390x_note(virtual: int, physical: int) -> dict[str, str]:
    return {
        "SYMBOL(lowcore_ptr)": f"{virtual:x}",
        "IDENTITYBASE": "0",
        "KERNELOFFSET": f"{virtual & ~0xFFFFF:x}",
        "KERNELOFFPHYS": f"{physical & ~0xFFFFF:x}",
    }


X86_64 = _x86("x86_64 4-level", (39, 9), (30, 9), (21, 9), (12, 9))
ARCHES: tuple[Arch, ...] = (
    X86_64,
    _x86("x86_64 5-level", (48, 9), (39, 9), (30, 9), (21, 9), (12, 9)),
    _arm64("arm64 4k", 4096, 48, (39, 9), (30, 9), (21, 9), (12, 9)),
    _arm64("arm64 4k 52 bits", 4096, 52, (48, 4), (39, 9), (30, 9), (21, 9), (12, 9), lpa2=True),
    _arm64("arm64 16k", 16384, 48, (47, 1), (36, 11), (25, 11), (14, 11)),
    _arm64("arm64 64k", 65536, 48, (42, 6), (29, 13), (16, 13)),
    _riscv("riscv64 Sv39", 39),
    _riscv("riscv64 Sv48", 48),
    _riscv("riscv64 Sv57", 57),
    _riscv("riscv64 without offset", 48, exact=False),
    _ppc64("ppc64le 64k", 65536, (16, 5)),
    _ppc64("ppc64le 4k", 4096, (12, 9)),
    _s390x("s390x identity", 0x100000, lambda v, p: {"SYMBOL(lowcore_ptr)": f"{v:x}"}),
    _s390x("s390x 6.10", 0x3FFE0100000, _s390x_note),
)


@dataclass
class Kernel:
    """
    A tiny kernel in physical memory.

    :ivar memory: From physical ``arch.ram`` on.
    :ivar note: Physical address of its VMCOREINFO note page.
    """

    arch: Arch
    release: str = RELEASE
    size: int = 4 << 20
    base: int = 1 << 20
    kaslr: int = 0
    with_note: bool = True
    extra: dict[str, str] = field(default_factory=dict)
    memory: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        if not self.memory:
            self.memory = bytearray(self.size)
        a = self.arch
        self.virtual = a.kernel + self.kaslr
        self.physical = a.ram + self.base
        self._next = self.base + 8 * 65536
        self.root = self.base
        # The root has the kernel image's own address (swapper_pg_dir is in it).
        self._table(self.base, len(a.levels) - 1)
        for at in range(0, 8 * 65536, a.page):
            self.map(self.virtual + at, self.physical + at)
        self.uts = self.virtual + 5 * 65536
        self.mark = self.virtual + 5 * 65536 + 2048
        self.put(self.uts, self.uts_name())
        self.put(self.mark, MARK)
        self.note = self.base + 6 * 65536
        if self.with_note:
            self.memory[self.note : self.note + len(self.elf_note())] = self.elf_note()

    def _table(self, at: int, level: int) -> None:
        a = self.arch
        bits = a.levels[len(a.levels) - 1 - level][1]
        # The type of table is in each entry, the empty ones too (s390x).
        empty = a.empty | (4 if a.empty and level == 2 else 0) if a.empty else 0
        if a.empty:
            empty = {2: 0x24, 1: 0x20, 0: 0x400}[level]
        self.memory[at : at + (8 << bits)] = struct.pack(a.entries + "Q", empty) * (1 << bits)

    def _allocate(self, level: int) -> int:
        bits = self.arch.levels[len(self.arch.levels) - 1 - level][1]
        at = -(-self._next // 65536) * 65536 if bits > 9 else self._next
        self._next = at + max(4096, 8 << bits)
        self._table(at, level)
        return at

    def map(self, virtual: int, physical: int) -> None:
        """Map a page."""
        a = self.arch
        table = self.root
        for depth, (shift, bits) in enumerate(a.levels):
            level = len(a.levels) - 1 - depth
            at = table + 8 * (virtual >> shift & (1 << bits) - 1)
            if level == 0:
                struct.pack_into(a.entries + "Q", self.memory, at, a.leaf(physical))
                return
            (entry,) = struct.unpack_from(a.entries + "Q", self.memory, at)
            key = (at, level)
            if key not in self._tables:
                self._tables[key] = self._allocate(level - 1)
                entry = a.table(a.ram + self._tables[key], level)
                struct.pack_into(a.entries + "Q", self.memory, at, entry)
            table = self._tables[key]

    def link(self, virtual: int, level: int, table: int) -> None:
        """Let the entry of an address at a level above the last point to a physical table."""
        a = self.arch
        at = self.root
        for depth, (shift, bits) in enumerate(a.levels):
            here = len(a.levels) - 1 - depth
            entry = at + 8 * (virtual >> shift & (1 << bits) - 1)
            if here == level:
                struct.pack_into(a.entries + "Q", self.memory, entry, a.table(table, level))
                return
            at = self._tables[entry, here]

    @property
    def _tables(self) -> dict[tuple[int, int], int]:
        tables: dict[tuple[int, int], int] = self.__dict__.setdefault("_known_tables", {})
        return tables

    def put(self, virtual: int, data: bytes) -> None:
        """Write where the kernel image is mapped."""
        at = virtual - self.virtual + self.base
        self.memory[at : at + len(data)] = data

    def uts_name(self) -> bytes:
        fields = ("Linux", "tiny", self.release, "#1", self.arch.machine, "(none)")
        return b"".join(f.encode().ljust(65, b"\0") for f in fields)

    def text(self) -> bytes:
        """The VMCOREINFO text."""
        lines = {
            "OSRELEASE": self.release,
            "BUILD-ID": "00112233445566778899aabbccddeeff00112233",
            "PAGESIZE": str(self.arch.page),
            "SYMBOL(init_uts_ns)": f"{self.uts:x}",
            "OFFSET(uts_namespace.name)": "0",
            "SYMBOL(swapper_pg_dir)": f"{self.virtual:x}",
            "SYMBOL(_stext)": f"{self.virtual:x}",
        }
        lines.update(self.arch.note(self.virtual, self.physical))
        lines.update(self.extra)
        return "".join(f"{k}={v}\n" for k, v in lines.items()).encode()

    def elf_note(self) -> bytes:
        """The note as the kernel keeps it: header, name, text."""
        text = self.text()
        head = struct.pack(self.arch.order + "III", 11, len(text), 0)
        return head + b"VMCOREINFO\0\0" + text + bytes(-len(text) % 4)


def elf(
    path: Path,
    loads: Sequence[tuple[int, int, bytes | bytearray]],
    notes: bytes = b"",
    *,
    order: str = "<",
    machine: int = 62,
) -> Path:
    """
    Write an ELF core.

    :param loads: (virtual address, physical address, bytes).
    """
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    count = len(loads) + 1
    header = ident + struct.pack(
        order + "HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0
    )
    at = 64 + 56 * count
    table = struct.pack(order + "IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    body = notes
    at += len(notes)
    for virtual, physical, data in loads:
        table += struct.pack(
            order + "IIQQQQQQ", 1, 7, at, virtual, physical, len(data), len(data), 0
        )
        body += data
        at += len(data)
    path.write_bytes(header + table + body)
    return path


def elf_of(path: Path, kernel: Kernel, notes: bytes = b"") -> Path:
    """An ELF core as QEMU writes it without paging."""
    ram = kernel.arch.ram
    return elf(
        path,
        [(ram, ram, kernel.memory)],
        notes,
        order=kernel.arch.order,
        machine=kernel.arch.elf_machine,
    )


def note(name: bytes, kind: int, desc: bytes, order: str = "<") -> bytes:
    """One ELF note."""
    name += b"\0"
    return (
        struct.pack(order + "III", len(name), len(desc), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + desc.ljust(-(-len(desc) // 4) * 4, b"\0")
    )


def raw(path: Path, kernel: Kernel) -> Path:
    """A raw image: from the first byte of RAM on."""
    path.write_bytes(kernel.memory)
    return path


def lime(path: Path, kernel: Kernel, cut: int = 3 << 19) -> Path:
    """A LiME image of two ranges."""
    ram, order = kernel.arch.ram, kernel.arch.order
    out = b""
    for start, end in ((0, cut), (cut, len(kernel.memory))):
        out += struct.pack(order + "IIQQQ", 0x4C694D45, 1, ram + start, ram + end - 1, 0)
        out += kernel.memory[start:end]
    path.write_bytes(out)
    return path


def kdump(
    path: Path,
    kernel: Kernel,
    *,
    vmcoreinfo: bool = True,
    machine: str | None = None,
    excluded: Sequence[int] = (),
    compress: Callable[[bytes], bytes] = lambda page: zlib.compress(page, 1),
    flag: int = 1,
    flattened: bool = False,
    split: int = 0,
    status: int = 0,
    block: int = PAGE,
    notes: bytes = b"",
    order: str = "",
) -> Path:
    """
    Write a kdump-compressed file.

    :param order: The file's byte order, if it is not the kernel's.

    :param excluded: Page frame numbers to leave out.
    :param flag: How ``compress`` is called in a page descriptor.
    :param block: Bytes of the file's pages, whatever the kernel's are.
    """
    order = order or kernel.arch.order
    first = kernel.arch.ram // block
    count = len(kernel.memory) // block
    pages = [first + i for i in range(count)]
    kept = [p for p in pages if p not in set(excluded)]
    bitmap_blocks = -(-(first + count) // 8 // block) + 1
    dumped, present = bytearray(bitmap_blocks * block), bytearray(bitmap_blocks * block)
    for p in pages:
        present[p // 8] |= 1 << p % 8
    for p in kept:
        dumped[p // 8] |= 1 << p % 8
    text = kernel.text()
    uts = ("Linux", "tiny", RELEASE, "#1", machine or kernel.arch.machine, "")
    header = b"KDUMP   " + struct.pack(order + "i", 6)
    header += b"".join(u.encode().ljust(65, b"\0") for u in uts)
    header = header.ljust(424, b"\0") + struct.pack(
        order + "IiiIIIIIII", status or flag, block, 1, 2 * bitmap_blocks,
        min(first + count, 0xFFFFFFFF), 0, 0, 0, 0, 1,
    )  # fmt: skip
    header = header.ljust(block, b"\0")
    sub = struct.pack(
        order + "QiiQQQQQQQQQQQ", 0, 31, split, 0, 0,
        block + 512 if vmcoreinfo else 0, len(text) if vmcoreinfo else 0,
        block + 2048 if notes else 0, len(notes), 0, 0, 0, 0, first + count,
    )  # fmt: skip
    sub = (sub.ljust(512, b"\0") + (text if vmcoreinfo else b"")).ljust(2048, b"\0") + notes
    assert len(sub) <= block
    sub = sub.ljust(block, b"\0")
    table, data = b"", b""
    at = 2 * block + 2 * bitmap_blocks * block + 24 * len(kept)
    zero = None
    for p in kept:
        page = bytes(kernel.memory[(p - first) * block : (p - first + 1) * block])
        packed = compress(page)
        flags = flag
        if len(packed) >= block:
            packed, flags = page, 0
        if not any(page):
            if zero is None:
                zero = at + len(data)
                data += packed
            table += struct.pack(order + "qIIQ", zero, len(packed), flags, 0)
            continue
        table += struct.pack(order + "qIIQ", at + len(data), len(packed), flags, 0)
        data += packed
    whole = header + sub + bytes(present) + bytes(dumped) + table + data
    if flattened:
        out = b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)
        out = out.ljust(4096, b"\0")
        for start in range(0, len(whole), 8192):
            part = whole[start : start + 8192]
            out += struct.pack(">qq", start, len(part)) + part
        whole = out + struct.pack(">qq", -1, -1)
    path.write_bytes(whole)
    return path


def xen(path: Path, kernel: Kernel, *, magic: int = 0xF00FEBEE, numbers: str = ".xen_pfn") -> Path:
    """
    Write the dump of a Xen domain: sections, no segments; pages in no order.

    :param numbers: The section of frame numbers, ``.xen_p2m`` for PV domains.
    """
    order = kernel.arch.order
    first = kernel.arch.ram // PAGE
    count = len(kernel.memory) // PAGE
    # Two halves the wrong way round, and one frame that is none.
    order_of = [*range(count // 2, count), -1, *range(count // 2)]
    pfns, pages = b"", b""
    for i in order_of:
        pfn = (1 << 64) - 1 if i < 0 else first + i
        pfns += struct.pack(
            order + ("Q" if numbers == ".xen_pfn" else "QQ"),
            *[pfn] * (1 if numbers == ".xen_pfn" else 2),
        )
        pages += bytes(PAGE) if i < 0 else kernel.memory[i * PAGE : (i + 1) * PAGE]
    header = struct.pack(order + "QQQQ", magic, 1, len(order_of), PAGE)
    notes = note(b"Xen", 0x2000000, b"", order) + note(b"Xen", 0x2000001, header, order)
    contents = [
        ("", b""),
        (".shstrtab", b""),
        (".note.Xen", notes),
        (".xen_prstatus", bytes(64)),
        (numbers, pfns),
        (".xen_pages", pages),
    ]
    names = b"".join(name.encode() + b"\0" for name, _ in contents)
    contents[1] = (".shstrtab", names)
    body, table, at = b"", b"", 64
    for name, data in contents:
        where = names.index(name.encode() + b"\0")
        table += struct.pack(order + "IIQQQQ24x", where, 1, 0, 0, at + len(body), len(data))
        body += data
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    head = ident + struct.pack(
        order + "HHIQQQIHHHHHH",
        *(4, kernel.arch.elf_machine, 1, 0, 0, at + len(body), 0, 64, 0, 0, 64, len(contents), 1),
    )
    path.write_bytes(head + body + table)
    return path
