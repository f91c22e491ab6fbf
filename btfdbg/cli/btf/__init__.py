"""``btfdbg btf VERB``: read, write, compare and reduce BTF wherever it is.

Owns the list of verbs, one file per verb. A verb is a row of :data:`VERBS` and a module
of its name with ``add_arguments(parser)`` and ``run(args) -> int``, which returns the exit
status; input that cannot be used is a :class:`btfdbg.errors.BtfdbgError`, of which the
caller makes one line and status 2. What verbs share (opening FILE, writing OUT) is in
``common``; ``cli.reader`` reads a usual command line, ``parser`` any.

Only the chosen verb's module is imported, so a raw dump does not pay for a diff.
"""

from __future__ import annotations

import gc
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
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
    return import_module(f"{__name__}.{verb.replace('-', '_')}")


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


def run_quick(argv: Sequence[str]) -> int | None:
    """
    Run a verb whose command line has nothing unusual.

    :param argv: The verb and what follows it.
    :return: The exit status; ``None`` if it is for argparse to say.
    """
    if not argv or argv[0] not in VERBS:
        return None
    from btfdbg.cli.reader import read

    verb = verb_module(argv[0])
    args = read(verb.add_arguments, argv[1:])
    return None if args is None else run_verb(verb.run, args)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs; :func:`run` then runs the chosen one."""
    from btfdbg.cli.btf.parser import register

    register(parser.add_subparsers(dest="verb", metavar="VERB", required=True))


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb; return the exit status."""
    status: int = args.run_verb(args)
    return status
