"""``btfdbg vars VERB``: the database of variables' types.

Owns the list of verbs, one file per verb. Only the chosen verb's module is imported. A verb has
``add_arguments(parser)`` and ``run(args) -> int``.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Final

from btfdbg.cli.intermixed import Intermixed

#: Verb and what it does, in the order of ``--help``.
VERBS: Final[dict[str, str]] = {
    "extract": "read variables out of DWARF into the database's source, and compile it",
    "list": "list a dump's variables with their types and where these come from",
    "check": "compare the types given with those of DWARF",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs; ``args.run_verb(args)`` then runs the chosen one."""
    subparsers = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=Intermixed
    )
    for verb, text in VERBS.items():
        module = import_module(f"{__name__}.{verb}")
        sub = subparsers.add_parser(
            verb,
            help=text,
            description=(module.__doc__ or "").partition("\n\n")[2],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run_verb=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb; return the exit status."""
    status: int = args.run_verb(args)
    return status
