"""Addresses that are decoded a thousand at a time are those that are decoded one by one."""

from __future__ import annotations

import random
from array import array
from typing import Literal

import pytest

from btfdbg.kallsyms.addresses import WINDOW, Addresses, Encoding
from btfdbg.kallsyms.ascending import distances, distances_by_place

TABLE = 0xFFFFFFFF82001000
BASE = 0xFFFFFFFF81000000
MASK = (1 << 64) - 1
CODES = {Encoding.ABSOLUTE: "Q", Encoding.RELATIVE: "I", Encoding.PERCPU: "i", Encoding.PLACE: "i"}


def one_by_one(encoding: Encoding, entries: array[int], base: int) -> list[int]:
    if encoding is Encoding.ABSOLUTE:
        return list(entries)
    if encoding is Encoding.RELATIVE:
        return [(base + value) & MASK for value in entries]
    if encoding is Encoding.PERCPU:
        return [value if value >= 0 else (base - 1 - value) & MASK for value in entries]
    return [(TABLE + 4 * number + value) & MASK for number, value in enumerate(entries)]


def table_of(encoding: Encoding, entries: array[int], base: int = BASE) -> Addresses:
    data = entries.tobytes()
    order: Literal["little", "big"] = "little"

    def read(address: int, size: int) -> bytes:
        return data[address - TABLE : address - TABLE + size]

    return Addresses(read, TABLE, encoding, len(entries), order, base=base)


def made(encoding: Encoding, random_: random.Random) -> list[int]:
    count = random_.choice((1, 2, 3, 700, WINDOW))
    far = random_.choice((1 << 10, 1 << 29, 1 << 30, 1 << 31))
    values = sorted(random_.randrange(1, far) for _ in range(count))
    if encoding is Encoding.PERCPU:
        values = random_.choice((values, [-1 - v for v in values], [*values[:1], -2, *values[2:]]))
    elif encoding is Encoding.PLACE:
        start = random_.choice((-far, -far // 2, 0))
        values = [value + start - 4 * number for number, value in enumerate(values)]
    if random_.random() < 0.5:
        values[random_.randrange(len(values))] = random_.choice((0, 1, 5))
    low, high = {"Q": (0, MASK), "I": (0, (1 << 32) - 1)}.get(
        CODES[encoding], (-(1 << 31), (1 << 31) - 1)
    )
    return [max(low, min(high, value)) for value in values]


@pytest.mark.parametrize("encoding", Encoding)
def test_addresses_are_those_of_each_entry(encoding: Encoding) -> None:
    random_ = random.Random(1)
    at_once = refused = 0
    for _ in range(300):
        base = random_.choice((BASE, 0xFFFF800080000000, 5, MASK - (1 << 20)))
        entries = array(CODES[encoding], made(encoding, random_))
        expected = one_by_one(encoding, entries, base)
        if expected != sorted(expected):
            refused += 1
            assert not table_of(encoding, entries, base).ascends()
            continue
        table = table_of(encoding, entries, base)
        assert [table.at(number) for number in range(len(entries))] == expected
        assert table.all_with_next()[0] == expected
        for number in (0, len(entries) // 2, len(entries) - 1):
            found = table.last_at_or_below(expected[number])
            assert expected[found] == expected[number]
            assert found + 1 == len(entries) or expected[found + 1] > expected[number]
        at_once += encoding is not Encoding.ABSOLUTE
    assert refused
    assert at_once > 30 or encoding is Encoding.ABSOLUTE


def test_what_is_not_sure_is_left_to_a_look_at_each() -> None:
    assert distances(array("i", [-1, 2])) is None
    assert distances(array("i", [3, 2])) is None
    assert distances(array("i", [-3, -2])) is None
    assert distances(array("i", [0, 2])) is None
    assert distances(array("I", [1, 1 << 31])) is None
    assert distances(array("i")) is None
    assert distances_by_place(array("i", [8, 2])) is None
    assert distances_by_place(array("i", [0, 2])) is None
    assert distances_by_place(array("i", [1 << 30, 1 << 30])) is None
    assert distances_by_place(array("i", [8, 4])) == (-(1 << 30), array("I", [8 + (1 << 30)] * 2))


@pytest.mark.parametrize("number", [1, WINDOW, 2 * WINDOW - 1])
def test_zeros_are_damage(number: int) -> None:
    entries = array("I", range(16, 16 + 16 * 2 * WINDOW, 16))
    entries[number] = 0
    table = table_of(Encoding.RELATIVE, entries)
    assert table.at(number) is None
    assert table.problems


@pytest.mark.parametrize("encoding", Encoding)
def test_thousands_of_symbols_at_one_address_are_stepped_over(encoding: Encoding) -> None:
    """As 8,636 empty strings of 5.10; each of them asks for the first one and the next other."""
    random_ = random.Random(encoding.name)
    runs = [1, 2, WINDOW - 3, 3 * WINDOW + 5, 1, 2 * WINDOW, 7, 1]
    runs += [random_.randrange(1, 40) for _ in range(50)]
    wanted = [BASE + (4 << 20) + 64 * number for number, n in enumerate(runs) for _ in range(n)]
    raw = {
        Encoding.ABSOLUTE: wanted,
        Encoding.RELATIVE: [address - BASE for address in wanted],
        Encoding.PERCPU: [BASE - 1 - address for address in wanted],
        Encoding.PLACE: [address - TABLE - 4 * n for n, address in enumerate(wanted)],
    }[encoding]
    table = table_of(encoding, array(CODES[encoding], raw))
    expected = [(wanted.index(a), next((b for b in wanted if b > a), None)) for a in set(wanted)]
    for first, above in expected:
        last = table.last_at_or_below(wanted[first])
        assert wanted[last] == wanted[first]
        assert last + 1 == len(wanted) or wanted[last + 1] == above
        for number in {first, (first + last) // 2, last}:
            assert table.first_equal(number) == first
            assert table.next_above(number) == above
