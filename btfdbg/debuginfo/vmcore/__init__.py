"""Open any dump: format, platform and VMCOREINFO, then drgn's own reader where it has one.

Why a package: one reader per file format (``identify`` tells them apart), so
that a format is added in one place.
Lazy as ``btfdbg`` itself is: opening a file needs neither sockets nor the reasons for faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btfdbg.debuginfo.vmcore.identify import DumpInfo, Format, identify

if TYPE_CHECKING:
    from btfdbg.debuginfo.vmcore.explain import (
        Explanation,
        Reason,
        explain_address,
        explain_fault,
    )
    from btfdbg.debuginfo.vmcore.live import open_live, open_qemu
    from btfdbg.debuginfo.vmcore.open import btf_of_core, open_core, program_from_core_dump

__all__ = [
    "DumpInfo",
    "Explanation",
    "Format",
    "Reason",
    "btf_of_core",
    "explain_address",
    "explain_fault",
    "identify",
    "open_core",
    "open_live",
    "open_qemu",
    "program_from_core_dump",
]

_HOME = {
    "Explanation": "explain",
    "Reason": "explain",
    "explain_address": "explain",
    "explain_fault": "explain",
    "open_live": "live",
    "open_qemu": "live",
    "btf_of_core": "open",
    "open_core": "open",
    "program_from_core_dump": "open",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
