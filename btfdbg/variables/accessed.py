"""Whether the kernel's code treats a number as the type does that it would be given.

A number has no shape that memory could contradict: whether ``bool`` became ``int`` since the
kernels that are known, only the bytes that code reads and writes tell. A small structure fills
its place as well as others do: the functions that it is passed to tell. Owns holding a type
against them, and saying when code is asked: where kernels leave a doubt, or the compiler may have
made something else of the variable.

Facts: LLVM's GlobalOpt keeps a static variable that only ever has two constant values as one byte
that says which of them (TryToShrinkGlobalToBoolean); its DWARF says so, memory does not.
"""

from __future__ import annotations

from drgn import Type, TypeKind

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.cdecl import QUALIFIERS, unqualified
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.beyond import ends_open, holds_by_itself
from btfdbg.variables.context import Context
from btfdbg.variables.convert import tree_of
from btfdbg.variables.evidence import Accesses
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.proposals import Proposal
from btfdbg.variables.propose import known_name
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.symbols import Symbol

_NUMBERS = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM)
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)
_JUDGED = (*_NUMBERS, *_RECORDS, TypeKind.POINTER)
_ATOMIC = "atomic"
_MAX_DEPTH = 8
_ASKED = (SectionKind.WRITABLE, SectionKind.RO_AFTER_INIT)
_BYTE = frozenset((1,))

INVERTED = "clang may keep the opposite of a static bool that is true at first"


@dataclass(frozen=True, slots=True)
class Doubt:
    """
    What code is asked of a variable.

    :ivar kernels: whether the kernels that are known leave a doubt.
    :ivar shrunk: whether the compiler may have made a byte of it.
    """

    kernels: bool
    shrunk: bool


def doubt_of(context: Context, symbol: Symbol, type_: Type, proposal: Proposal) -> Doubt | None:
    """
    What code is to be asked of a variable; None if there is no doubt.

    :param type_: as it would be given.
    :param proposal: what it was made of.
    """
    if context.evidence.accesses is None or context.places.of(symbol.address) not in _ASKED:
        return None
    # Of most variables neither, and what follows takes longer.
    in_doubt = holds_by_itself(known_name(context, symbol.name), proposal)
    by_clang = symbol.type_letter.islower() and context.facts.is_made_by_clang()
    if not in_doubt and not by_clang:
        return None
    size, kind = size_of(type_), type_.unaliased_kind()
    if not size or size > context.policy.record or kind not in _JUDGED:
        return None
    shrunk = by_clang and kind in _NUMBERS
    return Doubt(in_doubt, shrunk) if shrunk or in_doubt else None


def refused_by_code(
    context: Context, symbol: Symbol, type_: Type, doubt: Doubt
) -> Rejection | None:
    """
    Why a number's type is not what code makes of the variable; None if it is, or code is silent.

    :param type_: as it would be given.
    """
    found = context.evidence.accesses(symbol) if context.evidence.accesses is not None else None
    if found is None:
        return None
    if doubt.shrunk and _may_be_shrunk(type_, found):
        return Rejection.SHRUNK
    if not doubt.kernels:
        return None
    number = type_.unaliased_kind() in _NUMBERS
    size = size_of(type_) or 0
    atomic = _is_atomic(type_)
    if number and found.is_followed:
        return Rejection.CODE  # a pointer's: closid_free_map
    if (number or atomic) and _is_another(found, size, atomic=atomic):
        return Rejection.CODE
    if found.behind > size and not ends_open(type_):
        return Rejection.CODE  # what stands behind it has no name: it is the same variable's
    return Rejection.CODE if _is_passed_as_another(context, type_, found) else None


def may_be_inverted(context: Context, symbol: Symbol, type_: Type) -> bool:
    """
    Whether a compiler may keep the opposite of a ``bool``.

    A static that is true at first and is only ever made false becomes one that says whether it
    was (TryToShrinkGlobalToBoolean). What it was at first is in no dump, so any may be one.
    """
    return (
        symbol.type_letter.islower()
        and context.facts.is_made_by_clang()
        and type_.unaliased_kind() is TypeKind.BOOL
        and context.places.of(symbol.address) in _ASKED
    )


def _is_atomic(type_: Type) -> bool:
    """Whether a type is one of the kernel's that are changed in one step."""
    name = type_.type_name().removeprefix("const ")
    return name.startswith(_ATOMIC) and type_.unaliased_kind() is TypeKind.STRUCT


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


def _is_passed_as_another(context: Context, type_: Type, found: Accesses) -> bool:
    """
    Whether functions that are passed the variable's address take what it neither is nor begins
    with, and none takes what it is.
    """
    if not found.passed or context.evidence.btf is None or context.evidence.symbol_at is None:
        return False
    btf = context.evidence.btf()
    tree = tree_of(type_)
    if tree is None:
        return False
    ids = context.checker.ids(unqualified(tree, *QUALIFIERS))
    own = {btf.skip_mods_and_typedefs(i) for i in ids}
    told = set()
    for address in found.passed:
        function = context.evidence.symbol_at(address)
        if function is None or function.address != address:
            continue
        if context.facts.is_made_by_clang() and function.type_letter.islower():
            continue  # what a local function is passed may be something else by now
        wanted = _first_record(btf, function.name)
        if wanted is not None:
            told.add(any(_may_be(btf, one, wanted) for one in own))
    return bool(own) and told == {False}


def _first_record(btf: Btf, name: str) -> int | None:
    """The structure that a function's first parameter points to, if BTF has one such function."""
    functions = btf.types_by_name(name, (Kind.FUNC,))
    if len(functions) != 1:
        return None
    try:
        function = btf.type_by_id(functions[0])
        assert isinstance(function, kinds.Func)
        proto = btf.type_by_id(function.type)
        if not isinstance(proto, kinds.FuncProto) or not proto.params:
            return None
        pointer = btf.type_by_id(btf.skip_mods_and_typedefs(proto.params[0].type))
        if not isinstance(pointer, kinds.Ptr):
            return None
        target = btf.skip_mods_and_typedefs(pointer.type)
        record = btf.type_by_id(target)
    except BtfError:
        return None
    return target if isinstance(record, (kinds.Struct, kinds.Union)) else None


def _may_be(btf: Btf, own: int, wanted: int) -> bool:
    """Whether a pointer to what is wanted may be one to what the variable is."""
    if _begins_with(btf, own, wanted):
        return True
    # As code takes a list's head for an entry of it, whose links are the first member; what has
    # nothing but the other in it (an ida and its xarray) is no entry.
    if btf.kind_of(own) not in (Kind.STRUCT, Kind.UNION):
        return False
    try:
        is_head = btf.resolve_size(own) < btf.resolve_size(wanted) and _begins_with_pointer(
            btf, own
        )
    except BtfError:
        return True  # damaged: nothing is said
    return is_head and _begins_with(btf, wanted, own)


def _begins_with_pointer(btf: Btf, record: int) -> bool:
    """Whether a structure begins with a pointer, as heads of lists and trees do."""
    for _ in range(_MAX_DEPTH):
        found = btf.type_by_id(btf.skip_mods_and_typedefs(record))
        if not isinstance(found, (kinds.Struct, kinds.Union)) or not found.members:
            return isinstance(found, kinds.Ptr)
        record = found.members[0].type
    return False


def _begins_with(btf: Btf, outer: int, inner: int, depth: int = 0) -> bool:
    """Whether an object of one type has one of another at its start, or is one."""
    try:
        outer = btf.skip_mods_and_typedefs(outer)
        if outer == inner:
            return True
        found = btf.type_by_id(outer)
    except BtfError:
        return True  # damaged: nothing is said
    if depth >= _MAX_DEPTH:
        return False
    if isinstance(found, kinds.Array):
        return _begins_with(btf, found.type, inner, depth + 1)
    if not isinstance(found, (kinds.Struct, kinds.Union)):
        return False
    starts = [m.type for m in found.members if not m.bit_offset]
    return any(_begins_with(btf, start, inner, depth + 1) for start in starts)
