"""C expressions as values: the tree of an expression as gdb's ``print`` takes it.

Owns the grammar: C11's expressions, with gdb's ``ADDRESS@COUNT``, ``{TYPE} ADDRESS`` and
``$NAME``. What would write or call is in the tree as well: whoever evaluates it refuses it
and says why. Knows no drgn and no kernel: which names are types is asked of the caller.

>>> parse_expression("((struct page *)0x10)->flags & 1", {"page"}.__contains__)
Binary(op='&', left=Select(operand=Cast(type=Pointer(target=Named(tag='struct', ...

Facts: C11 6.5 (expressions), 6.4.4 (constants); gdb manual, "Expressions", "Arrays".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from btfdbg.cdecl.read import BASE_WORDS, parse_type
from btfdbg.cdecl.tree import QUALIFIERS, TAGS, CDeclError, CType, Pointer
from btfdbg.lazy_dataclass import dataclass

MAX_TEXT = 4096
"""Characters of an expression."""

MAX_NESTING = 64

# So that what walks a tree, `a.b.b.b` is one level each, stays within Python's stack.
_MAX_TOKENS = 400


class ExpressionError(CDeclError):
    """The text is not a C expression."""


@dataclass(frozen=True, slots=True)
class Number:
    """
    :ivar suffix: ``u`` and ``l`` as written, in lower case.
    :ivar decimal: Whether it is written in decimal, which decides about its type in C.
    """

    value: int
    suffix: str = ""
    decimal: bool = True


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Dollar:
    """``$NAME``: a result or a bookmark; empty for the last result."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """:ivar op: one of ``+ - ~ ! & *``."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """:ivar op: an operator of C, ``@``, or ``,`` in an argument of a macro."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Conditional:
    condition: Expression
    then: Expression
    other: Expression


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.member`` or ``operand->member``."""

    operand: Expression
    member: str


@dataclass(frozen=True, slots=True)
class Index:
    operand: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Cast:
    type: CType
    operand: Expression


@dataclass(frozen=True, slots=True)
class SizeOf:
    """:ivar operand: a type or an expression."""

    operand: CType | Expression
    is_type: bool


@dataclass(frozen=True, slots=True)
class OffsetOf:
    """:ivar member: with dots and constant subscripts, as written."""

    type: CType
    member: str


@dataclass(frozen=True, slots=True)
class ContainerOf:
    """``container_of(POINTER, TYPE, MEMBER)``, and the kernel's other names of it."""

    pointer: Expression
    type: CType
    member: str


@dataclass(frozen=True, slots=True)
class Call:
    function: Expression
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """What would write. :ivar op: ``=``, ``+=``, …, ``++``, ``--``."""

    op: str
    target: Expression


Expression: TypeAlias = (
    Number
    | Name
    | Dollar
    | Unary
    | Binary
    | Conditional
    | Select
    | Index
    | Cast
    | SizeOf
    | OffsetOf
    | ContainerOf
    | Call
    | Assign
)

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)(?P<suffix>[uUlL]{0,3})(?![\w.]))
    |(?P<name>[A-Za-z_]\w*)
    |(?P<dollar>\$\w*)
    |(?P<choice>\#\w+)
    |(?P<char>'(?:[^'\\\n]|\\(?:[abefnrtv0'"\\?]|x[0-9a-fA-F]{1,2}|[0-7]{1,3}))')
    |(?P<op><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[][(){}.,?:=<>!~@&|^*/%+-])
    )""",
    re.VERBOSE,
)
_BINARY = {
    op: level
    for level, ops in enumerate(
        (
            ("||",),
            ("&&",),
            ("|",),
            ("^",),
            ("&",),
            ("==", "!="),
            ("<", ">", "<=", ">="),
            ("<<", ">>"),
            ("@",),
            ("+", "-"),
            ("*", "/", "%"),
        )
    )
    for op in ops
}
_WRITES = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="))
_ESCAPES = {
    "a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "0": 0,
}  # fmt: skip
_CONTAINER_OF = frozenset(
    ("container_of", "list_entry", "hlist_entry", "rb_entry", "llist_entry", "container_of_const")
)


def parse_expression(text: str, is_type: Callable[[str], bool] = lambda name: False) -> Expression:
    """
    Parse a C expression.

    :param is_type: Whether a name is that of a typedef; it decides about ``(name) x``.
    :raises ExpressionError: it is none.
    """
    return _Parser(text, is_type).whole()


def names(tree: Expression) -> Iterator[str]:
    """The names of an expression that stand for objects, in the order of the text."""
    if isinstance(tree, Name):
        yield tree.name
    for child in children(tree):
        yield from names(child)


def children(tree: Expression) -> tuple[Expression, ...]:
    """The expressions that an expression is made of."""
    if isinstance(tree, (Unary, Select, Cast)):
        return (tree.operand,)
    if isinstance(tree, Binary):
        return (tree.left, tree.right)
    if isinstance(tree, Conditional):
        return (tree.condition, tree.then, tree.other)
    if isinstance(tree, Index):
        return (tree.operand, tree.index)
    if isinstance(tree, SizeOf):
        return () if tree.is_type else (tree.operand,)  # type: ignore[return-value] # is_type says
    if isinstance(tree, ContainerOf):
        return (tree.pointer,)
    if isinstance(tree, Call):
        return (tree.function, *tree.arguments)
    if isinstance(tree, Assign):
        return (tree.target,)
    return ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Parser:
    """Recursive descent; bounded in length and depth."""

    def __init__(self, text: str, is_type: Callable[[str], bool]) -> None:
        if len(text) > MAX_TEXT:
            raise ExpressionError(f"an expression of {len(text)} characters, at most {MAX_TEXT}")
        self.text = text
        self.is_type = is_type
        self.depth = 0
        self.at = 0
        self.tokens: list[_Token] = []
        position = 0
        end = len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"{text!r}: unexpected {text[position:].strip()[:1]!r}")
            kind = match.lastgroup if match.lastgroup != "suffix" else "number"
            assert kind is not None
            self.tokens.append(_Token(kind, match[kind], match.start(kind), match.end(kind)))
            position = match.end()
        if len(self.tokens) > _MAX_TOKENS:
            raise ExpressionError(
                f"an expression of {len(self.tokens)} words, at most {_MAX_TOKENS}"
            )

    def whole(self) -> Expression:
        found = self.expression()
        if self.at < len(self.tokens):
            raise ExpressionError(f"{self.text!r}: {self.peek()!r} after the end")
        return found

    # Tokens

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def next(self) -> _Token:
        if self.at >= len(self.tokens):
            raise ExpressionError(f"{self.text!r}: ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ExpressionError(
                f"{self.text!r}: {token!r} expected before {self.peek() or 'the end'!r}"
            )

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise ExpressionError(f"an expression nested deeper than {MAX_NESTING}")

    # Grammar

    def expression(self) -> Expression:
        self.enter()
        found = self.conditional()
        if self.peek() in _WRITES:
            op = self.next().text
            self.expression()
            found = Assign(op, found)
        self.depth -= 1
        return found

    def conditional(self) -> Expression:
        condition = self.binary(0)
        if not self.accept("?"):
            return condition
        then = self.expression()
        self.expect(":")
        self.enter()
        other = self.conditional()
        self.depth -= 1
        return Conditional(condition, then, other)

    def binary(self, level: int) -> Expression:
        left = self.unary()
        while (mine := _BINARY.get(self.peek(), -1)) >= level:
            op = self.next().text
            self.enter()
            right = self.binary(mine + 1)
            self.depth -= 1
            left = Binary(op, left, right)
        return left

    def unary(self) -> Expression:
        self.enter()
        found = self._unary()
        self.depth -= 1
        return found

    def _unary(self) -> Expression:
        token = self.peek()
        if token in ("+", "-", "~", "!", "&", "*"):
            self.at += 1
            return Unary(token, self.unary())
        if token == "&&":
            raise ExpressionError(f"{self.text!r}: && is no address; one & is")
        if token in ("++", "--"):
            self.at += 1
            return Assign(token, self.unary())
        if token in ("sizeof", "_Alignof", "alignof", "__alignof__"):
            return self.sizeof(self.next().text)
        if token == "{":
            self.at += 1
            type_ = self.type_until("}")
            return Unary("*", Cast(Pointer(type_), self.unary()))
        if token == "(" and self.starts_type(1):
            self.at += 1
            type_ = self.type_until(")")
            return Cast(type_, self.unary())
        return self.postfix(self.primary())

    def sizeof(self, word: str) -> Expression:
        if word != "sizeof":
            raise ExpressionError(f"{self.text!r}: {word} is not known here; sizeof is")
        if self.peek() == "(" and self.starts_type(1):
            self.at += 1
            return SizeOf(self.type_until(")"), True)
        return SizeOf(self.unary(), False)

    def starts_type(self, ahead: int) -> bool:
        """Whether a type begins some tokens ahead."""
        word = self.peek(ahead)
        if word in BASE_WORDS or word in TAGS or word in QUALIFIERS:
            return True
        behind = self.peek(ahead + 1)
        return (
            (word[:1].isalpha() or word[:1] == "_")
            and (behind in (")", "*", "}", ",", "[", "const", "volatile") or behind[:1] == "#")
            and self.is_type(word)
        )

    def type_until(self, closing: str) -> CType:
        """The type up to a closing token, which is taken as well."""
        start = self.at
        depth = 0
        while True:
            token = self.next().text
            if depth == 0 and token == closing:
                break
            depth += (token in "([{") - (token in ")]}")
            if depth < 0:
                raise ExpressionError(f"{self.text!r}: {closing!r} expected before {token!r}")
        if self.at - 1 == start:
            raise ExpressionError(f"{self.text!r}: a type was expected before {closing!r}")
        text = self.text[self.tokens[start].start : self.tokens[self.at - 1].start]
        return parse_type(text, choices=True)

    def postfix(self, found: Expression) -> Expression:
        while True:
            token = self.peek()
            if token == "[":
                self.at += 1
                found = Index(found, self.expression())
                self.expect("]")
            elif token in (".", "->"):
                self.at += 1
                member = self.next()
                if member.kind != "name":
                    raise ExpressionError(
                        f"{self.text!r}: a member was expected, not {member.text!r}"
                    )
                found = Select(found, member.text)
            elif token == "(":
                self.at += 1
                found = self.call(found)
            elif token in ("++", "--"):
                self.at += 1
                found = Assign(token, found)
            else:
                return found

    def call(self, function: Expression) -> Expression:
        word = function.name if isinstance(function, Name) else ""
        if word in ("offsetof", "__builtin_offsetof"):
            type_ = self.type_until(",")
            return OffsetOf(type_, self.member_until_end())
        if word in _CONTAINER_OF:
            pointer = self.expression()
            self.expect(",")
            type_ = self.type_until(",")
            return ContainerOf(pointer, type_, self.member_until_end())
        arguments: list[Expression] = []
        while not self.accept(")"):
            if arguments:
                self.expect(",")
            arguments.append(self.expression())
        return Call(function, tuple(arguments))

    def member_until_end(self) -> str:
        start = self.at
        while self.peek() not in (")", ""):
            self.at += 1
        end = self.at
        self.expect(")")
        text = "".join(token.text for token in self.tokens[start:end])
        if not re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\w+\])*", text):
            raise ExpressionError(f"{self.text!r}: {text!r} is no member")
        return text

    def primary(self) -> Expression:
        token = self.next()
        if token.kind == "number":
            return _number(self.text, token.text)
        if token.kind == "char":
            return Number(_char(token.text))
        if token.kind == "dollar":
            return Dollar(token.text[1:])
        if token.kind == "name":
            if token.text in TAGS or token.text in BASE_WORDS:
                raise ExpressionError(
                    f"{self.text!r}: {token.text} begins a type where a value was expected"
                )
            return Name(token.text)
        if token.text == "(":
            found = self.expression()
            self.expect(")")
            return found
        raise ExpressionError(f"{self.text!r}: a value was expected, not {token.text!r}")


def _number(text: str, token: str) -> Number:
    digits = token.rstrip("uUlL")
    suffix = token[len(digits) :].lower()
    if suffix not in ("", "u", "l", "ul", "lu", "ll", "ull", "llu"):
        raise ExpressionError(f"{text!r}: {token!r} is no number")
    lower = digits.lower()
    octal = len(lower) > 1 and lower.isdecimal() and lower.startswith("0")
    try:
        value = int(lower, 8) if octal else int(lower, 0)
    except ValueError:
        raise ExpressionError(f"{text!r}: {token!r} is no number") from None
    if value >> 64:
        raise ExpressionError(f"{text!r}: {token!r} has more than 64 bits")
    return Number(value, suffix, not octal and lower.isdecimal())


def _char(token: str) -> int:
    inner = token[1:-1]
    if not inner.startswith("\\"):
        return ord(inner)
    body = inner[1:]
    if body.startswith("x"):
        return int(body[1:], 16)
    if body.isdecimal():
        return int(body, 8) & 0xFF
    return _ESCAPES.get(body, ord(body))
