"""From the notation to a tree: recursive descent over tokens, bounded in depth and length."""

from __future__ import annotations

from collections.abc import Callable

from btfdbg.cdecl.tree import (
    MAX_DEPTH,
    QUALIFIERS,
    TAGS,
    VOID,
    Array,
    CDeclError,
    CType,
    Enumeration,
    Function,
    Member,
    Named,
    Pointer,
    Record,
    qualified,
)
from btfdbg.lazy_pattern import pattern

_MAX_TEXT = 65536
_TOKEN_OF = r"\s*(?:([A-Za-z_$][\w$.]*%s)|(\d\w*)|(\.\.\.|[][(){}*,;:=@.-]))"
_TOKEN = pattern(_TOKEN_OF % "")
_CHOICE_TOKEN = pattern(_TOKEN_OF % r"(?:#\w+)?")
BASE_WORDS = frozenset(
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


def parse_type(text: str, *, choices: bool = False) -> CType:
    """
    Parse a type name (an abstract declarator).

    :raises CDeclError: it is not one.
    """
    parser = _Parser(text, choices)
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

    def __init__(self, text: str, choices: bool = False) -> None:
        if len(text) > _MAX_TEXT:
            raise CDeclError(f"declaration of {len(text)} characters, at most {_MAX_TEXT}")
        self.text = text
        self.tokens: list[str] = []
        token = _CHOICE_TOKEN if choices else _TOKEN
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = token.match(text, at)
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
        if self.depth > MAX_DEPTH:
            raise CDeclError(f"type nested deeper than {MAX_DEPTH}")

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
            elif token in BASE_WORDS and found is None:
                words.append(self.next())
            elif token in TAGS and found is None and not words:
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
        and token not in TAGS
    )
