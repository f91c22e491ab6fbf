"""Whatever a candidate says, a type that is given fits its symbol and exists."""

from __future__ import annotations

import drgn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from btfdbg.cdecl import CDeclError
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables.convert import describe
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.structural_index import StructuralIndex

from .kernels import RELEASE, Sym, Symbols, make_btf, make_program

KERNELS = (
    Kernel("amd64-full", "6.12", RELEASE, "x86_64"),
    Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64"),
    Kernel("arm64-full", "5.10", "5.10.9-arm64", "aarch64"),
)
TEXTS = (
    "int",
    "struct foo",
    "struct foo *",
    "const struct foo *",
    "struct foo *[3]",
    "tail1 struct foo *[5]",
    "ro const char [6]",
    "int [2][3]",
    "struct { int x; int y; }",
    "struct { int x : 3; struct foo *p; } [4]",
    "int (*)(struct foo *, ...)",
    "char []",
)
BTF = make_btf()
SHAPES = StructuralIndex(BTF)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A candidate's text, perhaps with something cut out of it, doubled or put into it."""
    text = draw(st.sampled_from(TEXTS))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        put = draw(
            st.sampled_from(("", text[start:end] * 2, "*", "[9]", "[", "const ", "{ int z; }"))
        )
        text = text[:start] + put + text[end:]
    return text


_LINES = st.lists(st.tuples(damaged(), st.integers(0, 2)), min_size=1, max_size=4)


def _find(lines: list[tuple[str, int]], offset: int, size: int, memory: bytes) -> drgn.Type | None:
    entries = [
        Entry("v", "", text, frozenset((KERNELS[kernel].release,)))
        for text, kernel in lines
        if text.strip()
    ]
    database = Database.from_text(TextDatabase(KERNELS, entries))
    variables = VariableTypes(
        make_program(BTF, memory),
        DumpEvidence(
            Symbols(Sym("v", offset, size)), release=RELEASE, architecture="x86_64", btf=lambda: BTF
        ),
        database=lambda: database,
    )
    found = variables.find("v")
    return None if found is None else found.type


@settings(deadline=None)
@example([("const char [6]", 1)], 0, 5, b"no NU")
@given(_LINES, st.integers(0, 64), st.integers(0, 96), st.binary(max_size=160))
def test_a_type_that_is_given_fits_its_symbol(
    lines: list[tuple[str, int]], offset: int, size: int, memory: bytes
) -> None:
    type_ = _find(lines, offset, size, memory)
    if type_ is None or not type_.unaliased().is_complete():
        return
    if type_.unaliased_kind() in (drgn.TypeKind.FUNCTION, drgn.TypeKind.VOID):
        return
    assert size == 0 or drgn.sizeof(type_) <= size


@settings(deadline=None)
@given(_LINES, st.integers(0, 64), st.integers(1, 96))
def test_a_type_of_another_kernel_is_one_that_this_btf_has(
    lines: list[tuple[str, int]], offset: int, size: int
) -> None:
    strangers = [(text, 1 + kernel % 2) for text, kernel in lines]
    type_ = _find(strangers, offset, size, b"")
    if type_ is not None:
        try:
            tree = describe(type_)
        except CDeclError:
            raise AssertionError("a type that cannot be described was given") from None
        assert SHAPES.exists(tree)


def test_what_is_whole_is_found() -> None:
    """The properties above hold of something."""
    type_ = _find([("struct foo", 1)], 0x10, 16, b"")
    assert type_ is not None
