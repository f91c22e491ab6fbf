"""``whatis``: a type with offsets and holes, or the type of a variable or expression."""

from __future__ import annotations

import argparse
import re

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import display, kernel_names, output, text, values, words
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program import changed, homonyms
from btfdbg.program.per_cpu import copies, is_per_cpu
from btfdbg.program.session import Session

_MAX_CPUS = 4
_MAX_SIZE = 1 << 32
_SIZES = re.compile(r"(0x[0-9a-fA-F]{1,9}|\d{1,10})(?:-(0x[0-9a-fA-F]{1,9}|\d{1,10}))?")
# What begins with one of these can be nothing but a type.
_TYPE_WORDS = frozenset(("struct", "union", "enum"))


def _code(session: Session, args: argparse.Namespace) -> str:
    name = " ".join(args.name)
    try:
        return f"prog.type({kernel_names.find_type(session, name).type_name()!r})"
    except (LookupError, kernel_names.ArgumentError):
        return f"{words.arrows(name)}.type_"


@prompt_command(
    name="whatis",
    description="show a type with offsets and holes, or the type of anything",
    long_description="""
    Show the definition of a type with the offset and size in bytes of every
    member and the holes between them; or, if no type has that name, the type of
    a variable, function or expression and where it is known from. -r and -m look for
    structs by their size and by the types of their members.
    """,
    arguments=(
        argument("name", nargs="*", help="type, variable, function or expression"),
        argument("-o", dest="offsets", action="store_true", help="as crash's: always done here"),
        argument(
            "-r", dest="size", metavar="SIZE|LOW-HIGH", help="all structs of this size, in bytes"
        ),
        argument(
            "-m",
            dest="member",
            metavar="TYPE",
            help="all structs with a member of this type, or a pointer to it; a part is enough",
        ),
    ),
    examples=(
        ("whatis struct list_head", "offsets and sizes"),
        ("whatis init_task", "a variable: its type and what it is known from"),
        ('whatis prog["init_task"].tasks', "any expression"),
        ("whatis -r 16-24 -m list_head", "structs of a size that have a list_head"),
    ),
    drgn_code=_code,
    table=True,
    complete=("type", "address"),
)
def whatis(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    name = " ".join(args.name)
    if args.size is not None or args.member is not None:
        if name:
            raise CommandError(f"{name}: -r and -m look through all structs, of no name")
        return _search(session, args)
    if not name:
        raise CommandError("what? a type, variable or expression; -r and -m look for structs")
    if args.json:
        raise CommandError("--json is for -r and -m; btfdbg btf dump -f json has types as JSON")
    _describe(session, name)
    return None


def _search(session: Session, args: argparse.Namespace) -> Table | None:
    from btfdbg.commands.type_search import search

    low, high = 0, _MAX_SIZE
    if args.size is not None:
        match = _SIZES.fullmatch(args.size)
        if not match:
            raise CommandError(f"-r {args.size}: a size in bytes, or LOW-HIGH")
        low = int(match[1], 0)
        high = int(match[2], 0) if match[2] else low
    found = search(session, low, high, args.member or "")
    table = Table(("size", "type", "kind", "module"), styles={"type": "type"})
    table.rows += [(m.size, m.name, m.kind, m.module or None) for m in found]
    if not found and not args.json:
        raise CommandError("no struct of this dump is like that")
    return table


def _member(session: Session, name: str) -> bool:
    """``whatis task_struct.pid``: the member of a type, if it is one and no variable's."""
    root, dot, path = name.partition(".")
    words_ = root.split()
    if not dot or not words_ or (len(words_) == 1 and session.lookup_symbols(words_[0])):
        return False
    try:
        type_ = kernel_names.find_type(session, root)
        found = drgn.Object(session.prog, type_, address=0).subobject_(path)
    except (LookupError, TypeError, SyntaxError, ValueError):
        return False
    declared = found.type_.variable_declaration(path.rpartition(".")[2])
    output.emit(*display.highlight(f"{declared};"))
    facts = f"offset: {found.address_}, in {type_.type_name()}"
    output.emit(("comment", f"/* {facts}, size: {drgn.sizeof(found)} */"))
    return True


def _describe(session: Session, name: str) -> None:
    if _member(session, name):
        return
    try:
        type_ = kernel_names.find_type(session, name)
    except (LookupError, kernel_names.ArgumentError):
        if name.partition(" ")[0] in _TYPE_WORDS and name.split()[1:]:
            raise
    else:
        output.lines(display.type_lines(type_))
        _others(session, type_)
        _doubts(session, type_)
        if name.isidentifier() and session.lookup_symbols(name):
            output.emit(("comment", f"/* there is a symbol {name}, too: p {name} */"))
        return
    try:
        found = session.prog[name]
    except KeyError:
        code = changed.changed(session, name)
        if code is not None:
            _describe_code(session, code)
            return
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
        caution = session.variable_caution(name)
        facts += [caution] if caution else []
    facts += _file(session, found)
    if facts:
        output.emit(("comment", f"/* {', '.join(facts)} */"))
    _others(session, found.type_)
    _doubts(session, found.type_)


def _describe_code(session: Session, code: changed.Changed) -> None:
    """Say what code with a compiler's ending is: it has no type that could be shown."""
    lines = [f"{code.what}:", f"{code.why},", "so that it has no prototype of its own"]
    for place in code.places[:_MAX_CPUS]:
        lines.append(
            ", ".join((f"at {place.address:#x}, size: {place.size}", *_in(session, place.address)))
        )
    if len(code.places) > _MAX_CPUS:
        lines.append(f"{len(code.places) - _MAX_CPUS} more places")
    if code.source is not None:
        lines.append(f"{code.source.name} is at {code.source.address:#x}:")
    if code.prototype:
        lines.append(f"{code.prototype};")
    last = len(lines) - 1
    for number, line in enumerate(lines):
        start, end = "/*" if not number else " *", " */" if number == last else ""
        output.emit(("comment", f"{start} {text.escape(line)}{end}"))


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
    return _in(session, found.address_)


def _in(session: Session, address: int) -> list[str]:
    """The source file of the code at an address."""
    from btfdbg.frames.sources import source_file

    file = source_file(session, address)
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
