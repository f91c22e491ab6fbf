"""VMCOREINFO of a kernel that had not written it yet: made from what else is in memory.

Owns the way from physical memory without VMCOREINFO to the lines that opening it takes. The
kernel writes the text in a subsys_initcall, so a guest that stopped before that has none;
its image is whole all the same. Each step rests on the one before:

1. ``linux_banner``, the text "Linux version RELEASE (...", at a physical address;
2. kallsyms tables near it, which give the same text a virtual address: the difference is
   where the image was loaded (KASLR included);
3. ``init_uts_ns`` at that distance says the same release, and the machine;
4. page tables in the image lead from the virtual to the physical address.

Only what passes all of them is returned, and ``vmcore.recover`` judges it once more as it
judges every text. Place-relative tables (7.0 and later) say nothing of virtual addresses:
there the page tables tell which one the image is mapped at.

Facts: init/version-timestamp.c (``linux_banner``), kernel/vmcore_info.c
(``crash_save_vmcoreinfo_init()``; kernel/crash_core.c before 6.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from drgn import Architecture, FaultError

from btfdbg.arch import by_name
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.find_kallsyms import kallsyms_candidates
from btfdbg.kallsyms.image_lines import WAYS, Image, common, has_hash_mmu, number
from btfdbg.kallsyms.model import ByteOrder, try_read
from btfdbg.kallsyms.scan import readable, token_tables
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.platforms import architecture_of
from btfdbg.vmcore.progress import Progress
from btfdbg.vmcore.recover import UTS_BYTES, Candidate, check, release_and_machine

# ``linux_banner``; a record of the log has no end of line, a format string no release.
_BANNER = re.compile(rb"Linux version (\d[!-~]{0,63}) \([^\n\0]{1,1500}\) #\d[^\n\0]{0,200}\n\0")
_WORD = b"Linux version "
_LONGEST_BANNER = 2048
_MAX_BANNERS = 64
_MAX_TABLES = 16
# Memory is gone through in pieces of so many bytes, until so many reads of it have failed.
_PIECE = 16 << 20
_MAX_FAILURES = 1 << 14
# How far from the banner the tables are looked for, bytes: both are read-only data.
_NEAR = 64 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """
    A text that was made for a kernel in memory.

    :ivar candidate: The text, with the banner's physical address.
    :ivar unwritten: The kernel's pointer to its text is still NULL: it had not been written.
    """

    candidate: Candidate
    unwritten: bool


def make_texts(
    memory: PhysicalMemory, architecture: Architecture | None, label: str
) -> tuple[list[Made], str]:
    """
    Make a VMCOREINFO text for each kernel in memory that can be proved.

    :param architecture: The only one that is thought of, if the dump names it.
    :param label: Of the progress bar.
    :return: The texts; if there is none, how far it came, in words.
    """
    with Progress(label, memory.total) as progress:
        banners = dict(islice(_banners(memory, progress), _MAX_BANNERS))
    if not banners:
        return [], "no kernel's version text was found in its memory"
    releases = ", ".join(sorted(set(banners.values())))
    images = list(_images(memory, banners))
    if not images:
        return [], f"the version text of {releases} is in memory, kallsyms tables that fit it not"
    made = [found for image in images for found in _texts(memory, image, architecture)]
    machines = {_machine(memory, image) for image in images}
    if not made and machines.isdisjoint(WAYS):
        return [], (
            f"the image and kallsyms of {releases} ({', '.join(sorted(machines))}) are in memory,"
            f" but a text is only made for {', '.join(sorted(WAYS))}: for this one it must come"
            " with --vmcoreinfo, or the guest must get past its initcalls before it is dumped"
        )
    if not made and any(has_hash_mmu(memory, image) for image in images):
        return [], (
            f"the image and kallsyms of {releases} are in memory, but its CPU has the hash MMU,"
            " and drgn translates addresses of the radix MMU only"
        )
    if not made:
        return [], (
            f"the image and kallsyms of {releases} are in memory, page tables that map them not"
        )
    return made, ""


def _banners(memory: PhysicalMemory, progress: Progress) -> Iterator[tuple[int, str]]:
    """Yield (physical address, release)."""
    done = failures = 0

    def read(address: int, size: int) -> bytes:
        nonlocal failures
        try:
            return memory.read(address, size)
        except FaultError:
            failures += 1
            raise

    def pieces() -> Iterator[tuple[int, int]]:
        for start, end in memory.ranges():
            for at in range(start, end, _PIECE):
                # A damaged file may promise any number of pages that it does not have.
                if failures > _MAX_FAILURES:
                    return
                yield at, min(at + _PIECE, end)

    tail, expected = b"", -1
    for address, data in readable(read, pieces()):
        done += len(data)
        if address == expected:
            data, address = tail + data, address - len(tail)
        if _WORD in data:
            for found in _BANNER.finditer(data):
                yield address + found.start(), found[1].decode("ascii")
        tail, expected = data[-_LONGEST_BANNER:], address + len(data)
        progress(done)


def _images(memory: PhysicalMemory, banners: dict[int, str]) -> Iterator[Image]:
    """Kallsyms tables that know a banner, at a distance under which they lie in their image."""
    ranges: list[tuple[int, int]] = []
    for at in sorted(banners):
        start, end = max(0, at - _NEAR) & -4096, at + _NEAR & -4096
        if ranges and start <= ranges[-1][1]:
            start = ranges.pop()[0]
        ranges.append((start, end))
    for tokens in islice(token_tables(memory.read, ranges), _MAX_TABLES):
        for table in kallsyms_candidates(memory.read, tokens):
            yield from _fitting(memory, table, banners)


def _fitting(
    memory: PhysicalMemory, table: KallsymsTable, banners: dict[int, str]
) -> Iterator[Image]:
    found = table.by_name("linux_banner")
    if len(found) != 1:
        return
    first, last = table.image_range
    for at, release in banners.items():
        distance = at - found[0].address
        if table.layout.encoding is Encoding.PLACE and distance:
            continue
        image = Image(release, at, table, distance)
        if first <= table.layout.token_table - distance < last and _machine(memory, image):
            yield image


def _machine(memory: PhysicalMemory, image: Image) -> str:
    """What ``init_uts_ns`` says of the machine, "" if its release is another."""
    place = image.place("init_uts_ns")
    # A reference count stood before the name in older kernels; see ``vmcore.recover``.
    for at in (place, place + 4) if place is not None else ():
        release, machine = release_and_machine(try_read(memory.read, at, UTS_BYTES) or b"")
        if release == image.release:
            return machine
    return ""


def _texts(
    memory: PhysicalMemory, image: Image, architecture: Architecture | None
) -> Iterator[Made]:
    row = by_name(_machine(memory, image))
    if row is None:
        return
    own = architecture_of(row)
    if architecture not in (None, own):
        return
    ways = WAYS.get(row.name)
    for distance, lines in ways(memory, image) if ways is not None else ():
        order: ByteOrder = "little" if row.little_endian else "big"
        whole = (*common(memory, image, distance, order), *lines)
        text = "".join(f"{line}\n" for line in whole)
        candidate = Candidate(text.encode("ascii", "replace"), image.banner, False)
        if check(candidate, memory, (own,)) is not None:
            yield Made(candidate, number(memory, image, "vmcoreinfo_data") == 0)
            return
