"""The argument parser of ``btfdbg btf``: for help, for mistakes, and for unusual options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from btfdbg.cli.btf.verbs import VERBS, run_verb, verb_module
from btfdbg.cli.intermixed import Intermixed


class _Verb(Intermixed):
    """A parser that asks its verb's module for arguments when it is first used."""

    verb = ""

    def _load(self) -> None:
        if self.verb:
            from btfdbg.commands.text import fold

            name, self.verb = self.verb, ""
            verb = verb_module(name)
            self.description = self.description or fold((verb.__doc__ or "").partition("\n\n")[2])
            self.formatter_class = argparse.RawDescriptionHelpFormatter
            verb.add_arguments(self)
            self.set_defaults(run_verb=partial(run_verb, verb.run))

    def parse_known_args(  # type: ignore[override] # the overloads only differ by namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        self._load()
        return super().parse_known_args(args, namespace)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs; ``args.run_verb(args)`` then runs the chosen one."""
    subparsers._parser_class = _Verb  # what parser_class= sets, had we made subparsers
    for verb, text in VERBS.items():
        parser = subparsers.add_parser(verb, help=text)
        assert isinstance(parser, _Verb)  # made by the class above
        parser.verb = verb
