"""Which types a symbol may have, and which is asked first.

Owns making proposals: of what other kernels have, of kernel macros, of other types' sizes; and
digesting what the database has of a name once for all names that have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from btfdbg.btf import Kind, kinds
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.database import Candidate
from btfdbg.vardb.textdb import AnnotatedType, TrailingZeros
from btfdbg.variables import macro_names
from btfdbg.variables.agreement import bare_element, element_of, is_lasting, is_settled
from btfdbg.variables.context import Context
from btfdbg.variables.policy import Tier
from btfdbg.variables.proposals import KnownName, Proposal
from btfdbg.variables.provenance import Source
from btfdbg.variables.symbols import Symbol

_KNOWN_SETS = 1 << 13
_LAST_NAMES = 1 << 8  # judging one symbol asks for its name up to five times
KEYS = {
    "struct static_key_true": "struct static_key_false",
    "struct static_key_false": "struct static_key_true",
}


def known_name(context: Context, name: str) -> KnownName:
    """What the database has of a name; many names have the same."""
    last = context.names.get(name)
    if last is not None:
        return last
    candidates = context.database.candidates(name)
    found = context.known.get(id(candidates))
    if found is None or found.candidates is not candidates:
        found = _digest(context, candidates)
        if len(context.known) >= _KNOWN_SETS:
            context.known.clear()
        context.known[id(candidates)] = found
    if len(context.names) == _LAST_NAMES:
        context.names.clear()
    context.names[name] = found
    return found


def _digest(context: Context, candidates: tuple[Candidate, ...]) -> KnownName:
    proposals = [from_candidate(context, c) for c in _without_other_machines(context, candidates)]
    surrounded = is_settled(context, candidates, lambda text: AnnotatedType.parse(text).type)
    if surrounded:
        proposals = list(_unwritten(proposals))
    ordered = tuple(sorted((*proposals, *_other_keys(proposals)), key=lambda p: p.tier))
    texts = {AnnotatedType.parse(p.type).type for p in ordered}
    lengths = (context.checker.length(text) for text in texts)
    return KnownName(
        candidates,
        ordered,
        frozenset(length for length in lengths if length is not None),
        tails_of(ordered, context.database.tails),
        is_lasting(context, candidates),
        surrounded,
        surrounded and is_settled(context, candidates),
    )


def _without_other_machines(
    context: Context, candidates: tuple[Candidate, ...]
) -> Sequence[Candidate]:
    """
    What a variable is on other machines only does not count where it is something else on this one.

    ``numa_off`` is an int on x86-64 and a bool on arm64, and an arm64 kernel of a series that
    the database has of x86-64 alone is no nearer to the int for it. That it differs by machine,
    and not by version, is what kernels of one series show. Lengths of arrays and const are not
    compared: those differ by configuration (``rcu_name``) and compiler.
    """
    distance = context.distance
    if len(candidates) < 2 or all(distance.is_of_this_machine(c.kernels) for c in candidates):
        return candidates
    own = [
        (c.module, bare_element(c.type), distance.series(on_this))
        for c in candidates
        if (on_this := distance.on_this_machine(c.kernels)) and distance.is_of_this_machine(on_this)
    ]

    def is_another_machine_s(candidate: Candidate) -> bool:
        if not candidate.kernels or distance.is_of_this_machine(candidate.kernels):
            return False
        type_, series = bare_element(candidate.type), distance.series(candidate.kernels)
        return any(
            module == candidate.module and mine != type_ and series & seen
            for module, mine, seen in own
        )

    return [c for c in candidates if not is_another_machine_s(c)]


def proposals_for(context: Context, symbol: Symbol, known: KnownName) -> Sequence[Proposal]:
    """What the database knows, then what the kernel's macros say of a name."""
    name = symbol.name
    early = _early_copy(context, name)
    if early is not None:
        return (early,)
    texts: list[str] = []
    if macro_names.may_be_made(name):
        texts += macro_names.propose(name, context.facts.exists, context.evidence.architecture)
    sized = macro_names.by_size(name, context.facts.size_of)
    if not texts and sized is None:
        return known.proposals
    made = [
        Proposal(text, Source.RULE, (Tier.MACRO, order), "made by a kernel macro")
        for order, text in enumerate(texts)
    ]
    if sized is not None:
        made.append(Proposal(sized, Source.RULE, (Tier.SIZED,), "sized by another type"))
    return (*known.proposals, *made)


def _early_copy(context: Context, name: str) -> Proposal | None:
    """A pointer to what a per-CPU variable of this kernel's BTF is declared together with."""
    of, btf = macro_names.early_copy_of(name), context.evidence.btf
    if of is None or btf is None:
        return None
    found = btf().types_by_name(of, (Kind.VAR,))
    if len(found) != 1:
        return None
    var = btf().type_by_id(found[0])
    if not isinstance(var, kinds.Var) or btf().kind_of(var.type) not in (Kind.INT, Kind.TYPEDEF):
        return None
    text = f"{btf().name_of(var.type)} *"
    return Proposal(text, Source.RULE, (Tier.MACRO, 0), f"declared with {of}")


def from_candidate(context: Context, candidate: Candidate) -> Proposal:
    """What the database has under a name, as a proposal: the nearer its kernels, the earlier."""
    other_module = candidate.module != context.evidence.module
    if not candidate.kernels:
        return Proposal(
            candidate.type,
            Source.DATABASE_OTHER,
            (Tier.CURATED, other_module),
            "curated declaration",
        )
    rank, release = context.distance.nearest(candidate.kernels)
    if rank[0] == 0 and not other_module:
        return Proposal(
            candidate.type, Source.DATABASE_SAME, (Tier.SAME_KERNEL,), f"DWARF of {release}"
        )
    tier = (Tier.OTHER_KERNEL, other_module, *rank)
    seen = not candidate.module and context.distance.saw_contents(candidate.kernels)
    note = f"DWARF of {release}"
    return Proposal(candidate.type, Source.DATABASE_OTHER, tier, note, seen, other_module)


def _unwritten(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """
    Proposals that may be in read-only data without const, as a kernel's of the same type is.

    What one compiler puts there, another may have kept writable.
    """
    marked = [AnnotatedType.parse(p.type) for p in proposals]
    there = {
        m.type for m, p in zip(marked, proposals, strict=True) if m.readonly and not p.is_elsewhere
    }
    for mark, proposal in zip(marked, proposals, strict=True):
        if mark.readonly or proposal.is_elsewhere or mark.type not in there:
            yield proposal
        else:
            yield replace(proposal, type=str(replace(mark, readonly=True)))


def _other_keys(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """
    The other kind of each static key, after it.

    DEFINE_STATIC_KEY_MAYBE() makes a key of the kind that the configuration asks for.
    """
    for proposal in proposals:
        other = KEYS.get(proposal.type)
        if other is not None:
            yield replace(
                proposal,
                type=other,
                source=Source.DATABASE_OTHER,
                tier=(*proposal.tier, 1),
                note=f"{proposal.note}, of the kind that the contents are of",
            )


def tails_of(proposals: Sequence[Proposal], usually: Mapping[str, TrailingZeros]) -> dict[str, int]:
    """
    How arrays end, by element, where all kernels that know agree.

    No mark means the usual end, if contents were seen, and else nothing.
    """
    found: dict[str, set[int]] = {}
    for proposal in proposals:
        marked = AnnotatedType.parse(proposal.type)
        tail = marked.tail
        if tail is None and proposal.seen and marked.type.endswith("]"):
            element = element_of(proposal.type).partition(" [")[0]
            usual = usually.get(element)
            tail = None if usual is None else usual.zeros
        if tail is not None:
            found.setdefault(element_of(proposal.type), set()).add(tail)
    return {element: min(tails) for element, tails in found.items() if len(tails) == 1}
