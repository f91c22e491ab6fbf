"""The verbs of ``btfdbg btf``: what there is, and how one is imported and run."""

from __future__ import annotations

import gc
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

#: Verb and what it does, in the order of ``--help``.
VERBS: Final[dict[str, str]] = {
    "dump": "print types as raw text, C or JSON",
    "assemble": "make BTF from raw text or JSON",
    "check": "list every rule that a BTF breaks",
    "convert": "byte order, header, order of types, older kernels",
    "embed": "put BTF into a copy of a module",
    "dedup": "merge types that are the same",
    "distill": "make split BTF that can be relocated",
    "relocate": "put split BTF on top of another base",
    "merge": "several BTFs of one base into one",
    "minimize": "keep what BPF objects need",
    "diff": "compare two BTFs' types",
    "find": "find types by name, pattern or member",
    "holes": "show a struct's holes and cache lines",
    "offset": "print where a member is",
    "fingerprint": "print 128 bits per type",
    "isf": "make a symbol table for volatility3",
    "encode-vars": "variables from DWARF as BTF",
}


def verb_module(verb: str) -> Any:
    """Import a verb's module."""
    return import_module(f"btfdbg.cli.btf.{verb.replace('-', '_')}")


def run_verb(run: Callable[[Any], int], args: Any) -> int:
    """
    Run a verb without looking for cycles.

    It makes 100,000s of lists and none among them, and then the process ends.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return run(args)
    finally:
        if collects:
            gc.enable()
