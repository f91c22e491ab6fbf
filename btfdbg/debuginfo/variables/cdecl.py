"""C declarations as values: parser, printer, and the small tree between them.

Owns the notation in which the variable database writes types: C's own abstract
declarators (``const char * const [9]``, ``int (*[3])(struct foo *, ...)``), with
anonymous ``struct``/``union``/``enum`` bodies in full. Knows no drgn, no BTF and
no kernel: whether a name exists and how large it is, is somebody else's question.

One extension: a member whose offset does not follow from C's layout rules is
written ``type name @ 24;`` (bytes; bits after a dot: ``@ 24.3``), and a record
whose size does not follow starts with it: ``struct [64] { ... }`` (bytes).

Facts: C11 6.7.6 (declarators) and 6.7.7 (type names).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from btfdbg.record import dataclass, replace

QUALIFIERS = ("const", "volatile", "restrict", "_Atomic")
_TAGS = frozenset(("struct", "union", "enum"))
_MAX_DEPTH = 64
_MAX_TEXT = 65536


class CDeclError(ValueError):
    """The text is not a C type as this notation knows it."""


@dataclass(frozen=True, slots=True)
class Named:
    """
    A type with a name.

    :ivar tag: ``"struct"``, ``"union"``, ``"enum"``, or ``""`` for a typedef or basic type.
    """

    tag: str
    name: str


@dataclass(frozen=True, slots=True)
class Pointer:
    target: CType


@dataclass(frozen=True, slots=True)
class Array:
    """:ivar length: elements; None for ``[]``."""

    element: CType
    length: int | None


@dataclass(frozen=True, slots=True)
class Function:
    result: CType
    parameters: tuple[CType, ...]
    variadic: bool


@dataclass(frozen=True, slots=True)
class Qualified:
    """:ivar qualifiers: in the order of :data:`QUALIFIERS`, never empty."""

    qualifiers: tuple[str, ...]
    type: CType


@dataclass(frozen=True, slots=True)
class Member:
    """
    :ivar name: empty for an anonymous member.
    :ivar bit_size: width of a bit-field, else None.
    :ivar bit_offset: from the start of the record; None where C's layout rules give it.
    """

    type: CType
    name: str
    bit_size: int | None = None
    bit_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """
    An anonymous struct or union with its members.

    :ivar size: bytes; None where C's layout rules give it.
    """

    tag: str
    members: tuple[Member, ...]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An anonymous enum with its enumerators."""

    values: tuple[tuple[str, int], ...]


CType: TypeAlias = Named | Pointer | Array | Function | Qualified | Record | Enumeration

VOID = Named("", "void")


def qualified(type_: CType, *qualifiers: str) -> CType:
    """Return ``type_`` with the qualifiers added; qualifying an array qualifies its element."""
    if not qualifiers:
        return type_
    if isinstance(type_, Array):
        return replace(type_, element=qualified(type_.element, *qualifiers))
    have: tuple[str, ...] = ()
    if isinstance(type_, Qualified):
        have, type_ = type_.qualifiers, type_.type
    wanted = {*have, *qualifiers}
    return Qualified(tuple(q for q in QUALIFIERS if q in wanted), type_)


def unqualified(type_: CType, *qualifiers: str) -> CType:
    """Return ``type_`` without these top-level qualifiers; an array's are its element's."""
    if isinstance(type_, Array):
        return replace(type_, element=unqualified(type_.element, *qualifiers))
    if not isinstance(type_, Qualified):
        return type_
    left = tuple(q for q in type_.qualifiers if q not in qualifiers)
    return Qualified(left, type_.type) if left else type_.type


def is_const(type_: CType) -> bool:
    """Whether an object of this type is itself read-only (an array: its elements)."""
    while isinstance(type_, Array):
        type_ = type_.element
    return isinstance(type_, Qualified) and "const" in type_.qualifiers


# --- printing -----------------------------------------------------------------


def format_type(type_: CType) -> str:
    """Return the type as an abstract declarator, spaced as drgn spaces its type names."""
    return format_declaration(type_, "")


def format_declaration(type_: CType, name: str) -> str:
    """Return ``name`` declared with the type, without the semicolon."""
    return _declare(type_, name, 0)


def _declare(type_: CType, inner: str, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise CDeclError(f"type nested deeper than {_MAX_DEPTH}")
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


# --- parsing ------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(?:([A-Za-z_$][\w$.]*)|(\d\w*)|(\.\.\.|[][(){}*,;:=@.-]))")
_BASE_WORDS = frozenset(
    {"void", "char", "short", "int", "long", "float", "double"}
    | {"signed", "unsigned", "_Bool", "bool", "__int128", "_Complex"}
)
# One spelling per basic type, the one drgn prints.
_BASE_SPELLINGS = {
    "char": "char",
    "char signed": "signed char",
    "char unsigned": "unsigned char",
    "short": "short",
    "short unsigned": "unsigned short",
    "int": "int",
    "int unsigned": "unsigned int",
    "long": "long",
    "long unsigned": "unsigned long",
    "long long": "long long",
    "long long unsigned": "unsigned long long",
    "__int128": "__int128",
    "__int128 unsigned": "unsigned __int128",
    "_Bool": "_Bool",
    "bool": "bool",
    "float": "float",
    "double": "double",
    "double long": "long double",
    "void": "void",
}


def parse_type(text: str) -> CType:
    """
    Parse a type name (an abstract declarator).

    :raises CDeclError: it is not one.
    """
    parser = _Parser(text)
    type_, name = parser.declaration()
    parser.end()
    if name:
        raise CDeclError(f"{text!r}: a type was expected, this declares {name!r}")
    return type_


def parse_declaration(text: str) -> tuple[str, CType]:
    """
    Parse one declaration, with or without its semicolon.

    :return: the declared name and its type.
    :raises CDeclError: it is not a declaration of one name.
    """
    parser = _Parser(text)
    type_, name = parser.declaration()
    parser.accept(";")
    parser.end()
    if not name:
        raise CDeclError(f"{text!r}: declares no name")
    return name, type_


class _Parser:
    """Recursive descent over the tokens of one declaration."""

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_TEXT:
            raise CDeclError(f"declaration of {len(text)} characters, at most {_MAX_TEXT}")
        self.text = text
        self.tokens: list[str] = []
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise CDeclError(f"{text!r}: unexpected {text[at:].strip()[:1]!r}")
            self.tokens.append(match[match.lastindex or 0])
            at = match.end()
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        if not token:
            raise CDeclError(f"{self.text!r}: ends too early")
        self.at += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise CDeclError(f"{self.text!r}: {token!r} expected before {self.peek()!r}")

    def end(self) -> None:
        if self.peek():
            raise CDeclError(f"{self.text!r}: {self.peek()!r} after the end")

    def number(self) -> int:
        negative = self.accept("-")
        token = self.next()
        try:
            value = int(token.rstrip("uUlL"), 0)
        except ValueError:
            raise CDeclError(f"{self.text!r}: a number was expected, not {token!r}") from None
        return -value if negative else value

    def enter(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise CDeclError(f"type nested deeper than {_MAX_DEPTH}")

    def declaration(self) -> tuple[CType, str]:
        self.enter()
        base = self.specifiers()
        name, wrap = self.declarator()
        self.depth -= 1
        return wrap(base), name

    def specifiers(self) -> CType:
        qualifiers: list[str] = []
        words: list[str] = []
        found: CType | None = None
        while True:
            token = self.peek()
            if token in QUALIFIERS:
                qualifiers.append(self.next())
            elif token in _BASE_WORDS and found is None:
                words.append(self.next())
            elif token in _TAGS and found is None and not words:
                found = self.tagged(self.next())
            elif found is None and not words and _is_name(token):
                found = Named("", self.next())
            else:
                break
        if found is None:
            found = Named("", self.basic(words))
        return qualified(found, *qualifiers)

    def basic(self, words: list[str]) -> str:
        key = sorted(words)
        if len(key) > 1 and "int" in key:
            key.remove("int")
        if "signed" in key and "char" not in key:
            key.remove("signed")
            key = key or ["int"]
        if key == ["unsigned"]:
            key = ["int", "unsigned"]
        try:
            return _BASE_SPELLINGS[" ".join(key)]
        except KeyError:
            raise CDeclError(f"{self.text!r}: no type {' '.join(words)!r}") from None

    def tagged(self, tag: str) -> CType:
        size = None
        if self.accept("["):
            size = self.number()
            self.expect("]")
            if self.peek() != "{":
                raise CDeclError(f"{self.text!r}: only an anonymous {tag} has its size here")
        if self.accept("{"):
            return self.enumerators() if tag == "enum" else self.members(tag, size)
        name = self.next()
        if not _is_name(name):
            raise CDeclError(f"{self.text!r}: a tag was expected, not {name!r}")
        return Named(tag, name)

    def enumerators(self) -> Enumeration:
        values: list[tuple[str, int]] = []
        while not self.accept("}"):
            name = self.next()
            self.expect("=")
            values.append((name, self.number()))
            if not self.accept(","):
                self.expect("}")
                break
        return Enumeration(tuple(values))

    def members(self, tag: str, size: int | None) -> Record:
        members: list[Member] = []
        while not self.accept("}"):
            type_, name = self.declaration()
            bit_size = self.number() if self.accept(":") else None
            bit_offset = self.offset() if self.accept("@") else None
            self.expect(";")
            members.append(Member(type_, name, bit_size, bit_offset))
        return Record(tag, tuple(members), size)

    def offset(self) -> int:
        token = self.next()
        byte, _, bit = token.partition(".")
        if not bit and self.accept("."):
            bit = self.next()
        try:
            return int(byte) * 8 + (int(bit) if bit else 0)
        except ValueError:
            raise CDeclError(f"{self.text!r}: an offset was expected, not {token!r}") from None

    def declarator(self) -> tuple[str, Callable[[CType], CType]]:
        self.enter()
        pointers: list[list[str]] = []
        while self.accept("*"):
            qualifiers = []
            while self.peek() in QUALIFIERS:
                qualifiers.append(self.next())
            pointers.append(qualifiers)
        name = ""
        inner: Callable[[CType], CType] | None = None
        if self.peek() == "(" and self.is_nested():
            self.expect("(")
            name, inner = self.declarator()
            self.expect(")")
        elif _is_name(self.peek()):
            name = self.next()
        suffixes: list[tuple[int | None] | tuple[tuple[CType, ...], bool]] = []
        while True:
            if self.accept("["):
                length = None if self.peek() == "]" else self.number()
                if length is not None and length < 0:
                    raise CDeclError(f"{self.text!r}: an array of {length} elements")
                self.expect("]")
                suffixes.append((length,))
            elif self.accept("("):
                suffixes.append(self.parameters())
            else:
                break
        self.depth -= 1

        def wrap(base: CType) -> CType:
            for qualifiers in pointers:
                base = qualified(Pointer(base), *qualifiers)
            for suffix in reversed(suffixes):
                if len(suffix) == 1:
                    base = Array(base, suffix[0])
                else:
                    base = Function(base, suffix[0], suffix[1])
            return base if inner is None else inner(base)

        return name, wrap

    def is_nested(self) -> bool:
        """Whether "(" opens a declarator, ``(*x)``, rather than a parameter list."""
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        return following in ("*", "(", "[")

    def parameters(self) -> tuple[tuple[CType, ...], bool]:
        parameters: list[CType] = []
        variadic = False
        if self.accept(")"):
            return (), False
        while True:
            if self.accept("..."):
                variadic = True
                break
            parameters.append(self.declaration()[0])
            if not self.accept(","):
                break
        self.expect(")")
        if parameters == [VOID] and not variadic:
            parameters = []
        return tuple(parameters), variadic


def _is_name(token: str) -> bool:
    return (
        (token[:1].isalpha() or token[:1] in ("_", "$"))
        and token not in QUALIFIERS
        and token not in _TAGS
    )
