"""``irq`` as drgn has it, where the table that it needs is the architecture's.

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
    return call.drgns()
