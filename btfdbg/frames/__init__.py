"""What the code of a kernel knows: arguments of frames, source files, without DWARF.

``sources`` is a package of its own. In reading order:

* instructions: ``ir`` (what one does), ``x86_64`` and ``arm64`` (their words into that),
  ``disasm`` (bytes into instructions), ``abi`` (where parameters are passed);
* one function: ``code`` (what is asked of it), ``blocks`` (its instructions and where they
  lead), ``state`` (values of registers and slots), ``execute`` (what an instruction does to
  them), ``flow`` (what still holds at each), ``packed_flow`` and ``kept_flows`` (from one run to
  the next);
* the kernel's text: ``module_text``, ``text_symbols``, ``text_tables`` (what may rewrite it),
  ``prototypes``, ``agreement`` (does the code agree with one), ``function``, ``text``;
* a stack: ``environment`` (numbers of values), ``walked`` (a frame), ``placing`` (is it where
  the unwinder says), ``conditions`` (what decides a branch), ``ways`` (which way it came),
  ``passing`` (what its caller passed), ``recover`` (the walk), ``arguments`` (as drgn objects),
  ``plausible`` (can it be one of its type), ``exception`` (registers at one that the unwinder
  has not seen), ``stack_end`` (where memory
  is missing), ``describe`` (a value in words), ``lines`` (as text);
* types: ``layout`` (what a type has at an offset), ``types`` (of values), ``members`` (which of
  several is meant), ``meant`` (a pointer or a number), ``lists`` (whose entry a pointer is to),
  ``uses`` (what a pointer is taken for), ``operand`` (of an instruction);
* what faulted: ``access``, ``pointers`` (what a value says of itself), ``slab_state``,
  ``own_structs``; the listing of ``dis``: ``listing``;
* variables, from code and memory: ``references``, ``globals``, ``reading``, ``bounds`` (what
  UBSAN's checks say of tables), ``evidence``, ``enclosing``, ``contents``; what other kernels
  have, borne out by them: ``touches``, ``borne_out``; what speaks against a number:
  ``reference_index`` (all places at once), ``accesses``.

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
