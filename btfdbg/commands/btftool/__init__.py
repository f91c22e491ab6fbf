"""``btfdbg btf VERB``: the BTF toolkit on the command line; one file per verb.

A verb is a row of :data:`VERBS` and a module of its name with ``add_arguments(parser)``
and ``run(args) -> int``, which returns the exit status; input that cannot be used
is a :class:`btfdbg.errors.BtfdbgError`, of which the caller makes one line and
status 2. What verbs share (opening FILE, writing OUT) is in ``common``.

Only the chosen verb's module is imported, so a raw dump does not pay for a diff.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    # Generic in typeshed only.
    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

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
}


class _Verb(argparse.ArgumentParser):
    """A parser that asks its verb's module for arguments when it is first used."""

    module = ""

    def _load(self) -> None:
        if self.module:
            name, self.module = self.module, ""
            verb = import_module(f"{__name__}.{name}")
            self.description = self.description or (verb.__doc__ or "").partition("\n\n")[2]
            self.formatter_class = argparse.RawDescriptionHelpFormatter
            verb.add_arguments(self)
            self.set_defaults(run=partial(_run, verb.run))

    def parse_known_args(  # type: ignore[override] # the overloads only differ by namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        self._load()
        return super().parse_known_args(args, namespace)


def _run(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
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


def register(subparsers: _Subparsers) -> None:
    """Add the verbs to ``btfdbg btf``'s parser; ``args.run(args)`` then runs the chosen one."""
    subparsers._parser_class = _Verb  # what parser_class= sets, had we made subparsers
    for verb, text in VERBS.items():
        parser = subparsers.add_parser(verb, help=text)
        assert isinstance(parser, _Verb)  # made by the class above
        parser.module = verb.replace("-", "_")
