"""Which of the proposed types a symbol has, if any.

Owns the choice: the one type that holds in the first tier in which any does; or the one that
nearly all variables named alike have. What is left in doubt has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from drgn import Type, TypeKind, sizeof

from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.name_patterns import MIN_MEMBERS, Family, patterns, wider
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables import namesakes
from btfdbg.variables.agreement import bare_element, element_of, is_number
from btfdbg.variables.context import Context
from btfdbg.variables.forms import size_of
from btfdbg.variables.policy import Tier
from btfdbg.variables.proposals import Proposal
from btfdbg.variables.propose import known_name, tails_of
from btfdbg.variables.provenance import Rejection, Source
from btfdbg.variables.symbols import Symbol

_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)


def best(
    context: Context,
    symbol: Symbol,
    proposals: Sequence[Proposal],
    other_lengths: frozenset[int],
    *,
    gap: bool,
) -> tuple[Type, Proposal] | Rejection:
    """The one type that holds in the first tier in which any does, or why none does."""
    cause = Rejection.UNKNOWN
    tier: tuple[int, ...] | None = None
    holds: dict[str, tuple[Type, Proposal]] = {}
    refused: dict[str, tuple[int, ...]] = {}
    too_small: Proposal | None = None
    grown = False
    known = known_name(context, symbol.name)
    settled, tails = known.lasting, known.tails
    if proposals is not known.proposals:
        tails = tails_of(proposals, context.database.tails)
    unknown: tuple[int, ...] | None = None
    for proposal in proposals:
        if tier is not None and proposal.tier != tier:
            break
        if unknown is not None and unknown < proposal.tier < (Tier.CURATED,):
            # An unknown length does not justify falling back to an older kernel's type.
            continue
        if too_small is not None and proposal.is_elsewhere and not too_small.is_elsewhere:
            # Something unnamed may follow; another module's type fits by chance.
            break
        element = element_of(proposal.type)
        if refused.get(element, proposal.tier) != proposal.tier:
            # A nearer kernel's length does not hold; one further away is no better.
            continue
        checked = context.checker.check(
            proposal.type,
            symbol,
            trusted=proposal.source is Source.DATABASE_SAME,
            open_ended=proposal.source is Source.RULE or proposal.tier[0] == Tier.CURATED,
            other_lengths=other_lengths,
            gap=gap,
            tail=tails.get(element),
            doubt=proposal.tier[0] != Tier.MACRO,
            settled=settled,
            surrounded=known.surrounded,
        )
        if not isinstance(checked, Rejection):
            if not known.settled and _leaves_room(context, symbol, checked[1], proposal):
                checked = Rejection.SIZE
                grown = True
            elif grown and not is_number(checked[1]):
                # A number grew; what another kernel has there instead is chance.
                checked = Rejection.SIZE
            elif proposal.is_elsewhere and not context.checker.fills(checked[1], symbol):
                # Of the same name in another module: more than the name has to agree.
                checked = Rejection.GAP
            elif namesakes.is_lost(context, symbol, checked[1]):
                checked = Rejection.GAP
        if isinstance(checked, Rejection):
            refused.setdefault(element, proposal.tier)
            if cause is Rejection.UNKNOWN:
                cause = checked
            if checked is Rejection.LENGTH and unknown is None:
                unknown = proposal.tier
            if checked is Rejection.GAP and not gap:
                too_small = too_small or proposal
        else:
            tier = proposal.tier
            holds.setdefault(checked[0], (checked[1], proposal))
    rivals = [p for p in proposals if p.tier == tier]
    if len(holds) > 1:
        return namesakes.apart(context, symbol, holds, rivals)
    if holds and len(rivals) > 1:
        ((type_, proposal),) = holds.values()
        ended = namesakes.by_end(context, symbol, type_, rivals)
        if ended is not None:
            return ended if isinstance(ended, Rejection) else (ended, proposal)
    if not holds and too_small is not None and too_small is _nearest(proposals):
        found = best(context, symbol, (too_small,), other_lengths, gap=True)
        if not isinstance(found, Rejection) and context.checker.is_followed(found[0], symbol):
            return found
    return next(iter(holds.values())) if holds else cause


def by_family(
    context: Context, symbol: Symbol, cause: Rejection
) -> tuple[Type, Proposal] | Rejection:
    """
    The type that the symbol's families agree on, of those that fit it.

    The most specific family that knows enough decides; a wider one may add nothing but doubt.
    """
    for pattern in patterns(symbol.name):
        family = context.database.families.get(pattern)
        if family is None:
            continue
        said = _weighed(context, symbol, family)
        if said.best is None:
            return said.last
        type_, count = said.best
        if said.too_small > count or not context.checker.may_be_empty(type_, symbol):
            return Rejection.DOUBT
        if count >= context.policy.family_share * said.total and count >= MIN_MEMBERS:
            if _is_one_record(type_) or _may_be_chance(context, symbol, family, type_, count):
                return Rejection.DOUBT
            note = f"as {count} others named {pattern}"
            return type_, Proposal(str(type_), Source.RULE, (Tier.FAMILY,), note, support=count)
        cause = Rejection.DOUBT
        if count < context.policy.family_majority * said.total:
            break
    return cause


@dataclass(frozen=True, slots=True)
class _Weighed:
    """
    What a family says of one symbol.

    :ivar best: the type that most members have, of those that hold, and how many have it.
    :ivar total: members whose type is not ruled out here.
    :ivar too_small: members of a type that is not impossible, if something follows it.
    :ivar last: why the last type that was refused was.
    """

    best: tuple[Type, int] | None
    total: int
    too_small: int
    last: Rejection


def _weighed(context: Context, symbol: Symbol, family: Family) -> _Weighed:
    """Hold the types of a family against a symbol."""
    holds: dict[str, tuple[Type, int]] = {}
    doubted: list[tuple[str, int]] = []
    last = Rejection.MISSING
    too_small = 0
    total = family.members - sum(count for _, count in family.types)
    for text, count in family.types_for(symbol.name):
        checked = context.checker.check(
            text, symbol, trusted=False, open_ended=True, other_lengths=frozenset(), gap=False
        )
        if isinstance(checked, Rejection):
            last = checked
            if checked is Rejection.GAP:
                too_small = max(too_small, count)
            elif checked is Rejection.LENGTH:
                doubted.append((text, count))
        else:
            before = holds.get(checked[0], (checked[1], 0))[1]
            holds[checked[0]] = (checked[1], before + count)
    if not holds:
        return _Weighed(None, 0, too_small, last)
    total = max(total, 0) + sum(count for _, count in holds.values())
    best = max(holds.values(), key=lambda hold: hold[1])
    # Whose length alone is in doubt may be it all the same: mt7988's pins are int [], not unsigned.
    own = bare_element(str(best[0].type_name()))
    for text, count in doubted:
        if bare_element(text) != own and context.checker.may_be_array(text, symbol):
            total += count
    return _Weighed(best, total, too_small, last)


def _may_be_chance(
    context: Context, symbol: Symbol, family: Family, type_: Type, count: int
) -> bool:
    """
    Whether so few members may agree by chance, as wider families' names have other types too.

    Of ten names in i2c1_pins none is signed, but of all in _pins one of eleven is. What is in a
    structure bears it out or not; numbers, and pointers to what has no shape, are all alike.
    """
    policy = context.policy
    if _element_kind(type_) in _RECORDS:
        return False
    for pattern in wider(family.pattern):
        family_ = context.database.families.get(pattern)
        # So many agree by chance hardly ever, whatever the wider family's share is.
        if family_ is None or policy.family_share**count <= 1 - policy.family_share:
            continue
        said = _weighed(context, symbol, family_)
        if said.best is None or said.best[0].type_name() != type_.type_name():
            continue
        share = said.best[1] / said.total
        if share < policy.family_share and share**count > 1 - policy.family_share:
            return True
    return False


def _is_one_record(type_: Type) -> bool:
    """Whether a type is a table of one structure: it may as well be declared as that structure."""
    is_one = type_.kind == TypeKind.ARRAY and type_.length == 1
    return is_one and _element_kind(type_) in _RECORDS


def _element_kind(type_: Type) -> TypeKind:
    """Of which kind the innermost elements of an array are, or what is no array."""
    while type_.unaliased_kind() == TypeKind.ARRAY:
        type_ = type_.unaliased().type
    return type_.unaliased_kind()


def may_have_grown(
    context: Context,
    symbol: Symbol,
    type_: Type,
    proposal: Proposal,
) -> bool:
    """Whether a number leaves padding where another kernel's fills the place to the byte."""
    if proposal.source is not Source.DATABASE_OTHER or symbol.size > context.policy.word:
        return False
    if size_of(type_) == symbol.size or not is_number(type_):
        return False
    if _grew_in_front(context, symbol, type_, proposal):
        return True
    # Of other machines as well: what they configure always, this kernel may, too.
    for other in known_name(context, symbol.name).candidates:
        if not other.kernels or other.module != context.evidence.module:
            continue
        if context.checker.size(AnnotatedType.parse(other.type).type) == symbol.size:
            return not context.checker.is_parameter(type_, symbol)
    return False


def _grew_in_front(context: Context, symbol: Symbol, type_: Type, proposal: Proposal) -> bool:
    """
    Whether the number in front is of the same type in other kernels, and too small for its place.

    Numbers that belong together grow together: of ``have_exit_callback`` and those behind it the
    last has a neighbour that tells nothing.
    """
    at, size = context.evidence.symbol_at, size_of(type_) or 0
    if at is None or context.padding is None:
        return False
    front = at(symbol.address - 1)
    if front is None or front.address + front.size != symbol.address or front.size < 2 * size:
        return False
    if known_name(context, symbol.name).surrounded:
        return False
    own = known_name(context, front.name).proposals
    if not own or any(element_of(p.type) != element_of(proposal.type) for p in own):
        return False
    return symbol.address % (2 * size) == 0 and context.padding.has_more(front, size)


def _leaves_room(context: Context, symbol: Symbol, type_: Type, proposal: Proposal) -> bool:
    """Whether another kernel's number, not settled, is too small for its place in this one."""
    return (
        context.padding is not None
        and proposal.source is Source.DATABASE_OTHER
        and context.padding.may_have_more(symbol)
        and is_number(type_)
        and context.padding.has_more(symbol, sizeof(type_))
    )


def _nearest(proposals: Sequence[Proposal]) -> Proposal | None:
    """The first proposal, if none of its tier is of another type."""
    first = proposals[0]
    same = all(p.type == first.type for p in proposals if p.tier == first.tier)
    return first if same else None
