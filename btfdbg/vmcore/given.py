"""The user's VMCOREINFO against the dump that it was given for.

Owns telling a text of another kernel, or of another boot, from this dump's: under a wrong one
every address is wrong, and what is said is that this or that is missing. A text is refused only
on evidence: it fails the proof that every text is held to (``recover``), and the dump's own
passes it; or it names another architecture than the file's header. Where neither passes,
pages may be missing, and the user's word stands.
"""

from __future__ import annotations

from collections.abc import Callable

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.platforms import machine_of, platform_of
from btfdbg.vmcore.program import architecture_name, recover_text, source_of
from btfdbg.vmcore.recover import Believed, Candidate, architectures_of, check
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_PROVED = "init_uts_ns"
"""The symbol by which a text is proved comes first among those that differ."""


def require_fit(
    info: DumpInfo,
    text: bytes,
    platform: drgn.Platform | None,
    memory: PhysicalMemory,
    own: bytes | None = None,
    evidence: Callable[[Believed], int] | None = None,
) -> Believed | None:
    """
    Prove that a text is of the kernel in memory.

    :param platform: What the user or the file's header says.
    :param own: The file's own text, if it has one.
    :param evidence: See :func:`btfdbg.vmcore.recover.choose`.
    :return: ``None`` if nothing in the dump speaks for it or against it.
    :raises DebugInfoError: it is of another kernel, or another boot.
    """
    found = _proved(text, platform, memory)
    if found is not None:
        return found
    given = VmcoreInfo.parse(text)
    if own is not None and _proved(own, platform, memory) is not None:
        raise of_another(info, given, VmcoreInfo.parse(own), "its note")
    believed = _in_memory(info, platform, memory, evidence)
    if believed is not None:
        raise of_another(info, given, believed.candidate.info, source_of(believed))
    named = architectures_of(given)
    if info.architecture is not None and named and info.architecture not in named:
        said = " or ".join(machine_of(platform_of(architecture, True)) for architecture in named)
        raise DebugInfoError(
            f"--vmcoreinfo is of another kernel than {info.path}: of {said}, and the dump is of"
            f" {architecture_name(info.architecture)} by its header",
            step="open",
            hint="give the VMCOREINFO of this dump's kernel",
        )
    return None


def _proved(text: bytes, platform: drgn.Platform | None, memory: PhysicalMemory) -> Believed | None:
    candidate = Candidate(text.split(b"\0")[0], 0, False)
    wanted = [platform.arch] if platform is not None else architectures_of(candidate.info)
    return check(candidate, memory, wanted)


def _in_memory(
    info: DumpInfo,
    platform: drgn.Platform | None,
    memory: PhysicalMemory,
    evidence: Callable[[Believed], int] | None,
) -> Believed | None:
    try:
        return recover_text(info, memory, platform, evidence)
    except DebugInfoError:
        return None  # there are two, and which one ran is what the user wanted to say


def of_another(info: DumpInfo, given: VmcoreInfo, own: VmcoreInfo, source: str) -> DebugInfoError:
    """
    The error of a text that is not this dump's.

    :param own: The dump's, which was proved.
    :param source: Where that is.
    """
    boot = "boot" if same_build(given, own) else "kernel"
    return DebugInfoError(
        f"--vmcoreinfo is of another {boot} than {info.path}: {_difference(given, own)}"
        f" in the dump ({source})",
        step="open",
        hint="leave out --vmcoreinfo, the dump has its own",
    )


def same_build(one: VmcoreInfo, other: VmcoreInfo) -> bool:
    """Whether two texts are of one build of a kernel, as far as they say."""
    ids = one.build_id, other.build_id
    return one.release == other.release and (not all(ids) or ids[0] == ids[1])


def _difference(given: VmcoreInfo, own: VmcoreInfo) -> str:
    """What most plainly tells two texts apart: ``release A there, B``."""
    if given.release != own.release:
        return f"release {given.release} there, {own.release}"
    if not same_build(given, own):
        return f"build id {given.build_id} there, {own.build_id}"
    for name in sorted(given.symbols, key=lambda name: name != _PROVED):
        mine = own.symbols.get(name)
        if mine is not None and mine != given.symbols[name]:
            return f"{name} at {given.symbols[name]:#x} there, at {mine:#x}"
    for name, number in given.numbers.items():
        if own.numbers.get(name, number) != number:
            return f"{name} is {number:#x} there, {own.numbers[name]:#x}"
    return f"{_PROVED} cannot be read by what it says there, but can"
