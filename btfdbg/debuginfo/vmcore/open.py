"""From a path to a ``drgn.Program`` with its memory set.

Owns the choice of how drgn is given a dump, and the words of what goes wrong.
Registers no finders: that is ``attach``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import drgn

from btfdbg.btf import Btf
from btfdbg.debuginfo.vmcore.identify import DumpInfo, Format, identify
from btfdbg.errors import DebugInfoError

_UNREAD = {
    Format.LIME: "LiME images are not opened yet",
    Format.RAW: "raw memory images are not opened yet",
}


def open_core(
    path: str | os.PathLike[str],
    *,
    architecture: str | None = None,
    vmcoreinfo: bytes | None = None,
) -> tuple[drgn.Program, DumpInfo]:
    """
    Set up a Program's memory from a dump, without debug info.

    :param architecture: Name of a ``drgn.Architecture``, in any case, for dumps
        whose header does not say.
    :param vmcoreinfo: VMCOREINFO text to use in place of the dump's own.
    :raises DebugInfoError: the dump cannot be opened; with a hint.
    """
    info = identify(path)
    if info.format in _UNREAD:
        raise DebugInfoError(f"{info.path}: {_UNREAD[info.format]}", step="open")
    platform = _platform(architecture) if architecture else None
    prog = drgn.Program(platform, vmcoreinfo=vmcoreinfo)
    try:
        prog.set_core_dump(info.path)
    except (ValueError, OSError, drgn.FaultError) as e:
        # libkdumpfile learns the machine from VMCOREINFO or not at all; QEMU
        # writes kdump files without one but with the machine in utsname.
        if platform is not None or info.platform is None or "ARCH_NAME" not in str(e):
            raise _cannot_open(info, e) from e
        prog = drgn.Program(info.platform, vmcoreinfo=vmcoreinfo)
        try:
            prog.set_core_dump(info.path)
        except (ValueError, OSError, drgn.FaultError) as again:
            raise _cannot_open(info, again) from again
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise DebugInfoError(
            f"{info.path} is a core dump of a process, not of a kernel",
            step="open",
            hint="open it with gdb or drgn -c",
        )
    return prog, info


def _platform(name: str) -> drgn.Platform:
    try:
        return drgn.Platform(drgn.Architecture[name.upper()])
    except KeyError:
        known = ", ".join(sorted(a.name.lower() for a in drgn.Architecture))
        raise DebugInfoError(
            f"unknown architecture {name!r}", step="open", hint=f"one of {known}"
        ) from None


def _cannot_open(info: DumpInfo, e: Exception) -> DebugInfoError:
    text = str(e)
    if "VMCOREINFO" in text or "unrecognized QEMU" in text:
        return DebugInfoError(
            f"{info.path} carries no VMCOREINFO",
            step="open",
            hint="give it with --vmcoreinfo FILE",
        )
    if "ARCH_NAME" in text:
        return DebugInfoError(
            f"{info.path} does not say of which architecture it is",
            step="open",
            hint="give it with --architecture ARCH",
        )
    return DebugInfoError(f"{info.path} ({info.format.value}) cannot be opened: {text}", step="open")


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
