"""A kernel that had not written VMCOREINFO yet: its lines, made of its image in memory."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.early_boot import make_texts
from btfdbg.kallsyms.image_lines import WAYS
from btfdbg.program.open_dump import open_dump, open_guest
from btfdbg.vmcore import DumpInfo, identify, live, open_core
from btfdbg.vmcore.identify import Format
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.paging import ways_to_translate
from btfdbg.vmcore.program import NoVmcoreinfoError
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from corefiles.manifest import BUNDLED
from tests.conftest import bundled_dumps

PAGE = 4096
CORES = [path for path, _ in bundled_dumps()]
every_core = pytest.mark.parametrize("path", CORES, ids=lambda p: p.name)
SUFFIXES = (".vmcore", ".raw", ".lime")
EARLY = os.environ.get("BTFDBG_EARLY_DUMPS", "")


class Robbed:
    """The memory of a dump, some pages of which are zero."""

    def __init__(self, memory: PhysicalMemory, gone: set[int]) -> None:
        self.memory, self.gone = memory, gone

    def read(self, address: int, size: int) -> bytes:
        data = bytearray(self.memory.read(address, size))
        for page in range(address & -PAGE, address + size, PAGE):
            if page in self.gone:
                low, high = max(page, address), min(page + PAGE, address + size)
                data[low - address : high - address] = bytes(high - low)
        return bytes(data)

    def __contains__(self, address: object) -> bool:
        return address in self.memory

    @property
    def total(self) -> int:
        return self.memory.total

    def ranges(self) -> Iterator[tuple[int, int]]:
        return self.memory.ranges()

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        return iter(())


def opened(path: Path) -> tuple[DumpInfo, VmcoreInfo, PhysicalMemory]:
    _, info = open_core(path)
    assert info.memory is not None
    assert info.vmcoreinfo is not None
    return info, VmcoreInfo.parse(info.vmcoreinfo), info.memory


def translated(info: DumpInfo, text: VmcoreInfo, address: int) -> int:
    assert info.architecture is not None
    assert info.memory is not None
    for paging in ways_to_translate(info.architecture, text):
        try:
            return paging.translate(info.memory.read, address)[0]
        except (LookupError, drgn.FaultError):
            continue
    raise AssertionError(f"{address:#x} is not mapped")


def lines(text: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)


def number(value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        return int(value, 16)


def assert_equal_lines(made: bytes, real: bytes) -> None:
    ours, theirs = lines(made), lines(real)
    words = {"OSRELEASE", "BUILD-ID"}
    wrong = {
        key: (value, theirs.get(key))
        for key, value in ours.items()
        if key not in theirs
        or (value != theirs[key] if key in words else number(value) != number(theirs[key]))
    }
    assert wrong == {}
    assert {"OSRELEASE", "PAGESIZE", "SYMBOL(swapper_pg_dir)", "SYMBOL(_stext)"} <= set(ours)


@every_core
def test_lines_made_of_an_image_are_those_that_its_kernel_wrote(path: Path) -> None:
    info, real, memory = opened(path)
    (made,), why = make_texts(memory, info.architecture, "")
    assert why == ""
    assert_equal_lines(made.candidate.text, real.raw)
    # This kernel had written its own.
    assert not made.unwritten


@pytest.mark.matrix
@pytest.mark.parametrize(
    "path",
    sorted(Path(os.environ.get("BTFDBG_DUMPS", "/nonexistent")).glob("*-sysrq-qemu-elf.vmcore")),
    ids=lambda p: p.name,
)
def test_lines_made_of_a_whole_dump_are_those_that_its_kernel_wrote(path: Path) -> None:
    info, real, memory = opened(path)
    (made,), _ = make_texts(memory, info.architecture, "")
    assert_equal_lines(made.candidate.text, real.raw)


def lime_of_early_boot(path: Path, out: Path) -> Path:
    """A dump's memory without its VMCOREINFO, as it is before the kernel has written any."""
    info, _, memory = opened(path)
    session = btfdbg.attach(path)
    pointer = session.prog.symbol("vmcoreinfo_data").address
    place = translated(info, session.vmcoreinfo, pointer)
    with out.open("wb") as file:
        for start, end in memory.ranges():
            file.write(struct.pack("<IIQQ8x", 0x4C694D45, 1, start, end - 1))
            for page in range(start, end, PAGE):
                data = bytearray(memory.read(page, PAGE))
                if b"OSRELEASE=" in data:
                    data = bytearray(PAGE)
                if page <= place < page + PAGE:
                    data[place - page : place - page + 8] = bytes(8)
                file.write(data)
    return out


@every_core
def test_a_dump_from_early_boot_opens_and_says_what_was_missing(path: Path, tmp_path: Path) -> None:
    early = lime_of_early_boot(path, tmp_path / "early.lime")
    with pytest.raises(DebugInfoError, match="no VMCOREINFO"):
        open_core(early)
    session = btfdbg.attach(early)
    expected = btfdbg.attach(path)
    assert session.release == expected.release
    assert session.build_id == expected.build_id
    assert session.prog["init_task"].comm.string_() == b"swapper/0"
    assert session.prog["init_task"].address_ == expected.prog["init_task"].address_
    assert session.has_btf
    (note,) = [n for n in session.notes if n.step == "open"]
    assert "stopped in early boot, before it wrote VMCOREINFO" in note.what
    early.unlink()


class Guest:
    """A Program of a guest, as QEMU's monitor would give it; its memory is a dump's."""

    def __init__(self, memory: PhysicalMemory, platform: drgn.Platform) -> None:
        self.prog = drgn.Program(platform)
        self.memory = memory

    def __call__(self, vmcoreinfo: bytes | None = None) -> Guest:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prog, name)

    def set_qemu_qmp(self, fd: int) -> None:
        end = max(end for _, end in self.memory.ranges())
        self.prog.add_memory_segment(0, end, self.filled, True)

    def filled(self, address: int, size: int, *_: object) -> bytes:
        """A guest has all of its memory: what the dump left out is zero."""
        data = b""
        for page in range(address & -PAGE, address + size, PAGE):
            try:
                data += self.memory.read(page, PAGE)
            except drgn.FaultError:
                data += bytes(PAGE)
        return data[address % PAGE :][:size]


@pytest.mark.parametrize("has_kernel", [True, False])
def test_a_guest_in_early_boot_opens_as_its_dump_does(
    has_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoVmcoreinfoError) as dumped:
        open_core(lime_of_early_boot(CORES[0], tmp_path / "early.lime"))
    memory = dumped.value.layouts[0]
    platform = btfdbg.attach(CORES[0]).prog.platform
    assert platform is not None
    if not has_kernel:
        memory = Robbed(memory, set(range(0, 1 << 32, PAGE)))
    monkeypatch.setattr(live, "_connect", lambda _: -1)
    monkeypatch.setattr(drgn, "Program", Guest(memory, platform))
    if not has_kernel:
        with pytest.raises(DebugInfoError, match="no kernel's version text was found") as error:
            open_guest("guest")
        assert "no Linux kernel was found in the guest's memory" in str(error.value)
        return
    _, info = open_guest("guest")
    assert info.vmcoreinfo_source.startswith("made from the kernel's image in memory")
    assert any("stopped in early boot" in word for remark in info.remarks for word in remark)


def test_a_text_that_the_user_gives_is_not_replaced(tmp_path: Path) -> None:
    path = lime_of_early_boot(CORES[0], tmp_path / "early.lime")
    wrong = lines(opened(CORES[0])[1].raw)
    wrong["SYMBOL(init_uts_ns)"] = "ffffffff80001000"
    text = "".join(f"{key}={value}\n" for key, value in wrong.items()).encode()
    with pytest.raises(DebugInfoError, match="page tables are not where it says"):
        open_dump(path, vmcoreinfo=text)
    path.unlink()


@pytest.mark.parametrize(
    ("symbols", "reason"),
    [
        # The log's copy of the text is left, which is no symbol.
        (("linux_banner",), "kallsyms tables that fit it not"),
        (("init_uts_ns",), "kallsyms tables that fit it not"),
        (("init_top_pgt", "early_top_pgt"), "page tables that map them not"),
    ],
    ids=("banner", "name", "page tables"),
)
def test_what_is_not_proved_is_refused_with_how_far_it_came(
    symbols: tuple[str, ...], reason: str
) -> None:
    info, real, memory = opened(CORES[0])
    table = btfdbg.attach(CORES[0]).prog
    gone = {translated(info, real, table.symbol(name).address) & -PAGE for name in symbols}
    if symbols[0] == "init_uts_ns":
        # A structure that crosses a page is gone with either half of it.
        gone |= {page + PAGE for page in gone}
    made, why = make_texts(Robbed(memory, gone), info.architecture, "")
    assert made == []
    assert reason in why


def test_an_architecture_of_which_no_text_is_made_is_named_with_what_can_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """32-bit Arm and others, for which the image of another architecture stands in here."""
    info, _, memory = opened(CORES[0])
    machine = "x86_64" if info.architecture is drgn.Architecture.X86_64 else "aarch64"
    monkeypatch.delitem(WAYS, machine)
    made, why = make_texts(memory, info.architecture, "")
    assert made == []
    assert f"({machine}) are in memory" in why
    assert "only made for" in why
    assert "--vmcoreinfo" in why


def test_memory_of_another_machine_than_the_header_says_is_refused() -> None:
    info, _, memory = opened(CORES[0])
    other = next(
        a
        for a in (drgn.Architecture.S390X, drgn.Architecture.AARCH64)
        if a is not info.architecture
    )
    made, why = make_texts(memory, other, "")
    assert made == []
    assert why


@pytest.mark.parametrize("text", [b"", b"Linux version 6.1 (x) #1\n\0" * 200, b"\xff" * 5000])
def test_memory_without_a_kernel_is_refused_in_one_line(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.lime"
    data = text.ljust(1 << 20, b"\0")
    path.write_bytes(struct.pack("<IIQQ8x", 0x4C694D45, 1, 0, len(data) - 1) + data)
    assert identify(path).format is Format.LIME
    with pytest.raises(DebugInfoError, match="no VMCOREINFO") as error:
        open_dump(path)
    assert "\n" not in str(error.value)


def test_a_file_that_promises_pages_which_it_lacks_is_given_up_soon() -> None:
    class Empty(Robbed):
        reads = 0

        def read(self, address: int, size: int) -> bytes:
            self.reads += 1
            raise drgn.FaultError("not in the dump", address)

        def ranges(self) -> Iterator[tuple[int, int]]:
            yield 0, 1 << 50

    memory = Empty(opened(CORES[0])[2], set())
    assert make_texts(memory, None, "")[0] == []
    assert memory.reads < 1 << 16


@pytest.mark.matrix
@pytest.mark.skipif(not EARLY, reason="no dumps of early boot: set BTFDBG_EARLY_DUMPS")
@pytest.mark.parametrize(
    "path", sorted(p for p in Path(EARLY or "/nonexistent").glob("*") if p.suffix in SUFFIXES),
    ids=lambda p: p.name,
)  # fmt: skip
def test_a_guest_stopped_in_early_boot_is_open(path: Path) -> None:
    session = btfdbg.attach(path)
    prog: Any = session.prog
    # "swapper" until the kernel knows which CPU it is on.
    assert prog["init_task"].comm.string_() in (b"swapper", b"swapper/0")
    assert prog["system_state"].value_() < prog.constant("SYSTEM_RUNNING").value_()
    from drgn.helpers.linux.printk import get_printk_records

    assert any(b"Linux version" in r.text for r in get_printk_records(prog))
    assert any("early boot" in n.what for n in session.notes)


def test_every_architecture_that_can_be_made_is_a_known_one() -> None:
    assert BUNDLED.exists()
    from btfdbg.arch import by_name

    assert all(by_name(name) is not None for name in WAYS)
