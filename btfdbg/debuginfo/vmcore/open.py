"""From a path to a ``drgn.Program`` with its memory set.

Owns the order that holds for every format: what kind of file (``identify``),
are its headers believable, is there a VMCOREINFO text and does it fit the
memory; if not, look for one in memory (``recover``); only then drgn, because a
Program cannot be given another VMCOREINFO later. Registers no finders: that is
``attach``.

To add a format: ``open<format>.py`` with one function, called here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import drgn

from btfdbg.btf import Btf
from btfdbg.debuginfo.vmcore.identify import DumpInfo, Format, identify, platform_named
from btfdbg.debuginfo.vmcore.openelf import open_elf
from btfdbg.debuginfo.vmcore.openimage import open_image
from btfdbg.debuginfo.vmcore.openkdump import open_kdump
from btfdbg.debuginfo.vmcore.overlay import complete_memory
from btfdbg.debuginfo.vmcoreinfo import MAX_BYTES, VmcoreInfo
from btfdbg.errors import DebugInfoError

_NOTE_HEADER = b"VMCOREINFO\0\0"


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
    opener = open_image
    if info.format is Format.ELF:
        opener = open_elf
    elif info.format in (Format.KDUMP, Format.KDUMP_FLATTENED):
        opener = open_kdump
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


def program_from_core_dump(path: str | os.PathLike[str], **options: Any) -> drgn.Program:
    """
    Open a kernel crash dump, ready to use.

    :param options: ``architecture`` (str), ``vmcoreinfo`` (bytes), and what
        :class:`btfdbg.debuginfo.attach.Options` takes: ``btf``, ``btf_extra``,
        ``kallsyms``, ``modules_dir`` (paths; of ``btf_extra`` also several).
    :raises DebugInfoError: it cannot be opened, or gives neither symbols nor BTF.
    """
    from btfdbg.debuginfo.attach import Options, attach

    opening = {k: options.pop(k) for k in ("architecture", "vmcoreinfo") if k in options}
    prog, info = open_core(path, **opening)
    extra = options.pop("btf_extra", None) or ()
    extra = (extra,) if isinstance(extra, (str, os.PathLike)) else extra
    paths = {k: None if v is None else Path(v) for k, v in options.items()}
    attach(prog, Options(btf_extra=tuple(Path(e) for e in extra), **paths), info)
    return prog


def btf_of_core(path: str | os.PathLike[str]) -> Btf:
    """
    The kernel's own BTF out of a dump.

    :raises DebugInfoError: the dump gives none.
    """
    from btfdbg.debuginfo.attach import register

    prog, info = open_core(path)
    return register(prog, None, info).vmlinux
