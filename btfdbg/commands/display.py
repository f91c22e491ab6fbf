"""Objects and types as people read them: highlighted, with formats, holes and faults shown.

Owns how a value looks. A struct of which some memory is missing is printed
member by member, each that cannot be read saying so. Format letters are gdb's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import drgn

from btfdbg.commands.candidates import members, struct_of, underlying
from btfdbg.commands.text import COMMENT_COLUMN, Fragment, char_width, escape, quoted
from btfdbg.vmcore.read_failures import unread

_MAX_HIGHLIGHT = 200_000  # characters; longer output is printed plain
_MAX_DEPTH = 8
_MAX_STRING = 65536
_MAX_ELEMENTS = 64
_MAX_LOOKED_AT = 1 << 20  # bytes
_PAGE = 4096

# Values, the parts of C that drgn prints; a full lexer costs 10 times as much.
_TOKENS = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<comment>/\*.*?\*/|<cannot\ read[^>\n]*>)
    |(?P<keyword>\b(?:struct|union|enum|const|volatile|restrict|typedef|unsigned|signed)\b)
    |(?P<type>\b(?:_Bool|void|char|short|int|long|float|double|[us](?:8|16|32|64)|\w+_t)\b
        |(?<=struct\ )\w+|(?<=union\ )\w+|(?<=enum\ )\w+)
    |(?P<address>\b0x[0-9a-f]+\b)
    |(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\b)
    |(?P<symbol>(?<==\ )[A-Za-z_][\w.]*(?:\+0x[0-9a-f]+)?(?=,?$|,?\ \}))""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def highlight(text: str) -> list[Fragment]:
    """C-like text as fragments."""
    if len(text) > _MAX_HIGHLIGHT:
        return [("", text)]
    fragments: list[Fragment] = []
    position = 0
    for match in _TOKENS.finditer(text):
        if match.start() > position:
            fragments.append(("", text[position : match.start()]))
        fragments.append((match.lastgroup or "", match.group()))
        position = match.end()
    fragments.append(("", text[position:]))
    return fragments


def format_object(
    obj: drgn.Object, columns: int = 0, base: int = 10, *, dereference: bool = True
) -> str:
    """
    An object as drgn prints it; if memory is missing, as much as there is.

    :param columns: Width to format for, 0 for drgn's default.
    :param base: 8, 10 or 16.
    :param dereference: Show what a pointer points to as well.
    """
    try:
        text: str = obj.format_(columns=columns or 80, integer_base=base, dereference=dereference)
        return text
    except drgn.FaultError:
        return _with_holes(obj, columns, base, 0)


def _with_holes(obj: drgn.Object, columns: int, base: int, depth: int) -> str:
    head: str = f"({obj.type_.type_name()})"
    try:
        if underlying(obj.type_).kind is drgn.TypeKind.POINTER:
            # The target is what faulted; the pointer itself can be read.
            head = obj.format_(dereference=False, integer_base=base)
            target = obj[0]
            if struct_of(obj.type_) is None or depth:
                return head
            return f"*{head} = {_with_holes(target, columns, base, depth + 1)}"
        missing = _missing(obj)
        if missing:
            return head + missing
        return (head + _body(obj, columns, base, depth)) if depth < _MAX_DEPTH else head + "{ … }"
    except drgn.FaultError as e:
        return f"{head}{_cannot(e)}"


def _missing(obj: drgn.Object) -> str:
    """What to show for a struct or an array of which no byte can be read; "" if some can."""
    kinds = (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.ARRAY)
    if obj.address_ is None or underlying(obj.type_).kind not in kinds:
        return ""
    size = drgn.sizeof(obj) if obj.type_.is_complete() else 0
    if not 0 < size <= _MAX_LOOKED_AT:
        return ""
    start, end = obj.address_, obj.address_ + size
    fault = None
    for address in (start, *range(start - start % _PAGE + _PAGE, end, _PAGE)):
        try:
            obj.prog_.read(address, 1)
        except drgn.FaultError as e:
            fault = fault or e
            continue
        return ""
    if fault is not None:
        unread(obj.prog_).note_fault(fault)  # why is said in the end
    return f"<cannot read {start:#x} to {end - 1:#x}>"


def _body(obj: drgn.Object, columns: int, base: int, depth: int) -> str:
    type_ = underlying(obj.type_)
    indent = "\t" * (depth + 1)
    lines = []
    if struct_of(obj.type_) is not None:
        for member in type_.members or ():
            if not member.name:
                for name, _, _ in members(member.type):
                    lines.append(f".{name} = {_member(obj, name, columns, base, depth)}")
                continue
            lines.append(f".{member.name} = {_member(obj, member.name, columns, base, depth)}")
    elif type_.kind is drgn.TypeKind.ARRAY:
        length = type_.length or 0
        for i in range(min(length, _MAX_ELEMENTS)):
            lines.append(f"[{i}] = {_formatted(obj[i], columns, base, depth)}")
        if length > _MAX_ELEMENTS:
            lines.append(f"… {length - _MAX_ELEMENTS} more")
    else:
        text: str = obj.format_(integer_base=base, type_name=False)
        return text
    inner = "".join(f"{indent}{line},\n" for line in lines)
    return "{\n" + inner + "\t" * depth + "}"


def _member(obj: drgn.Object, name: str, columns: int, base: int, depth: int) -> str:
    return _formatted(obj.member_(name), columns, base, depth)


def _formatted(obj: drgn.Object, columns: int, base: int, depth: int) -> str:
    try:
        text: str = obj.format_(
            columns=columns or 80, integer_base=base, dereference=False, member_type_names=False
        )
    except drgn.FaultError as e:
        kind = underlying(obj.type_).kind
        if kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.ARRAY):
            return _with_holes(obj, columns, base, depth + 1)
        return f"({obj.type_.type_name()}){_cannot(e)}"
    return text.replace("\n", "\n" + "\t" * (depth + 1))


def _cannot(e: drgn.FaultError) -> str:
    return f"<cannot read {e.address:#x}>"


# Types


def type_lines(type_: drgn.Type, *, depth: int = 1) -> Iterator[list[Fragment]]:
    """
    A type with sizes, offsets and holes, as lines.

    :param depth: How many levels of nested anonymous types are opened.
    """
    target = struct_of(type_) if underlying(type_).kind is not drgn.TypeKind.POINTER else None
    if target is None or not target.is_complete():
        text = str(type_)
        for line in text.splitlines():
            yield highlight(line)
        size = _size(type_)
        if size is not None:
            yield [("comment", f"/* size: {size} */")]
        return
    if underlying(type_) is not type_ and type_.kind is drgn.TypeKind.TYPEDEF:
        yield highlight(str(type_).splitlines()[0])
    kind = "union" if target.kind is drgn.TypeKind.UNION else "struct"
    yield [("keyword", kind), ("", " "), ("type", target.tag or ""), ("", " {")]
    yield from _member_lines(target, 0, 1)
    holes, hole_bytes, padding = _holes(target)
    yield [("", "};")]
    text = f"/* size: {target.size}, members: {len(target.members or ())}"
    if holes:
        text += f", holes: {holes} ({hole_bytes} bytes)"
    if padding:
        text += f", padding: {padding} bytes"
    yield [("comment", text + " */")]


def _member_lines(target: drgn.Type, start: int, level: int) -> Iterator[list[Fragment]]:
    indent = "    " * level
    union = target.kind is drgn.TypeKind.UNION
    end = start
    for member in target.members or ():
        offset = start + member.bit_offset
        if not union and offset // 8 > (end + 7) // 8:
            gap = offset // 8 - (end + 7) // 8
            yield [("comment", f"{indent}/* hole of {gap} bytes */")]
        inner = underlying(member.type)
        anonymous = not member.name or (
            inner.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION) and not inner.tag
            and inner is member.type
        )  # fmt: skip
        if anonymous and struct_of(inner) is not None and level < _MAX_DEPTH:
            kind = "union" if inner.kind is drgn.TypeKind.UNION else "struct"
            yield [("", indent), ("keyword", kind), ("", " {")]
            yield from _member_lines(inner, offset, level + 1)
            yield [("", f"{indent}}} {member.name or ''}".rstrip() + ";")]
        else:
            yield _member_line(member, offset, indent)
        end = max(end, offset + _bits(member))


def _member_line(member: drgn.TypeMember, offset: int, indent: str) -> list[Fragment]:
    declared = member.type.variable_declaration(member.name or "")
    if member.bit_field_size is not None:
        declared += f" : {member.bit_field_size}"
    where = f"{offset // 8}"
    if member.bit_field_size is not None or offset % 8:
        where += f":{offset % 8}"
    size = "" if member.bit_field_size is not None else f" {_size(member.type) or 0}"
    text = escape(declared + ";")
    width = COMMENT_COLUMN - len(indent) - sum(map(char_width, text))
    return [
        ("", indent),
        *highlight(text),
        ("", " " * max(width, 1)),
        ("comment", f"/* {where:>6}{size:>6} */"),
    ]


def _holes(target: drgn.Type) -> tuple[int, int, int]:
    """Number of holes, bytes in them, bytes of padding at the end."""
    if target.kind is drgn.TypeKind.UNION or target.size is None:
        return 0, 0, 0
    end = count = lost = 0
    for member in target.members or ():
        gap = member.bit_offset // 8 - (end + 7) // 8
        if gap > 0:
            count += 1
            lost += gap
        end = max(end, member.bit_offset + _bits(member))
    return count, lost, max(target.size - (end + 7) // 8, 0)


def _bits(member: drgn.TypeMember) -> int:
    if member.bit_field_size is not None:
        return int(member.bit_field_size)
    return 8 * (_size(member.type) or 0)


def _size(type_: drgn.Type) -> int | None:
    """Size in bytes; None for void, functions and incomplete types."""
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return None


def member_meta(member: drgn.TypeMember, offset: int) -> str:
    """``type  +offset`` of a member, offset in bytes (``:bits`` if it is a bit field)."""
    where = f"+{offset // 8}"
    if member.bit_field_size is not None:
        where += f":{offset % 8}/{member.bit_field_size}"
    return f"{type_name(member.type)} {where}"


def type_name(type_: drgn.Type) -> str:
    """A type's name; drgn spells anonymous ones ``struct <anonymous>``."""
    return str(type_.type_name())


# Formats


class FormatError(ValueError):
    """A format letter that does not fit."""


LETTERS = "xduotacszfi"


def format_value(obj: drgn.Object | int, letters: str) -> str:
    """
    A scalar in one of gdb's output formats.

    :param letters: ``x`` hexadecimal, ``d`` signed, ``u`` unsigned, ``o`` octal,
        ``t`` binary, ``a`` address with symbol, ``c`` character, ``s`` string,
        ``z`` hexadecimal with zeros, ``f`` float.
    :raises FormatError: no such letter, or it does not fit the type.
    """
    if len(letters) != 1 or letters not in LETTERS:
        raise FormatError(f"no format /{letters}; one of /{', /'.join(LETTERS)}")
    if isinstance(obj, int):
        return number_as(obj, 64, letters)
    kind = underlying(obj.type_).kind
    if letters == "s":
        return quoted(_string(obj))
    if kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.ARRAY):
        base = {"x": 16, "z": 16, "a": 16, "o": 8}.get(letters, 10)
        return format_object(obj, 0, base)
    if kind is drgn.TypeKind.FLOAT:
        return str(obj.value_())
    if kind is drgn.TypeKind.FUNCTION:
        return f"{obj.address_ or 0:#x}"
    value = obj.value_()
    bits = obj.bit_field_size_ or 8 * drgn.sizeof(obj)
    if letters == "a":
        number = int(value) & ((1 << 64) - 1)
        try:
            symbol = obj.prog_.symbol(number)
        except LookupError:
            return f"{number:#x}"
        offset = number - symbol.address
        return f"{number:#x} <{symbol.name}{f'+{offset:#x}' if offset else ''}>"
    return number_as(int(value), bits, letters)


def _string(obj: drgn.Object) -> bytes:
    """Bytes of a C string, at most 64 KiB of it."""
    type_ = underlying(obj.type_)
    if type_.kind is drgn.TypeKind.ARRAY and (type_.length or 0) <= _MAX_STRING:
        return bytes(obj.string_())
    if type_.kind is drgn.TypeKind.POINTER:
        return bytes(obj.prog_.read_c_string(obj.value_(), False, max_size=_MAX_STRING))
    raise FormatError(f"{obj.type_.type_name()} is not a string")


def number_as(value: int, bits: int, letter: str) -> str:
    unsigned = value & ((1 << bits) - 1)
    signed = unsigned - (1 << bits) if unsigned >> (bits - 1) else unsigned
    if letter in ("x", "a"):
        return f"{unsigned:#x}"
    if letter == "z":
        return f"0x{unsigned:0{(bits + 3) // 4}x}"
    if letter == "o":
        return f"0{unsigned:o}"
    if letter == "t":
        return f"0b{unsigned:b}"
    if letter in ("u", "i"):
        return str(unsigned)
    if letter == "c":
        low = unsigned & 0xFF
        return f"{low} {escape(chr(low))!r}" if 32 <= low < 127 else f"{low} '\\x{low:02x}'"
    if letter == "f":
        import struct

        size = {32: "f", 64: "d"}.get(bits)
        if size is None:
            raise FormatError(f"/f needs 32 or 64 bits, not {bits}")
        return repr(struct.unpack(size, unsigned.to_bytes(bits // 8, "little"))[0])
    return str(signed)
