"""Open a dump: with its VMCOREINFO, or with one made of what else is in its memory.

Owns the order of the two, and the words that say which it was. The first is
``vmcore.open``'s; the second needs the kernel's symbols, which ``vmcore`` knows nothing of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import drgn

from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.open import open_core
from btfdbg.vmcore.program import NoVmcoreinfoError, remark
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_SOURCE = "made from the kernel's image in memory: banner, kallsyms, page tables"


def open_dump(
    path: str | os.PathLike[str],
    *,
    architecture: str | None = None,
    vmcoreinfo: bytes | None = None,
) -> tuple[drgn.Program, DumpInfo]:
    """
    ``vmcore.open_core()``, for kernels too that died before they wrote VMCOREINFO.

    Parameters and result as there; a remark says that the text was made, and why.

    :raises DebugInfoError: the dump cannot be opened; with a hint.
    """
    try:
        return open_core(path, architecture=architecture, vmcoreinfo=vmcoreinfo)
    except NoVmcoreinfoError as e:
        if vmcoreinfo is not None:
            raise
        text, what = _made(e)
        try:
            prog, info = open_core(path, architecture=architecture, vmcoreinfo=text)
        except NoVmcoreinfoError:
            raise e from None
    info = remark(
        replace(info, vmcoreinfo_source=_SOURCE),
        f"{what}: release, addresses and page tables are those that its image in memory shows",
        "numbers that only VMCOREINFO has are not known",
    )
    return prog, info


def _made(e: NoVmcoreinfoError) -> tuple[bytes, str]:
    """
    The text of the kernel in memory, and what happened to its own.

    :raises NoVmcoreinfoError: there is none, with how far it came; or several.
    """
    from btfdbg.kallsyms.early_boot import make_texts
    from btfdbg.vmcore.recover import choose

    platform = e.dump.platform
    architecture = platform.arch if platform is not None else None
    label = f"looking for a kernel in {e.dump.path.name}"
    reason = ""
    for memory in e.layouts:
        made, why = make_texts(memory, architecture, label)
        reason = reason or why
        texts = [m.candidate for m in made]
        found = choose(texts, partial(_only, memory), architecture, e.evidence)
        if found is None:
            continue
        unwritten = any(m.unwritten for m in made if m.candidate == found.candidate)
        what = (
            "the kernel stopped in early boot, before it wrote VMCOREINFO"
            if unwritten
            else "the kernel's VMCOREINFO is not in the dump"
        )
        return found.candidate.text, what
    message = f"{e}; {reason}" if reason else str(e)
    raise NoVmcoreinfoError(message, e.hint, e.dump, (), e.evidence) from None


def _only(memory: PhysicalMemory, _: VmcoreInfo) -> Iterator[PhysicalMemory]:
    """The one layout that a text was made under."""
    yield memory
