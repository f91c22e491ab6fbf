"""Targets for what is read of a dump as a file: headers, descriptors, notes, page tables.

Owns tiny dumps in every format and what is asked of each once it is open. Small formats
are mutated as bytes; where memory lies as it is in the file, by patches to its headers,
its note, its page tables and the kernel's name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import open_core
from btfdbg.vmcore.elfcore import read_elf
from btfdbg.vmcore.identify import DumpInfo, Format, identify
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.lime import read_lime
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from btfdbg.vmcore.xencore import is_xen, read_xen
from tests.vmcore import tiny

from .files import scratch, written
from .target import Target, apply, patch

_FEW = 64
_ARCHES = {str(a): a for a in tiny.ARCHES}
_KIB = 1 << 10


@cache
def _kernel(name: str, size: int = 2 << 20) -> tiny.Kernel:
    return tiny.Kernel(_ARCHES[name], size=size)


def _ask(prog: drgn.Program, info: DumpInfo) -> None:
    """Everything that is read of a dump before a kernel is looked for in it."""
    text = VmcoreInfo.parse(prog["VMCOREINFO"].string_())
    for address in (*islice(text.symbols.values(), 8), 0, 1 << 47, (1 << 64) - 4096):
        for size in (8, 4096, 70000):
            try:
                prog.read(address, size)
                prog.read(address & (1 << 40) - 1, size, True)
            except (drgn.FaultError, OverflowError):
                pass
            except LookupError as e:
                # drgn asks it for the MMU of ppc64; nobody has attached, so it has no type.
                if "cur_cpu_spec" not in str(e):
                    raise
    memory = info.memory
    if memory is not None:
        assert memory.total >= 0
        list(islice(memory.search(b"OSRELEASE=", lambda done: None), _FEW))
        assert 0 in memory or 0 not in memory


def _open(path: Path) -> bool:
    try:
        _ask(*open_core(path))
    except DebugInfoError:
        return False
    except drgn.FaultError:
        # drgn's own note of a dump that it opened.
        return False
    return True


def whole_file(data: bytes) -> bool:
    """A dump of any format."""
    return _open(written("dump", data))


def kdump(data: bytes) -> bool:
    """The headers, bitmap, descriptors and pages of a kdump file, without libkdumpfile."""
    path = written("kdump", data)
    try:
        kind = identify(path).format
        if kind not in (Format.KDUMP, Format.KDUMP_FLATTENED):
            return False
        dump = Kdump(path)
    except DebugInfoError:
        return False
    pages = KdumpPages(dump)
    pages.missing()
    dump.vmcoreinfo()
    for start, size in islice(dump.runs(), _FEW):
        for address in (start, start + size - 1):
            dump.holds(address)
            try:
                assert len(pages.read(address, 1)) == 1
            except drgn.FaultError:
                pass
    list(islice(pages.search(b"OSRELEASE=", lambda done: None), _FEW))
    return dump.flattened is None or dump.flattened.is_complete


def elf_headers(data: bytes) -> bool:
    """The headers and notes of an ELF core, without drgn."""
    path = written("elf", data)
    try:
        core = read_elf(path)
    except DebugInfoError:
        return False
    core.vmcoreinfo()
    core.writer()
    memory = FileMemory(path, core.extents())
    _read_ends(memory)
    return bool(core.loads)


def lime_headers(data: bytes) -> bool:
    """The headers of a LiME image."""
    path = written("lime", data)
    try:
        extents, _ = read_lime(path)
    except DebugInfoError:
        return False
    _read_ends(FileMemory(path, extents))
    return bool(extents)


def xen_sections(data: bytes) -> bool:
    """The sections, notes and frame numbers of a Xen domain's dump."""
    path = written("xen", data)
    if not is_xen(data[:64]):
        return False
    try:
        extents, _ = read_xen(path)
    except DebugInfoError:
        return False
    _read_ends(FileMemory(path, extents))
    return bool(extents)


def _read_ends(memory: FileMemory) -> None:
    for extent in memory.extents[:_FEW]:
        for address, size in ((extent.address, 16), (extent.end - 8, 8), (extent.end - 8, 16)):
            try:
                assert len(memory.read(address, size)) == size
            except (drgn.FaultError, OverflowError):
                pass
    list(islice(memory.search(b"OSRELEASE=", lambda done: None), _FEW))


def _small_seeds(flattened: bool) -> list[bytes]:
    """Kdump files of a quarter of a megabyte's kernel, with two ways of packing pages."""
    kernel = _kernel(_named("x86_64"))
    seed = scratch() / "seed"
    low = range(0x100)
    found = [
        tiny.kdump(seed, kernel, flattened=flattened, excluded=low).read_bytes(),
        tiny.kdump(
            seed, kernel, flattened=flattened, excluded=low, flag=0x20, compress=_zstd
        ).read_bytes(),
    ]
    assert all(len(data) < 64 * _KIB for data in found)
    return found


def _zstd(page: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(page)


def _elf_seeds() -> list[bytes]:
    note = _kernel(_named("x86_64")).elf_note()
    found = []
    for order, notes in (("<", note), (">", b""), ("<", note + tiny.note(b"QEMU", 0, bytes(440)))):
        path = tiny.elf(
            scratch() / "seed",
            [(0xFFFFFFFF80000000, 0, b"A" * 512), (1 << 40, 1 << 20, b"B" * 100)],
            notes,
            order=order,
        )
        found.append(path.read_bytes())
    many = b"\x7fELF\x02\x01\x01" + bytes(9)
    many += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 120, 0, 64, 56, 0xFFFF, 64, 1, 0)
    many += struct.pack("<IIQQQQQQ", 1, 7, 184, 0, 0x1000, 16, 16, 0)
    many += bytes(44) + struct.pack("<I", 1) + bytes(16) + b"sixteen bytes..."
    return [*found, many]


def _lime_seeds() -> list[bytes]:
    found = []
    for order in "<>":
        out = b""
        for start, size in ((0, 256), (0x100000, 64), (1 << 40, 32)):
            out += struct.pack(order + "IIQQQ", 0x4C694D45, 1, start, start + size - 1, 0)
            out += b"OSRELEASE=".ljust(size, b"x")
        found.append(out)
    return found


def _xen_seeds() -> list[bytes]:
    """Dumps of sixteen pages, of each byte order."""
    found = []
    for name in ("x86_64", "s390x"):
        kernel = tiny.Kernel(_ARCHES[_named(name)])
        kernel.memory = kernel.memory[kernel.note : kernel.note + 16 * 4096]
        found.append(tiny.xen(scratch() / "seed", kernel).read_bytes())
    return found


_PATCHED = (
    *((name, tiny.elf_of) for name in _ARCHES),
    ("x86_64 4-level", tiny.raw),
    ("arm64 4k", tiny.lime),
    ("x86_64 4-level", tiny.xen),
)


def _named(name: str) -> str:
    """The first architecture in the table whose name begins so."""
    return next(a for a in _ARCHES if a.startswith(name))


@cache
def _good(number: int) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """A dump, and the places in it that decide: header, root and other tables, name, note."""
    name, write = _PATCHED[number]
    kernel = _kernel(name, 4 << 20)
    data = write(scratch() / "seed", kernel).read_bytes()
    at = data.find(bytes(kernel.memory[kernel.note : kernel.note + 200])) - kernel.note
    uts = kernel.base + 5 * 65536
    tables = min(len(data) - at - kernel.base - 8 * 65536, 1 << 17)
    return data, (
        (0, 512),
        (at + kernel.base, 8192),
        (at + kernel.base + 8 * 65536, tables),
        (at + uts, 512),
        (at + kernel.note, 2048),
    )


def patched(data: bytes) -> bool:
    """A dump in which some bytes that decide are others."""
    number = data[0] % len(_PATCHED) if data else 0
    good, areas = _good(number)
    out = bytearray(good)
    apply(data[1:], out, areas)
    return _open(written("patched", bytes(out)))


def _patched_seeds() -> list[bytes]:
    some = patch(0, 500, b"x") + patch(1, 8000, bytes(8)) + patch(2, 9, b"\0") + patch(4, 2040, b"")
    return [bytes([number]) + some for number in range(len(_PATCHED))]


def _whole_seeds() -> list[bytes]:
    return [*_small_seeds(False)[:1], *_small_seeds(True)[:1]]


def _seeds(*makers: Callable[[], Sequence[bytes]]) -> Callable[[], Sequence[bytes]]:
    return lambda: [seed for make in makers for seed in make()]


TARGETS = (
    Target("kdump", kdump, lambda: _small_seeds(False)),
    Target("flattened", kdump, lambda: _small_seeds(True)),
    Target("elf-headers", elf_headers, _elf_seeds),
    Target("lime", lime_headers, _lime_seeds),
    Target("xen-core", xen_sections, _xen_seeds),
    Target("open", whole_file, _whole_seeds, slow=True),
    Target("patched-dump", patched, _patched_seeds, slow=True),
)
