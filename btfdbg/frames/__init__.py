"""What the code of a kernel knows: arguments of frames, source files, without DWARF.

``sources`` is a package of its own. In reading order: ``ir`` (what an instruction does),
``x86_64`` and ``arm64`` (instructions into that), ``disasm`` (bytes into instructions),
``flow`` (what registers and slots still hold), ``abi`` (where parameters are passed), ``text``
and ``text_tables`` (functions, their prototypes, what may rewrite them), ``recover`` (the walk
over a stack),
``exception`` (registers at one that the unwinder has not seen), ``layout`` (what a type has at
an offset), ``types`` (of values), ``members`` (which of several is meant), ``uses`` (what a
pointer is taken for), ``operand`` (of an instruction), ``access``, ``slab_state`` and
``own_structs`` (what faulted, on what), ``listing`` (``dis``), ``references``, ``globals``,
``reading``, ``evidence``, ``enclosing`` and ``contents`` (types of variables, from code and
memory).

A value is shown only if it is proven to be what the function was called with; anything else
has a reason instead.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOME = {
    "Argument": "btfdbg.frames.arguments",
    "recovery": "btfdbg.frames.arguments",
    "SourceFile": "btfdbg.frames.sources",
    "source_file": "btfdbg.frames.sources",
}


def __getattr__(name: str) -> Any:
    # Each on first use: who asks for a file needs no disassembler.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
