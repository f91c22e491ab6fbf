"""From a path to a Program that is ready to use: ``open_dump``, then ``attach``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import drgn

from btfdbg.btf import Btf
from btfdbg.program.attach import Options, attach, register
from btfdbg.program.open_dump import open_dump


def program_from_core_dump(path: str | os.PathLike[str], **options: Any) -> drgn.Program:
    """
    Open a kernel crash dump, ready to use.

    :param options: ``architecture`` (str), ``vmcoreinfo`` (bytes), and what
        :class:`btfdbg.program.attach.Options` takes: ``btf``, ``btf_extra``,
        ``kallsyms``, ``modules_dir`` (paths; of ``btf_extra`` also several).
    :raises DebugInfoError: it cannot be opened, or gives neither symbols nor BTF.
    """
    opening = {k: options.pop(k) for k in ("architecture", "vmcoreinfo") if k in options}
    prog, info = open_dump(path, **opening)
    extra = options.pop("btf_extra", None) or ()
    extra = (extra,) if isinstance(extra, (str, os.PathLike)) else extra
    paths: dict[str, Any] = {k: None if v is None else Path(v) for k, v in options.items()}
    paths["btf_extra"] = tuple(Path(e) for e in extra)
    attach(prog, Options(**paths, is_file=True), info)
    return prog


def btf_of_core(path: str | os.PathLike[str]) -> Btf:
    """
    The kernel's own BTF out of a dump.

    :raises DebugInfoError: the dump gives none.
    """
    prog, info = open_dump(path)
    return register(prog, Options(is_file=True), info).vmlinux
