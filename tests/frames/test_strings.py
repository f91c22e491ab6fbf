"""C strings of a dump, out of pages that are read once."""

from __future__ import annotations

import random

from btfdbg.frames.sources import strings as module
from btfdbg.frames.sources.strings import MAX_PATH, Strings

START = 0x1000
PAGE = 4096


class _Memory:
    """Some bytes at an address, and what was read of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def read(self, address: int, size: int) -> bytes:
        self.reads.append((address, size))
        if not START <= address <= address + size <= START + len(self.data):
            raise ValueError("not in the dump")
        return self.data[address - START : address - START + size]


def _by_hand(data: bytes, address: int) -> bytes | None:
    rest = data[address - START :]
    text, end, _ = rest.partition(b"\0")
    return text if end and 0 <= address - START < len(data) else None


def test_each_string_is_what_stands_there() -> None:
    rng = random.Random(1)
    names = [b"x" * rng.choice((0, 3, 30, 63, 64, 65, 200, 400)) for _ in range(200)]
    data = b"\0".join(names) + b"\0"
    data = data[: len(data) // PAGE * PAGE + 100]  # the last page is not whole
    memory = _Memory(data)
    strings = Strings(memory.read)
    for at in range(START, START + len(data), 7):
        assert strings.at(at) == _by_hand(data, at), at
    whole = [read for read in memory.reads if read[1] == PAGE]
    assert len(whole) == len(data) // PAGE + 1  # each page once, the last one in vain
    assert strings.at(START - 1) is None
    assert strings.at(-5) is None
    assert strings.at((1 << 64) - 1) is None


def test_a_string_without_an_end_is_none() -> None:
    memory = _Memory(b"y" * (2 * MAX_PATH) + bytes(PAGE))
    assert Strings(memory.read).at(START) is None


def test_pages_are_bounded() -> None:
    count = 3 * module._MAX_PAGES
    memory = _Memory(b"name\0".ljust(PAGE, b".") * count)
    strings = Strings(memory.read)
    for number in range(count):
        assert strings.at(START + number * PAGE) == b"name"
        assert len(strings._pages) <= module._MAX_PAGES
