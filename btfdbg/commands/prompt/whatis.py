"""``whatis``: a type with offsets and holes, or the type of a variable or expression."""

from __future__ import annotations

import argparse

import drgn
from drgn.commands import argument

from btfdbg.commands import display, output, text, values, words
from btfdbg.commands.define import prompt_command
from btfdbg.program import homonyms
from btfdbg.program.per_cpu import copies, is_per_cpu
from btfdbg.program.session import Session

_MAX_CPUS = 4
# What begins with one of these can be nothing but a type.
_TYPE_WORDS = frozenset(("struct", "union", "enum"))


def _code(session: Session, args: argparse.Namespace) -> str:
    name = " ".join(args.name)
    try:
        return f"prog.type({values.find_type(session, name).type_name()!r})"
    except (LookupError, values.ArgumentError):
        return f"{words.arrows(name)}.type_"


@prompt_command(
    name="whatis",
    description="show a type with offsets and holes, or the type of anything",
    long_description="""
    Show the definition of a type with the offset and size in bytes of every
    member and the holes between them; or, if no type has that name, the type of
    a variable, function or expression and where it is known from.
    """,
    arguments=(argument("name", nargs="+", help="type, variable, function or expression"),),
    examples=(
        ("whatis struct list_head", "offsets and sizes"),
        ("whatis init_task", "a variable: its type and what it is known from"),
        ('whatis prog["init_task"].tasks', "any expression"),
    ),
    drgn_code=_code,
    complete=("type", "address"),
)
def whatis(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    name = " ".join(args.name)
    try:
        type_ = values.find_type(session, name)
    except (LookupError, values.ArgumentError):
        if name.partition(" ")[0] in _TYPE_WORDS and name.split()[1:]:
            raise
    else:
        output.lines(display.type_lines(type_))
        _others(session, type_)
        _doubts(session, type_)
        return
    try:
        found = session.prog[name]
    except KeyError:
        found = values.evaluate(session, name)
    if not isinstance(found, drgn.Object):
        output.emit(("type", type(found).__name__))
        return
    simple = name.isidentifier()
    declared = found.type_.variable_declaration(name if simple else "")
    output.emit(*display.highlight(declared.rstrip() + ";"))
    source = session.variable_source(name) if simple else None
    facts = [] if found.address_ is None else [f"at {found.address_:#x}"]
    if simple and found.address_ is not None and is_per_cpu(session, name):
        facts = [_places(session, found.address_)]
    try:
        facts.append(f"size: {drgn.sizeof(found)}")
    except TypeError:
        pass
    if source is not None:
        facts.append(f"type known from: {source}")
    facts += _file(session, found)
    if facts:
        output.emit(("comment", f"/* {', '.join(facts)} */"))
    _others(session, found.type_)
    _doubts(session, found.type_)


def _others(session: Session, type_: drgn.Type) -> None:
    """Say which other types share a type's name."""
    found = homonyms.homonyms_of(session, type_)
    if not found:
        return
    given = homonyms.number_of(found, type_)
    this = f"this is #{given}" if given else "this is a module's"
    output.emit(("comment", f"/* {len(found)} types of the kernel are called so; {this}:"))
    for one in found:
        output.emit(("comment", f" *   {text.escape(one.describe())}"))
    output.emit(("comment", " */"))


def _doubts(session: Session, type_: drgn.Type) -> None:
    """Say what the BTF leaves open about a type."""
    from btfdbg.program.doubts import doubts_of

    for doubt in doubts_of(session, type_):
        output.emit(("comment", f"/* {doubt} */"))


def _file(session: Session, found: drgn.Object) -> list[str]:
    """The source file of a function."""
    if found.type_.unaliased_kind() is not drgn.TypeKind.FUNCTION or found.address_ is None:
        return []
    from btfdbg.frames.sources import source_file

    file = source_file(session, found.address_)
    return (
        [] if file is None else [f"in {text.escape(file.file)} (by: {text.escape(file.evidence)})"]
    )


def _places(session: Session, address: int) -> str:
    """Where the copies of a per-CPU variable are, the first few."""
    found = list(copies(session, address))
    told = [f"CPU {cpu}'s at {place:#x}" for cpu, place in found[:_MAX_CPUS]]
    if len(found) > _MAX_CPUS:
        told.append(f"{len(found) - _MAX_CPUS} more")
    return f"per-CPU: {', '.join(told)}"
