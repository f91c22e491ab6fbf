"""Open any dump: format, platform and VMCOREINFO, then drgn's own reader where it has one.

Why a package: one reader per file format (``identify`` tells them apart), so
that a format is added in one place.

In reading order:

* which file: ``identify``, ``open`` (from a path to a Program), ``program`` (the Program, and
  what to say when it cannot be), ``platforms``, ``drgn_version``, ``progress``;
* formats: ``elfcore`` and ``openelf``; ``flattened``, ``kdumpfile``, ``kdumppages`` and
  ``openkdump``; ``lime``, ``rawimage``, ``xencore`` and ``openimage``; ``live``;
* memory: ``memory`` (physical), ``paging/`` (page tables), ``overlay`` (what drgn's readers
  lack), ``cpunotes`` (registers);
* ``vmcoreinfo`` (its text), ``recover`` (found in memory), ``vmcoreinfo_cache``;
* what does not read: ``explain`` (why), ``read_failures`` (how often).

Lazy as ``btfdbg`` itself is: opening a file needs neither sockets nor the reasons for faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import drgn

from btfdbg.vmcore import drgn_version

drgn_version.require(getattr(drgn, "__version__", ""))

from btfdbg.vmcore.identify import DumpInfo, Format, identify  # noqa: E402

if TYPE_CHECKING:
    from btfdbg.vmcore.explain import (
        Explanation,
        Reason,
        explain_address,
        explain_fault,
    )
    from btfdbg.vmcore.live import open_live, open_qemu
    from btfdbg.vmcore.open import open_core

__all__ = [
    "DumpInfo",
    "Explanation",
    "Format",
    "Reason",
    "explain_address",
    "explain_fault",
    "identify",
    "open_core",
    "open_live",
    "open_qemu",
]

_HOME = {
    "Explanation": "explain",
    "Reason": "explain",
    "explain_address": "explain",
    "explain_fault": "explain",
    "open_live": "live",
    "open_qemu": "live",
    "open_core": "open",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
