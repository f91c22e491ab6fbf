"""``struct``, ``union`` and ``*`` with crash's options: offsets, raw, user memory, pointers.

Owns the forms that drgn's lack (``-o -r -u -p``), and expressions in the place of an address.

Facts: crash's ``help struct``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import display, output, values
from btfdbg.commands.candidates import struct_of, underlying
from btfdbg.commands.crash.another import run_line
from btfdbg.commands.crash.call import Call, parse_cpus, task_of_user
from btfdbg.commands.crash.operands import hexadecimal
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program import homonyms
from btfdbg.program.walks import remark

_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*")
_MAX_COUNT = 65536
_MAX_DEPTH = 8
_MAX_STRING = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """
    What a command line is about.

    :ivar members: Paths in the type; all of it without.
    :ivar places: (CPU or None, address) of each; empty if no address was given.
    """

    type: drgn.Type
    members: tuple[str, ...]
    places: tuple[tuple[int | None, int], ...]
    base: int


def plain(call: Call) -> Any:
    """drgn's command, with an expression as address; members alone as crash shows them."""
    text = call.args.address_or_symbol
    name = call.args.name
    if text is None and "." in name and not call.args.drgn:
        offsets(call)
        return None
    if text is not None:
        head, colon, cpus = text.rpartition(":")
        head, tail = (head, colon + cpus) if colon and "?" not in text else (text, "")
        call.args.address_or_symbol = hexadecimal(call.session, head) + tail
    return call.drgns()


def offsets(call: Call) -> None:
    """``-o``: members with their offsets in bytes, or with their addresses."""
    target = _target(call)
    for _, place in target.places or ((None, None),):
        _header(target.type)
        if target.members:
            for path in target.members:
                found = drgn.Object(call.prog, target.type, address=place or 0).subobject_(path)
                _line(target, found.type_, path, found.address_ or 0, place, 1, found)
        else:
            _members(target, struct_of(target.type), place or 0, place, 1)
        output.emit("}")
    if not target.places and not target.members:
        size = drgn.sizeof(target.type)
        output.emit(f"SIZE: {size:#x}" if target.base == 16 else f"SIZE: {size}")


def _header(type_: drgn.Type) -> None:
    output.emit(*display.highlight(type_.type_name()), " {")


def _members(
    target: Target, type_: drgn.Type | None, start: int, place: int | None, level: int
) -> None:
    for member in (type_.members if type_ is not None else None) or ():
        offset = start + member.bit_offset // 8
        inner = member.type  # behind a typedef it has a name
        record = inner.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION)
        if record and not inner.tag and level < _MAX_DEPTH:
            kind = "union" if inner.kind is drgn.TypeKind.UNION else "struct"
            output.emit(" " * (_width(place) + 4 * level - 3), ("keyword", kind), " {")
            _members(target, inner, offset, place, level + 1)
            closing = f"}} {member.name or ''}".rstrip()
            output.emit(" " * (_width(place) + 4 * level - 3), f"{closing};")
            continue
        _line(target, member.type, member.name or "", offset, place, level, member)


def _width(place: int | None) -> int:
    return 6 if place is None else 20


def _line(
    target: Target, type_: drgn.Type, name: str, at: int, place: int | None, level: int, of: Any
) -> None:
    bits = of.bit_field_size if isinstance(of, drgn.TypeMember) else of.bit_field_size_
    declared = type_.variable_declaration(name) + (f" : {bits}" if bits is not None else "")
    number = f"{at:x}" if place is not None else f"{at:#x}" if target.base == 16 else str(at)
    indent = "    " * (level - 1)
    where = f"[{number}]".rjust(_width(place))
    for i, line in enumerate(f"{declared};".splitlines()):
        output.emit(("address", where if not i else " " * len(where)), f" {indent}{line}")


def raw(call: Call) -> None:
    """``-r``: the bytes, as ``rd`` shows them."""
    target = _target(call, needs_address=True)
    for found in _objects(call, target):
        for part in [found.subobject_(path) for path in target.members] or [found]:
            if part.address_ is None or part.bit_field_size_ is not None:
                raise CommandError("-r: a bit-field has no bytes of its own")
            size = drgn.sizeof(part)
            unit = next(n for n in (8, 4, 2, 1) if not size % n)
            run_line(call.prog, "rd", [f"-{unit * 8}", f"{part.address_:x}", str(size // unit)])


def user(call: Call) -> None:
    """``-u``: read from the memory of the current task."""
    from drgn.helpers.linux.mm import access_process_vm

    target = _target(call, needs_address=True)
    task = task_of_user(call.prog)
    size = drgn.sizeof(target.type)
    for _, place in target.places:
        data = access_process_vm(task, place, size)
        _show(target, drgn.Object.from_bytes_(call.prog, target.type, data))


def pointers(call: Call) -> None:
    """``-p``: what pointers point to as well."""
    target = _target(call, needs_address=True)
    for found in _objects(call, target):
        for path in target.members or tuple(_names(target.type)):
            _show_target(target, path, found.subobject_(path))


def _names(type_: drgn.Type) -> Iterator[str]:
    from btfdbg.commands.candidates import members

    found = struct_of(type_)
    for name, _, _ in members(found) if found is not None else ():
        yield name


def _show_target(target: Target, path: str, member: drgn.Object) -> None:
    shown = member.format_(dereference=False, integer_base=target.base)
    if underlying(member.type_).kind is not drgn.TypeKind.POINTER:
        output.emit(f"  {path} = ", *display.highlight(shown))
        return
    address = int(member.value_())
    declared = " ".join(member.type_.variable_declaration(path).split())
    output.emit("  ", *display.highlight(f"{declared} = {address:#x}"), _symbol(member, address))
    if address:
        text = _pointed_to(member, address, target.base)
        if text:
            first, *rest = text.splitlines()
            output.emit("  -> ", *display.highlight("\n     ".join((first, *rest))))


def _symbol(member: drgn.Object, address: int) -> str:
    try:
        symbol = member.prog_.symbol(address)
    except LookupError:
        return ""
    offset = address - symbol.address
    return f"  <{symbol.name}{f'+{offset:#x}' if offset else ''}>"


def _pointed_to(member: drgn.Object, address: int, base: int) -> str:
    inner = underlying(underlying(member.type_).type)
    if inner.kind in (drgn.TypeKind.VOID, drgn.TypeKind.FUNCTION):
        return ""
    if inner.kind is drgn.TypeKind.INT and inner.size == 1 and "char" in inner.name:
        try:
            data = member.prog_.read_c_string(address, max_size=_MAX_STRING)
        except drgn.FaultError as e:
            return f"<cannot read {e.address:#x}>"
        return f'"{data.decode("utf-8", "backslashreplace")}"'
    try:
        text: str = display.format_object(member[0], 0, base, dereference=False)
    except (TypeError, ValueError) as e:
        return f"<{e}>"
    return text


def _show(target: Target, found: drgn.Object) -> None:
    base = target.base
    if not target.members:
        output.emit(*display.highlight(display.format_object(found, 0, base, dereference=False)))
    for path in target.members:
        text = display.format_object(found.subobject_(path), 0, base, dereference=False)
        output.emit(f"{path} = ", *display.highlight(text))


def _objects(call: Call, target: Target) -> Iterator[drgn.Object]:
    for i, (cpu, place) in enumerate(target.places):
        if i:
            output.emit("")
        if cpu is not None:
            output.emit(("dim", f"[{cpu}]: {place:x}"))
        yield drgn.Object(call.prog, target.type, address=place)


def _target(call: Call, *, needs_address: bool = False) -> Target:
    args = call.args
    name, _, rest = args.name.partition(".")
    members = tuple(rest.split(",")) if rest else ()
    for path in members:
        if not _MEMBER.fullmatch(path):
            raise CommandError(f"{path!r} is no member")
    text = args.address_or_symbol
    places = [] if text is None else _places(call, text)
    type_ = _type(call, name, members, places[0][1] if len(places) == 1 else None)
    for path in members:
        drgn.offsetof(type_, path)
    base = args.integer_base or call.prog.config.get("crash_radix", 10)
    if text is None:
        if needs_address:
            raise CommandError(f"which {name}? this option needs an address")
        return Target(type_, members, (), base)
    offset = 0 if args.offset is None else _offset(call, type_, args.offset)
    count = 1 if getattr(args, "count", None) is None else args.count
    if not 0 < abs(count) <= _MAX_COUNT:
        raise CommandError(f"a count of {count}: 1 to {_MAX_COUNT}")
    size = drgn.sizeof(type_)
    indices = range(count) if count > 0 else range(count + 1, 1)
    found = [
        (cpu, (place - offset + i * size) & values.MASK) for cpu, place in places for i in indices
    ]
    return Target(type_, members, tuple(found), base)


def _type(
    call: Call, name: str, members: tuple[str, ...] = (), address: int | None = None
) -> drgn.Type:
    """The type of a name; of several, as the object or the members tell."""
    kinds = {"struct": ("struct ",), "union": ("union ",)}.get(call.command, ("struct ", "union "))
    if "#" in name:
        word = kinds[0] if len(kinds) == 1 else ""
        chosen = homonyms.chosen(call.session, word + name)
        assert chosen is not None
        return chosen
    found = _first_type(call, name, kinds)
    same = homonyms.homonyms_of(call.session, found)
    if not same:
        return found
    one, said = homonyms.choose(call.session, same, members, address)
    if said:
        remark(call.prog, said)
    return one.type


def _first_type(call: Call, name: str, kinds: tuple[str, ...]) -> drgn.Type:
    for spelling in (*(kind + name for kind in kinds), name):
        try:
            found = call.prog.type(spelling)
        except (LookupError, SyntaxError):
            continue
        if struct_of(found) is not None and underlying(found).kind is not drgn.TypeKind.POINTER:
            return found
    raise LookupError(f"could not find '{kinds[0]}{name}'")


def _offset(call: Call, type_: drgn.Type, text: str) -> int:
    name, dot, member = text.partition(".")
    if not dot:
        try:
            return int(text, 0)
        except ValueError:
            raise CommandError(f"-l {text}: a number of bytes or STRUCT.MEMBER") from None
    return int(drgn.offsetof(type_ if name == type_.tag else _type(call, name), member))


def _places(call: Call, text: str) -> list[tuple[int | None, int]]:
    head, colon, cpus = text.rpartition(":")
    if not colon or "?" in text:
        return [(None, values.address(call.session, text))]
    from drgn.helpers.linux.percpu import per_cpu_ptr

    found = parse_cpus(call.prog, cpus, ":")
    pointer = drgn.Object(call.prog, "void *", _template(call, head))
    return [(cpu, int(per_cpu_ptr(pointer, cpu).value_())) for cpu in found]


def _template(call: Call, text: str) -> int:
    try:
        return int(call.prog.symbol(text).address)
    except LookupError:
        return values.address(call.session, text)
