"""``irq`` as drgn has it; what this machine has not is an error of one line.

Facts: ``idt_table`` is x86's.
"""

from __future__ import annotations

from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands.crash.call import Call


def plain(call: Call) -> Any:
    """drgn's ``irq``; ``-d`` on another machine than x86 says so in one line."""
    platform = call.prog.platform
    x86 = platform is None or platform.arch in (
        drgn.Architecture.X86_64,
        drgn.Architecture.I386,
    )
    if getattr(call.args, "idt", False) and not x86:
        raise CommandError("-d: only x86 has an interrupt descriptor table; type irq -u")
    if getattr(call.args, "drgn", False):
        return call.drgns()
    missing = _take_missing(call)
    result = call.drgns() if not missing or call.args.number else None
    if missing:
        raise CommandError(f"no IRQ {', '.join(map(str, missing))} here; irq -u lists those in use")
    return result


def _take_missing(call: Call) -> list[int]:
    """Take numbers out of the arguments that no IRQ has; drgn prints a line, and succeeds."""
    numbers = getattr(call.args, "number", None)
    if not numbers:
        return []
    count = _count(call.prog)
    missing = [n for n in numbers if not 0 <= n < count]
    call.args.number = [n for n in numbers if n not in missing]
    return missing


def _count(prog: drgn.Program) -> int:
    from drgn.helpers.linux.irq import irq_get_nr_irqs

    return irq_get_nr_irqs(prog)
