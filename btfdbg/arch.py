"""One row per architecture: all that btfdbg knows of it and that no code computes.

Owns facts. Imports nothing of drgn (drgn's enumerator stands here by its name;
``vmcore.platforms`` makes it one), so that the database's tools can use it.

To add an architecture: a row here, the file that its ``paging`` names in
``vmcore/paging/``, and a corefile. ``tests/test_arch.py`` lists what is missing.

Facts: ELF machine and relocation numbers, each psABI and include/uapi/linux/elf-em.h;
``struct elf_prstatus`` in include/linux/elfcore.h with ``elf_gregset_t`` of
arch/*/include/asm/elf.h; arch/*/include/asm/cache.h (L1_CACHE_BYTES, ARCH_DMA_MINALIGN);
``arch_crash_save_vmcoreinfo()`` in arch/*/kernel.

>>> by_name("aarch64").debian
'arm64'
>>> by_name("amd64").name
'x86_64'
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_REGISTERS = 112  # offset of pr_reg in a 64-bit struct elf_prstatus, bytes


@dataclass(frozen=True, slots=True)
class Markers:
    """
    Lines of a VMCOREINFO text that only one architecture writes; any of them is enough.

    :ivar numbers: ``NUMBER(name)``.
    :ivar symbols: ``SYMBOL(name)``.
    :ivar values: ``NAME=``.
    :ivar swapper: lowest ``SYMBOL(swapper_pg_dir)`` and the first above it.
    """

    numbers: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    swapper: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Arch:
    """
    An architecture whose kernels have BTF.

    :ivar name: as ``uname -m`` prints it; the variables' database writes it, too.
    :ivar drgn: member of ``drgn.Architecture``.
    :ivar debian: as dpkg and, mostly, Go name it.
    :ivar elf: pyelftools' name of e_machine.
    :ivar e_machine: its number.
    :ivar little_endian: byte order.
    :ivar paging: file in ``vmcore/paging/`` with its page tables.
    :ivar pc: bytes from the start of ``struct elf_prstatus`` to the program counter.
    :ivar absolute: relocation type to the bytes that an absolute one writes.
    :ivar relative: number of R_*_RELATIVE.
    :ivar markers: how its VMCOREINFO text is told from others'.
    :ivar cache_line: bytes; alignment that explains padding.
    :ivar small_data: bytes up to which compilers put constants among writable data, where
        one register reaches them (RISC-V's .srodata, which the kernel links into .sdata).
    :ivar char_is_signed: plain ``char`` is, where nothing says otherwise; of kernels, that
        is up to 6.1 only: commit 3bc753c06dd0 ("kbuild: treat char as always unsigned").
    :ivar folders: below the kernel's ``arch/``, where its code is from; arm64 builds Xen's
        files of arm.
    :ivar printed: names of drgn's registers as crash prints them, a string a line, where drgn
        0.3 has no layout or a wrong one.
    :ivar repair_notes: QEMU writes the CPUs' notes wrongly; see ``vmcore.cpunotes``.
    """

    name: str
    drgn: str
    debian: str
    elf: str
    e_machine: int
    little_endian: bool
    paging: str
    pc: int
    absolute: Mapping[int, int]
    relative: int
    markers: Markers
    cache_line: int = 64
    small_data: int = 0
    repair_notes: bool = False
    printed: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    char_is_signed: bool = False


# In the order in which a text with several architectures' lines is tried.
ARCHES = (
    Arch(
        name="aarch64",
        drgn="AARCH64",
        debian="arm64",
        elf="EM_AARCH64",
        e_machine=183,
        little_endian=True,
        paging="arm64",
        pc=_REGISTERS + 32 * 8,
        absolute={257: 8, 258: 4},
        relative=1027,
        folders=("arm64", "arm"),
        markers=Markers(numbers=("kimage_voffset",)),
        cache_line=128,
    ),
    Arch(
        name="riscv64",
        drgn="RISCV64",
        debian="riscv64",
        elf="EM_RISCV",
        e_machine=243,
        little_endian=True,
        paging="riscv64",
        pc=_REGISTERS,
        absolute={2: 8, 1: 4},
        relative=3,
        folders=("riscv",),
        markers=Markers(numbers=("phys_ram_base", "KERNEL_LINK_ADDR", "va_kernel_pa_offset")),
        small_data=8,
        printed=(
            "epc ra sp",
            "gp tp t0",
            "t1 t2 s0",
            "s1 a0 a1",
            "a2 a3 a4",
            "a5 a6 a7",
            "s2 s3 s4",
            "s5 s6 s7",
            "s8 s9 s10",
            "s11 t3 t4",
            "t5 t6",
        ),
    ),
    Arch(
        name="x86_64",
        drgn="X86_64",
        debian="amd64",
        elf="EM_X86_64",
        e_machine=62,
        little_endian=True,
        paging="x86_64",
        pc=_REGISTERS + 16 * 8,
        absolute={1: 8, 10: 4},
        relative=8,
        folders=("x86",),
        markers=Markers(numbers=("phys_base",), symbols=("init_top_pgt", "init_level4_pgt")),
        char_is_signed=True,
    ),
    Arch(
        name="s390x",
        drgn="S390X",
        debian="s390x",
        elf="EM_S390",
        e_machine=22,
        little_endian=False,
        paging="s390x",
        pc=_REGISTERS + 8,
        absolute={22: 8, 4: 4},
        relative=12,
        # The kernel has an address space of its own, which begins at 0.
        folders=("s390",),
        markers=Markers(symbols=("lowcore_ptr",), values=("SAMODE31",), swapper=(1, 1 << 53)),
        cache_line=256,
        repair_notes=True,
        printed=(
            "pswm pswa r0",
            "r1 r2 r3",
            "r4 r5 r6",
            "r7 r8 r9",
            "r10 r11 r12",
            "r13 r14 r15",
        ),
    ),
    Arch(
        name="ppc64le",
        drgn="PPC64",
        debian="ppc64el",
        elf="EM_PPC64",
        e_machine=21,
        little_endian=True,
        paging="ppc64",
        pc=_REGISTERS + 32 * 8,
        absolute={38: 8, 1: 4},
        relative=22,
        folders=("powerpc",),
        markers=Markers(swapper=(0xC00 << 52, 0xC01 << 52)),
        cache_line=128,
        repair_notes=True,
    ),
    Arch(
        name="ppc64",
        drgn="PPC64",
        debian="ppc64",
        elf="EM_PPC64",
        e_machine=21,
        little_endian=False,
        paging="ppc64",
        pc=_REGISTERS + 32 * 8,
        absolute={38: 8, 1: 4},
        relative=22,
        folders=("powerpc",),
        markers=Markers(swapper=(0xC00 << 52, 0xC01 << 52)),
        cache_line=128,
        repair_notes=True,
    ),
)

_BY_NAME = {arch.name: arch for arch in ARCHES}
_BY_NAME |= {arch.debian: arch for arch in ARCHES}

CACHE_LINE = 64
"""Of an architecture that has no row, bytes."""


def by_name(name: str) -> Arch | None:
    """The row that a kernel's or Debian's name means, ``None`` if there is none."""
    return _BY_NAME.get(name.lower())


def by_elf(machine: str, little_endian: bool = True) -> Arch | None:
    """The row of pyelftools' name of e_machine and a byte order."""
    rows = [arch for arch in ARCHES if arch.elf == machine]
    return next((arch for arch in rows if arch.little_endian == little_endian), None) or (
        rows[0] if rows else None
    )


def known_names() -> str:
    """The names for a message: ``x86_64, aarch64 or s390x``."""
    names = [arch.name for arch in ARCHES if arch.name != "ppc64"]
    return f"{', '.join(names[:-1])} or {names[-1]}"
