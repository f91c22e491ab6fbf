"""From a tree to the notation."""

from __future__ import annotations

from btfdbg.cdecl.tree import (
    MAX_DEPTH,
    Array,
    CDeclError,
    CType,
    Enumeration,
    Function,
    Member,
    Named,
    Pointer,
    Qualified,
    Record,
    qualified,
)


def format_type(type_: CType) -> str:
    """Return the type as an abstract declarator, spaced as drgn spaces its type names."""
    return format_declaration(type_, "")


def format_declaration(type_: CType, name: str) -> str:
    """Return ``name`` declared with the type, without the semicolon."""
    return _declare(type_, name, 0)


def _declare(type_: CType, inner: str, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise CDeclError(f"type nested deeper than {MAX_DEPTH}")
    depth += 1
    quals = ""
    if isinstance(type_, Qualified):
        quals = " ".join(type_.qualifiers)
        type_ = type_.type
    if isinstance(type_, Pointer):
        star = "*"
        if quals:
            star += " " + quals
            if inner:
                star += " "
        inner = star + inner
        if isinstance(type_.target, (Array, Function)):
            inner = f"({inner})"
        return _declare(type_.target, inner, depth)
    if isinstance(type_, Array):
        length = "" if type_.length is None else str(type_.length)
        return _declare(qualified(type_.element, *quals.split()), f"{inner}[{length}]", depth)
    if isinstance(type_, Function):
        parameters = [_declare(p, "", depth) for p in type_.parameters]
        if type_.variadic:
            parameters.append("...")
        text = ", ".join(parameters) if parameters else "void"
        return _declare(type_.result, f"{inner}({text})", depth)
    if isinstance(type_, Qualified):
        raise CDeclError("qualifiers of qualifiers")
    head = _head(type_, depth)
    if quals:
        head = f"{quals} {head}"
    return f"{head} {inner}" if inner else head


def _head(type_: Named | Record | Enumeration, depth: int) -> str:
    if isinstance(type_, Named):
        return f"{type_.tag} {type_.name}" if type_.tag else type_.name
    if isinstance(type_, Enumeration):
        body = ", ".join(f"{name} = {value}" for name, value in type_.values)
        return f"enum {{ {body} }}"
    members = "".join(_format_member(member, depth) for member in type_.members)
    size = "" if type_.size is None else f" [{type_.size}]"
    return f"{type_.tag}{size} {{ {members}}}"


def _format_member(member: Member, depth: int) -> str:
    text = _declare(member.type, member.name, depth)
    if member.bit_size is not None:
        text += f" : {member.bit_size}"
    if member.bit_offset is not None:
        byte, bit = divmod(member.bit_offset, 8)
        text += f" @ {byte}.{bit}" if bit else f" @ {byte}"
    return text + "; "
