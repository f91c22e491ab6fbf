"""Variables that share a name, and what tells which of the known types each of them has.

What kernels have under such a name is not what one variable may be, but what several are. The
name proves less then, and the places tell each other apart: by the kernel's own records of its
parameters, by where a string ends, by what none of the others can be. Asked only where more than
one type holds, or the one that does leaves something open.

Facts: include/linux/moduleparam.h (``param_check_uint()`` is a comparison of pointers, and the
kernel is built with ``-Wno-pointer-sign``: an ``int`` passes, another size or a ``bool`` does not).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import permutations
from operator import and_

import drgn
from drgn import Type, TypeKind

from btfdbg.cdecl import Array, CDeclError, CType, format_type, unqualified
from btfdbg.kallsyms.choice import is_text
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import element_of, kernels_of, own_or_curated
from btfdbg.variables.context import Context
from btfdbg.variables.convert import tree_of
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.proposals import KnownName, Proposal
from btfdbg.variables.propose import from_candidate
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.symbols import Symbol

_PLAIN = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM, TypeKind.POINTER)
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)
_MOST = 6  # as many as are tried in every order

Holds = Mapping[str, tuple[Type, Proposal]]


def places_of(context: Context, name: str) -> list[Symbol]:
    """All variables of a name in this kernel, or module, by address."""
    found = {s.address: s for s in context.evidence.symbols.by_name(name) if not is_text(s)}
    return [found[address] for address in sorted(found)]


def is_told_by_parameters(
    context: Context, symbol: Symbol, known: KnownName, proposal: Proposal
) -> bool:
    """
    Whether the records of parameters tell apart all that is known of a name.

    Of ``max_cstate`` kernels know an ``int`` and an ``unsigned int``; that either is recorded as
    the other is, is less than one of each being recorded as what it is.

    :param proposal: what the record of the symbol says.
    """
    said = {element_of(c.type) for c in known.candidates if c.kernels}
    said = {text for text in said if context.checker.are_alike_numbers(text, proposal.type)}
    if proposal.type not in said:
        return False
    parameters = context.facts.parameters()
    recorded = [parameters.get(place.address) for place in places_of(context, symbol.name)]
    types = [None if one is None or one.length is not None else one.type for one in recorded]
    return len(types) == len(said) and set(types) == said


def apart(
    context: Context, symbol: Symbol, holds: Holds, rivals: Sequence[Proposal]
) -> tuple[Type, Proposal] | Rejection:
    """
    The one of several types that hold that a variable has, where its namesakes tell.

    :param rivals: what kernels as near have under the name.
    """
    places = places_of(context, symbol.name)
    if len(places) < 2:
        return Rejection.AMBIGUOUS
    found = _whole_string(context, symbol, holds) or _left_over(context, symbol, places, rivals)
    if found is not None and found in holds:
        return holds[found]
    trees = [tree_of(type_) for type_, _ in holds.values()]
    elements = {_bare(tree.element) if isinstance(tree, Array) else "" for tree in trees}
    if len(elements) != 1 or "" in elements:
        return Rejection.AMBIGUOUS
    # One table, and only its length is in doubt.
    type_, proposal = next(iter(holds.values()))
    ended = by_end(context, symbol, type_, rivals)
    return (ended, proposal) if isinstance(ended, Type) else Rejection.LENGTH


def _whole_string(context: Context, symbol: Symbol, holds: Holds) -> str | None:
    """Of constant strings the one that ends with its NUL and fills its place."""
    data = context.checker.contents(symbol)
    if data is None or context.places.of(symbol.address) is not SectionKind.CONST:
        return None
    text, end, rest = data.partition(b"\0")
    if not text or not end or any(rest) or not text.decode("ascii", "replace").isprintable():
        return None
    types = [type_ for type_, _ in holds.values()]
    if any(t.kind is not TypeKind.ARRAY or t.type.type_name() != "const char" for t in types):
        return None
    return next((t for t, (type_, _) in holds.items() if type_.length == len(text) + 1), None)


def _left_over(
    context: Context, symbol: Symbol, places: Sequence[Symbol], proposals: Sequence[Proposal]
) -> str | None:
    """
    The type of a variable, where kernels have as many types as there are places of the name.

    Each place has one of them then, and only one order of them fits by size and alignment.
    """
    texts = _of_one_kernel(context, symbol.name, proposals)
    if not len(texts) == len(places) <= _MOST:
        return None
    types = {text: context.types.from_text(text) for text in texts}
    if any(type_ is None or type_.kind is TypeKind.ARRAY for type_ in types.values()):
        return None
    fits = {
        place.address: {t for t, ty in types.items() if ty is not None and _fits(ty, place)}
        for place in places
    }
    orders = [
        order
        for order in permutations(texts)
        if all(text in fits[place.address] for place, text in zip(places, order, strict=True))
    ]
    at = next((i for i, place in enumerate(places) if place.address == symbol.address), None)
    return orders[0][at] if len(orders) == 1 and at is not None else None


def _of_one_kernel(context: Context, name: str, proposals: Sequence[Proposal]) -> tuple[str, ...]:
    """The types that kernels around this one, or of its series, have all at once."""
    tier = min((p.tier for p in proposals), default=())
    own = [c for c in own_or_curated(context, name) if c.kernels]
    near = [c for c in own if from_candidate(context, c).tier == tier]
    texts = tuple(dict.fromkeys(AnnotatedType.parse(c.type).type for c in near))
    if len(texts) < 2 or not context.distance.surrounds(reduce(and_, (c.kernels for c in near))):
        return ()
    return texts


def _fits(type_: Type, place: Symbol) -> bool:
    size = size_of(type_)
    if not size or size > place.size:
        return False
    return place.address % _alignment(type_) == 0


def _alignment(type_: Type) -> int:
    """What a number, or a structure of one, is aligned to; 1 where a structure may be packed."""
    bare = type_.unaliased()
    while bare.kind is TypeKind.STRUCT and bare.members and len(bare.members) == 1:
        (member,) = bare.members
        bare = member.type.unaliased()
    return drgn.alignof(bare) if bare.kind in _PLAIN else 1


def is_lost(context: Context, symbol: Symbol, type_: Type) -> bool:
    """
    Whether a place has room for far more, and a namesake that the type may be meant for.

    ``in_suspend`` is an ``atomic_t`` of one file and an ``int`` with a page of its own.
    """
    size = size_of(type_) or 0
    if not size or type_.kind is TypeKind.ARRAY or symbol.size - size < context.policy.record:
        return False
    if size > context.policy.word and context.checker.fills(type_, symbol):
        return False
    return len(places_of(context, symbol.name)) > 1


def may_be_anothers(context: Context, symbol: Symbol, type_: Type, known: KnownName) -> bool:
    """
    Whether a type that holds by itself may be a namesake's, and this variable's another.

    Of a static number older than all that are known nothing shows that it is not (``long_max`` is
    signed in one file only). A structure that modules have under the name may be built in here.
    """
    kind = type_.unaliased_kind()
    is_static_number = kind in _PLAIN and symbol.type_letter.islower()
    number = is_static_number and context.distance.precedes(kernels_of(known.candidates))
    others: set[str] = set()
    if kind in _RECORDS:  # of tables and strings only the length differs, which contents tell
        module = context.evidence.module
        given = type_.unqualified().type_name()
        others = {
            AnnotatedType.parse(c.type).type
            for c in known.candidates
            if c.kernels and c.module != module and element_of(c.type) != given
        }
    if not (number or others) or len(places_of(context, symbol.name)) < 2:
        return False
    return number or any(
        not isinstance(
            context.checker.check(
                text,
                symbol,
                trusted=False,
                open_ended=False,
                other_lengths=frozenset(),
                gap=False,
            ),
            Rejection,
        )
        for text in others
    )


def by_end(
    context: Context, symbol: Symbol, type_: Type, rivals: Collection[Proposal]
) -> Type | Rejection | None:
    """
    An array, of the length that a namesake has in a kernel, where those end in different ways.

    One table of a name ends in one row of zeros, another in two or none: which this is, only a
    length and an end that belong together say.

    :param type_: as it would be given.
    :param rivals: what kernels as near have under the name, itself included.
    :return: ``None`` where all of them end alike.
    """
    tree = tree_of(type_)
    if len(rivals) < 2 or not isinstance(tree, Array):
        return None
    ends = set(_ends(context, rivals, _bare(tree.element)))
    if len({tail for _, tail in ends}) < 2 or len(places_of(context, symbol.name)) < 2:
        return None
    size, data = size_of(type_.type), context.checker.contents(symbol)
    if not size or data is None or not any(data):
        return Rejection.LENGTH
    used = -(-len(data.rstrip(b"\0")) // size)
    room = {type_.length, *context.checker.other_lengths(type_, symbol)}
    fitting = {n for n, tail in ends if used + tail == n and n in room}
    if len(fitting) != 1:
        return Rejection.LENGTH
    try:
        return context.types.build(replace(tree, length=fitting.pop()))
    except (LookupError, CDeclError):
        return Rejection.LENGTH


def _ends(context: Context, rivals: Iterable[Proposal], element: str) -> Iterator[tuple[int, int]]:
    """Lengths of arrays of one kind of elements, each with the rows of zeros at its end."""
    usual = context.database.tails.get(element)
    for rival in rivals:
        marked = AnnotatedType.parse(rival.type)
        tree = context.checker.tree(marked.type)
        if not isinstance(tree, Array) or tree.length is None or _bare(tree.element) != element:
            continue
        if marked.tail is None and rival.seen and usual is not None:
            yield tree.length, usual.zeros
        elif marked.tail is not None:
            yield tree.length, marked.tail


def _bare(element: CType) -> str:
    return format_type(unqualified(element, "const"))
