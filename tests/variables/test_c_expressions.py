"""C expressions as trees: the grammar, and that any text is a tree or one kind of error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.cdecl import CDeclError, Named, Pointer
from btfdbg.cdecl.expression import (
    Assign,
    Binary,
    Call,
    Cast,
    Conditional,
    ContainerOf,
    Dollar,
    Expression,
    ExpressionError,
    Index,
    Name,
    Number,
    OffsetOf,
    Select,
    SizeOf,
    Unary,
    children,
    names,
    parse_expression,
)

A, B, X = Name("a"), Name("b"), Name("x")
TASK = Named("struct", "task_struct")


def parsed(text: str) -> Expression:
    return parse_expression(text, {"u64", "task_struct"}.__contains__)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1", Number(1)),
        ("0x10", Number(16, "", False)),
        ("017", Number(15, "", False)),
        ("0b101", Number(5, "", False)),
        ("0", Number(0)),
        ("0xffULL", Number(255, "ull", False)),
        ("1ul", Number(1, "ul")),
        ("'a'", Number(97)),
        (r"'\n'", Number(10)),
        (r"'\0'", Number(0)),
        (r"'\x41'", Number(65)),
        ("$1", Dollar("1")),
        ("$", Dollar("")),
        ("a.b", Select(A, "b")),
        ("a->b", Select(A, "b")),
        ("a [ 1 ]", Index(A, Number(1))),
        ("&a", Unary("&", A)),
        ("*a.b", Unary("*", Select(A, "b"))),
        ("!a", Unary("!", A)),
        ("- -1", Unary("-", Unary("-", Number(1)))),
        ("a + b * x", Binary("+", A, Binary("*", B, X))),
        ("a - b - x", Binary("-", Binary("-", A, B), X)),
        ("a & b == x", Binary("&", A, Binary("==", B, X))),
        ("a || b && x", Binary("||", A, Binary("&&", B, X))),
        ("a << b + x", Binary("<<", A, Binary("+", B, X))),
        ("(a | b)", Binary("|", A, B)),
        ("a ? b : x", Conditional(A, B, X)),
        ("a ? b : x ? a : b", Conditional(A, B, Conditional(X, A, B))),
        ("*a@3", Binary("@", Unary("*", A), Number(3))),
        ("(struct task_struct *)a", Cast(Pointer(TASK), A)),
        ("(struct task_struct*) a->b", Cast(Pointer(TASK), Select(A, "b"))),
        ("((struct task_struct *)a)->b", Select(Cast(Pointer(TASK), A), "b")),
        ("(u64)-1", Cast(Named("", "u64"), Unary("-", Number(1)))),
        ("(a)-1", Binary("-", A, Number(1))),
        ("(task_struct *)a", Cast(Pointer(Named("", "task_struct")), A)),
        ("(unsigned)a", Cast(Named("", "unsigned int"), A)),
        ("{int}a", Unary("*", Cast(Pointer(Named("", "int")), A))),
        ("sizeof(struct task_struct)", SizeOf(TASK, True)),
        ("sizeof(a)", SizeOf(A, False)),
        ("sizeof a + 1", Binary("+", SizeOf(A, False), Number(1))),
        ("offsetof(struct task_struct, se.run[2])", OffsetOf(TASK, "se.run[2]")),
        ("container_of(a, struct task_struct, b)", ContainerOf(A, TASK, "b")),
        ("list_entry(a.b, struct task_struct, x)", ContainerOf(Select(A, "b"), TASK, "x")),
        ("a(b, 1)", Call(A, (B, Number(1)))),
        ("a()", Call(A, ())),
        ("a.x(b)", Call(Select(A, "x"), (B,))),
        ("a = b", Assign("=", A)),
        ("a.x += 1", Assign("+=", Select(A, "x"))),
        ("a <<= 1", Assign("<<=", A)),
        ("a++", Assign("++", A)),
        ("--a", Assign("--", A)),
    ],
)
def test_an_expression_is_this_tree(text: str, tree: Expression) -> None:
    assert parsed(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "(", "a b", "1 +", "a.", "a->1", "a[", "a[1", "08", "1.5", "1x", "0x", "a ? b",
        "sizeof", "sizeof(", "(struct)", "(struct task_struct *)", "struct task_struct", '"abc"',
        "a, b", "&&a", "1 2", "a @", "{int", "''", "'ab'", "0x1ffffffffffffffff", "a::b", "#", "a;",
        "(" * 500, "a" + ".b" * 500, "-" * 500 + "1", "1+" * 500 + "1", "x" * 5000, "!" * 90 + "1",
        "offsetof(struct task_struct)", "offsetof(struct task_struct, 1)", "container_of(a)",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_an_error(text: str) -> None:
    with pytest.raises(CDeclError) as raised:
        parsed(text)
    assert "\n" not in str(raised.value)


def test_an_expression_knows_the_names_in_it() -> None:
    assert list(names(parsed("a.x + b[c] * sizeof(d) - (struct e *)f->g"))) == list("abcdf")


@given(st.text(alphabet="ab(){}[]<>=!&|*+-.,?:'\"0x1 @~^%$sizeof", max_size=60))
def test_any_text_is_a_tree_or_an_error(text: str) -> None:
    try:
        tree = parsed(text)
    except CDeclError:
        return
    todo = [tree]
    while todo:
        todo.extend(children(todo.pop()))


def test_an_expression_error_is_an_error_of_declarations() -> None:
    assert issubclass(ExpressionError, CDeclError)
