"""How a command of ours is defined: ``@prompt_command`` and ``@text_command`` on top of drgn's.

Owns the namespace, the examples (help shows them, the tests run them) and what
``--drgn`` and ``--json`` mean. A command is a function of the Session and its
parsed arguments, or of its text; one that returns a ``Table`` can be printed either way.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import drgn
from drgn.commands import (
    CommandNamespace,
    CommandNotFoundError,
    ParsedCommand,
    argument,
    argument_group,
    custom_command,
    drgn_argument,
    mutually_exclusive_group,
)

from btfdbg.commands import output, where, words
from btfdbg.commands.arguments import options_first
from btfdbg.commands.text import Table
from btfdbg.lazy_dataclass import dataclass
from btfdbg.patches.install import reach
from btfdbg.program.session import Session, session

Argument = argument | argument_group | mutually_exclusive_group
Run = Callable[[Session, argparse.Namespace], Table | None]
RunText = Callable[[Session, str], None]
DrgnCode = Callable[[Session, argparse.Namespace], str]

NAMESPACE = CommandNamespace(func_name_prefix="_cmd_")


@dataclass(frozen=True, slots=True)
class Definition:
    """
    What we know about a command of ours beyond drgn's framework.

    :ivar examples: (command line, what it is for); each works on any dump.
    :ivar complete: Argument's name to what completes it; see ``repl.complete``.
    :ivar shared: drgn's command of the same name is run for words that are meant for it.
    """

    name: str
    examples: Sequence[tuple[str, str]]
    complete: Sequence[str]
    shared: bool = False


DEFINITIONS: dict[str, Definition] = {}


def own(prog: drgn.Program, name: str) -> Definition | None:
    """The definition of a command of ours; ``None`` if it is drgn's for this Program."""
    try:
        NAMESPACE.lookup(prog, name)
    except CommandNotFoundError:
        return None
    return DEFINITIONS.get(name)


def prompt_command(
    *,
    name: str,
    description: str,
    long_description: str,
    examples: Sequence[tuple[str, str]],
    arguments: Sequence[Argument] = (),
    drgn_code: DrgnCode | None = None,
    table: bool = False,
    complete: Sequence[str] = (),
    epilog: str = "",
    enabled: Callable[[drgn.Program], bool] = lambda prog: True,
    drgns: Callable[[Session, Sequence[str]], bool] | None = None,
) -> Callable[[Run], Run]:
    """
    Register a command of the prompt.

    :param examples: (command line, what it is for); at least one.
    :param drgn_code: Gives the code behind the command; adds ``--drgn``.
    :param table: The command returns a ``Table``; adds ``--json`` and ``--json-lines``.
    :param complete: What its operands are: ``address``, ``type``, ``pid``,
        ``slab``, ``module``, ``symbol``, ``command``, ``mark``.
    :param enabled: For which Programs it exists; where it does not, a command of
        drgn of the same name is run.
    :param drgns: Whether words are meant for drgn's command of the same name.
    """
    if not examples:
        raise TypeError(f"{name}: a command needs an example")
    declared = list(arguments)
    if table:
        declared.append(argument("--json", action="store_true", help="print JSON"))
        declared.append(
            argument("--json-lines", action="store_true", help="print a JSON object per row")
        )
    if drgn_code is not None:
        declared.append(drgn_argument)
    shown = _examples(examples)
    epilog = f"{epilog}\n\n{shown}" if epilog else shown

    def decorator(run: Run) -> Run:
        def entry(
            prog: drgn.Program,
            name: str,
            given: Sequence[str],
            /,
            *,
            parser: argparse.ArgumentParser,
            globals: dict[str, Any],
        ) -> None:
            if drgns is not None and drgns(session(prog), given):
                run_drgns(prog, name, given, globals)
                return
            args = parser.parse_args(options_first(parser, given))
            if drgn_code is not None and args.drgn:
                print(drgn_code(session(prog), args).rstrip("\n"))
                return
            as_lines = table and args.json_lines
            if as_lines:
                args.json = True
            found = run(session(prog), args)
            if found is not None:
                output.show(found, as_json=table and args.json, as_lines=as_lines)

        custom_command(
            name=name,
            description=description,
            long_description=long_description,
            epilog=epilog,
            arguments=declared,
            parse=words.parse,
            enabled=enabled,
            namespace=NAMESPACE,
        )(entry)
        DEFINITIONS[name] = Definition(name, tuple(examples), tuple(complete), drgns is not None)
        return run

    return decorator


def text_command(
    *,
    name: str,
    description: str,
    usage: str,
    long_description: str,
    examples: Sequence[tuple[str, str]],
    parse: Callable[[str], ParsedCommand[str]] = ParsedCommand,
    complete: Sequence[str] = (),
) -> Callable[[RunText], RunText]:
    """
    Register a command of the prompt that reads its line itself: an expression, another line.

    :param usage: reStructuredText, as drgn's ``custom_command()`` takes it.
    :param examples: As of :func:`prompt_command`; ``complete`` too.
    :param parse: Splits redirections and a pipeline off the line; without it none are.
    """

    def decorator(run: RunText) -> RunText:
        def entry(prog: drgn.Program, name: str, text: str, /, **kwargs: Any) -> None:
            run(session(prog), text)

        custom_command(
            name=name,
            description=description,
            usage=usage,
            long_description=long_description,
            epilog=_examples(examples),
            parse=parse,
            namespace=NAMESPACE,
        )(entry)
        DEFINITIONS[name] = Definition(name, tuple(examples), tuple(complete))
        return run

    return decorator


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    width = max(len(line) for line, _ in examples)
    # A line that starts with a bar is not wrapped by drgn's formatter.
    shown = "\n".join(f"|  {line.ljust(width)}  {why}" for line, why in examples)
    return f"examples:\n\n{shown}"


def run_drgns(
    prog: drgn.Program, name: str, given: Sequence[str], globals_: dict[str, Any]
) -> None:
    """
    Run drgn's command of a name that is ours as well.

    :raises CommandNotFoundError: this drgn has none.
    """
    command = drgns_command(prog, name)
    if command is None:
        raise CommandNotFoundError(name)
    parser = getattr(command, "_parser", None)
    if isinstance(parser, argparse.ArgumentParser):
        given = options_first(parser, given)
    command.run(prog, name, given, globals=globals_)


def drgns_command(prog: drgn.Program, name: str) -> Any | None:
    """drgn's crash command of a name; ``None`` if it has none."""
    where.load((name,))
    crash = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    reach("drgn.commands", "_CustomCommand._parser")
    if crash is None:
        return None
    try:
        return crash.lookup(prog, name)
    except CommandNotFoundError:
        return None
