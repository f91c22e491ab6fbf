"""Mutations of bytes, the same for the tests and for the runner without atheris.

Owns what a mutation is. One is chosen by three numbers, so that hypothesis can draw and
shrink it as well as a random generator can.
"""

from __future__ import annotations

from random import Random

# Where counts, sizes and offsets break: around 0, signs, powers of two.
_NUMBERS = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF, 0x1000000,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip

Edit = tuple[int, int, int]
"""Kind, place, value; any non-negative numbers."""


def edited(data: bytes, edit: Edit) -> bytes:
    """Return the bytes after one mutation."""
    kind, place, value = edit
    if not data:
        return bytes([value & 0xFF])
    at = place % len(data)
    out = bytearray(data)
    match kind % 9:
        case 0:
            out[at] ^= 1 << value % 8
        case 1:
            out[at] = value & 0xFF
        case 2 | 3:
            width = (1, 2, 4, 8)[value // len(_NUMBERS) % 4]
            number = _NUMBERS[value % len(_NUMBERS)] & (1 << 8 * width) - 1
            written = number.to_bytes(width, "little" if kind % 9 == 2 else "big")
            out[at : at + width] = written[: len(out) - at]
        case 4:
            del out[at : at + 1 + value % 64]
        case 5:
            del out[at:]
        case 6:
            size = 1 + value % 64
            out[at:at] = out[at : at + size]
        case 7:
            source = value % len(data)
            size = 1 + value // len(data) % 32
            out[at : at + size] = data[source : source + size]
        case _:
            size = 1 + value % 256
            out[at : at + size] = bytes(min(size, len(out) - at))
    return bytes(out)


def mutated(data: bytes, random: Random, most: int = 8) -> bytes:
    """Return the bytes after one to ``most`` mutations."""
    for _ in range(random.randint(1, most)):
        # Numbers stand at the beginnings of things more often than elsewhere.
        place = random.randrange(1 << 30)
        if random.random() < 0.3:
            place %= 256
        data = edited(data, (random.randrange(9), place, random.randrange(1 << 32)))
    return data
