"""kdump-compressed files, plain and flattened.

libkdumpfile reads them through drgn, unless they are damaged: then their pages
are read here (``kdumppages``), because it crashes on some of those.
"""

from __future__ import annotations

from typing import Literal

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore.cpunotes import needs_repair
from btfdbg.vmcore.given import require_fit
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.paging import NotMappedError, ways_to_translate
from btfdbg.vmcore.platforms import order_of, platform_of
from btfdbg.vmcore.program import (
    GIVEN,
    cannot_open,
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
from btfdbg.vmcore.recover import Candidate, architectures_of, believable_paging, check
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_SAMPLE = 16
# A distribution kernel has about 2**18 symbols; swapped, fewer than 2**24 stay so large.
_MAX_SYMBOLS = 1 << 22


def open_kdump(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """
    Open a kdump file.

    :param platform: Given by the user, else ``None``.
    :param text: VMCOREINFO given by the user, else ``None``.
    :raises DebugInfoError: it cannot be opened; with a hint.
    """
    kdump = Kdump(info.file)
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
        info = remark(
            info,
            "makedumpfile marked this dump as incomplete: it ran out of space",
            "pages at its end are missing",
        )
    missing = pages.missing()
    nonsense = pages.nonsense() if missing or not pages.count else ""
    if nonsense:
        raise kdump.damaged(nonsense)
    if missing:
        info = truncated(info, missing, pages.total)
    elif kdump.flattened is not None and not kdump.flattened.is_complete:
        info = remark(info, "the flattened file is truncated", "pages at its end are missing")
        missing = 1
    own = kdump.vmcoreinfo()
    if text is not None:
        info = replace(info, vmcoreinfo_source=GIVEN)
        if require_fit(info, text, platform, pages, own) is None and not missing:
            info = unconfirmed(info)
    elif own is None or not fits(own, _platform(info, platform, own, kdump, pages), pages):
        found = recover_text(info, pages, platform)
        if found is None and own is None:
            raise without_vmcoreinfo(info, "", (pages,))
        if found is None:
            info = info if missing else unconfirmed(info)
        else:
            if own is not None:
                what = "the dump's VMCOREINFO is not of the kernel in its memory; used that one"
                info = remark(info, what, "")
            text = found.candidate.text
            info = replace(info, vmcoreinfo_source=source_of(found))
    whole = text or (own or b"").split(b"\0")[0]
    known = _platform(info, platform, whole, kdump, pages)
    architecture = known.arch if known is not None else None
    info = replace(info, architecture=architecture, vmcoreinfo=whole)
    # libkdumpfile learns the machine from its notes or not at all, and reads the
    # text only where there are notes; QEMU's files and hand-made ones lack them.
    attempts: list[tuple[drgn.Platform | None, bytes | None]] = [(known, whole)]
    if text is None:
        attempts[:0] = [(platform, None), (known, None)]
    # It passes on QEMU's notes of s390x and ppc64 as they are.
    wrong = known is not None and (
        needs_repair(kdump.notes(), header.order, known.arch) or order_of(known) != header.order
    )
    failure: DebugInfoError | None = None
    for with_platform, vmcoreinfo in () if missing or wrong else attempts:
        try:
            prog = set_core_dump(info, with_platform, vmcoreinfo)
        except DebugInfoError as e:
            failure = failure or e
            continue
        if known is None or _reads_the_same(prog, known, pages, whole):
            return prog, info
        break
    if known is None:
        raise failure or cannot_open(info, ValueError("ARCH_NAME"))
    # What libkdumpfile does not open, or would crash on, is read page by page.
    everything = ((0, header.max_pfn * header.block_size),)
    notes, order = kdump.notes(), header.order
    return custom_program(info, known, pages, everything, whole, notes, order), info


def _reads_the_same(
    prog: drgn.Program, platform: drgn.Platform, pages: KdumpPages, text: bytes
) -> bool:
    """
    Hold what libkdumpfile gives against what the file holds, at one place.

    libkdumpfile 0.5.5 takes the size of a page from VMCOREINFO, although the file
    is in units of its own (QEMU's are 64 KiB on arm64, whatever the kernel uses),
    and it knows no ppc64 with pages of 4 KiB.
    """
    info = VmcoreInfo.parse(text)
    paging = believable_paging(info, platform.arch, pages.read)
    if paging is None:
        return True  # nothing to hold it against
    symbol = info.symbols["init_uts_ns"]
    try:
        physical, _ = paging.translate(pages.read, symbol)
        data = pages.read(physical, _SAMPLE)
        # Virtual addresses of ppc64 cannot be read before symbols are there.
        return prog.read(physical, _SAMPLE, physical=True) == data and (
            platform.arch is drgn.Architecture.PPC64 or prog.read(symbol, _SAMPLE) == data
        )
    except (drgn.FaultError, NotMappedError):
        return False


def _platform(
    info: DumpInfo,
    given: drgn.Platform | None,
    text: bytes,
    kdump: Kdump,
    pages: KdumpPages,
) -> drgn.Platform | None:
    """
    The platform of a kdump file.

    QEMU writes x86_64 or Unknown into every header; the text knows better. And of a
    ppc64le guest it writes the file in big-endian order, whatever the kernel's is: its
    memory tells.
    """
    if given is not None:
        return given
    little = kdump.header.order == "<"
    vmcoreinfo = VmcoreInfo.parse(text)
    found = architectures_of(vmcoreinfo)
    if not found:
        return info.platform
    believed = check(Candidate(text, 0, False), pages, found)
    if believed is not None:
        return platform_of(believed.architecture, believed.little_endian)
    return platform_of(found[0], _is_little(vmcoreinfo, found[0], pages, little))


def _is_little(
    info: VmcoreInfo, architecture: drgn.Architecture, pages: KdumpPages, header: bool
) -> bool:
    """
    The kernel's byte order where its name is not in the dump, by its number of symbols.

    :param header: That of the file, for kernels whose VMCOREINFO lacks the symbol (before
        v6.0), or where neither order gives a number that can be.
    """
    symbol = info.symbols.get("kallsyms_num_syms")
    for paging in ways_to_translate(architecture, info) if symbol is not None else ():
        try:
            data = paging.read(pages.read, symbol or 0, 4)
        except (NotMappedError, drgn.FaultError, OverflowError):
            continue
        orders: tuple[Literal["little", "big"], ...] = ("little", "big")
        possible = [o for o in orders if 0 < int.from_bytes(data, o) <= _MAX_SYMBOLS]
        if len(possible) == 1:
            return possible[0] == "little"
    return header
