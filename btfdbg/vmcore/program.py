"""Programs out of dumps, and the words about what went wrong on the way.

Owns what the readers of the formats share: giving drgn a file or memory of
ours, looking for VMCOREINFO in memory, remarks and errors.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.interrupts import not_lost, pass_on
from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore import vmcoreinfo_cache
from btfdbg.vmcore.cpunotes import notes_only
from btfdbg.vmcore.elfcore import Note
from btfdbg.vmcore.identify import DumpInfo, Format
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.read_failures import Unread, unread
from btfdbg.vmcore.recover import Believed, Candidate, check, choose
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

GIVEN = "--vmcoreinfo"


class NoVmcoreinfoError(DebugInfoError):
    """
    A dump has no VMCOREINFO that is of the kernel in its memory.

    For ``program.open_dump``, which makes one of what else is there.

    :ivar dump: What is known of the dump.
    :ivar layouts: Its physical memory; of a file that does not say how its bytes stand for
        memory, each way in which they may.
    :ivar evidence: See ``recover.choose()``.
    """

    def __init__(
        self,
        message: str,
        hint: str,
        dump: DumpInfo,
        layouts: Sequence[PhysicalMemory],
        evidence: Callable[[Believed], int] | None = None,
    ) -> None:
        super().__init__(message, step="open", hint=hint)
        self.dump = dump
        self.layouts = tuple(layouts)
        self.evidence = evidence


def set_core_dump(
    info: DumpInfo,
    platform: drgn.Platform | None,
    text: bytes | None,
    path: str = "",
) -> drgn.Program:
    """
    Let drgn open a dump.

    :param text: VMCOREINFO to use in place of the file's own.
    :param path: Of another file that stands for the dump.
    :raises DebugInfoError: drgn does not open it, or it is no kernel's.
    """
    log = logging.getLogger("drgn")
    log.addFilter(_not_about_flattening)
    try:
        with not_lost():
            prog = drgn.Program(platform, vmcoreinfo=text)
            prog.set_core_dump(path or info.file)
    except Exception as e:  # drgn raises plain Exception for what it has no class for
        pass_on(e)
        raise cannot_open(info, e) from e
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


def custom_program(
    info: DumpInfo,
    platform: drgn.Platform,
    memory: PhysicalMemory,
    ranges: Iterable[tuple[int, int]],
    text: bytes,
    notes: Iterable[Note] = (),
    order: str = "<",
) -> drgn.Program:
    """
    Make a Program whose physical memory is read here.

    :param ranges: Physical (address, bytes) that the memory may hold.
    :param notes: With the registers of CPUs.
    :param order: Byte order of the file that the notes are from, ``<`` or ``>``.
    :raises DebugInfoError: drgn does not accept the VMCOREINFO.
    """
    # drgn reads registers from the notes of a file only, so it is given a file
    # of nothing else.
    fd = notes_only(notes, order, platform, text)
    try:
        prog = set_core_dump(info, platform, None, f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    for start, size in ranges:
        prog.add_memory_segment(start, size, segment(memory, unread(prog)), True)
    return prog


def vmcoreinfo_of(prog: drgn.Program, info: DumpInfo | None) -> VmcoreInfo:
    """
    The VMCOREINFO that a Program was given.

    :param info: Of the dump, if btfdbg opened it: drgn's own object makes drgn settle on a
        signed ``char`` before any type finder can tell it what the kernel's is.
    """
    text = info.vmcoreinfo if info is not None else None
    return VmcoreInfo.parse(prog["VMCOREINFO"].string_() if text is None else text)


def segment(
    memory: PhysicalMemory, failed: Unread | None = None
) -> Callable[[int, int, int, bool], bytes]:
    """
    A drgn memory segment.

    :param failed: Counts the reads that fail.
    """

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        try:
            return memory.read(address, count)
        except drgn.FaultError as e:
            if failed is not None:
                failed.note(e.address, True)
            raise

    return read


def recover_text(
    info: DumpInfo,
    memory: PhysicalMemory,
    platform: drgn.Platform | None,
    evidence: Callable[[Believed], int] | None = None,
) -> Believed | None:
    """
    Look for this memory's VMCOREINFO in it.

    :param evidence: See :func:`btfdbg.vmcore.recover.choose`.
    """
    architecture = platform.arch if platform is not None else None

    def decide(texts: list[Candidate]) -> Believed | None:
        return choose(texts, lambda _: iter((memory,)), architecture, evidence)

    return vmcoreinfo_cache.recover(info.file, memory, decide)[1]


def fits(text: bytes, platform: drgn.Platform | None, memory: PhysicalMemory) -> bool:
    """Whether a VMCOREINFO text is of the kernel in memory."""
    if platform is None:
        return True
    candidate = Candidate(text.split(b"\0")[0], 0, True)
    if "init_uts_ns" not in candidate.info.symbols:
        return True  # nothing to hold it against
    return check(candidate, memory, (platform.arch,)) is not None


def source_of(found: Believed, unit: str = "physical") -> str:
    """Where a text was found, in words."""
    what = "note" if found.candidate.is_note else "text"
    return f"{what} in memory at {unit} {found.candidate.address:#x}"


def remark(info: DumpInfo, what: str, hint: str) -> DumpInfo:
    """Add a remark: what is wrong with the file, and what to do."""
    return replace(info, remarks=(*info.remarks, (what, hint)))


def truncated(info: DumpInfo, missing: int, total: int) -> DumpInfo:
    """Remark that bytes of memory lie beyond the end of the file."""
    return remark(
        info,
        f"the file is truncated: {missing / (1 << 20):.1f} of {total / (1 << 20):.1f} MiB of"
        " memory are missing",
        "copy it again, or was the disk full when it was written?",
    )


def unconfirmed(info: DumpInfo) -> DumpInfo:
    """Remark that VMCOREINFO could not be held against memory."""
    return remark(
        info,
        "the page tables that VMCOREINFO names do not lead to this kernel's name",
        "pages may be missing, or the VMCOREINFO is of another kernel",
    )


def architecture_name(architecture: drgn.Architecture | None) -> str:
    """drgn's name in lower case."""
    return architecture.name.lower() if architecture is not None else "an unknown architecture"


def without_vmcoreinfo(
    info: DumpInfo,
    writer: str,
    layouts: Sequence[PhysicalMemory],
    evidence: Callable[[Believed], int] | None = None,
) -> NoVmcoreinfoError:
    """The error of a dump that has no VMCOREINFO, neither in the file nor in memory."""
    if writer == "Xen":
        message = f"{info.path} is a Xen domain's dump and no Linux kernel was found in it"
        hint = "dumps of PV domains are not read; use kdump in the guest"
    elif info.format is Format.RAW:
        message = (
            f"{info.path} has no known header, and no Linux kernel's VMCOREINFO was found in it"
        )
        hint = "if it is a raw memory image, give --vmcoreinfo FILE and --architecture ARCH"
    else:
        message = (
            f"{info.path} ({info.format.value}) carries no VMCOREINFO and none was found in its"
            " memory"
        )
        hint = "give it with --vmcoreinfo FILE"
    return NoVmcoreinfoError(message, hint, info, layouts, evidence)


def cannot_open(info: DumpInfo, e: Exception) -> DebugInfoError:
    """What drgn said, in one line and with what to do where that is known."""
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
