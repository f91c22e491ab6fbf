"""``btfdbg vars VERB``: the variable database on the command line; one file per verb.

Owns the list of verbs. Only the chosen verb's module is imported. A verb has
``add_arguments(parser)`` and ``run(args) -> int``.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    # Generic in typeshed only.
    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

#: Verb and what it does, in the order of ``--help``.
VERBS: Final[dict[str, str]] = {
    "extract": "read variables out of DWARF into the database's source, and compile it",
    "list": "list a dump's variables with their types and where these come from",
    "check": "compare the types given with those of DWARF",
}


def register(subparsers: _Subparsers) -> None:
    """Add the verbs; ``args.run(args)`` then runs the chosen one."""
    for verb, text in VERBS.items():
        module = import_module(f"{__name__}.{verb}")
        parser = subparsers.add_parser(
            verb,
            help=text,
            description=(module.__doc__ or "").partition("\n\n")[2],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        parser.set_defaults(run=module.run)
