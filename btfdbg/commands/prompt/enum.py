"""``enum``: the enumerators of an enum, or what has a value or a name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import values
from btfdbg.commands.candidates import underlying
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program.doubts import doubts_of
from btfdbg.program.session import Session
from btfdbg.program.walks import remark


@prompt_command(
    name="enum",
    description="the enumerators of an enum and their values",
    long_description="""
    List the enumerators of an enum; with a value, those that have it. Given the name of an
    enumerator, show the enum that it is of.
    """,
    arguments=(
        argument("name", help="an enum, a typedef of one, or an enumerator"),
        argument("value", nargs="?", help="only what has this value"),
    ),
    examples=(
        ("enum pid_type", "all of an enum"),
        ("enum pid_type 1", "what 1 is called"),
        ("enum PIDTYPE_TGID", "the enum of an enumerator"),
    ),
    table=True,
    complete=("type",),
)
def enum(session: Session, args: argparse.Namespace) -> Table:
    """Run the command."""
    type_ = _enum(session, args.name.removeprefix("enum "))
    wanted = None if args.value is None else _number(session, args.value)
    name = type_.tag or "<anonymous>"
    table = Table(("enum", "name", "value"), styles={"name": "name", "enum": "type"})
    for enumerator in type_.enumerators or ():
        if wanted is None or enumerator.value == wanted:
            table.rows.append((name, enumerator.name, enumerator.value))
    for doubt in doubts_of(session, type_):
        remark(session.prog, f"{name}: {doubt}")
    if wanted is not None and not table.rows:
        raise CommandError(f"nothing in enum {name} is {args.value}")
    return table


def _number(session: Session, text: str) -> int:
    found = values.evaluate(session, text)
    if isinstance(found, int):
        return found
    if isinstance(found, drgn.Object):
        return int(found.value_())
    raise CommandError(f"{text!r} is no number")


def _enum(session: Session, name: str) -> drgn.Type:
    for type_ in _types(session, name):
        if underlying(type_).kind is drgn.TypeKind.ENUM:
            return underlying(type_)
    raise CommandError(f"{name} is neither an enum nor an enumerator in this dump")


def _types(session: Session, name: str) -> Iterator[drgn.Type]:
    for spelling in (f"enum {name}", name):
        try:
            yield session.prog.type(spelling)
        except (LookupError, SyntaxError):
            pass
    try:
        yield session.prog.constant(name).type_
    except LookupError:
        pass
