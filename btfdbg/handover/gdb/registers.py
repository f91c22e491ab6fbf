"""Registers in the order in which gdb wants them.

Owns one table per architecture. A register that the dump has not is sent as ``x``, which
gdb shows as unavailable; it is never a zero.

Facts: gdb/features/i386/64bit-core.xml and gdb/features/aarch64-core.xml; a ``g`` packet
may end before the last register.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Registers:
    """
    An architecture's.

    :ivar gdb: What gdb calls the architecture.
    :ivar names: drgn's names and sizes in bytes, in gdb's order.
    """

    gdb: str
    names: tuple[tuple[str, int], ...]


def _wide(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, 8) for name in text.split())


BY_ARCHITECTURE = {
    "X86_64": Registers(
        "i386:x86-64",
        (
            *_wide("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip"),
            ("rflags", 4),
            *((name, 4) for name in ("cs", "ss", "ds", "es", "fs", "gs")),
        ),
    ),
    "AARCH64": Registers(
        "aarch64",
        (*_wide(" ".join(f"x{i}" for i in range(31))), ("sp", 8), ("pc", 8), ("pstate", 4)),
    ),
}


def packet(registers: Registers, values: Mapping[str, int], little_endian: bool) -> bytes:
    """The answer to ``g``."""
    order: Literal["little", "big"] = "little" if little_endian else "big"
    out = []
    for name, size in registers.names:
        value = values.get(name)
        if value is None:
            out.append(b"x" * (2 * size))
        else:
            masked = value & ((1 << 8 * size) - 1)
            out.append(masked.to_bytes(size, order).hex().encode())
    return b"".join(out)
