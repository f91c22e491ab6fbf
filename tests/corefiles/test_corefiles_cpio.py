"""The cpio writer, read back by a reader that was written from the notation alone."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corefiles.cpio import Cpio


def read(data: bytes) -> dict[str, tuple[int, bytes, int]]:
    """Return name -> (mode, content, rdev major) and insist on the trailer."""
    found: dict[str, tuple[int, bytes, int]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, major, name_size = fields[1], fields[6], fields[9], fields[11]
        name_end = at + 110 + name_size
        assert data[name_end - 1] == 0
        name = data[at + 110 : name_end - 1].decode()
        start = (name_end + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert start == len(data)
            return found
        assert name not in found
        found[name] = (mode, data[start : start + size], major)
        at = (start + size + 3) // 4 * 4


def test_files_links_folders_and_devices_come_back() -> None:
    cpio = Cpio()
    cpio.file("usr/bin/tool", b"\x7fELF", 0o755)
    cpio.link("bin", "usr/bin")
    cpio.folder("proc")
    cpio.device("dev/console", 5, 1)
    found = read(cpio.bytes())
    assert found["usr/bin/tool"] == (stat.S_IFREG | 0o755, b"\x7fELF", 0)
    assert found["bin"] == (stat.S_IFLNK | 0o777, b"usr/bin", 0)
    assert found["proc"][0] == stat.S_IFDIR | 0o755
    assert found["dev/console"] == (stat.S_IFCHR | 0o600, b"", 5)


def test_parents_come_before_what_is_in_them() -> None:
    cpio = Cpio()
    cpio.file("a/b/c", b"x")
    assert list(read(cpio.bytes())) == ["a", "a/b", "a/b/c"]


@pytest.mark.parametrize("name", ["", "/", "../out", "a/../../b"])
def test_a_name_outside_the_archive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Cpio().file(name, b"")


def test_a_name_is_taken_once() -> None:
    cpio = Cpio()
    cpio.file("a", b"1")
    with pytest.raises(ValueError, match="already"):
        cpio.link("/a", "b")


@given(st.dictionaries(st.text("abcé", min_size=1, max_size=9), st.binary(max_size=40)))
def test_any_content_comes_back(files: dict[str, bytes]) -> None:
    cpio = Cpio()
    for name, data in files.items():
        cpio.file(f"d/{name}", data)
    found = read(cpio.bytes())
    assert {name[2:]: entry[1] for name, entry in found.items() if name != "d"} == files
