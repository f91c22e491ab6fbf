"""Numbers of 32 bits, a thousand at a time: they are the digits of one large int.

Owns the check that they ascend, and making them distances from one address, without a look at
each: a stack's command decodes 60 pages of kallsyms' addresses, for which number by number takes
1.5 M instructions each, and this 0.15. Gives nothing where it is not sure; then they are looked at
one by one.

A digit's upper bit is kept free, so that no sum or difference of two of them reaches the next one.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache

_BITS = 32
_HIGH = 1 << _BITS - 1
_QUARTER = 1 << _BITS - 2


def distances(raw: array[int]) -> tuple[bool, array[int]] | None:
    """
    Take numbers that are all of one sign, and what they are from 0 or down from -1 on.

    >>> distances(array("i", [-1, -3, -9]))
    (True, array('I', [0, 2, 8]))

    :param raw: Of 4 bytes each; an "I" has them below 2**31 all the same.
    :return: Whether they are negative, and the distances; None if some are of another sign, if
        they do not ascend, or one is 0 of those that are not negative.
    """
    words = _joined(raw)
    count = len(raw)
    if words is None:
        return None
    high = _repeated(_HIGH, count)
    signs = words & high
    if signs == high:
        words ^= _repeated((1 << _BITS) - 1, count)
    elif signs or words + _repeated(_HIGH - 1, count) & high != high:
        return None
    if not _ascend(words, count):
        return None
    return (True, _parted(words, count)) if signs else (False, array("I", raw.tobytes()))


def distances_by_place(raw: array[int]) -> tuple[int, array[int]] | None:
    """
    Take numbers that count from where they stand themselves.

    >>> distances_by_place(array("i", [-7, -8, 20]))
    (-1073741824, array('I', [1073741817, 1073741820, 1073741852]))

    :return: What to add to the place of the first one, and distances from there; None if one is
        far away, or 0, or they do not ascend.
    """
    words = _joined(raw)
    count = len(raw)
    if words is None:
        return None
    high, low = _repeated(_HIGH, count), _repeated(_HIGH - 1, count)
    if ((words & low) + low | words) & high != high:
        return None  # there is a 0
    # Counted from -2**31 the middle half begins with the bits 01 or 10.
    words ^= high
    if (words ^ words << 1) & high != high:
        return None
    words += _places(count) - _repeated(_QUARTER, count)
    if words & high or not _ascend(words, count):
        return None
    return -_QUARTER, _parted(words, count)


def _joined(raw: array[int]) -> int | None:
    """The numbers as digits, the first one the lowest; None if nothing can be said of them."""
    if not raw or raw.itemsize * 8 != _BITS or sys.byteorder != "little":
        return None
    return int.from_bytes(raw.tobytes(), "little")


def _parted(words: int, count: int) -> array[int]:
    return array("I", words.to_bytes(count * _BITS // 8, "little"))


def _ascend(words: int, count: int) -> bool:
    """Whether no digit is lower than the one before it, of digits whose upper bits are free."""
    high = _repeated(_HIGH, count - 1)
    before = words & (1 << _BITS * (count - 1)) - 1
    return (words >> _BITS | high) - before & high == high


@lru_cache(16)
def _repeated(word: int, count: int) -> int:
    return int.from_bytes(word.to_bytes(_BITS // 8, "little") * count, "little")


@lru_cache(4)
def _places(count: int) -> int:
    return int.from_bytes(array("I", range(0, count * 4, 4)).tobytes(), "little")
