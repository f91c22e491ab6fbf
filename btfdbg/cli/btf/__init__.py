"""``btfdbg btf VERB``: read, write, compare and reduce BTF wherever it is.

Owns the verbs, one file each. A verb is a row of :data:`btfdbg.cli.btf.verbs.VERBS` and a module
of its name with ``add_arguments(parser)`` and ``run(args) -> int``, which returns the exit
status; input that cannot be used is a :class:`btfdbg.errors.BtfdbgError`, of which the
caller makes one line and status 2. What verbs share (opening FILE, writing OUT) is in
``common``; ``cli.reader`` reads a usual command line, ``parser`` any.

Only the chosen verb's module is imported, so a raw dump does not pay for a diff.
"""

from __future__ import annotations

from btfdbg.cli.btf.verbs import VERBS, run_verb, verb_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


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
