"""Truncated files, excluded pages, hostile headers: partial results or one line, never a crash."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import drgn
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.errors import BtfdbgError, DebugInfoError
from btfdbg.vmcore import open_core
from tests.patience import limited

from . import tiny
from .tiny import MARK, PAGE, X86_64, Kernel


def use(path: Path) -> None:
    """Open a dump and read all of its memory; only what a user may see comes out of it."""
    try:
        prog, _ = open_core(path)
    except BtfdbgError as e:
        if "\n" in str(e):
            raise
        return
    for address in range(0, 4 << 20, PAGE):
        try:
            prog.read(address, PAGE, physical=True)
        except (drgn.FaultError, ValueError):
            pass


WRITERS: dict[str, Callable[[Path, Kernel], Path]] = {
    "ELF": lambda p, k: tiny.elf_of(p, k, k.elf_note()),
    "ELF without a note": tiny.elf_of,
    "LiME": tiny.lime,
    "kdump": tiny.kdump,
    "kdump without a text": lambda p, k: tiny.kdump(p, k, vmcoreinfo=False),
    "flattened": lambda p, k: tiny.kdump(p, k, flattened=True),
}
WORDS = st.sampled_from([0, 1, 4095, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


@pytest.mark.parametrize("writer", WRITERS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_four_bytes_of_the_headers_may_be_wrong(
    writer: str, data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "core"
    WRITERS[writer](path, Kernel(X86_64))
    blob = bytearray(path.read_bytes())
    hot = {"ELF": 176, "LiME": 32}.get(writer.split()[0], 5 * PAGE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, hot - 4) | st.sampled_from([424, 432, 436, 4144, 4148, 4152]))
        blob[at : at + 4] = struct.pack("<I", data.draw(WORDS))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(1, len(blob))) :]
    path.write_bytes(blob)
    use(path)


@pytest.mark.parametrize("what", ["notes", "erase info", "VMCOREINFO"])
@pytest.mark.parametrize("flattened", [False, True])
def test_kdump_parts_beyond_the_file_are_refused_before_libkdumpfile_sees_them(
    what: str, flattened: bool, tmp_path: Path
) -> None:
    path = tiny.kdump(tmp_path / "core", Kernel(X86_64), flattened=flattened)
    blob = bytearray(path.read_bytes())
    start = PAGE + (PAGE + 16 if flattened else 0)
    at = start + {"VMCOREINFO": 40, "notes": 56, "erase info": 72}[what]
    for size in (1 << 20, 0x7FFFFFFF, 1 << 62, (1 << 64) - 1):
        blob[at : at + 8] = struct.pack("<Q", size)
        path.write_bytes(blob)
        with pytest.raises(DebugInfoError, match=what):
            open_core(path)


@pytest.mark.parametrize("pack", [(0, 0xFFFFFFFF), (1 << 40, 100), (-1, 1 << 20)])
def test_kdump_page_beyond_the_file_costs_that_page_only(
    pack: tuple[int, int], tmp_path: Path
) -> None:
    kernel = Kernel(X86_64)
    path = tiny.kdump(tmp_path / "core", kernel)
    blob = bytearray(path.read_bytes())
    descriptors = 2 * PAGE + 2 * PAGE * 2
    lost = 700
    struct.pack_into("<qI", blob, descriptors + 24 * lost, *pack)
    path.write_bytes(blob)
    prog, info = open_core(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    with pytest.raises(drgn.FaultError):
        prog.read(lost * PAGE, 8, physical=True)
    assert "truncated" in info.remarks[0][0]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("writer", ["ELF", "LiME", "kdump", "flattened"])
def test_truncated_file_gives_what_it_has(writer: str, share: float, tmp_path: Path) -> None:
    import random

    kernel = Kernel(X86_64)
    noise = random.Random(1).randbytes(2 << 20)
    kernel.memory[2 << 20 :] = noise
    path = tmp_path / "core"
    WRITERS[writer](path, kernel)
    # The kernel itself is in the first half; compressed, it is in the first few KiB.
    size = path.stat().st_size
    keep = size * (1 + share) / 2 if writer in ("ELF", "LiME") else size * share
    with path.open("r+b") as f:
        f.truncate(int(keep))
    prog, info = open_core(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert any("truncated" in what for what, _ in info.remarks)
    with pytest.raises(drgn.FaultError):
        prog.read((4 << 20) - PAGE, 8, physical=True)


def test_overlapping_segments_do_not_hide_each_other_silently(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    loads = [
        (0, 0, bytes(kernel.memory)),
        (0, 2 << 20, bytes(4 << 20)),
        (0, 1 << 20, bytes(PAGE)),
    ]
    path = tiny.elf(tmp_path / "core", loads)
    _, info = open_core(path)
    memory = info.memory
    assert memory is not None
    at = kernel.physical + 5 * 65536 + 2048
    assert memory.read(at, len(MARK)) == MARK


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (54, 0, "not believable"),
        (32, 1 << 40, "truncated"),
        (64 + 56 + 8, 1 << 63, "not believable"),
        (64 + 56 + 32, (1 << 64) - 1, "not believable"),
        (64 + 56 + 40, (1 << 64) - 1, "past the end of the address space"),
    ],
)
def test_elf_headers_are_held_against_the_file(
    field: int, value: int, message: str, tmp_path: Path
) -> None:
    path = tiny.elf_of(tmp_path / "core", Kernel(X86_64))
    blob = bytearray(path.read_bytes())
    size = 2 if field < 64 and field != 32 else 8
    if field == 64 + 56 + 40:
        blob[field - 24 : field - 16] = struct.pack("<Q", 1 << 20)
    blob[field : field + size] = value.to_bytes(size, "little")
    path.write_bytes(blob)
    with pytest.raises(DebugInfoError, match=message):
        open_core(path)


def test_file_of_64_gib_with_holes_opens_in_little_memory(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    for name, writer in (("raw", tiny.raw), ("elf", tiny.elf_of)):
        path = writer(tmp_path / name, kernel)
        if name == "elf":
            with path.open("r+b") as f:
                f.seek(64 + 56 + 32)
                f.write(struct.pack("<QQ", 64 << 30, 64 << 30))
        with path.open("r+b") as f:
            f.truncate((64 << 30) + PAGE)
        code = (
            "import re, sys\n"
            "from pathlib import Path\n"
            "from btfdbg.vmcore import open_core\n"
            "prog, info = open_core(sys.argv[1])\n"
            f"assert prog.read({kernel.mark}, {len(MARK)}) == {MARK!r}\n"
            # Not ru_maxrss: that starts with what pytest, its parent, had used.
            "status = Path('/proc/self/status').read_text()\n"
            "print(int(re.search(r'VmHWM:\\s*(\\d+) kB', status)[1]) // 1024)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            preexec_fn=limited(),
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert int(run.stdout) < 300
