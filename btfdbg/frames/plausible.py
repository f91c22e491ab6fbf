"""Whether a number that one word of memory alone tells can be an argument of its type.

Owns what turns a damaged word of a stack into no value: nothing is asked here of a number that a
second source confirms, since a wild pointer may be the very fault that one looks for. NULL, error
pointers, poison and users' addresses are what code really passes; so are numbers of any size.

Facts: ``include/linux/err.h``, ``include/linux/poison.h`` (by ``pointers``); BTF of GCC does not
tell ``__user`` and ``__percpu``, whose pointers lie in the lower half on x86-64; arm64 ignores the
upper byte of users' addresses, and has tags in that of the kernel's (``asm/mte-def.h``).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn
from drgn import TypeKind

from btfdbg.frames.pointers import NOT_CANONICAL, state_of

_RECORDS = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS)
_ALIGNMENT = 8
_TAG = 0xFF << 56


def doubt(
    type_: drgn.Type,
    number: int,
    machine: str,
    is_read: Callable[[int], bool],
    is_function: Callable[[int], bool],
) -> str:
    """
    Why a number can be no argument of a type, as ``is no address``; "" if it can.

    :param number: All its bits.
    :param machine: ``x86_64`` or ``aarch64``.
    :param is_read: Whether memory at an address of the kernel's is in the dump.
    :param is_function: Whether a function starts at an address.
    """
    type_ = type_.unaliased()
    if type_.kind is TypeKind.BOOL:
        return "" if number in (0, 1) else "is no bool"
    if type_.kind is not TypeKind.POINTER:
        return ""
    state = state_of(number)
    if state and state != NOT_CANONICAL:
        return ""
    if machine == "x86_64":
        if state:
            return "is no address"
    else:
        if number >> 52 & 15 not in (0, 15):
            return "is no address"
        if not number >> 55 & 1:
            return ""
        if number >> 60 != 15:
            return "is no address"
        number |= _TAG
    return _doubt_of_the_kernels(type_.type.unaliased(), number, is_read, is_function)


def _doubt_of_the_kernels(
    target: drgn.Type,
    address: int,
    is_read: Callable[[int], bool],
    is_function: Callable[[int], bool],
) -> str:
    if target.kind is TypeKind.FUNCTION:
        return "" if is_function(address) else "is the address of no function"
    if target.kind not in _RECORDS or not target.is_complete():
        return ""  # of bytes, whose pages a dump may leave out
    if address % _ALIGNMENT and drgn.alignof(target) >= _ALIGNMENT:
        return f"is not aligned as a {'union' if target.kind is TypeKind.UNION else 'struct'}"
    return "" if is_read(address) else "is an address that cannot be read"
