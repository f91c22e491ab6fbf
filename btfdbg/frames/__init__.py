"""What the machine code knows of a frame: its arguments, without DWARF.

In reading order: ``ir`` (what an instruction does), ``x86_64`` and ``arm64`` (instructions
into that), ``disasm`` (bytes into instructions), ``flow`` (what registers and slots still
hold), ``abi`` (where parameters are passed), ``text`` (functions, their prototypes, what may
rewrite them), ``recover`` (the walk over a stack).

A value is shown only if it is proven to be what the function was called with; anything else
has a reason instead.
"""

from __future__ import annotations

from btfdbg.frames.arguments import Argument, arguments, recovery

__all__ = ("Argument", "arguments", "recovery")
