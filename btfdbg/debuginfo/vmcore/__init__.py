"""Open any dump: format, platform and VMCOREINFO, then drgn's own reader where it has one.

Why a package: one reader per file format (``identify`` tells them apart), so
that a format is added in one place.
"""

from __future__ import annotations

from btfdbg.debuginfo.vmcore.explain import Explanation, Reason, explain_address, explain_fault
from btfdbg.debuginfo.vmcore.identify import DumpInfo, Format, identify
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
