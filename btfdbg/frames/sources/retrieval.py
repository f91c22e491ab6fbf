"""A map from names to small numbers that does not hold the names.

Owns its making and its reading. Knows nothing of files or functions.

Three cells of an array belong to each name (its digest says which); their exclusive or is
the name's number beside some check bits of its digest. A name that was not put in meets
the check bits by chance only: one in 2**check_bits. It costs 1.23 cells for each name,
about 3.5 bytes, where the names themselves, sorted, shared and compressed, take 7; and a
look-up reads three cells, with nothing to unpack first.

Facts: Botelho, Pagh, Ziviani, "Simple and Space-Efficient Minimal Perfect Hash Functions"
(peeling of random 3-graphs); Chazelle et al., "The Bloomier Filter"; RFC 7693 (BLAKE2b).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

try:  # as the random module does: OpenSSL takes longer to load than a look-up takes
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

from btfdbg.lazy_dataclass import dataclass

HEADER = struct.Struct("<IIBB2x")  # seed, cells of one third, value bits, check bits
_DIGEST = struct.Struct("<4I")
_SLACK = 1.23
_MAX_SEEDS = 64
_MAX_BITS = 32


@dataclass(frozen=True, slots=True)
class Retrieval:
    """
    :ivar cells: of ``value_bits + check_bits`` bits each, lowest bits first, 8 bytes of
        padding at the end.
    :ivar third: how many cells each of the three positions has to itself.
    """

    cells: memoryview
    seed: int
    third: int
    value_bits: int
    check_bits: int

    @classmethod
    def parse(cls, data: memoryview) -> Retrieval:
        """
        Take what :func:`build` made.

        :raises ValueError: it is another size than it says.
        """
        seed, third, value_bits, check_bits = HEADER.unpack_from(data)
        width = value_bits + check_bits
        cells = data[HEADER.size :]
        if not 0 < width <= _MAX_BITS or len(cells) != _size(third, width):
            raise ValueError("cells of another size")
        return cls(cells, seed, third, value_bits, check_bits)

    def find(self, name: bytes) -> int | None:
        """The number of a name; None (or, rarely, any number) if it was not put in."""
        if not self.third:
            return None
        first, second, last, check = _positions(name, self.seed, self.third)
        width = self.value_bits + self.check_bits
        found = 0
        for cell in (first, second, last):
            at = cell * width
            word = int.from_bytes(self.cells[at >> 3 : (at >> 3) + 8], "little")
            found ^= word >> (at & 7)
        found &= (1 << width) - 1
        if found >> self.value_bits != check & ((1 << self.check_bits) - 1):
            return None
        return found & ((1 << self.value_bits) - 1)

    def find_all(self, names: Iterable[bytes]) -> Iterator[int | None]:
        """What :meth:`find` says of each of many names."""
        if not self.third:
            for _ in names:
                yield None
            return
        cells, third, seed = self.cells.tobytes(), self.third, self.seed
        width, value_bits = self.value_bits + self.check_bits, self.value_bits
        whole, value, checked = (1 << width) - 1, (1 << value_bits) - 1, (1 << self.check_bits) - 1
        number = int.from_bytes
        for name in names:
            first, second, last, check = _positions(name, seed, third)
            first, second, last = first * width, second * width, last * width
            at, by, on = first >> 3, second >> 3, last >> 3
            found = (
                number(cells[at : at + 8], "little") >> (first & 7)
                ^ number(cells[by : by + 8], "little") >> (second & 7)
                ^ number(cells[on : on + 8], "little") >> (last & 7)
            ) & whole
            yield found & value if found >> value_bits == check & checked else None


def build(numbers: Mapping[bytes, int], check_bits: int) -> bytes:
    """
    Make the map.

    :raises ValueError: no seed was found (never for distinct names).
    """
    value_bits = max(1, max(numbers.values(), default=0).bit_length())
    width = value_bits + check_bits
    third = -(-int(len(numbers) * _SLACK + 32) // 3) if numbers else 0
    for seed in range(_MAX_SEEDS):
        edges = [(*_positions(name, seed, third), n) for name, n in numbers.items()]
        order = _peel(edges, 3 * third)
        if order is not None:
            break
    else:
        raise ValueError(f"{len(numbers)} names: no seed of {_MAX_SEEDS} fits")
    mask = (1 << check_bits) - 1
    cells = [0] * (3 * third)
    for edge, free in reversed(order):
        first, second, last, check, number = edges[edge]
        cells[free] = 0
        cells[free] = cells[first] ^ cells[second] ^ cells[last]
        cells[free] ^= number | (check & mask) << value_bits
    packed = bytearray(_size(third, width))
    for cell, value in enumerate(cells):
        at = cell * width
        start = at >> 3
        word = int.from_bytes(packed[start : start + 8], "little") | value << (at & 7)
        packed[start : start + 8] = word.to_bytes(8, "little")
    return HEADER.pack(seed, third, value_bits, check_bits) + bytes(packed)


def _size(third: int, width: int) -> int:
    return (3 * third * width + 7) // 8 + 8


def _positions(name: bytes, seed: int, third: int) -> tuple[int, int, int, int]:
    """The three cells of a name and its check bits."""
    a, b, c, check = _DIGEST.unpack(
        blake2b(name, digest_size=16, salt=struct.pack("<I", seed)).digest()
    )
    return a % third, third + b % third, 2 * third + c % third, check


def _peel(
    edges: list[tuple[int, int, int, int, int]], vertices: int
) -> list[tuple[int, int]] | None:
    """An order in which each edge has a cell that no later one has; None if there is none."""
    degree = [0] * vertices
    joined = [0] * vertices  # exclusive or of the edges at a cell
    for number, edge in enumerate(edges):
        for cell in edge[:3]:
            degree[cell] += 1
            joined[cell] ^= number
    free = [cell for cell in range(vertices) if degree[cell] == 1]
    order: list[tuple[int, int]] = []
    while free:
        cell = free.pop()
        if degree[cell] != 1:
            continue
        number = joined[cell]
        order.append((number, cell))
        for other in edges[number][:3]:
            degree[other] -= 1
            joined[other] ^= number
            if degree[other] == 1:
                free.append(other)
    return order if len(order) == len(edges) else None
