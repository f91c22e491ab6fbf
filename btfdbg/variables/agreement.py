"""What kernels agree on: whether a variable's type has lasted from one to the next.

Owns comparing what the database's kernels have under one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from drgn import Type, TypeKind, sizeof

from btfdbg.lazy_pattern import pattern
from btfdbg.vardb.database import Candidate
from btfdbg.vardb.name_patterns import without_length
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.context import Context
from btfdbg.variables.policy import POLICY

_KNOWN_TEXTS = 1 << 14
_CONST = pattern(r"\bconst\b")
_NUMBERS = (TypeKind.INT, TypeKind.ENUM)


def own_or_curated(context: Context, name: str) -> list[Candidate]:
    """What kernels have, and what was declared by hand, under a name in the same module."""
    return [c for c in context.database.candidates(name) if c.module == context.evidence.module]


def is_settled(
    context: Context,
    candidates: Sequence[Candidate],
    part: Callable[[str], str] = lambda text: text,
) -> bool:
    """
    Whether older and newer kernels agree on a variable's type.

    :param part: what of a type they are to agree on.
    """
    return any(context.distance.surrounds(mask) for mask in _agreeing(context, candidates, part))


def is_lasting(context: Context, candidates: Sequence[Candidate]) -> bool:
    """Whether older and newer kernels agree on a type, or those of several series."""
    return any(
        context.distance.surrounds(mask)
        or len(context.distance.series(mask)) >= context.policy.lasting_series
        for mask in _agreeing(context, candidates, lambda text: text)
    )


def _agreeing(
    context: Context, candidates: Sequence[Candidate], part: Callable[[str], str]
) -> Iterator[int]:
    """Sets of kernels, all and those of this machine, that agree on a variable's type."""
    module = context.evidence.module
    known = [c for c in candidates if c.kernels and c.module == module]
    if len(known) == 1:
        (only,) = known
        yield only.kernels
        yield context.distance.on_this_machine(only.kernels)
        return
    everywhere = kernels_of(known)
    for mask in (everywhere, context.distance.on_this_machine(everywhere)):
        if len({part(c.type) for c in known if c.kernels & mask}) == 1:
            yield mask


def kernels_of(candidates: Iterable[Candidate]) -> int:
    """All kernels that have one of some candidates."""
    found = 0
    for candidate in candidates:
        found |= candidate.kernels
    return found


def is_number(type_: Type) -> bool:
    """Whether a type is a number, or no more than one in a structure."""
    kind = type_.unaliased_kind()
    if kind == TypeKind.STRUCT:
        return bool(type_.unaliased().is_complete()) and sizeof(type_) <= POLICY.small_record
    return kind in _NUMBERS


@lru_cache(maxsize=_KNOWN_TEXTS)
def element_of(text: str) -> str:
    """
    What two types that differ in length or const only have in common.

    The const before a pointer's target is the target's: that one stays.
    """
    bare = without_length(AnnotatedType.parse(text).type)
    return bare if "*" in bare else bare.removeprefix("const ")


def bare_element(text: str) -> str:
    """What two types that differ in length or in any const only have in common."""
    element = element_of(text)
    return "".join((_CONST.sub(" ", element) if "const" in element else element).split())
