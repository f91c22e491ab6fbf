"""What grows with a dump grows in proportion, and what need not grow does not.

Counts and memory, never times: those are printed by ``python -m tests.scaling``.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from btfdbg.btf import Kind
from btfdbg.vmcore.progress import Progress
from tests.patience import limited
from tests.vmcore import tiny

from .modules import Made

GIB = 1 << 30
OPEN = """\
import os, resource, sys
from btfdbg.vmcore import open_core
from btfdbg.vmcore import memory
from tests.patience import limited

read = 0
preadv = os.preadv
def counting(fd, buffers, offset):
    global read
    n = preadv(fd, buffers, offset)
    read += n
    return n
os.preadv = counting
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prog, info = open_core(sys.argv[1])
name = prog["UTS_RELEASE"].string_().decode()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(name, read >> 20, (after - before) >> 10)
"""


def opened(path: Path) -> tuple[str, int, int]:
    """Release, MiB searched, MiB of memory that opening a dump took."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=limited(),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    release, searched, peak = done.stdout.decode().split()
    return release, int(searched), int(peak)


def make_sparse(path: Path, size: int) -> None:
    """Let a file grow by a hole; skip where the file system cannot."""
    try:
        os.truncate(path, size)
    except OSError as e:
        pytest.skip(f"no file of {size >> 30} GiB can be made here: {e}")
    if path.stat().st_blocks * 512 > 1 << 30:
        pytest.skip("the file system has no holes")


def test_a_raw_image_of_64_gib_costs_what_is_in_it(tmp_path: Path) -> None:
    kernel = tiny.Kernel(tiny.X86_64)
    small = tiny.raw(tmp_path / "small", kernel)
    large = tiny.raw(tmp_path / "large", kernel)
    make_sparse(large, 64 * GIB)
    release, searched, peak = opened(large)
    _, searched_small, peak_small = opened(small)
    assert release == tiny.RELEASE
    assert searched <= searched_small + 64
    assert peak <= peak_small + 16


def test_an_elf_core_of_64_gib_costs_what_is_in_it(tmp_path: Path) -> None:
    kernel = tiny.Kernel(tiny.X86_64)
    path = tmp_path / "core"
    # No note: it is looked for in all of memory.
    tiny.elf(path, [(0, 0, kernel.memory)])
    data = bytearray(path.read_bytes())
    # p_filesz and p_memsz of the one segment behind the (empty) notes.
    struct.pack_into("<QQ", data, 64 + 56 + 32, 64 * GIB, 64 * GIB)
    path.write_bytes(data)
    make_sparse(path, 64 * GIB + 64 + 2 * 56)
    release, searched, peak = opened(path)
    assert release == tiny.RELEASE
    assert searched <= 2 * len(kernel.memory) >> 20
    assert peak <= 64


def test_a_kdump_of_64_gib_costs_its_bitmap(tmp_path: Path) -> None:
    kernel = tiny.Kernel(tiny.X86_64)
    path = tiny.kdump(tmp_path / "core", kernel)
    data = path.read_bytes()
    blocks = 64 * GIB // 4096 // 8 // 4096
    (old,) = struct.unpack_from("<I", data, 424 + 12)
    # Room for the bits of 64 GiB in both bitmaps; pages and table move behind them.
    half = old // 2 * 4096
    first, rest = data[2 * 4096 : 2 * 4096 + half], data[2 * 4096 + old * 4096 :]
    second = data[2 * 4096 + half : 2 * 4096 + 2 * half]
    wide = blocks * 4096
    head = bytearray(data[: 2 * 4096])
    struct.pack_into("<II", head, 424 + 12, 2 * blocks, 64 * GIB // 4096)
    struct.pack_into("<Q", head, 4096 + 96, 64 * GIB // 4096)
    moved = 2 * wide - 2 * half
    count = sum(bin(byte).count("1") for byte in second)
    table = bytearray(rest)
    for i in range(count):
        (offset,) = struct.unpack_from("<q", table, 24 * i)
        struct.pack_into("<q", table, 24 * i, offset + moved)
    path.write_bytes(bytes(head) + first.ljust(wide, b"\0") + second.ljust(wide, b"\0") + table)
    release, _, peak = opened(path)
    assert release == tiny.RELEASE
    assert peak <= 64


@pytest.fixture(scope="module")
def made(x86_core: Path) -> Made:
    return Made(x86_core)


def test_the_index_over_1000_modules_finds_every_module(made: Made) -> None:
    index = made.index(made.blobs(1000))
    for number in range(0, 1000, 37):
        (found,) = index.types(f"m{number}_struct_1", (Kind.STRUCT,))
        assert found.converter.convert(found.type_id).members is not None
    assert len(index.types("shared_0", (Kind.STRUCT,))) == 1000
    assert index.types("nowhere", (Kind.STRUCT,)) == []


def test_memory_per_module_does_not_grow_with_their_number(made: Made) -> None:
    def kept(count: int) -> float:
        blobs = made.blobs(count)
        tracemalloc.start()
        index = made.index(blobs)
        index.types("m0_struct_1", (Kind.STRUCT,))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size / count

    kept(10)
    few, many = kept(100), kept(1000)
    assert many < 1.2 * few
    assert many < 64 << 10


def test_progress_counts_other_things_than_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = Terminal()
    with Progress("recording", 20, out, unit="commands") as progress:
        now[0] = 1.0
        progress(5)
    assert "recording [" in out.getvalue()
    assert " 25% 5/20 commands" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")
