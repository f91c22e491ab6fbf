"""What may have changed where older and newer kernels do not agree on a variable.

Owns the doubts that only history raises: another kernel's type holds here, and so does one
that such variables are known to change from or to, and nothing in the dump decides. Asked of
names that are new, gone or changed at one end of time only.
"""

from __future__ import annotations

from collections.abc import Sequence

from drgn import Type, TypeKind

from btfdbg.cdecl import Array, Pointer, is_const, unqualified
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import element_of, is_number
from btfdbg.variables.context import Context
from btfdbg.variables.convert import tree_of
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.proposals import KnownName, Proposal
from btfdbg.variables.propose import known_name
from btfdbg.variables.provenance import Source
from btfdbg.variables.symbols import Symbol

# What kernels take for one another without a change of name: file_systems_lock and
# kernfs_rename_lock did, one in each direction.
_LOCKS = {"spinlock_t": "rwlock_t", "rwlock_t": "spinlock_t"}


def may_have_changed(context: Context, symbol: Symbol, type_: Type, proposal: Proposal) -> bool:
    """
    Whether a type that holds for a symbol may as well be another that holds.

    :param type_: as it would be given.
    :param proposal: what it was made of.
    """
    if proposal.source is not Source.DATABASE_OTHER:
        return False
    known = known_name(context, symbol.name)
    if known.surrounded:
        return False
    if not known.lasting and _may_be_another_lock(context, symbol, type_):
        return True
    return _may_have_had_const(context, symbol, type_, known) or (
        type_.kind == TypeKind.ARRAY
        and type_.length not in known.lengths
        and (
            len({_dimensions(context, p.type) for p in known.proposals}) > 1
            or _may_be_other_numbers(context, type_, known.proposals)
        )
    )


def _may_be_another_lock(context: Context, symbol: Symbol, type_: Type) -> bool:
    """Whether a lock leaves padding where one of the other kind fills the place to the byte."""
    other = _LOCKS.get(type_.type_name())
    return other is not None and fills_as(context, symbol, type_, other)


def fills_as(context: Context, symbol: Symbol, type_: Type, other: str) -> bool:
    """Whether a type leaves room where another fills the place to the byte."""
    if size_of(type_) == symbol.size:
        return False
    built = context.types.from_text(other)
    return built is not None and size_of(built) == symbol.size


def _may_have_had_const(
    context: Context,
    symbol: Symbol,
    type_: Type,
    known: KnownName,
) -> bool:
    """
    Whether a table of pointers is in read-only data because nothing writes it, not by const.

    Compilers put static tables there that nothing writes (``wq_affn_names`` of 6.12). Whoever
    wrote another line into the table may have written const before it as well; and where no
    kernel has const, nobody need have.
    """
    if type_.kind != TypeKind.ARRAY or not symbol.type_letter.islower():
        return False
    if type_.length in known.lengths and any(_is_const(context, p.type) for p in known.proposals):
        return False
    if context.places.of(symbol.address) is not SectionKind.CONST:
        return False
    tree = tree_of(type_)
    if not isinstance(tree, Array) or not is_const(tree):
        return False
    bare = replace(tree, element=unqualified(tree.element, "const"))
    if not isinstance(bare.element, Pointer):
        return False
    return context.checker.exists(bare)


def _may_be_other_numbers(context: Context, type_: Type, known: Sequence[Proposal]) -> bool:
    """Whether kernels have numbers of another size there: some always fill the room."""
    if not is_number(type_.type):
        return False
    for element in {element_of(p.type) for p in known}:
        other = context.types.from_text(element.removesuffix(" []"))
        if other is not None and is_number(other) and size_of(other) != size_of(type_.type):
            return True
    return False


def _is_const(context: Context, text: str) -> bool:
    tree = context.checker.tree(AnnotatedType.parse(text).type)
    return tree is None or is_const(tree)


def _dimensions(context: Context, text: str) -> int:
    """
    How many lengths an array has.

    One ARRAY of 1024 may be ``[2][512]`` (:mod:`.structural_index`), as other kernels had it.
    """
    found, tree = 0, context.checker.tree(AnnotatedType.parse(text).type)
    while isinstance(tree, Array):
        found, tree = found + 1, tree.element
    return found
