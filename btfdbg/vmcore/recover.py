"""VMCOREINFO out of memory: find it, and believe only what works.

Owns the search for the note and the choice between what was found. The text is
in memory twice or more: in the note that the kernel prepared for kdump (a page
of its own, behind an ELF note header) and in the page it was copied from;
besides, in page cache, in other kernels' leftovers, as a format string. A
candidate is believed when the kernel's ``init_uts_ns``, read through the page
tables that the candidate itself names, says the same release.

Facts: kernel/vmcore_info.c (kernel/crash_core.c before 6.9): ``vmcoreinfo_note``
is page-aligned, ``append_elf_note()`` lays out its header; ``struct new_utsname``
in include/uapi/linux/utsname.h: six fields of 65 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

import drgn

from btfdbg.arch import ARCHES, Markers, by_name
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.paging import NotMappedError, Paging, ways_to_translate
from btfdbg.vmcore.platforms import arch_of, architecture_of
from btfdbg.vmcore.progress import Progress
from btfdbg.vmcore.vmcoreinfo import MAX_BYTES, VmcoreInfo

_TEXT = b"OSRELEASE="
_NOTE_NAME = b"VMCOREINFO\0\0"
_HEADER = 12
_MAX_CANDIDATES = 1 << 12
_UTS_FIELD = 65
UTS_BYTES = 6 * _UTS_FIELD
_SURVEY = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A text that may be this kernel's VMCOREINFO.

    :ivar text: Up to its NUL.
    :ivar address: Physical address of the text.
    :ivar is_note: Whether an ELF note header stands before it.
    """

    text: bytes
    address: int
    is_note: bool

    @property
    def info(self) -> VmcoreInfo:
        """The text, parsed."""
        return VmcoreInfo.parse(self.text)


@dataclass(frozen=True, slots=True)
class Believed:
    """
    A candidate whose page tables lead to its own release.

    :ivar paging: The way of translating that worked.
    :ivar memory: The physical layout under which it worked.
    :ivar little_endian: Byte order.
    """

    candidate: Candidate
    architecture: drgn.Architecture
    little_endian: bool
    paging: Paging
    memory: PhysicalMemory

    @property
    def boot(self) -> tuple[object, ...]:
        """What tells two boots apart; equal for the copies of one text."""
        info = self.candidate.info
        return (info.release, info.build_id, info.kernel_offset, self.paging.root)


def candidates(memory: PhysicalMemory, label: str) -> list[Candidate]:
    """
    Search physical memory for VMCOREINFO texts.

    :param label: Of the progress bar.
    :return: Notes first, then texts at the start of a page.
    """
    found: dict[int, Candidate] = {}
    with Progress(label, memory.total) as progress:
        for address in memory.search(_TEXT, progress):
            candidate = _candidate(memory, address)
            if candidate is not None:
                found.setdefault(address, candidate)
            if len(found) >= _MAX_CANDIDATES:
                break
    return sorted(found.values(), key=lambda c: (not c.is_note, c.address))


def candidate_at(memory: PhysicalMemory, address: int) -> Candidate | None:
    """The text at a physical address, if it may be a VMCOREINFO."""
    if _read(memory, address, len(_TEXT)) != _TEXT:
        return None
    return _candidate(memory, address)


def _candidate(memory: PhysicalMemory, address: int) -> Candidate | None:
    is_note = False
    size = MAX_BYTES
    if address % 4096 == _HEADER + len(_NOTE_NAME):
        header = _read(memory, address - _HEADER - len(_NOTE_NAME), _HEADER + len(_NOTE_NAME))
        if header[_HEADER:] == _NOTE_NAME:
            for order in "<>":
                namesz, descsz, kind = struct.unpack_from(order + "III", header)
                if namesz == len(_NOTE_NAME) - 1 and kind == 0 and 0 < descsz <= MAX_BYTES:
                    is_note, size = True, descsz
    if not is_note and address % 4096:
        return None  # a copy in a file, a format string
    text = b""
    while len(text) < size:
        # A page at a time: the one after it may be missing.
        at = address + len(text)
        part = _read(memory, at, min(size - len(text), 4096 - at % 4096))
        text += part
        if not part or b"\0" in part:
            break
    text = text.split(b"\0")[0]
    if b"\nPAGESIZE=" not in text or b"SYMBOL(swapper_pg_dir)=" not in text:
        return None
    # A page of it may be followed by something else where the end was lost.
    text = text[: text.rfind(b"\n") + 1]
    return Candidate(text, address, is_note)


def _read(memory: PhysicalMemory, address: int, size: int) -> bytes:
    try:
        return memory.read(address, size)
    except (drgn.FaultError, OverflowError):
        return b""


def check(
    candidate: Candidate, memory: PhysicalMemory, architectures: Iterable[drgn.Architecture]
) -> Believed | None:
    """
    Hold a candidate against memory.

    :param architectures: To try, likeliest first.
    :return: ``None`` unless the kernel that it describes is there.
    """
    info = candidate.info
    if not info.release or not info.page_size:
        return None
    for architecture in architectures:
        for paging in ways_to_translate(architecture, info):
            machine = _machine_seen(info, paging, memory)
            if machine is None:
                continue
            row = by_name(machine) or arch_of(architecture)
            if row is None or architecture_of(row) is not architecture:
                continue
            return Believed(candidate, architecture, row.little_endian, paging, memory)
    return None


def _machine_seen(info: VmcoreInfo, paging: Paging, memory: PhysicalMemory | _Reader) -> str | None:
    """
    Read ``init_uts_ns`` as the candidate says; its machine if the release is the same.

    A reference count stood before the name in older kernels, whose note does
    not say ``OFFSET(uts_namespace.name)`` either.
    """
    symbol = info.symbols.get("init_uts_ns")
    if symbol is None:
        return None
    given = info.offsets.get("uts_namespace.name")
    for offset in (0, 4) if given is None else (given,):
        try:
            data = paging.read(memory.read, symbol + offset, UTS_BYTES)
        except (NotMappedError, drgn.FaultError, OverflowError):
            continue
        release, machine = release_and_machine(data)
        if release == info.release:
            return machine
    return None


def release_and_machine(data: bytes) -> tuple[str, str]:
    """What the :data:`UTS_BYTES` of a ``struct new_utsname`` say of the release and machine."""
    fields = (data[2 * _UTS_FIELD : 3 * _UTS_FIELD], data[4 * _UTS_FIELD : 5 * _UTS_FIELD])
    release, machine = (field.split(b"\0")[0].decode("ascii", "replace") for field in fields)
    return release, machine


def architectures_of(info: VmcoreInfo) -> list[drgn.Architecture]:
    """Architectures whose lines a VMCOREINFO text has."""
    found: list[drgn.Architecture] = []
    for row in ARCHES:
        architecture = architecture_of(row)
        if architecture not in found and _has(row.markers, info):
            found.append(architecture)
    return found


def _has(markers: Markers, info: VmcoreInfo) -> bool:
    low, end = markers.swapper
    return (
        any(name in info.numbers for name in markers.numbers)
        or any(name in info.symbols for name in markers.symbols)
        or any(name in info.values for name in markers.values)
        or low <= info.symbols.get("swapper_pg_dir", 0) < end
    )


def choose(
    found: list[Candidate],
    layouts: Callable[[VmcoreInfo], Iterator[PhysicalMemory]],
    architecture: drgn.Architecture | None,
    evidence: Callable[[Believed], int] | None = None,
) -> Believed | None:
    """
    Choose the candidate that is this memory's kernel.

    :param layouts: Physical layouts to try for a candidate.
    :param architecture: The only one to try, if it is known.
    :param evidence: How much else speaks for one (CPU registers in the file);
        more is better.
    :return: ``None`` if none works.
    :raises DebugInfoError: two different boots work equally well.
    """
    boots: dict[tuple[object, ...], Believed] = {}
    for candidate in found:
        info = candidate.info
        wanted = [architecture] if architecture is not None else architectures_of(info)
        believed = _best_layout(candidate, layouts(info), wanted)
        if believed is None:
            continue
        known = boots.get(believed.boot)
        # The longer text has what was added when it crashed (CRASHTIME).
        if known is None or len(candidate.text) > len(known.candidate.text):
            boots[believed.boot] = believed
    if not boots:
        return None
    alive = list(boots.values())
    if len(alive) > 1 and evidence is not None:
        best = max(evidence(b) for b in alive)
        alive = [b for b in alive if evidence(b) == best]
    if len(alive) > 1:
        # An older boot's page tables were given back and overwritten.
        damage = {id(b): _damage(b) for b in alive}
        least = min(damage.values())
        alive = [b for b in alive if damage[id(b)] == least]
    if len(alive) > 1:
        where = ", ".join(
            f"{b.candidate.info.release} at physical {b.candidate.address:#x}" for b in alive
        )
        raise DebugInfoError(
            f"{len(alive)} kernels are in this memory and each could be the one that ran: {where}",
            step="open",
            hint="say which with --vmcoreinfo FILE",
        )
    return alive[0]


def _best_layout(
    candidate: Candidate,
    layouts: Iterable[PhysicalMemory],
    architectures: list[drgn.Architecture],
) -> Believed | None:
    """Of the layouts under which a candidate works, the one with the fewest broken page tables."""
    works = []
    for memory in layouts:
        believed = check(candidate, memory, architectures)
        if believed is not None:
            works.append(believed)
    if len(works) < 2:
        return works[0] if works else None
    return min(works, key=_damage)


def _damage(believed: Believed) -> int:
    """How much is wrong with the page tables that a candidate names."""
    return believed.paging.damage(believed.memory.read, _SURVEY)


def believable_paging(
    info: VmcoreInfo,
    architecture: drgn.Architecture,
    read: Callable[[int, int], bytes],
) -> Paging | None:
    """The way of translating under which ``init_uts_ns`` says the note's release."""
    memory = _Reader(read)
    for paging in ways_to_translate(architecture, info):
        if _machine_seen(info, paging, memory) is not None:
            return paging
    return None


@dataclass(frozen=True, slots=True)
class _Reader:
    read: Callable[[int, int], bytes]
