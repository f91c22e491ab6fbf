"""Whether the kernel's code treats a number as the type does that it would be given.

A number has no shape that memory could contradict: whether ``bool`` became ``int`` since the
kernels that are known, only the bytes that code reads and writes tell. Owns holding a type against
them, and saying when code is asked: where kernels leave a doubt, or the compiler may have made
something else of the variable.

Facts: LLVM's GlobalOpt keeps a static variable that only ever has two constant values as one byte
that says which of them (TryToShrinkGlobalToBoolean); its DWARF says so, memory does not.
"""

from __future__ import annotations

from drgn import Type, TypeKind

from btfdbg.variables.beyond import is_of_this_series
from btfdbg.variables.context import Context
from btfdbg.variables.evidence import Accesses
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.policy import Tier
from btfdbg.variables.proposals import Proposal
from btfdbg.variables.propose import known_name
from btfdbg.variables.provenance import Rejection, Source
from btfdbg.variables.symbols import Symbol

_NUMBERS = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM)
_ATOMIC = "atomic"
_ASKED = (SectionKind.WRITABLE, SectionKind.RO_AFTER_INIT)
_BYTE = frozenset((1,))


def refused_by_code(
    context: Context, symbol: Symbol, type_: Type, proposal: Proposal
) -> Rejection | None:
    """
    Why a number's type is not what code makes of the variable; None if it is, or code is silent.

    :param type_: as it would be given.
    :param proposal: what it was made of.
    """
    if context.evidence.accesses is None or context.places.of(symbol.address) not in _ASKED:
        return None
    size = size_of(type_)
    atomic = _is_atomic(type_)
    number = type_.unaliased_kind() in _NUMBERS
    if not size or size > context.policy.word or not (atomic or number):
        return None
    shrunk = number and symbol.type_letter.islower() and context.facts.is_made_by_clang()
    if not shrunk and not _is_in_doubt(context, symbol, proposal):
        return None
    found = context.evidence.accesses(symbol)
    if found is None:
        return None
    if shrunk and _may_be_shrunk(type_, found):
        return Rejection.SHRUNK
    if not _is_in_doubt(context, symbol, proposal):
        return None
    return Rejection.CODE if _is_another(found, size, atomic=atomic) else None


def _is_atomic(type_: Type) -> bool:
    """Whether a type is one of the kernel's that are changed in one step."""
    name = type_.type_name().removeprefix("const ")
    return name.startswith(_ATOMIC) and type_.unaliased_kind() is TypeKind.STRUCT


def _is_in_doubt(context: Context, symbol: Symbol, proposal: Proposal) -> bool:
    """Whether no kernels around this one, and none of its series, agree on the type."""
    if known_name(context, symbol.name).surrounded or proposal.tier[0] == Tier.CURATED:
        return False
    if proposal.source is Source.RULE:
        return proposal.tier[0] in (Tier.PARAMETER, Tier.FAMILY)
    return proposal.source is Source.DATABASE_OTHER and not is_of_this_series(proposal)


def _may_be_shrunk(type_: Type, found: Accesses) -> bool:
    """Whether code may know the variable as a byte that says which of two values it has."""
    if type_.unaliased_kind() is TypeKind.BOOL:
        return False
    return found.sizes | found.bits == _BYTE


def _is_another(found: Accesses, size: int, *, atomic: bool) -> bool:
    """Whether what code does at the variable's address is done to no such number."""
    if found.is_indexed:
        return True  # an array's
    if any(n > size for n in found.sizes | found.bits):
        return True
    if found.sizes and size not in found.sizes:
        return True
    # What others may change at the same time is only ever added to in one step.
    return found.is_added if atomic else found.is_counted
