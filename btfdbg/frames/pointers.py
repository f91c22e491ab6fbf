"""What a pointer's value says of itself, without the memory that it points to.

Owns the values that no good pointer has. Knows no dump: the report on a log asks as well.

Facts: ``include/linux/poison.h``; ``include/linux/err.h`` (MAX_ERRNO).
"""

from __future__ import annotations

NOT_CANONICAL = "no canonical address"
"""What :func:`state_of` says of an address that :func:`not_canonical` is true of."""
_PAGE = 4096
_MAX_ERRNO = 4095
_POISON = {
    0xDEAD000000000100: "LIST_POISON1: a list entry that was removed",
    0xDEAD000000000122: "LIST_POISON2: a list entry that was removed",
    0x6B6B6B6B6B6B6B6B: "slab poison: freed memory",
    0x5A5A5A5A5A5A5A5A: "slab poison: memory that was never initialised",
}


def state_of(value: int) -> str:
    """
    What a pointer's value says of itself: "" for one that may be good.

    >>> state_of(8), state_of(0xDEAD000000000100)
    ('NULL+0x8', 'LIST_POISON1: a list entry that was removed')
    """
    if value < _PAGE:
        return "NULL" if not value else f"NULL+{value:#x}"
    if value > (1 << 64) - 1 - _MAX_ERRNO:
        import errno

        number = (1 << 64) - value
        return f"an error: -{errno.errorcode.get(number, str(number))}"
    poison = max((p for p in _POISON if p <= value), default=0)
    if poison and value - poison < _PAGE // 16:
        return _POISON[poison]
    poison = min((p for p in _POISON if p > value), default=0)
    if poison and poison - value < _PAGE // 16:
        # container_of() has gone back from the member that held it.
        name, _, what = _POISON[poison].partition(": ")
        return f"{name} less {poison - value:#x}: {what}"
    if not value >> 47:
        return "a user's address"
    if not_canonical(value):
        return NOT_CANONICAL
    return ""


def not_canonical(value: int) -> bool:
    """Say whether no page tables of x86-64, of four levels or five, can map an address."""
    return bool(value >> 47) and value >> 47 != (1 << 17) - 1 and value >> 56 != 0xFF
