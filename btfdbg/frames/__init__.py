"""What the code of a kernel knows: arguments of frames, source files, without DWARF.

``sources`` is a package of its own. In reading order: ``ir`` (what an instruction does),
``x86_64`` and ``arm64`` (instructions into that), ``disasm`` (bytes into instructions),
``flow`` (what registers and slots still hold), ``abi`` (where parameters are passed), ``text``
(functions, their prototypes, what may rewrite them), ``recover`` (the walk over a stack).

A value is shown only if it is proven to be what the function was called with; anything else
has a reason instead.
"""

from __future__ import annotations

from btfdbg.frames.arguments import Argument, arguments, recovery
from btfdbg.frames.sources import SourceFile, source_file

__all__ = ("Argument", "SourceFile", "arguments", "recovery", "source_file")
