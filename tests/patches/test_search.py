"""``search`` goes over all that the dump holds; what is missing from the dump does not end it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import drgn
import pytest

from btfdbg.commands import execute
from btfdbg.program import memory_search as searching
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import Format, open_core, progress
from tests.trim.kdump_reader import KdumpReader
from tests.vmcore import tiny

_POISON = 0xDEAD000000000100


@pytest.fixture(scope="module")
def session(request: pytest.FixtureRequest) -> Session:
    prog, info = open_core(request.getfixturevalue("oops_core"))
    return attach(prog, None, info)


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> list[int]:
    """Physical addresses of a word, by looking at every page of the file."""
    found = []
    word = _POISON.to_bytes(8, "little")
    with KdumpReader(request.getfixturevalue("oops_core")) as reader:
        for pfn in reader.pfns():
            page = reader.page(pfn)
            found += [pfn * 4096 + at for at in range(0, 4096, 8) if page[at : at + 8] == word]
    assert len(found) > 100
    return found


def addresses(session: Session, command: str, capsys: pytest.CaptureFixture[str]) -> list[int]:
    assert execute.run_commands(session, [command]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return [int(line.split(":")[0], 16) for line in out.splitlines()]


def test_a_physical_search_finds_every_place(
    session: Session, places: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert addresses(session, f"search -p {_POISON:x}", capsys) == places


def test_a_search_gives_addresses_in_the_linear_mapping(
    session: Session, places: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    from drgn.helpers.linux.mm import phys_to_virt

    base = phys_to_virt(session.prog, 0).value_()
    assert addresses(session, f"search {_POISON:x}", capsys) == [base + at for at in places]


def _is_held(session: Session, address: int) -> bool:
    try:
        session.prog.read(address, 4096)
    except drgn.FaultError:
        return False
    return True


@pytest.mark.parametrize("pages", [1, 3, 17])
def test_a_search_without_a_match_says_how_much_it_looked_through(
    pages: int, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    start = session.prog.symbol("linux_banner").address & -4096
    held = sum(_is_held(session, start + at * 4096) for at in range(pages))
    assert held
    command = f"search -s {start:x} -e {start + pages * 4096:x} 123456789abcdef1"
    assert execute.run_commands(session, [command]) == 0
    told = f"search: no match in {held} page{'s' * (held > 1)} searched\n"
    assert capsys.readouterr() == ("", told)


def test_all_that_the_dump_holds_is_counted(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    ranges = searching.searched(session)
    assert ranges is not None
    pages = sum(end - start for start, end in ranges) // 4096
    assert execute.run_commands(session, ["search -p 123456789abcdef1"]) == 0
    assert capsys.readouterr() == ("", f"search: no match in {pages:,} pages searched\n")


def test_a_range_is_searched_and_nothing_else(
    session: Session, places: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = places[10], places[20]
    command = f"search -p -s {first:x} -e {last:x} {_POISON:x}"
    assert addresses(session, command, capsys) == places[10:20]


def test_a_range_of_the_linear_mapping_goes_on_behind_missing_pages(
    session: Session, places: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """drgn's own search of such a range ends at its first page, which is not in the dump."""
    from drgn.helpers.linux.mm import phys_to_virt

    base = phys_to_virt(session.prog, 0).value_()
    with pytest.raises(drgn.FaultError):
        session.prog.read(base, 1)
    upto = base + places[-1] + 8
    found = addresses(session, f"search -s {base:x} -e {upto:x} {_POISON:x}", capsys)
    assert found == [base + at for at in places]


def test_the_kernels_image_is_searched_where_it_is(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    banner = session.prog.symbol("linux_banner").address
    for start in (banner, banner & ~0xFFF, banner - 0x100000):
        found = addresses(session, f'search -s {start:x} -e {banner + 64:x} -c "Linux v"', capsys)
        assert found == [banner]


def test_virtual_text_across_two_runs_is_found_once(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = [session.prog.symbol(name).address for name in ("_text", "_end")]
    command = f"search -s {image[0]:x} -e {image[1]:x} -c Linux"
    whole = addresses(session, command, capsys)
    assert len(whole) > 5
    monkeypatch.setattr(searching, "_RUN", 8192)
    monkeypatch.setattr(searching, "_OVERLAP", 100)
    assert addresses(session, command, capsys) == whole


def test_text_across_two_pieces_is_found_once(
    session: Session, places: list[int], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole = addresses(session, "search -p -c Linux", capsys)
    assert len(whole) > 5
    monkeypatch.setattr(searching, "_PIECE", 4096)
    assert addresses(session, "search -p -c Linux", capsys) == whole


def test_a_search_goes_on_behind_a_page_that_cannot_be_read(
    oops_core: Path, places: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    prog, info = open_core(oops_core)
    session = attach(prog, None, info)
    lost = places[len(places) // 2] & ~0xFFF

    def fault(address: int, count: int, offset: int, physical: bool) -> bytes:
        raise drgn.FaultError("damaged", address)

    prog.add_memory_segment(lost, 4096, fault, physical=True)
    execute.run_commands(session, [f"search -p {_POISON:x}"])
    out, err = capsys.readouterr()
    found = [int(line.split(":")[0], 16) for line in out.splitlines()]
    assert found == [at for at in places if at & ~0xFFF != lost]
    assert "1 read failed" in err
    ranges = searching.searched(session)
    assert ranges is not None
    pages = sum(end - start for start, end in ranges) // 4096
    execute.run_commands(session, ["search -p 123456789abcdef1"])
    assert f"search: no match in {pages - 1:,} pages searched\n" in capsys.readouterr().err


def test_a_search_shows_how_far_it_is(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", shown)  # type: ignore[attr-defined] # its import
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    assert execute.run_commands(session, ["search -p deadbeefdeadbe12"]) == 0
    assert "searching [" in shown.getvalue()
    assert shown.getvalue().rpartition("\r\x1b[K")[2].startswith("search: no match in ")


def test_zeros_that_only_a_header_promises_are_not_searched(tmp_path: Path) -> None:
    """A few bytes of a header made it go over a petabyte."""
    kernel = tiny.Kernel(tiny.X86_64)
    path = tiny.elf_of(tmp_path / "core", kernel, kernel.elf_note())
    data = bytearray(path.read_bytes())
    # p_memsz of the second program header, the only one of memory.
    struct.pack_into("<Q", data, 64 + 56 + 40, 1 << 50)
    path.write_bytes(data)
    assert open_core(path)[1].format is Format.ELF
    assert searching.held(open_core(path)[1]) == [(0, len(kernel.memory))]
