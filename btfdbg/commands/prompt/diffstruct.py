"""``diffstruct``: the members in which two structs differ."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import drgn
from drgn.commands import argument

from btfdbg.commands import display, kernel_names, text, values
from btfdbg.commands.candidates import members, struct_of, underlying
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program import annotate
from btfdbg.program.session import Session

_MAX_DEPTH = 16
_MAX_ELEMENTS = 256
_MAX_CELL = 48


def _code(session: Session, args: argparse.Namespace) -> str:
    a, b = _structs(session, args.a, args.b, args.type)
    name = a.type_.type_name()
    return (
        "from drgn import Object\n\n\n"
        f"a = Object(prog, {name!r}, address={a.address_:#x})\n"
        f"b = Object(prog, {name!r}, address={b.address_:#x})\n"
        "for member in a.type_.members:\n"
        "    if member.name:\n"
        "        left, right = a.member_(member.name), b.member_(member.name)\n"
        "        if left.to_bytes_() != right.to_bytes_():\n"
        "            print(member.name, left, right)"
    )


@prompt_command(
    name="diffstruct",
    description="show the members in which two structs differ",
    long_description="""
    Compare two structs of one type member by member, nested structs and arrays
    included, and show those that differ. Pointers into the two structs
    themselves at the same offset count as equal (an empty list head points to
    itself in both).
    """,
    arguments=(
        argument("a", metavar="A", help="address, symbol, $name or expression"),
        argument("b", metavar="B", help="the other one"),
        argument("-t", "--type", help="type of both, if it cannot be told"),
        argument("-a", "--all", action="store_true", help="show equal members, too"),
    ),
    examples=(
        (
            "diffstruct -t 'struct task_struct' init_task 'prog[\"init_task\"].parent'",
            "a task and its parent (here: the same one)",
        ),
        ("diffstruct 'find_task(prog, 1)' init_task", "init and the idle task"),
    ),
    drgn_code=_code,
    table=True,
    complete=("address",),
)
def diffstruct(session: Session, args: argparse.Namespace) -> Table:
    """Run the command."""
    a, b = _structs(session, args.a, args.b, args.type)
    table = Table(("member", "a", "b"), styles={"member": "name", "a": "bad", "b": "good"})
    table.none = "no member differs"
    table.headings = {"a": f"A {a.address_ or 0:#x}", "b": f"B {b.address_ or 0:#x}"}
    for name, left, right in _leaves(a, b, "", 0):
        x, y = _show(left), _show(right)
        if args.all or (x != y and not _same_place(left, right, a, b)):
            if not args.json:
                x, y = text.cut(x, _MAX_CELL), text.cut(y, _MAX_CELL)
            table.rows.append((name, x, y))
    return table


def _structs(
    session: Session, a: str, b: str, type_: str | None
) -> tuple[drgn.Object, drgn.Object]:
    found = [values.value(session, word) for word in (a, b)]
    type_name = type_
    if type_name is None:
        for value in found:
            type_name = type_name or _type_of(session, value)
    if type_name is None:
        raise kernel_names.ArgumentError("of which type? give it with -t TYPE")
    target = struct_of(kernel_names.find_type(session, type_name))
    if target is None:
        raise kernel_names.ArgumentError(f"{type_name} is not a struct or union")
    objects = []
    for value in found:
        address = value if isinstance(value, int) else values.address_of(value)
        objects.append(drgn.Object(session.prog, target, address=address))
    return objects[0], objects[1]


def _type_of(session: Session, value: int | drgn.Object) -> str | None:
    if isinstance(value, drgn.Object):
        found = struct_of(value.type_)
        return found.type_name() if found is not None else None
    for identity in annotate.identify(session, value):
        if identity.type is not None and identity.offset == 0:
            return identity.type
    return None


def _leaves(
    a: drgn.Object, b: drgn.Object, name: str, depth: int
) -> Iterator[tuple[str, drgn.Object, drgn.Object]]:
    type_ = underlying(a.type_)
    if type_.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION) and depth < _MAX_DEPTH:
        for member, _, _ in members(type_):
            dot = f"{name}.{member}" if name else member
            yield from _leaves(a.member_(member), b.member_(member), dot, depth + 1)
    elif (
        type_.kind is drgn.TypeKind.ARRAY
        and underlying(type_.type).kind not in (drgn.TypeKind.INT, drgn.TypeKind.BOOL)
        and depth < _MAX_DEPTH
    ):
        for i in range(min(type_.length or 0, _MAX_ELEMENTS)):
            yield from _leaves(a[i], b[i], f"{name}[{i}]", depth + 1)
    else:
        yield name, a, b


def _show(obj: drgn.Object) -> str:
    try:
        return str(obj.format_(type_name=False, dereference=False, columns=1 << 16))
    except drgn.FaultError as e:
        return f"<cannot read {e.address:#x}>"
    except TypeError:  # incomplete type: no value
        return display.type_name(obj.type_)


def _same_place(x: drgn.Object, y: drgn.Object, a: drgn.Object, b: drgn.Object) -> bool:
    """Whether two pointers point to the same offset of their own structs."""
    if underlying(x.type_).kind is not drgn.TypeKind.POINTER:
        return False
    size = drgn.sizeof(a)
    try:
        left = x.value_() - (a.address_ or 0)
        right = y.value_() - (b.address_ or 0)
    except drgn.FaultError:
        return False
    return bool(left == right and 0 <= left < size)
