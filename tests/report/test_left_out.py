"""A caller that has no frame is in a report's stack, marked: the unwinder has none of it."""

from __future__ import annotations

from pathlib import Path

import drgn
from drgn.helpers.linux.panic import panic_task

import btfdbg
from btfdbg.report.look import Look


def _interrupted(prog: drgn.Program, pc: int, caller: drgn.StackFrame) -> drgn.StackTrace:
    """A stack whose innermost function has made no frame, and was called by ``caller``."""
    regs = prog.type("struct pt_regs")
    data = bytearray(regs.size or 0)
    record = caller.register("x29")  # gcc has it at the lowest address of a frame
    values = {"pc": pc, "sp": record, "pstate": 5, "regs[29]": record, "regs[30]": caller.pc}
    for name, value in values.items():
        at = int(drgn.offsetof(regs, name))
        data[at : at + 8] = int(value).to_bytes(8, "little")
    return prog.stack_trace(drgn.Object.from_bytes_(prog, regs, bytes(data)))


def test_the_caller_that_only_the_link_register_tells_is_marked(arm_core: Path) -> None:
    look = Look(btfdbg.session(btfdbg.program_from_core_dump(arm_core)))
    whole = look.prog.stack_trace(panic_task(look.prog))
    names = [frame.name for frame in whole]
    assert names[1:3] == ["tick_program_event", "hrtimer_interrupt"]
    trace = _interrupted(look.prog, whole[0].symbol().address, whole[1])
    assert [frame.name for frame in trace][:2] == [names[0], names[2]]

    shown = [str(call) for call in look._calls(trace)[:3]]
    offset = whole[1].pc - whole[1].symbol().address
    assert shown[0] == f"{names[0]}+0x0"
    assert shown[1] == f"{names[1]}+{offset:#x} (the unwinder leaves it out)"
    assert shown[2].startswith(f"{names[2]}+0x")
    assert "leaves it out" not in " ".join(map(str, look._calls(whole)))
