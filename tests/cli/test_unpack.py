"""A compressed dump opens after it was unpacked, once; a damaged one says so."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from btfdbg.cli import unpack
from btfdbg.errors import DebugInfoError
from tests.cli.test_command_line import assert_one_line, run

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": lambda data: bz2.compress(data, 1),
    "zst": lambda data: zstandard.ZstdCompressor(1).compress(data),
}


def cache(folder: Path) -> list[Path]:
    return sorted((folder / "btfdbg" / "unpacked").glob("*"))


@pytest.mark.parametrize("ending", PACKERS)
def test_what_was_packed_comes_out_with_its_holes(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = b"head" + bytes(300_000) + b"middle" + bytes(3 << 20) + b"tail" + bytes(70_000)
    packed = tmp_path / f"a.{ending}"
    packed.write_bytes(PACKERS[ending](content))
    found = unpack.unpacked(str(packed), True)
    assert found is not None
    assert Path(found).read_bytes() == content
    assert Path(found).stat().st_mode & 0o777 == 0o600
    assert unpack.unpacked(str(packed), False) == found
    assert [str(path) for path in cache(tmp_path / "cache")] == [found]


@pytest.mark.parametrize("ending", PACKERS)
def test_a_stream_that_ends_early_leaves_nothing(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = PACKERS[ending](bytes(range(256)) * 40_000)
    packed = tmp_path / f"a.{ending}"
    packed.write_bytes(data[: len(data) // 2])
    with pytest.raises(DebugInfoError, match="ends early"):
        unpack.unpacked(str(packed), True)
    assert cache(tmp_path / "cache") == []


def test_what_would_fill_the_disk_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(unpack, "_RESERVE", 1 << 62)
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(DebugInfoError, match="left on the disk"):
        unpack.unpacked(str(packed), True)
    assert cache(tmp_path / "cache") == []


def test_what_is_not_compressed_is_left_alone(tmp_path: Path) -> None:
    plain = tmp_path / "a.gz"
    plain.write_bytes(b"KDUMP   ")
    assert unpack.unpacked(str(plain), True) is None
    assert unpack.unpacked(str(tmp_path / "none"), True) is None


def test_a_compressed_dump_opens_with_unpack(x86_core: Path, tmp_path: Path) -> None:
    packed = tmp_path / "my dump.gz"
    packed.write_bytes(gzip.compress(x86_core.read_bytes(), 1))
    place = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    refused = run(packed, "-e", "print(1)", **place)
    assert_one_line(refused, "gzip-compressed", f"btfdbg --unpack '{packed}'", "gunzip -c")
    line = ("-e", 'print(prog["init_task"].comm.string_())')
    done = run("--unpack", packed, *line, **place)
    assert (done.returncode, done.stdout) == (0, "b'swapper/0'\n"), done.stderr
    # It is there by now.
    again = run(packed, *line, **place)
    assert (again.returncode, again.stdout) == (0, "b'swapper/0'\n"), again.stderr
