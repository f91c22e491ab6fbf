"""What may be otherwise in a kernel beyond the known ones, where a type holds only by itself.

Older and newer kernels that agree on a variable are a proof that the one between has it, too. At
an end of time, or where they do not agree, a type that fits is no more than likely. Owns the
doubts that this dump raises there: a place, contents or BTF that another type would explain
better, or as well. Each is a kind of change that was found wrong by leaving series out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drgn import Type, TypeKind

from btfdbg.btf import Kind
from btfdbg.cdecl import (
    Array,
    Pointer,
    format_type,
    is_const,
    qualified,
    unqualified,
)
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.database import Candidate
from btfdbg.vardb.name_patterns import without_length
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import element_of, is_number, kernels_of, own_or_curated
from btfdbg.variables.context import Context
from btfdbg.variables.convert import tree_of
from btfdbg.variables.forms import size_of
from btfdbg.variables.namesakes import is_told_by_parameters, may_be_anothers
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.policy import Tier
from btfdbg.variables.proposals import KnownName, Proposal
from btfdbg.variables.propose import KEYS, known_name
from btfdbg.variables.provenance import Rejection, Source
from btfdbg.variables.symbols import Symbol

_WRITABLE = (SectionKind.WRITABLE, SectionKind.RO_AFTER_INIT, SectionKind.PERCPU)
_NUMBERS = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM)
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)
_WORD = 8
_KERNEL_HALF = 0xFFFF_8000_0000_0000
_SAME_SERIES = 2  # ranks of a series' kernels: of this machine, of another
# include/linux/seqlock.h: without lockdep each kind of them is a seqcount_t and nothing else.
_COUNT = "seqcount_t"
_COUNTS = ("seqcount_", "_t")
# include/linux/moduleparam.h: what these types of parameters are called are typedefs, too.
_SHORT = {"unsigned long": "ulong", "unsigned short": "ushort"}


def is_doubtful(
    context: Context,
    symbol: Symbol,
    type_: Type,
    proposal: Proposal,
    room: Callable[[], Symbol],
) -> bool:
    """
    Whether a type that holds for a symbol is no more than likely.

    :param type_: as it would be given.
    :param proposal: what it was made of.
    :param room: the symbol without unnamed records behind it.
    """
    known = known_name(context, symbol.name)
    if not holds_by_itself(known, proposal):
        return False
    if proposal.source is Source.RULE:
        return _is_doubtful_rule(context, symbol, type_, proposal, known)
    own = [c for c in own_or_curated(context, symbol.name) if c.kernels]
    number = type_.unaliased_kind() in _NUMBERS
    if number and (not own or _is_elsewhere(context, own, type_, symbol)):
        return True
    if type_.kind is TypeKind.ARRAY and _may_have_other_length(context, type_, symbol):
        return True
    if proposal.is_elsewhere and not own and (size_of(type_) or 0) <= context.policy.word:
        return True  # a name of another module's only: so small a type fits anywhere
    return (
        may_be_anothers(context, symbol, type_, known)
        or _may_be_plain_count(context, type_)
        or _may_be_a_table(context, symbol, type_)
        or (number and _has_an_enum(context, symbol.name, type_))
        or _has_room(context, symbol, type_, room)
        or _is_otherwise_on_first_cpu(context, symbol, type_)
        or _changed_nearby(context, symbol, proposal, own, known)
    )


def holds_by_itself(known: KnownName, proposal: Proposal) -> bool:
    """Whether no kernels around this one, and none of its series, agree on the type."""
    tier = proposal.tier
    if known.surrounded or tier[0] == Tier.CURATED:
        return False
    if proposal.source is Source.RULE:
        return tier[0] in (Tier.PARAMETER, Tier.FAMILY)
    if proposal.source is not Source.DATABASE_OTHER:
        return False
    return tier[0] != Tier.OTHER_KERNEL or tier[3] >= _SAME_SERIES


def _is_elsewhere(context: Context, own: list[Candidate], type_: Type, symbol: Symbol) -> bool:
    """Whether a number with room behind it is known from other machines only."""
    if size_of(type_) == symbol.size or not context.distance.knows_this_machine:
        return False
    return not any(context.distance.is_of_this_machine(c.kernels) for c in own)


def _may_have_other_length(context: Context, type_: Type, symbol: Symbol) -> bool:
    """
    Whether an array's length is as likely another: nothing stands in it, or too little.

    What kernels give the array is a hint; its contents, or a place with room for one length
    only, are the proof.
    """
    others = context.checker.other_lengths(type_, symbol)
    if not others:
        return False
    size, word = size_of(type_.type) or 0, context.policy.word
    contents = context.checker.contents(symbol)
    if contents is None or not any(contents):
        if context.places.of(symbol.address) is SectionKind.INIT:
            return False
        # A bitmap has as many words as its bits need: fewer leave no more than padding.
        is_bitmap = size == word and type_.type.unaliased_kind() in _NUMBERS
        return is_bitmap or not context.checker.is_exact(type_, symbol)
    last = (type_.length or 0) - 1
    longer = last + 2
    if size <= word or any(contents[(last + 1) * size :]):
        return False
    place = context.places.of(symbol.address)
    if any(contents[last * size :]):
        # Constants are aligned more than they need be; a sentinel of writable ones is no padding.
        return place is SectionKind.WRITABLE and longer in others and longer * size == symbol.size
    if longer in others and longer * size == symbol.size:
        return True
    # A last row of zeros is padding as well, where tables of its kind do not end in one.
    usual = context.database.tails.get(type_.type.unqualified().type_name())
    ends_so = usual is not None and usual.zeros == 1
    return last in others and not ends_so and place is SectionKind.CONST


def _may_be_plain_count(context: Context, type_: Type) -> bool:
    """Whether a sequence counter with a lock may be one without, which is the same in memory."""
    name = type_.type_name()
    start, end = _COUNTS
    if name == _COUNT or not (name.startswith(start) and name.endswith(end)):
        return False
    plain = context.types.from_text(_COUNT)
    return plain is not None and size_of(plain) == size_of(type_)


def _may_be_a_table(context: Context, symbol: Symbol, type_: Type) -> bool:
    """
    Whether a structure has more room than alignment explains, which a table of them fills.

    Asked of what is freed after boot; elsewhere what stands in the room says more.
    """
    size = size_of(type_)
    if context.places.of(symbol.address) is not SectionKind.INIT:
        return False
    if type_.unaliased_kind() not in _RECORDS or not size or symbol.size % size:
        return False
    if context.checker.fills(type_, symbol):
        return False
    return symbol.size // size in context.checker.lengths(type_.type_name())


def _has_an_enum(context: Context, name: str, type_: Type) -> bool:
    """Whether BTF has an enum of a number's size that is named as its last words are."""
    if type_.unaliased_kind() is not TypeKind.INT or context.evidence.btf is None:
        return False
    btf, size = context.evidence.btf(), size_of(type_)
    words = name.split("_")
    names = ("_".join(words[first:]) for first in range(len(words) - 1))
    found = (i for n in names for i in btf.types_by_name(n, (Kind.ENUM, Kind.ENUM64)))
    return any(btf.resolve_size(i) == size for i in found)


def _has_room(context: Context, symbol: Symbol, type_: Type, room: Callable[[], Symbol]) -> bool:
    """Whether more stands behind an object of the type than alignment asks for, or zeros."""
    if context.evidence.exact_sizes or ends_open(type_):
        return False
    if context.places.of(symbol.address) not in _WRITABLE or type_.type_name() in KEYS:
        return False  # of which kind a static key is, its contents have said
    checker = context.checker
    if checker.is_exact(type_, symbol):
        return False
    if checker.fills(type_, symbol) and not checker.is_followed(type_, symbol):
        return False
    # As little as UBSAN's records need is asked: they are searched for word by word.
    shortened = room()
    if _is_repeated(context, type_, shortened):
        return True
    if checker.fills(type_, shortened):
        return checker.is_followed(type_, shortened)  # padding is zero
    # What has no name may be a constant of the compiler's, or a literal: no pointer.
    return not checker.is_followed(type_, shortened) or checker.is_followed_by_address(
        type_, shortened
    )


def _is_repeated(context: Context, type_: Type, symbol: Symbol) -> bool:
    """Whether what stands behind a word is the same word again, as in a table of them."""
    size, data = size_of(type_) or 0, context.checker.contents(symbol) or b""
    first = data[:size]
    if type_.unaliased_kind() not in _NUMBERS or size != context.policy.word or not any(first):
        return False
    return data[size:].startswith(first)


def _changed_nearby(
    context: Context,
    symbol: Symbol,
    proposal: Proposal,
    own: list[Candidate],
    known: KnownName,
) -> bool:
    """
    Whether kernels as near on the other side have another type that holds as well.

    Of two kernels as far away in time the one of this machine was asked. Where no series has both
    types the change was one in time, and this kernel is before it or behind it.
    """
    given = _elements(context, proposal.type)
    own = [*own, *_built_as_module(context, known, given)]
    mask = kernels_of(c for c in own if _elements(context, c.type) == given)
    if not mask:
        return False
    distance, series = context.distance, context.distance.series(mask)
    away = distance.nearest(mask)[0][1] // _SAME_SERIES
    return any(
        _elements(context, candidate.type) != given
        and distance.nearest(candidate.kernels)[0][1] // _SAME_SERIES <= away
        and not series & distance.series(candidate.kernels)
        and not isinstance(
            context.checker.check(
                candidate.type,
                symbol,
                trusted=False,
                open_ended=False,
                other_lengths=known.lengths,
                gap=False,
            ),
            Rejection,
        )
        for candidate in own
    )


def _built_as_module(context: Context, known: KnownName, given: str) -> Iterator[Candidate]:
    """What modules have that have the same type somewhere: it is built in here, and one there."""
    others = [c for c in known.candidates if c.kernels and c.module != context.evidence.module]
    modules = {c.module for c in others if _elements(context, c.type) == given}
    return (c for c in others if c.module in modules)


def _elements(context: Context, text: str) -> str:
    """A type without its length, and without the const that its place decides on."""
    bare = without_length(AnnotatedType.parse(text).type)
    tree = context.checker.tree(bare)
    if tree is None:
        return bare
    if isinstance(tree, Array):
        return format_type(replace(tree, element=unqualified(tree.element, "const")))
    return format_type(unqualified(tree, "const"))


def _is_otherwise_on_first_cpu(context: Context, symbol: Symbol, type_: Type) -> bool:
    """Whether a CPU's own copy holds what the type has no place for; the template is dead."""
    size = size_of(type_)
    if context.places.of(symbol.address) is not SectionKind.PERCPU or not size:
        return False
    if not size <= symbol.size <= context.policy.contents_limit:
        return False
    data = context.facts.of_first_cpu(symbol.address, symbol.size)
    if data is None or not any(data) or context.evidence.btf is None:
        return False
    if context.checker.contradicts(type_, data[:size]):
        return True
    words = range(-(-size // _WORD) * _WORD, len(data) - _WORD + 1, _WORD)
    order = context.evidence.btf().byteorder
    behind = (int.from_bytes(data[at : at + _WORD], order) for at in words)
    return not ends_open(type_) and any(word >= _KERNEL_HALF for word in behind)


def ends_open(type_: Type) -> bool:
    """Whether an object of the type is longer than its type says, or has no size."""
    bare = type_.unaliased()
    if not size_of(type_):
        return True
    if bare.kind not in _RECORDS or not bare.members:
        return False
    last = bare.members[-1].type.unaliased()
    return last.kind is TypeKind.ARRAY and not last.length


def _is_doubtful_rule(
    context: Context, symbol: Symbol, type_: Type, proposal: Proposal, known: KnownName
) -> bool:
    """Whether what a family or a parameter says may be another type in the same place."""
    if proposal.tier[0] == Tier.PARAMETER:
        if type_.unaliased_kind() is not TypeKind.INT:
            return False
        # param_check_uint() lets an int pass, and "ulong" is a typedef as well as a word of its.
        other = {element_of(c.type) for c in known.candidates if c.kernels} - {proposal.type}
        if other and is_told_by_parameters(context, symbol, known, proposal):
            return False
        name = _SHORT.get(type_.type_name(), "")
        return bool(other) or (bool(name) and context.types.from_text(name) is not None)
    if _is_a_pointer(context, symbol, type_) or is_number(type_):
        return proposal.support < context.policy.plain_family
    return type_.kind is TypeKind.ARRAY and _points_to_const_as_well(context, type_)


def _is_a_pointer(context: Context, symbol: Symbol, type_: Type) -> bool:
    """Whether a type is a pointer, or a table of one that holds nothing, as a number of 0 does."""
    if type_.kind is not TypeKind.ARRAY:
        return type_.unaliased_kind() is TypeKind.POINTER
    if type_.length != 1 or type_.type.unaliased_kind() is not TypeKind.POINTER:
        return False
    data = context.checker.contents(symbol)
    return data is None or not any(data)


def _points_to_const_as_well(context: Context, type_: Type) -> bool:
    """Whether BTF has the same table of pointers to what is const."""
    tree = tree_of(type_)
    if not isinstance(tree, Array):
        return False
    pointer = unqualified(tree.element, "const")
    if not isinstance(pointer, Pointer) or is_const(pointer.target):
        return False
    other = replace(pointer, target=qualified(pointer.target, "const"))
    element = qualified(other, "const") if is_const(tree) else other
    return context.checker.exists(replace(tree, element=element))
