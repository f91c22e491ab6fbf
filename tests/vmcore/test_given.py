"""``--vmcoreinfo`` of another kernel, of another boot, of none that can be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.open import open_core
from tests.vmcore import tiny
from tests.vmcore.tiny import ARCHES, X86_64, Kernel

Writer = Callable[[Path, Kernel], Path]
ARM64 = next(a for a in ARCHES if a.name == "arm64 4k")
WRITERS: dict[str, Writer] = {
    "elf": tiny.elf_of,
    "elf with a note": lambda p, k: tiny.elf_of(p, k, k.elf_note()),
    "kdump": lambda p, k: tiny.kdump(p, k, vmcoreinfo=False),
    "kdump with a note": tiny.kdump,
    "raw": tiny.raw,
    "lime": tiny.lime,
}
"""Each format, with the dump's own text where it has a place for it, else in memory only."""


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path / "core", Kernel(X86_64))


def refusal(path: Path, text: bytes, architecture: str | None = None) -> str:
    with pytest.raises(DebugInfoError) as e:
        open_core(path, architecture=architecture, vmcoreinfo=text)
    assert e.value.hint == "leave out --vmcoreinfo, the dump has its own"
    return str(e.value)


def test_another_release_is_told_by_both_names(path: Path) -> None:
    text = Kernel(X86_64, kaslr=0x12000000).text().replace(tiny.RELEASE.encode(), b"5.4.0-other")
    said = refusal(path, text)
    assert f"--vmcoreinfo is of another kernel than {path}: " in said
    assert f"release 5.4.0-other there, {tiny.RELEASE} in the dump (" in said


def test_another_build_is_told_by_build_ids(tmp_path: Path) -> None:
    own = Kernel(X86_64, extra={"BUILD-ID": "aa" * 20})
    other = Kernel(X86_64, kaslr=0x12000000, extra={"BUILD-ID": "bb" * 20})
    for name, writer in WRITERS.items():
        said = refusal(writer(tmp_path / name, own), other.text())
        assert "of another kernel" in said
        assert f"build id {'bb' * 20} there, {'aa' * 20} in the dump (" in said


def test_another_boot_is_told_by_an_address_that_does_not_fit(path: Path) -> None:
    own, other = Kernel(X86_64), Kernel(X86_64, kaslr=0x12000000)
    said = refusal(path, other.text())
    assert f"--vmcoreinfo is of another boot than {path}: " in said
    assert f"init_uts_ns at {other.uts:#x} there, at {own.uts:#x} in the dump (" in said


def test_another_architecture_is_told(path: Path) -> None:
    text = Kernel(ARM64).text().replace(tiny.RELEASE.encode(), b"6.99.0-arm64")
    assert "release 6.99.0-arm64 there" in refusal(path, text)


def test_another_architecture_than_the_header_s_is_told_where_the_dump_has_no_text(
    tmp_path: Path,
) -> None:
    path = tiny.elf_of(tmp_path / "core", Kernel(X86_64, with_note=False))
    with pytest.raises(DebugInfoError) as e:
        open_core(path, vmcoreinfo=Kernel(ARM64).text())
    assert "of aarch64, and the dump is of x86_64 by its header" in str(e.value)


def test_where_it_is_said_from(tmp_path: Path) -> None:
    kernel, other = Kernel(X86_64), Kernel(X86_64, kaslr=0x12000000)
    noted = tiny.elf_of(tmp_path / "noted", kernel, kernel.elf_note())
    assert "in the dump (its note)" in refusal(noted, other.text())
    bare = tiny.elf_of(tmp_path / "bare", kernel)
    place = f"(note in memory at physical {kernel.note + 24:#x})"
    assert place in refusal(bare, other.text())


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("raw", "lime")])
def test_a_text_that_nothing_speaks_against_is_taken_with_a_remark(
    name: str, tmp_path: Path
) -> None:
    kernel = Kernel(X86_64, with_note=False)
    kernel.put(kernel.uts, bytes(512))  # the page by which any text is proved is lost
    path = WRITERS[name](tmp_path / "core", kernel)
    _, info = open_core(path, vmcoreinfo=kernel.text())
    assert info.vmcoreinfo_source == "--vmcoreinfo"
    assert "do not lead to this kernel's name" in info.remarks[0][0]
