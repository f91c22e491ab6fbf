"""The type that this dump's code claims for a variable, held against the variable.

Owns what code cannot say: whether a variable is const, and how long an array is.
"""

from __future__ import annotations

from drgn import Type, TypeKind

from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import element_of, own_or_curated
from btfdbg.variables.context import Context
from btfdbg.variables.evidence import CodeType
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.propose import known_name
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.symbols import Symbol


def proven_by_code(context: Context, symbol: Symbol, claim: CodeType) -> Type | None:
    """The type that code claims, if size, place and contents allow it."""
    checker = context.checker
    text = claim.type
    # Code and pointers do not say whether the variable itself is const. A module's memory
    # has no boundary symbols, but its table has the section's letter (kernel/module/
    # kallsyms.c, elf_type()).
    if context.places.of(symbol.address) is SectionKind.UNKNOWN and symbol.type_letter in "rR":
        text = f"const {text}" if not text.endswith("*") else f"{text} const"
    stated = checker.length(text)
    checked = checker.check(
        text,
        symbol,
        trusted=False,
        open_ended=text.endswith("[]"),
        other_lengths=frozenset() if stated is None else frozenset((stated,)),
        gap=False,
    )
    open_ended = text.endswith("[]")
    if open_ended and (checked is Rejection.LENGTH or _ends_otherwise(context, symbol)):
        constant = context.places.of(symbol.address) is SectionKind.CONST
        open_ = checker.open_array(f"const {text}" if constant else text, symbol)
        return None if open_ is None else context.types.from_text(open_)
    if stated is not None and (
        isinstance(checked, Rejection) or checker.length(checked[0]) != stated
    ):
        return _stated(context, symbol, text)
    if not isinstance(checked, Rejection) and checker.ends_in_zeros(
        checked[1], symbol, padding=claim.alone
    ):
        return checked[1] if claim.reach <= (size_of(checked[1]) or 0) else None
    return None


def _ends_otherwise(context: Context, symbol: Symbol) -> bool:
    """
    Whether a kernel that has the name has other empty elements at its end than is usual.

    amd_uncore_l3_format_attr has room for attributes that some machines add.
    """
    known = known_name(context, symbol.name).proposals
    return any(AnnotatedType.parse(p.type).tail is not None for p in known)


def one_or_table(context: Context, symbol: Symbol, type_: Type, claim: CodeType) -> Type | None:
    """
    An array of one where that is meant, else the type itself; None if it may be either.

    What points to an array's first element points to the array as well: code cannot tell them
    apart. BTF can, where it has no such array of one; and other kernels that have the name.
    """
    if type_.kind is TypeKind.ARRAY:
        return type_
    element = type_.unqualified().type_name()
    known = {AnnotatedType.parse(c.type).type for c in own_or_curated(context, symbol.name)}
    if known and all(element_of(t) == f"{element} []" for t in known):
        return context.types.from_text(f"{type_.type_name()} [1]")
    if not claim.or_table:
        return type_
    return type_ if known and all(element_of(t) == element for t in known) else None


def _stated(context: Context, symbol: Symbol, text: str) -> Type | None:
    """An array of the length that is the only one in the dump's BTF which fits."""
    constant = context.places.of(symbol.address) is SectionKind.CONST
    open_ = context.checker.open_array(f"const {text}" if constant else text, symbol)
    stated = context.checker.length(text)
    if open_ is None:
        return None
    type_ = context.types.from_text(f"{open_.rpartition('[')[0]}[{stated}]")
    return type_ if type_ is not None and context.checker.ends_in_zeros(type_, symbol) else None
