"""From a path to a ``drgn.Program`` with its memory set.

Owns the order that holds for every format: what kind of file (``identify``),
are its headers believable, is there a VMCOREINFO text and does it fit the
memory; if not, look for one in memory (``recover``); only then drgn, because a
Program cannot be given another VMCOREINFO later. Registers no finders: that is
``attach``.

To add a format: ``open<format>.py`` with one function, and its row in ``READERS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.identify import DumpInfo, Format, identify
from btfdbg.vmcore.openelf import open_elf
from btfdbg.vmcore.openimage import open_lime, open_raw, open_xen
from btfdbg.vmcore.openkdump import open_kdump
from btfdbg.vmcore.overlay import complete_memory
from btfdbg.vmcore.platforms import machine_of, platform_named, platform_of
from btfdbg.vmcore.program import vmcoreinfo_of
from btfdbg.vmcore.recover import Candidate, architectures_of, check
from btfdbg.vmcore.vmcoreinfo import MAX_BYTES

_NOTE_HEADER = b"VMCOREINFO\0\0"

Opener = Callable[[DumpInfo, "drgn.Platform | None", "bytes | None"], tuple[drgn.Program, DumpInfo]]
"""``opener(info, platform, text)``: the last two are what the user gave, else ``None``."""

READERS: dict[Format, Opener] = {
    Format.ELF: open_elf,
    Format.KDUMP: open_kdump,
    Format.KDUMP_FLATTENED: open_kdump,
    Format.LIME: open_lime,
    Format.XEN: open_xen,
    Format.RAW: open_raw,
}
"""Each format of a dump that is a file; live targets have their own door (``live``)."""


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
    try:
        try:
            prog, info = READERS[info.format](info, platform, vmcoreinfo)
        except DebugInfoError:
            # An ELF header has said it already.
            if platform is not None and info.format is not Format.ELF:
                _require_architecture(_opened_without(info, vmcoreinfo), platform)
            raise
        if platform is not None:
            _require_architecture(info, platform)
        complete_memory(prog, info, vmcoreinfo_of(prog, info))
        return prog, info
    except OSError as e:
        raise DebugInfoError(f"{info.path}: {e.strerror or e}", step="open") from e
    except MemoryError as e:
        raise DebugInfoError(f"{info.path}: out of memory while opening it", step="open") from e


def _opened_without(info: DumpInfo, text: bytes | None) -> DumpInfo:
    """What is known of a dump that opens if no architecture is given, else what is given."""
    try:
        return READERS[info.format](info, None, text)[1]
    except DebugInfoError:
        return info


def _require_architecture(info: DumpInfo, platform: drgn.Platform) -> None:
    """
    Hold --architecture against what VMCOREINFO and the memory say.

    :param info: Of the opened dump.
    :raises DebugInfoError: they say another one, or another byte order.
    """
    if info.vmcoreinfo is None:
        return
    candidate = Candidate(info.vmcoreinfo.split(b"\0")[0], 0, False)
    named = architectures_of(candidate.info)
    found = [platform_of(architecture, True) for architecture in named]
    fits = platform.arch in named
    if info.memory is not None and "init_uts_ns" in candidate.info.symbols:
        believed = check(candidate, info.memory, named)
        if believed is not None:
            found = [platform_of(believed.architecture, believed.little_endian)]
            fits = platform in found
    if found and not fits:
        raise DebugInfoError(
            f"{info.path} is of {' or '.join(map(machine_of, found))}, not of"
            f" {machine_of(platform)}",
            step="open",
            hint="leave out --architecture",
        )


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
