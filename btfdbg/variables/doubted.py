"""A type that other kernels agree on under a name, where nothing here proves all of it.

Owns saying which type that is, and what of it may be given if the dump's code or memory bears it
out: an array's elements where its length is in doubt, a number where it has more room than it
needs. What bears it out is asked of the dump's evidence.
"""

from __future__ import annotations

from drgn import Type

from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.name_patterns import MIN_MEMBERS, patterns
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import element_of, own_or_curated
from btfdbg.variables.context import Context
from btfdbg.variables.evidence import CodeType
from btfdbg.variables.propose import from_candidate
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Doubted:
    """
    A type that wants bearing out.

    :ivar type: what is given if it is.
    :ivar element: of an array what it is of, else the type itself.
    :ivar is_array: whether it is an array, whose length is left open.
    :ivar kernels: the release that has it.
    """

    type: Type
    element: Type
    is_array: bool
    note: str

    def is_claimed(self, claim: CodeType | None) -> bool:
        """Whether code says on its own what the elements are, and only the room was in doubt."""
        if claim is None:
            return False
        said = claim.type.partition(" [")[0].removeprefix("const ")
        return bool(said == self.element.unqualified().type_name())


def doubted(context: Context, symbol: Symbol, cause: Rejection | None) -> Doubted | None:
    """
    The one type that all kernels of the database have, in the form that fits the symbol's place.

    :param cause: why it was refused; only a length or room that was in doubt can be borne out.
    """
    if cause not in (Rejection.LENGTH, Rejection.GAP):
        return None
    said = _said(context, symbol.name)
    if said is None:
        return None
    wanted, note = said
    if AnnotatedType.parse(wanted).readonly and wanted.endswith("]"):
        return None  # a table that nothing writes: it may have become const
    if cause is Rejection.LENGTH:
        text = context.checker.open_array(wanted, symbol)
        type_ = None if text is None else context.types.from_text(text)
        return None if type_ is None else Doubted(type_, type_.type, True, note)
    checked = context.checker.check(
        wanted,
        symbol,
        trusted=False,
        open_ended=False,
        other_lengths=frozenset(),
        gap=True,
        settled=True,
    )
    if isinstance(checked, Rejection):
        return None
    return Doubted(checked[1], checked[1], False, note)


def sized(context: Context, wanted: Doubted, count: int) -> Type:
    """The array with as many elements as memory shows, if BTF has arrays of that length."""
    element = wanted.element.type_name()
    if not wanted.is_array or count not in context.checker.lengths(element):
        return wanted.type
    open_ = wanted.type.type_name()
    bracket = open_.find("[]")
    text = f"{open_[:bracket]}[{count}]{open_[bracket + 2 :]}"
    return (context.types.from_text(text) if bracket >= 0 else None) or wanted.type


def _said(context: Context, name: str) -> tuple[str, str] | None:
    """What all kernels that have the name agree on, or nearly all of its family; and who."""
    known = [from_candidate(context, c) for c in own_or_curated(context, name)]
    if known:
        if len({element_of(p.type) for p in known}) != 1:
            return None
        nearest = min(known, key=lambda p: p.tier)
        return nearest.type, nearest.note
    if context.database.candidates(name):
        return None  # another module's
    for pattern in patterns(name):
        family = context.database.families.get(pattern)
        if family is None:
            continue
        counts: dict[str, int] = {}
        texts: dict[str, str] = {}
        for text, count in family.types_for(name):
            element = element_of(text)
            counts[element] = counts.get(element, 0) + count
            texts.setdefault(element, text)
        if not counts:
            continue
        element, count = max(counts.items(), key=lambda item: item[1])
        if count < max(MIN_MEMBERS, context.policy.family_share * family.members):
            return None
        return texts[element], f"{count} others named {pattern}"
    return None
