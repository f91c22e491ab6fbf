"""The table of taint flags is found by its letters, and its length by its entries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.program.taint_table import taint_flags
from tests.program.every_name import DUMPS

_AT = 0xFFFFE10000000000
_SIZE = 4 << 20
_LETTERS = b"PFSRMBUDAWCIOELKXT"


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.stem)
def test_in_a_dump_it_is_the_one_that_the_symbol_says(path: Path) -> None:
    prog = btfdbg.program_from_core_dump(path)
    session = btfdbg.session(prog)
    found = taint_flags(session)
    if found is None or session.symbols is None or not session.symbols.by_name("taint_flags"):
        pytest.skip("left out of the dump, or this kernel has no data symbols")
    assert found.address_ == prog["taint_flags"].address_
    assert found.type_.type_name() == prog["taint_flags"].type_.type_name()


class World:
    """A kernel's image that is empty but for what is put there."""

    def __init__(self) -> None:
        self.prog = btfdbg.program_from_core_dump(DUMPS[0])
        self.image = bytearray(_SIZE + (1 << 20))
        self.prog.add_memory_segment(_AT, len(self.image), self._read)
        self.session: Any = SimpleNamespace(
            prog=self.prog,
            vmlinux=btfdbg.session(self.prog).vmlinux,
            symbols=SimpleNamespace(image_range=(_AT, _AT + _SIZE)),
        )
        self.type = self.prog.type("struct taint_flag")

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        return bytes(self.image[address - _AT : address - _AT + count])

    def put(self, at: int, letters: bytes) -> None:
        size = drgn.sizeof(self.type)
        for i, letter in enumerate(letters):
            entry = at + i * size
            self.image[entry + drgn.offsetof(self.type, "c_true")] = letter
            self.image[entry + drgn.offsetof(self.type, "c_false")] = ord("G" if not i else " ")

    def find(self) -> tuple[int, int] | None:
        found = taint_flags(self.session)
        if found is None:
            return None
        assert found.address_ is not None
        assert found.type_.length is not None
        return found.address_ - _AT, found.type_.length


# The last one begins in one piece that is read, and ends in the next.
@pytest.mark.parametrize("at", [0x100, 0x2FF000, (1 << 20) - 7])
@pytest.mark.parametrize("letters", [_LETTERS, _LETTERS[:16], _LETTERS + b"NJ"])
def test_it_is_as_long_as_its_entries(at: int, letters: bytes) -> None:
    world = World()
    world.put(at, letters)
    assert world.find() == (at, len(letters))


def test_of_two_none_is_believed() -> None:
    world = World()
    world.put(0x1000, _LETTERS)
    world.put(0x9000, _LETTERS)
    assert world.find() is None


@pytest.mark.parametrize("letters", [b"", _LETTERS[:15], b"PFSRMBUDAWCIOEKL"])
def test_what_has_other_letters_is_none(letters: bytes) -> None:
    world = World()
    world.put(0x1000, letters)
    assert world.find() is None
