"""From a path to a ``drgn.Program`` with its memory set.

Owns the choice of how drgn is given a dump, and the words of what goes wrong.
Registers no finders: that is ``attach``.

The order for every format: what kind of file (``identify``), are its headers
believable, is there a VMCOREINFO text and does it fit the memory; if not, look
for one in memory (``recover``); only then drgn, because a Program cannot be
given another VMCOREINFO later.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import drgn

from btfdbg.btf import Btf
from btfdbg.debuginfo.vmcore import rawimage
from btfdbg.debuginfo.vmcore.cpunotes import needs_repair, notes_only
from btfdbg.debuginfo.vmcore.elfcore import ElfCore, read_elf
from btfdbg.debuginfo.vmcore.identify import (
    DumpInfo,
    Format,
    identify,
    platform_named,
    platform_of,
)
from btfdbg.debuginfo.vmcore.kdumpfile import Kdump
from btfdbg.debuginfo.vmcore.kdumppages import KdumpPages
from btfdbg.debuginfo.vmcore.lime import read_lime
from btfdbg.debuginfo.vmcore.memory import Extent, FileMemory, PhysicalMemory
from btfdbg.debuginfo.vmcore.overlay import complete_memory
from btfdbg.debuginfo.vmcore.paging import NotMappedError, X86Paging
from btfdbg.debuginfo.vmcore.recover import (
    Believed,
    Candidate,
    architectures_of,
    candidates,
    check,
    choose,
)
from btfdbg.debuginfo.vmcoreinfo import MAX_BYTES, VmcoreInfo
from btfdbg.errors import DebugInfoError

_GIVEN = "--vmcoreinfo"
_NOTE_HEADER = b"VMCOREINFO\0\0"
_QEMU_CR3 = 416
# Program counter in struct elf_prstatus, whose registers start at 112.
_PRSTATUS_PC = {
    drgn.Architecture.X86_64: 112 + 16 * 8,
    drgn.Architecture.AARCH64: 112 + 32 * 8,
    drgn.Architecture.RISCV64: 112,
    drgn.Architecture.S390X: 112 + 8,
    drgn.Architecture.PPC64: 112 + 32 * 8,
}


def open_core(
    path: str | os.PathLike[str],
    *,
    architecture: str | None = None,
    vmcoreinfo: bytes | None = None,
) -> tuple[drgn.Program, DumpInfo]:
    """
    Set up a Program's memory from a dump, without debug info.

    :param architecture: Name of an architecture (``x86_64``, ``arm64``…), for
        dumps whose header does not say.
    :param vmcoreinfo: VMCOREINFO text to use in place of the dump's own.
    :return: The Program, and what is known of the dump.
    :raises DebugInfoError: the dump cannot be opened; with a hint.
    """
    info = identify(path)
    platform = platform_named(architecture) if architecture else None
    if vmcoreinfo is not None:
        vmcoreinfo = _given_text(vmcoreinfo)
    opener = _open_image
    if info.format is Format.ELF:
        opener = _open_elf
    elif info.format in (Format.KDUMP, Format.KDUMP_FLATTENED):
        opener = _open_kdump
    try:
        prog, info = opener(info, platform, vmcoreinfo)
        complete_memory(prog, info, VmcoreInfo.parse(prog["VMCOREINFO"].string_()))
        return prog, info
    except OSError as e:
        raise DebugInfoError(f"{info.path}: {e.strerror or e}", step="open") from e
    except MemoryError as e:
        raise DebugInfoError(f"{info.path}: out of memory while opening it", step="open") from e


def _given_text(text: bytes) -> bytes:
    """The text of --vmcoreinfo FILE: as such, or a whole note."""
    at = text.find(b"OSRELEASE=")
    if at < 0 or len(text) > 2 * MAX_BYTES or b"SYMBOL(swapper_pg_dir)=" not in text:
        raise DebugInfoError(
            "what --vmcoreinfo gives is not a VMCOREINFO text",
            step="open",
            hint="it has lines like OSRELEASE=6.1.0 and SYMBOL(swapper_pg_dir)=ffffffff82a10000",
        )
    if text[:at].endswith(_NOTE_HEADER):
        text = text[at:]
    return text.split(b"\0")[0]


def _open_elf(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    core = read_elf(info.path)
    if not core.loads:
        raise DebugInfoError(f"{info.path} holds no memory: it has no PT_LOAD segment", step="open")
    memory = FileMemory(info.path, core.extents())
    info = replace(info, memory=memory)
    if core.missing:
        info = _truncated(info, core.missing, memory.total)
    if platform is not None and info.architecture not in (None, platform.arch):
        raise DebugInfoError(
            f"{info.path} is of {_name(info.architecture)} by its header, not of"
            f" {_name(platform.arch)}",
            step="open",
            hint="leave out --architecture",
        )
    if text is not None:
        return _with_given(info, platform, text, core, memory)
    note = core.vmcoreinfo()
    wanted = platform or info.platform
    if note is None:
        writer = core.writer()
        if writer == "process":
            raise DebugInfoError(
                f"{info.path} is a core dump of a process, not of a kernel",
                step="open",
                hint="open it with gdb or drgn -c",
            )
        found = _recover(info, memory, wanted, core)
        if found is None:
            raise _without_vmcoreinfo(info, writer)
        return _with_recovered(info, platform, found, core)
    if not _fits(note, wanted, memory):
        found = _recover(info, memory, wanted, core)
        if found is not None and found.candidate.text != note.split(b"\0")[0]:
            info = _remark(
                info,
                "the VMCOREINFO note in the dump is not of the kernel in its memory"
                f" ({found.candidate.info.release}); used the one found there",
                "the guest was rebooted, or the note was edited",
            )
            return _with_recovered(info, platform, found, core)
        if found is None and not core.missing:
            info = _unconfirmed(info)
    try:
        return _set_core_dump(info, platform, None), info
    except DebugInfoError:
        # libelf passes over a last note without its padding.
        return _set_core_dump(info, platform, note.split(b"\0")[0]), info


def _open_kdump(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    kdump = Kdump(info.path)
    header = kdump.header
    if header.split:
        raise DebugInfoError(
            f"{info.path} is one part of a dump that makedumpfile --split wrote",
            step="open",
            hint="join the parts: makedumpfile --reassemble PART1 PART2... OUT",
        )
    pages = KdumpPages(kdump)
    info = replace(info, memory=pages)
    if header.incomplete:
        info = _remark(
            info,
            "makedumpfile marked this dump as incomplete: it ran out of space",
            "pages at its end are missing",
        )
    missing = pages.missing()
    if missing:
        info = _truncated(info, missing, pages.total)
    elif kdump.flattened is not None and not kdump.flattened.is_complete:
        info = _remark(info, "the flattened file is truncated", "pages at its end are missing")
        missing = 1
    own = kdump.vmcoreinfo()
    if text is not None:
        info = replace(info, vmcoreinfo_source=_GIVEN)
    elif own is None or not _fits(own, _platform(info, platform, own, kdump), pages):
        found = _recover(info, pages, platform, None)
        if found is None and own is None:
            raise _without_vmcoreinfo(info, "")
        if found is None:
            info = info if missing else _unconfirmed(info)
        else:
            if own is not None:
                what = "the dump's VMCOREINFO is not of the kernel in its memory; used that one"
                info = _remark(info, what, "")
            text = found.candidate.text
            info = replace(info, vmcoreinfo_source=_source(found))
    whole = text or (own or b"").split(b"\0")[0]
    known = _platform(info, platform, whole, kdump)
    info = replace(info, architecture=known.arch if known is not None else None)
    # libkdumpfile learns the machine from its notes or not at all, and reads the
    # text only where there are notes; QEMU's files and hand-made ones lack them.
    attempts = ((platform, None), (known, None)) if text is None else ()
    failure: DebugInfoError | None = None
    for with_platform, vmcoreinfo in () if missing else (*attempts, (known, whole)):
        try:
            return _set_core_dump(info, with_platform, vmcoreinfo), info
        except DebugInfoError as e:
            failure = failure or e
    if known is None:
        raise failure or _cannot_open(info, ValueError("ARCH_NAME"))
    # What libkdumpfile does not open, or would crash on, is read page by page.
    everything = ((0, header.max_pfn * header.block_size),)
    return _custom(info, known, pages, everything, whole), info


def _platform(
    info: DumpInfo, given: drgn.Platform | None, text: bytes, kdump: Kdump
) -> drgn.Platform | None:
    """
    The platform of a kdump file.

    QEMU writes x86_64 into every header; the text knows better.
    """
    if given is not None:
        return given
    found = architectures_of(VmcoreInfo.parse(text))
    return platform_of(found[0], kdump.header.order == "<") if found else info.platform


def _segment(memory: PhysicalMemory) -> Callable[[int, int, int, bool], bytes]:
    """A drgn memory segment."""

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return memory.read(address, count)

    return read


def _custom(
    info: DumpInfo,
    platform: drgn.Platform,
    memory: PhysicalMemory,
    ranges: Iterable[tuple[int, int]],
    text: bytes,
) -> drgn.Program:
    """A Program whose physical memory is read here."""

    try:
        prog = drgn.Program(platform)
        for start, size in ranges:
            prog.add_memory_segment(start, size, _segment(memory), True)
        prog.set_linux_kernel_custom(text, False)
    except Exception as e:  # drgn raises plain Exception for what it has no class for
        raise _cannot_open(info, e) from e
    return prog


def _open_image(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """Raw and LiME: physical memory and nothing else."""
    raw = info.format is Format.RAW
    if raw:
        size = os.stat(info.path).st_size or _device_size(info.path)
        memory = FileMemory(info.path, (Extent(0, size, 0, size),))
    else:
        extents, missing = read_lime(info.path)
        memory = FileMemory(info.path, extents)
        if missing:
            info = _truncated(info, missing, memory.total)
    if text is not None:
        texts = [Candidate(text, 0, False)]
        source = _GIVEN
    else:
        texts = candidates(memory, f"looking for VMCOREINFO in {info.path.name}")
        source = ""
    if not texts:
        raise _without_vmcoreinfo(info, "")

    def layouts(of: VmcoreInfo) -> Iterator[PhysicalMemory]:
        return iter(rawimage.layouts(memory, of)) if raw else iter((memory,))

    found = choose(texts, layouts, platform.arch if platform is not None else None)
    if found is None:
        releases = ", ".join(sorted({c.info.release for c in texts}))
        raise DebugInfoError(
            f"{info.path} ({info.format.value}): there is a VMCOREINFO of {releases}, but that"
            " kernel's page tables are not where it says",
            step="open",
            hint="the memory is incomplete, of an unknown layout, or holds a copy only",
        )
    image = found.memory
    assert isinstance(image, FileMemory)
    prog = _custom(
        info,
        platform_of(found.architecture, found.little_endian),
        image,
        ((e.address, e.size) for e in image.extents),
        found.candidate.text,
    )
    return prog, replace(
        info,
        architecture=found.architecture,
        little_endian=found.little_endian,
        memory=image,
        vmcoreinfo_source=source or _source(found, "file offset" if raw else "physical"),
    )


def _device_size(path: Path) -> int:
    with path.open("rb") as f:
        return f.seek(0, os.SEEK_END)


def _recover(
    info: DumpInfo, memory: PhysicalMemory, platform: drgn.Platform | None, core: ElfCore | None
) -> Believed | None:
    texts = candidates(memory, f"looking for VMCOREINFO in {info.path.name}")
    return choose(
        texts,
        lambda _: iter((memory,)),
        platform.arch if platform is not None else None,
        None if core is None else lambda b: _registers_agree(core, b),
    )


def _with_recovered(
    info: DumpInfo, given: drgn.Platform | None, found: Believed, core: ElfCore
) -> tuple[drgn.Program, DumpInfo]:
    info = replace(
        info,
        architecture=found.architecture,
        little_endian=found.little_endian,
        vmcoreinfo_source=_source(found),
    )
    platform = given or platform_of(found.architecture, found.little_endian)
    return _set_elf(info, platform, found.candidate.text, core, found.memory), info


def _with_given(
    info: DumpInfo,
    given: drgn.Platform | None,
    text: bytes,
    core: ElfCore,
    memory: PhysicalMemory,
) -> tuple[drgn.Program, DumpInfo]:
    info = replace(info, vmcoreinfo_source=_GIVEN)
    candidate = Candidate(text, 0, False)
    wanted = [given.arch] if given is not None else architectures_of(candidate.info)
    found = check(candidate, memory, wanted)
    if found is None:
        return _set_elf(info, given or info.platform, text, core, memory), _unconfirmed(info)
    platform = given or platform_of(found.architecture, found.little_endian)
    info = replace(info, architecture=platform.arch, little_endian=found.little_endian)
    return _set_elf(info, platform, text, core, memory), info


def _set_elf(
    info: DumpInfo,
    platform: drgn.Platform | None,
    text: bytes,
    core: ElfCore,
    memory: PhysicalMemory,
) -> drgn.Program:
    """Open an ELF dump under a VMCOREINFO text that is not its own."""
    own = core.vmcoreinfo() is not None
    if own or platform is None or not needs_repair(core, platform.arch):
        return _set_core_dump(info, platform, text)
    fd = notes_only(core, platform, text)
    try:
        prog = _set_core_dump(info, platform, None, f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    for e in core.extents():
        prog.add_memory_segment(e.address, e.size, _segment(memory), True)
    return prog


def _source(found: Believed, unit: str = "physical") -> str:
    what = "note" if found.candidate.is_note else "text"
    return f"{what} in memory at {unit} {found.candidate.address:#x}"


def _fits(text: bytes, platform: drgn.Platform | None, memory: PhysicalMemory) -> bool:
    """Whether a VMCOREINFO text is of the kernel in memory."""
    if platform is None:
        return True
    candidate = Candidate(text.split(b"\0")[0], 0, True)
    if "init_uts_ns" not in candidate.info.symbols:
        return True  # nothing to hold it against
    return check(candidate, memory, (platform.arch,)) is not None


def _registers_agree(core: ElfCore, believed: Believed) -> int:
    """How many CPUs of an ELF dump use the page tables, or run the code, of a candidate."""
    count = 0
    info, paging, read = believed.candidate.info, believed.paging, believed.memory.read
    for note in core.notes():
        try:
            if note.name == "QEMU" and believed.architecture is drgn.Architecture.X86_64:
                (cr3,) = struct.unpack_from("<Q", note.desc, _QEMU_CR3)
                five = len(paging.levels) == 5
                # Bit 12 tells the user half's table from the kernel's (KPTI).
                seen = X86Paging(five, cr3 & ~0x1FFF & (1 << 52) - 1)
                symbol = info.symbols["init_uts_ns"]
                count += seen.translate(read, symbol) == paging.translate(read, symbol)
            elif note.name == "CORE" and note.type == 1:
                offset = _PRSTATUS_PC[believed.architecture]
                (pc,) = struct.unpack_from(core.order + "Q", note.desc, offset)
                paging.translate(read, pc)
                count += 1
        except (struct.error, NotMappedError, drgn.FaultError, LookupError):
            continue
    return count


def _set_core_dump(
    info: DumpInfo,
    platform: drgn.Platform | None,
    text: bytes | None,
    path: str = "",
) -> drgn.Program:
    log = logging.getLogger("drgn")
    log.addFilter(_not_about_flattening)
    try:
        prog = drgn.Program(platform, vmcoreinfo=text)
        prog.set_core_dump(path or info.path)
    except Exception as e:  # drgn raises plain Exception for what it has no class for
        raise _cannot_open(info, e) from e
    finally:
        log.removeFilter(_not_about_flattening)
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise DebugInfoError(
            f"{info.path} is a core dump of a process, not of a kernel",
            step="open",
            hint="open it with gdb or drgn -c",
        )
    return prog


def _not_about_flattening(record: logging.LogRecord) -> bool:
    """Drop drgn's advice to reassemble a flattened dump: it opens as it is."""
    return "flattened format" not in record.getMessage()


def _remark(info: DumpInfo, what: str, hint: str) -> DumpInfo:
    return replace(info, remarks=(*info.remarks, (what, hint)))


def _truncated(info: DumpInfo, missing: int, total: int) -> DumpInfo:
    return _remark(
        info,
        f"the file is truncated: {missing / (1 << 20):.1f} of {total / (1 << 20):.1f} MiB of"
        " memory are missing",
        "copy it again, or was the disk full when it was written?",
    )


def _unconfirmed(info: DumpInfo) -> DumpInfo:
    return _remark(
        info,
        "the page tables that VMCOREINFO names do not lead to this kernel's name",
        "pages may be missing, or the VMCOREINFO is of another kernel",
    )


def _name(architecture: drgn.Architecture | None) -> str:
    return architecture.name.lower() if architecture is not None else "an unknown architecture"


def _without_vmcoreinfo(info: DumpInfo, writer: str) -> DebugInfoError:
    if writer == "Xen":
        return DebugInfoError(
            f"{info.path} is a Xen domain's dump and no Linux kernel was found in it",
            step="open",
            hint="dumps of PV domains are not read; use kdump in the guest",
        )
    if info.format is Format.RAW:
        return DebugInfoError(
            f"{info.path} has no known header, and no Linux kernel's VMCOREINFO was found in it",
            step="open",
            hint="if it is a raw memory image, give --vmcoreinfo FILE and --architecture ARCH",
        )
    return DebugInfoError(
        f"{info.path} ({info.format.value}) carries no VMCOREINFO and none was found in its memory",
        step="open",
        hint="give it with --vmcoreinfo FILE",
    )


def _cannot_open(info: DumpInfo, e: Exception) -> DebugInfoError:
    text = " ".join(str(e).split())
    if "ARCH_NAME" in text:
        return DebugInfoError(
            f"{info.path} does not say of which architecture it is",
            step="open",
            hint="give it with --architecture ARCH",
        )
    return DebugInfoError(
        f"{info.path} ({info.format.value}) cannot be opened: {text}", step="open"
    )


def program_from_core_dump(path: str | os.PathLike[str], **options: Any) -> drgn.Program:
    """
    Open a kernel crash dump, ready to use.

    :param options: ``architecture`` (str), ``vmcoreinfo`` (bytes), and what
        :class:`btfdbg.debuginfo.attach.Options` takes: ``btf``, ``btf_extra``,
        ``kallsyms``, ``modules_dir`` (paths).
    :raises DebugInfoError: it cannot be opened, or gives neither symbols nor BTF.
    """
    from btfdbg.debuginfo.attach import Options, attach

    opening = {k: options.pop(k) for k in ("architecture", "vmcoreinfo") if k in options}
    prog, info = open_core(path, **opening)
    paths = {k: None if v is None else Path(v) for k, v in options.items()}
    attach(prog, Options(**paths), info)
    return prog


def btf_of_core(path: str | os.PathLike[str]) -> Btf:
    """
    The kernel's own BTF out of a dump.

    :raises DebugInfoError: the dump gives none.
    """
    from btfdbg.debuginfo.attach import register

    prog, info = open_core(path)
    return register(prog, None, info).vmlinux
