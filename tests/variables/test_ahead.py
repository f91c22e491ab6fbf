"""Memory in large pieces is the same memory, with the same errors."""

from __future__ import annotations

import random

import drgn
import pytest

from btfdbg.variables import ahead
from btfdbg.variables.ahead import Ahead

_SIZE = 1 << 12
_GONE = range(5 * 256, 6 * 256)


class Memory:
    """Bytes of which some are not there; counts what is read."""

    def __init__(self) -> None:
        self.data = random.Random(7).randbytes(_SIZE)
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        if address + size > _SIZE or (address < _GONE.stop and address + size > _GONE.start):
            raise drgn.FaultError("gone", address)
        return self.data[address : address + size]


def _answer(read: Memory | Ahead, address: int, size: int) -> bytes | str:
    try:
        return read.read(address, size)
    except drgn.FaultError as e:
        return str(e)


@pytest.mark.parametrize("order", ["ascending", "any"])
def test_answers_are_those_of_the_memory(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_PIECE", 512)
    rng = random.Random(3)
    asked = [
        (rng.randrange(_SIZE + 64), rng.choice((1, 8, 200, 511, 512, 513, 1500)))
        for _ in range(600)
    ]
    if order == "ascending":
        asked.sort()
    memory = Memory()
    pieces = Ahead(memory.read)
    assert [_answer(pieces, *a) for a in asked] == [_answer(Memory(), *a) for a in asked]


def test_a_piece_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_PIECE", 512)
    memory = Memory()
    pieces = Ahead(memory.read)
    for address in range(0, 1024, 8):
        assert pieces.read(address, 8) == memory.data[address : address + 8]
    assert memory.reads == 2
