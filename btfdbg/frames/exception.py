"""Registers of a frame that an exception interrupted, where the unwinder has not seen that.

arm64's exception entry puts a frame record into the ``struct pt_regs`` that it fills, with the
interrupted pc as its return address. drgn's unwinder by frame pointers takes some of these for
calls: such a frame has then neither registers nor the mark of an interrupted one.

Facts: ``arch/arm64/kernel/entry.S`` (``kernel_entry``: x29 points to ``S_STACKFRAME``);
``arch/arm64/include/asm/ptrace.h`` (``struct pt_regs``: ``stackframe``, ``regs``, ``sp``, ``pc``).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn

from btfdbg.kallsyms.model import try_read

ENTRIES = ("el1h_64_", "el1t_64_", "el1_sync", "el1_irq", "el1_error", "el1_dbg", "el1_fiq")


def interrupted_registers(
    prog: drgn.Program,
    read: Callable[[int, int], bytes | None],
    entry: drgn.StackFrame,
    frame: drgn.StackFrame,
) -> dict[str, int] | None:
    """
    The registers at an exception, by the frame of its entry.

    :param read: Memory, None if any byte of it cannot be read.
    :param entry: The frame before; its x29 is where the record in ``struct pt_regs`` is.
    :param frame: The one that may have been interrupted.
    :return: x0 to x30 and sp; None if it was not, or that cannot be told.
    """
    try:
        if not (entry.name or "").startswith(ENTRIES):
            return None
        type_ = prog.type("struct pt_regs")
        record = entry.registers()["x29"]
        place = record - int(drgn.offsetof(type_, "stackframe"))
        at = {n: int(drgn.offsetof(type_, n)) for n in ("regs", "sp", "pc")}
        size = type_.size or 0
        outer = frame.registers().get("x29")
    except (LookupError, TypeError):
        return None
    data = read(place, size)
    if data is None or len(data) < max(at["regs"] + 31 * 8, at["sp"] + 8, at["pc"] + 8):
        return None

    def word(offset: int) -> int:
        return int.from_bytes(data[offset : offset + 8], "little")

    found = {f"x{n}": word(at["regs"] + 8 * n) for n in range(31)}
    found["sp"] = word(at["sp"])
    if word(at["pc"]) != frame.pc or found["x29"] != outer:
        return None
    return found


def registers_at(prog: drgn.Program, trace: drgn.StackTrace, number: int) -> dict[str, int] | None:
    """
    The registers where an exception came in, whether the unwinder saw that or not.

    :param number: Of the frame in the trace.
    :return: None if the frame was not interrupted.
    """
    frame = trace[number]
    if frame.interrupted:
        return dict(frame.registers())
    platform = prog.platform
    if not number or platform is None or platform.arch is not drgn.Architecture.AARCH64:
        return None

    def read(address: int, size: int) -> bytes | None:
        return try_read(prog.read, address, size)

    found = interrupted_registers(prog, read, trace[number - 1], frame)
    return None if found is None else {**found, "pc": frame.pc}
