"""ELF cores: of /proc/vmcore, QEMU, libvirt, VirtualBox.

drgn reads the file itself. What is done here: a VMCOREINFO where the file has
none, or one of another boot; CPU registers where QEMU wrote them wrongly.
"""

from __future__ import annotations

import struct

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore.cpunotes import needs_repair
from btfdbg.vmcore.elfcore import ElfCore, read_elf
from btfdbg.vmcore.given import require_fit
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.memory import FileMemory, PhysicalMemory
from btfdbg.vmcore.paging import NotMappedError
from btfdbg.vmcore.platforms import arch_of, platform_of
from btfdbg.vmcore.program import (
    GIVEN,
    architecture_name,
    custom_program,
    fits,
    recover_text,
    remark,
    set_core_dump,
    source_of,
    truncated,
    unconfirmed,
    without_vmcoreinfo,
)
from btfdbg.vmcore.recover import Believed

_QEMU_CR3 = 416


def open_elf(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """
    Open an ELF core.

    :param platform: Given by the user, else ``None``.
    :param text: VMCOREINFO given by the user, else ``None``.
    :raises DebugInfoError: it cannot be opened; with a hint.
    """
    core = read_elf(info.file)
    if not core.loads:
        raise DebugInfoError(f"{info.path} holds no memory: it has no PT_LOAD segment", step="open")
    memory = FileMemory(info.file, core.extents())
    info = replace(info, memory=memory)
    if core.missing:
        info = truncated(info, core.missing, memory.total)
    if platform is not None and info.architecture not in (None, platform.arch):
        raise DebugInfoError(
            f"{info.path} is of {architecture_name(info.architecture)} by its header, not of"
            f" {architecture_name(platform.arch)}",
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
        found = recover_text(info, memory, wanted, lambda b: _registers_agree(core, b))
        if found is None:
            raise without_vmcoreinfo(info, writer, (memory,), lambda b: _registers_agree(core, b))
        return _with_recovered(info, platform, found, core)
    if not fits(note, wanted, memory):
        found = recover_text(info, memory, wanted, lambda b: _registers_agree(core, b))
        if found is not None and found.candidate.text != note.split(b"\0")[0]:
            info = remark(
                info,
                "the VMCOREINFO note in the dump is not of the kernel in its memory"
                f" ({found.candidate.info.release}); used the one found there",
                "the guest was rebooted, or the note was edited",
            )
            return _with_recovered(info, platform, found, core)
        if found is None and not core.missing:
            info = unconfirmed(info)
    info = replace(info, vmcoreinfo=note)
    try:
        return set_core_dump(info, platform, None), info
    except DebugInfoError:
        # libelf passes over a last note without its padding.
        return set_core_dump(info, platform, note.split(b"\0")[0]), info


def _with_recovered(
    info: DumpInfo, given: drgn.Platform | None, found: Believed, core: ElfCore
) -> tuple[drgn.Program, DumpInfo]:
    info = replace(
        info,
        architecture=found.architecture,
        little_endian=found.little_endian,
        vmcoreinfo_source=source_of(found),
        vmcoreinfo=found.candidate.text,
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
    info = replace(info, vmcoreinfo_source=GIVEN, vmcoreinfo=text)
    own = core.vmcoreinfo()
    found = require_fit(info, text, given, memory, own, lambda b: _registers_agree(core, b))
    if found is None:
        return _set_elf(info, given or info.platform, text, core, memory), unconfirmed(info)
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
    if own or platform is None or not needs_repair(core.notes(), core.order, platform.arch):
        return set_core_dump(info, platform, text)
    ranges = ((e.address, e.size) for e in core.extents())
    return custom_program(info, platform, memory, ranges, text, core.notes(), core.order)


def _registers_agree(core: ElfCore, believed: Believed) -> int:
    """How many CPUs of an ELF dump use the page tables, or run the code, of a candidate."""
    count = 0
    info, paging, read = believed.candidate.info, believed.paging, believed.memory.read
    for note in core.notes():
        try:
            if note.name == "QEMU" and believed.architecture is drgn.Architecture.X86_64:
                (cr3,) = struct.unpack_from("<Q", note.desc, _QEMU_CR3)
                # Bit 12 tells the user half's table from the kernel's (KPTI).
                seen = paging.at(cr3 & ~0x1FFF & (1 << 52) - 1)
                symbol = info.symbols["init_uts_ns"]
                count += seen.translate(read, symbol) == paging.translate(read, symbol)
            elif note.name == "CORE" and note.type == 1:
                row = arch_of(believed.architecture)
                if row is None:
                    continue
                offset = row.pc
                (pc,) = struct.unpack_from(core.order + "Q", note.desc, offset)
                paging.translate(read, pc)
                count += 1
        except (struct.error, NotMappedError, drgn.FaultError, LookupError):
            continue
    return count
