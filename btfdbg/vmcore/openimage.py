"""Raw memory images, LiME, Xen domains: physical memory and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore import rawimage, vmcoreinfo_cache
from btfdbg.vmcore.given import of_another
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.lime import read_lime
from btfdbg.vmcore.memory import Extent, FileMemory, PhysicalMemory
from btfdbg.vmcore.platforms import platform_of
from btfdbg.vmcore.program import (
    GIVEN,
    NoVmcoreinfoError,
    custom_program,
    source_of,
    truncated,
    without_vmcoreinfo,
)
from btfdbg.vmcore.recover import Believed, Candidate, choose
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from btfdbg.vmcore.xencore import read_xen


def open_raw(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """
    Open a raw image.

    :param platform: Given by the user, else ``None``.
    :param text: VMCOREINFO given by the user, else ``None``.
    :raises DebugInfoError: it cannot be opened; with a hint.
    """
    size = os.stat(info.file).st_size or _device_size(info.file)
    memory = FileMemory(info.file, (Extent(0, size, 0, size),))

    def layouts(of: VmcoreInfo) -> Iterator[PhysicalMemory]:
        return iter(rawimage.layouts(memory, of))

    return _open(info, platform, text, memory, layouts, "file offset")


def open_lime(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """Open a LiME image; parameters and errors as :func:`open_raw`."""
    return _open_extents(info, platform, text, *read_lime(info.file))


def open_xen(
    info: DumpInfo, platform: drgn.Platform | None, text: bytes | None
) -> tuple[drgn.Program, DumpInfo]:
    """Open the dump of a Xen domain; parameters and errors as :func:`open_raw`."""
    return _open_extents(info, platform, text, *read_xen(info.file))


def _open_extents(
    info: DumpInfo,
    platform: drgn.Platform | None,
    text: bytes | None,
    extents: Sequence[Extent],
    missing: int,
) -> tuple[drgn.Program, DumpInfo]:
    memory = FileMemory(info.file, extents)
    if missing:
        info = truncated(info, missing, memory.total)
    return _open(info, platform, text, memory, lambda _: iter((memory,)), "physical")


def _open(
    info: DumpInfo,
    platform: drgn.Platform | None,
    text: bytes | None,
    memory: FileMemory,
    layouts: Callable[[VmcoreInfo], Iterator[PhysicalMemory]],
    unit: str,
) -> tuple[drgn.Program, DumpInfo]:
    """
    Find the kernel in physical memory and make its Program.

    :param layouts: Ways in which the file may stand for physical memory.
    :param unit: What an address in the file is called.
    """
    wanted = platform or info.platform

    def decide(texts: list[Candidate]) -> Believed | None:
        return choose(texts, layouts, wanted.arch if wanted is not None else None)

    if text is not None:
        texts, source = [Candidate(text, 0, False)], GIVEN
        found = decide(texts)
        if found is None:
            _require_no_other(info, text, memory, decide, unit)
    else:
        source = ""
        texts, found = vmcoreinfo_cache.recover(info.file, memory, decide)
    if not texts:
        raise without_vmcoreinfo(info, "", tuple(layouts(VmcoreInfo.parse(b""))))
    if found is None:
        releases = ", ".join(sorted({c.info.release for c in texts}))
        raise NoVmcoreinfoError(
            f"{info.path} ({info.format.value}): there is a VMCOREINFO of {releases}, but that"
            " kernel's page tables are not where it says",
            "the memory is incomplete, of an unknown layout, or holds a copy only",
            info,
            # None is left where the user's own text did not fit.
            () if text is not None else tuple(layouts(VmcoreInfo.parse(b""))),
        )
    image = found.memory
    assert isinstance(image, FileMemory)
    prog = custom_program(
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
        vmcoreinfo_source=source or source_of(found, unit),
        vmcoreinfo=found.candidate.text,
    )


def _require_no_other(
    info: DumpInfo,
    text: bytes,
    memory: FileMemory,
    decide: Callable[[list[Candidate]], Believed | None],
    unit: str,
) -> None:
    """Refuse the user's text, which does not fit, where one in memory does."""
    try:
        own = vmcoreinfo_cache.recover(info.file, memory, decide)[1]
    except DebugInfoError:
        return  # there are two
    if own is not None:
        raise of_another(info, VmcoreInfo.parse(text), own.candidate.info, source_of(own, unit))


def _device_size(path: str) -> int:
    with open(path, "rb") as f:
        return f.seek(0, os.SEEK_END)
