"""Open a dump or a guest: with its VMCOREINFO, or one made of what else is in its memory.

Owns the order of the two, and the words that say which it was. The first is
``vmcore.open``'s; the second needs the kernel's symbols, which ``vmcore`` knows nothing of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import drgn

from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.open import open_core
from btfdbg.vmcore.program import NoVmcoreinfoError, remark
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.vmcore.recover import Believed

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
        platform = e.dump.platform
        text, what = _made(
            e.layouts,
            platform.arch if platform is not None else None,
            f"looking for a kernel in {e.dump.path.name}",
            e.evidence,
        )
        if text is None:
            message = f"{e}; {what}" if what else str(e)
            raise NoVmcoreinfoError(message, e.hint, e.dump, (), e.evidence) from None
        try:
            prog, info = open_core(path, architecture=architecture, vmcoreinfo=text)
        except NoVmcoreinfoError:
            raise e from None
    return prog, _remarked(info, what)


def open_guest(address: str, *, vmcoreinfo: bytes | None = None) -> tuple[drgn.Program, DumpInfo]:
    """
    ``vmcore.live.open_qemu()``, for guests too that have not written VMCOREINFO yet.

    Parameters and result as there; a remark says that the text was made, and why.

    :raises DebugInfoError: QEMU does not answer, or no kernel can be proved in the guest.
    """
    from btfdbg.vmcore.live import open_qemu

    made: list[str] = []

    def otherwise(
        memory: PhysicalMemory, architecture: drgn.Architecture | None
    ) -> tuple[bytes | None, str]:
        text, what = _made((memory,), architecture, f"looking for a kernel at {address}")
        if text is not None:
            made.append(what)
        return text, what

    prog, info = open_qemu(address, vmcoreinfo=vmcoreinfo, otherwise=otherwise)
    return prog, _remarked(info, made[0]) if made else info


def _remarked(info: DumpInfo, what: str) -> DumpInfo:
    return remark(
        replace(info, vmcoreinfo_source=_SOURCE),
        f"{what}: release, addresses and page tables are those that its image in memory shows",
        "numbers that only VMCOREINFO has are not known",
    )


def _made(
    layouts: Iterable[PhysicalMemory],
    architecture: drgn.Architecture | None,
    label: str,
    evidence: Callable[[Believed], int] | None = None,
) -> tuple[bytes | None, str]:
    """
    The text of the kernel in memory, and what happened to its own.

    :return: None if there is none, with how far it came.
    :raises DebugInfoError: there are several.
    """
    from btfdbg.kallsyms.early_boot import make_texts
    from btfdbg.vmcore.recover import choose

    reason = ""
    for memory in layouts:
        made, why = make_texts(memory, architecture, label)
        reason = reason or why
        texts = [m.candidate for m in made]
        found = choose(texts, partial(_only, memory), architecture, evidence)
        if found is None:
            continue
        unwritten = any(m.unwritten for m in made if m.candidate == found.candidate)
        return found.candidate.text, (
            "the kernel stopped in early boot, before it wrote VMCOREINFO"
            if unwritten
            else "the kernel's VMCOREINFO is not in the dump"
        )
    return None, reason


def _only(memory: PhysicalMemory, _: VmcoreInfo) -> Iterator[PhysicalMemory]:
    """The one layout that a text was made under."""
    yield memory
