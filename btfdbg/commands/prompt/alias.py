"""``alias``: other names for commands, as in crash."""

from __future__ import annotations

import re

from drgn.commands import CommandError, ParsedCommand

from btfdbg.commands import aliases, output, words
from btfdbg.commands.define import text_command
from btfdbg.commands.state import state_of
from btfdbg.commands.text import Table
from btfdbg.program.session import Session

_MAX_ALIASES = 1000

# The list, or one of it, in a pipeline; behind a command | and > are part of the alias.
_SHOWN = re.compile(r"\s*(?:--json\b|\w*)\s*(?=[|>])")


def _split(source: str) -> ParsedCommand[str]:
    shown = _SHOWN.match(source)
    if shown is None:
        return ParsedCommand(source)
    parsed = words.parse(source[shown.end() :])
    if parsed.args:
        return ParsedCommand(source)
    return ParsedCommand(shown[0], parsed.redirections, parsed.pipeline)


@text_command(
    name="alias",
    description="another name for a command with its options",
    usage=r"**alias** [*NAME* [*COMMAND* ... | **\"\"**]]",
    long_description="""
    Without arguments list the aliases; with a name alone show one. With a command, NAME stands
    for it from now on at the start of a line. A command with ``|`` or ``>`` is written in
    quotes; an empty one, ``""``, forgets the alias. To have them in every session, write them
    into a file for ``btfdbg -i FILE``; those in a ``.crashrc`` are read with ``--crashrc``.
    """,
    examples=(
        ("alias", "all of them"),
        ("alias kp kmem -p", "kp is kmem -p from now on"),
        ('alias slabs "kmem -s | sort -n"', "with a pipeline, in quotes"),
        ('alias kp ""', "forget it"),
    ),
    parse=_split,
    complete=("command",),
)
def alias(session: Session, line: str) -> None:
    """Run the command."""
    own = state_of(session.prog).aliases
    word, _, text = line.strip().partition(" ")
    text = text.strip()
    as_json = word == "--json"
    if not word or as_json:
        _show(own, None, as_json)
        return
    if not aliases.NAME.fullmatch(word):
        raise CommandError(f"{word!r} cannot be an alias: a word of letters and digits can")
    if not text:
        if aliases.meaning(word, own) is None:
            raise CommandError(f"{word} is no alias")
        _show(own, word, False)
        return
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if not text:
        if own.pop(word, None) is None:
            known = " built in and stays" if aliases.meaning(word, {}) else " no alias"
            raise CommandError(f"{word} is{known}")
        print(f"alias deleted: {word}")
        return
    if word == "alias":
        raise CommandError("alias itself cannot be an alias")
    if len(own) >= _MAX_ALIASES:
        raise CommandError(f"there are {_MAX_ALIASES} aliases already")
    own[word] = text
    if not state_of(session.prog).depth:
        _show(own, word, False)


def _show(own: dict[str, str], only: str | None, as_json: bool) -> None:
    table = Table(("origin", "alias", "command"), styles={"alias": "name"})
    for origin, group in (
        ("runtime", own),
        ("builtin", aliases.BUILTIN),
        ("gdb", aliases.GDB),
        ("former", aliases.FORMER),
    ):
        for word, text in group.items():
            if only in (None, word):
                table.rows.append((origin, word, text))
    output.show(table, as_json=as_json)
