"""Types of global variables of one dump, from all evidence there is.

Owns the verdict: which of the proposed types a symbol has, if any. Proposals come from
the database, from rules and from families; the gates are this dump's own: its symbols'
places, and the types that its BTF has. A wrong type is worse than none, so what is left
in doubt has none.

Nothing is read before the first question.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from drgn import FaultError, Program, Type, TypeKind, sizeof

from btfdbg.arch import CACHE_LINE, by_name
from btfdbg.cache import Cache
from btfdbg.errors import BtfError, DebugInfoError
from btfdbg.kallsyms.choice import is_text, unique_symbol
from btfdbg.kallsyms.model import END_MARKERS
from btfdbg.lazy_dataclass import dataclass, replace
from btfdbg.vardb.database import Candidate, Database
from btfdbg.vardb.name_patterns import MIN_MEMBERS, patterns, without_length
from btfdbg.vardb.textdb import AnnotatedType, TrailingZeros
from btfdbg.variables import macro_names, probed
from btfdbg.variables.contents import Contents
from btfdbg.variables.convert import TypeBuilder
from btfdbg.variables.evidence import CodeType, DumpEvidence, ImageFacts
from btfdbg.variables.extra import ExtraBtf
from btfdbg.variables.forms import size_of
from btfdbg.variables.padding import Padding
from btfdbg.variables.parameters import Parameter, read_parameters
from btfdbg.variables.placement import SectionKind, SectionMap
from btfdbg.variables.policy import POLICY, Policy, Tier
from btfdbg.variables.proposals import KernelDistance, Proposal
from btfdbg.variables.provenance import Rejection, Source, TypedVariable
from btfdbg.variables.structural_index import StructuralIndex
from btfdbg.variables.symbols import Symbol
from btfdbg.variables.type_checker import TypeChecker
from btfdbg.vmcore.platforms import byte_order

logger = logging.getLogger("btfdbg.variables")

_MAX_ARGUMENTS = 6
_KNOWN_TEXTS = 1 << 14
_KNOWN_SETS = 1 << 13
_KEYS = {
    "struct static_key_true": "struct static_key_false",
    "struct static_key_false": "struct static_key_true",
}
_NUMBERS = (TypeKind.INT, TypeKind.ENUM)
# struct lock_class_key is empty without LOCKDEP: what stands there is the next variable.
_EMPTY = "__key"
# Linker symbols at which a section begins (include/asm-generic/vmlinux.lds.h).
_SECTION_STARTS = ("__start_", "__init_begin", "__bss_start", "__per_cpu_start", "_sdata", "__brk")


class VariableTypes:
    """
    Types of the global variables of one kernel (or of one of its modules).

    >>> evidence = DumpEvidence(symbols, "6.12.1-amd64", "x86_64", btf=lambda: vmlinux)
    >>> VariableTypes(prog, evidence).find("init_task").type.type_name()
    'struct task_struct'

    :param prog: for types and memory; nothing is asked of it before the first lookup.
    :param evidence: what is known of the kernel.
    :param database: the compiled database, or how to get it; None for the shipped one.
    :param find_type: finds a named type, ``prog.type`` by default.
    :param policy: what is taken for enough where nothing is proof.
    :param on_problem: told, once, what is wrong with the database.
    """

    def __init__(
        self,
        prog: Program,
        evidence: DumpEvidence,
        *,
        database: Callable[[], Database] | None = None,
        find_type: Callable[[str], Type] | None = None,
        policy: Policy = POLICY,
        on_problem: Callable[[DebugInfoError], None] | None = None,
    ) -> None:
        self._prog = prog
        self._evidence = evidence
        self._symbols = evidence.symbols
        self._module = evidence.module
        self._btf = evidence.btf
        self._symbol_at = evidence.symbol_at
        self._load = database or shipped_database
        self._find_type = find_type
        self._policy = policy
        self._on_problem = on_problem
        self._ready: _Context | None = None
        self._found: dict[tuple[str, int], TypedVariable | None] = {}
        self._known_parameters: Mapping[int, Parameter] | None = None
        self._coded: dict[tuple[str, int], TypedVariable | None] = {}
        self._causes: dict[tuple[str, int], Rejection] = {}
        self._refusals: dict[str, str] = {}

    def find(self, name: str) -> TypedVariable | None:
        """
        Return a variable by its name.

        :return: None if the kernel has no such symbol, or more than one of equal standing,
            or no type holds for it, or only one that is trusted less than the policy allows.
        """
        symbol = unique_symbol([s for s in self._symbols.by_name(name) if not is_text(s)])
        return None if symbol is None else self._typed(symbol)

    def of_symbols(self, name: str) -> tuple[TypedVariable, ...]:
        """Return every variable of a name whose type is known, by address."""
        symbols = {s.address: s for s in self._symbols.by_name(name) if not is_text(s)}
        found = (self._typed(symbols[address]) for address in sorted(symbols))
        return tuple(variable for variable in found if variable is not None)

    def first_linked(self, name: str) -> TypedVariable | None:
        """
        Of several static variables of a name the first one in memory.

        With DWARF drgn gives one of them as well, and not the same in every run: its
        threads race when they index (of 158 such names of Debian's 6.12 two runs differed
        in three or more). The first is at least always the same.

        :return: ``None`` if a type is not known, or they lie in different kinds of memory.
        """
        found = self.of_symbols(name)
        count = len({s.address for s in self._symbols.by_name(name) if not is_text(s)})
        if len(found) < 2 or len(found) != count or not self._are_in_one_section(name):
            return None
        return found[0]

    def _are_in_one_section(self, name: str) -> bool:
        """Whether all symbols of a name lie in memory of one kind, and of which is known."""
        ready = self._ready
        if ready is None:
            ready = self._ready = self._prepare()
        symbols = [s for s in self._symbols.by_name(name) if not is_text(s)]
        places = {(ready.places.of(s.address), s.type_letter) for s in symbols}
        return len(places) == 1 and places.pop()[0] is not SectionKind.UNKNOWN

    def find_at(self, name: str, address: int) -> TypedVariable | None:
        """Return the variable of a name that lies at an address, of several of that name."""
        for symbol in self._symbols.by_name(name):
            if symbol.address == address and not is_text(symbol):
                return self._typed(symbol)
        return None

    def of_symbol(self, symbol: Symbol) -> TypedVariable | None:
        """Return the variable that a symbol is."""
        return self._typed(symbol)

    def source(self, name: str) -> Source | None:
        """Return which evidence gives the type of a variable."""
        found = self.find(name)
        return None if found is None else found.source

    def cause(self, name: str) -> Rejection | None:
        """Return why a variable has no type; None if it has one, or is none."""
        symbol = unique_symbol([s for s in self._symbols.by_name(name) if not is_text(s)])
        return None if symbol is None else self.cause_of(symbol)

    def cause_of(self, symbol: Symbol) -> Rejection | None:
        """Return why the variable that a symbol is has no type; None if it has one."""
        if self._typed(symbol) is not None:
            return None
        return self._causes.get((symbol.name, symbol.address))

    def elsewhere(self, name: str) -> tuple[str, ...]:
        """Return the types that other kernels' variables of a name have, nearest first."""
        ready = self._ready
        if ready is None:
            ready = self._ready = self._prepare()
        known = [self._from_candidate(ready, c) for c in self._own_or_curated(ready, name)]
        known.sort(key=lambda proposal: proposal.tier)
        return tuple(dict.fromkeys(AnnotatedType.parse(p.type).type for p in known))

    def refusal(self, name: str) -> str:
        """
        Return why a name is refused that drgn may not take for absent, else "".

        See :mod:`btfdbg.variables.probed`; any other name's absence is left to :meth:`cause`.
        """
        if self._module or name not in probed.DECLARATIONS:
            return ""
        symbols = [s for s in self._symbols.by_name(name) if not is_text(s)]
        if not symbols or self.find(name) is not None:
            return ""
        count = len({s.address for s in symbols})
        return self._refusals.get(name) or f"there are {count} symbols of that name"

    def _typed(self, symbol: Symbol) -> TypedVariable | None:
        key = (symbol.name, symbol.address)
        try:
            found = self._found[key]
        except KeyError:
            found = self._found[key] = self._decide(symbol)
        if found is None:
            found = self._by_code(symbol)
        return found if found is not None and found.source >= self._policy.minimum else None

    def _decide(self, symbol: Symbol) -> TypedVariable | None:
        ready = self._ready
        if ready is None:
            ready = self._ready = self._prepare()
        exact = self._from_extra(ready, symbol)
        if exact is not None:
            return exact
        known = self._known(ready, symbol.name)
        proposals = self._proposals(symbol, known)
        found: tuple[Type, Proposal] | Rejection = Rejection.UNKNOWN
        if proposals:
            found = self._best(ready, symbol, proposals, known.lengths, gap=False)
        if isinstance(found, Rejection) and len({p.type for p in proposals}) == 1:
            found = self._best(ready, symbol, proposals, known.lengths, gap=True)
        has_kin = not known.candidates and not macro_names.is_export(symbol.name)
        if isinstance(found, Rejection) and has_kin:
            found = self._by_family(ready, symbol, found)
        if isinstance(found, Rejection):
            parameter = self._parameters().get(symbol.address)
            if parameter is not None and not symbol.name.startswith(_EMPTY):
                guess = Proposal(
                    str(parameter), Source.RULE, (Tier.PARAMETER,), "a parameter of that type"
                )
                found = self._best(ready, symbol, (guess,), frozenset(), gap=False)
        if not isinstance(found, Rejection) and self._may_have_grown(ready, symbol, *found):
            found = Rejection.AMBIGUOUS
        if isinstance(found, Rejection):
            self._causes[symbol.name, symbol.address] = found
            return self._as_probed(ready, symbol, found) or self._without_length(
                ready, symbol, proposals
            )
        type_, proposal = found
        note = proposal.note
        if ready.places.of(symbol.address) is SectionKind.INIT:
            note = f"{note}; its memory was freed after boot" if note else "freed after boot"
        return TypedVariable(symbol.name, type_, symbol.address, proposal.source, note)

    def _by_code(self, symbol: Symbol) -> TypedVariable | None:
        """The type that this dump's code proves, where nothing else knows one."""
        if self._evidence.code is None or self._policy.minimum > Source.CODE:
            return None
        key = (symbol.name, symbol.address)
        if key in self._coded:
            return self._coded[key]
        ready = self._ready
        if ready is None or ready.places.of(symbol.address) is SectionKind.INIT:
            return None
        # What is found while another is looked at may be cut short: only it knows.
        claim = self._evidence.code(symbol)
        if claim is None:
            return None
        self._coded[key] = None
        type_ = self._proven(ready, symbol, claim)
        if type_ is not None:
            found = TypedVariable(symbol.name, type_, symbol.address, Source.CODE, claim.why)
            self._coded[key] = found
        return self._coded[key]

    def _proven(self, ready: _Context, symbol: Symbol, claim: CodeType) -> Type | None:
        """The type that code claims, if size, place and contents allow it."""
        checker = ready.checker
        text = claim.type
        # Code and pointers do not say whether the variable itself is const. A module's memory
        # has no boundary symbols, but its table has the section's letter (kernel/module/
        # kallsyms.c, elf_type()).
        if ready.places.of(symbol.address) is SectionKind.UNKNOWN and symbol.type_letter in "rR":
            text = f"const {text}" if not text.endswith("*") else f"{text} const"
        stated = checker.length(text)
        checked = checker.check(
            text,
            symbol,
            trusted=False,
            open_ended=text.endswith("[]"),
            rivals=frozenset() if stated is None else frozenset((stated,)),
            gap=False,
        )
        if checked is Rejection.LENGTH and text.endswith("[]"):
            constant = ready.places.of(symbol.address) is SectionKind.CONST
            open_ = checker.open_array(f"const {text}" if constant else text, symbol)
            return None if open_ is None else ready.types.from_text(open_)
        if stated is not None and (
            isinstance(checked, Rejection) or checker.length(checked[0]) != stated
        ):
            return self._stated(ready, symbol, text)
        if not isinstance(checked, Rejection) and checker.ends_in_zeros(checked[1], symbol):
            return checked[1] if claim.reach <= (size_of(checked[1]) or 0) else None
        return None

    def _stated(self, ready: _Context, symbol: Symbol, text: str) -> Type | None:
        """An array of the length that is the only one in the dump's BTF which fits."""
        constant = ready.places.of(symbol.address) is SectionKind.CONST
        open_ = ready.checker.open_array(f"const {text}" if constant else text, symbol)
        stated = ready.checker.length(text)
        if open_ is None:
            return None
        type_ = ready.types.from_text(f"{open_.rpartition('[')[0]}[{stated}]")
        return type_ if type_ is not None and ready.checker.ends_in_zeros(type_, symbol) else None

    def _may_have_grown(
        self,
        ready: _Context,
        symbol: Symbol,
        type_: Type,
        proposal: Proposal,
    ) -> bool:
        """Whether a number leaves padding where another kernel's fills the place to the byte."""
        if proposal.source is not Source.DATABASE_OTHER or symbol.size > self._policy.word:
            return False
        if size_of(type_) == symbol.size or not _is_number(type_):
            return False
        # Of other machines as well: what they configure always, this kernel may, too.
        for other in self._known(ready, symbol.name).candidates:
            if not other.kernels or other.module != self._module:
                continue
            built = ready.types.from_text(AnnotatedType.parse(other.type).type)
            if built is not None and size_of(built) == symbol.size:
                return True
        return False

    def _own_or_curated(self, ready: _Context, name: str) -> list[Candidate]:
        return [c for c in ready.database.candidates(name) if c.module == self._module]

    def _as_probed(self, ready: _Context, symbol: Symbol, cause: Rejection) -> TypedVariable | None:
        """The type that drgn takes a variable to be of whose absence would mislead it."""
        if self._module or symbol.name not in probed.DECLARATIONS:
            return None
        chosen = probed.choose(symbol.name, symbol, ready.types.from_text)
        if isinstance(chosen, str):
            self._refusals[symbol.name] = chosen
            return None
        note = f"as drgn declares it, because not proven here: {cause.value}"
        return TypedVariable(symbol.name, chosen[1], symbol.address, Source.RULE, note)

    def _without_length(
        self, ready: _Context, symbol: Symbol, proposals: Sequence[Proposal]
    ) -> TypedVariable | None:
        """An array whose elements all kernels agree on, where nothing proves how many there are."""
        if self._causes[symbol.name, symbol.address] is not Rejection.LENGTH:
            return None
        own = [p for p in proposals if not p.is_elsewhere and p.source is not Source.RULE]
        if not own or not self._is_settled(ready, symbol.name, _element):
            return None
        found = ready.checker.open_array(own[0].type, symbol)
        if found is None:
            return None
        type_ = ready.types.from_text(found)
        note = "an array whose length nothing here proves"
        if type_ is None:
            return None
        return TypedVariable(symbol.name, type_, symbol.address, own[0].source, note)

    def _leaves_room(
        self, ready: _Context, symbol: Symbol, type_: Type, proposal: Proposal
    ) -> bool:
        """Whether another kernel's number is too small for its place in this one."""
        return (
            ready.neighbours is not None
            and proposal.source is Source.DATABASE_OTHER
            and _is_number(type_)
            and ready.neighbours.has_more(symbol, sizeof(type_))
            and not self._is_settled(ready, symbol.name)
        )

    def _is_settled(
        self, ready: _Context, name: str, part: Callable[[str], str] = lambda text: text
    ) -> bool:
        """
        Whether older and newer kernels agree on a variable's type.

        :param part: what of a type they are to agree on.
        """
        candidates = self._known(ready, name).candidates
        return any(
            ready.distance.surrounds(mask) for mask in self._agreeing(ready, candidates, part)
        )

    def _is_lasting(self, ready: _Context, candidates: Sequence[Candidate]) -> bool:
        """Whether older and newer kernels agree on a type, or those of several series."""
        return any(
            ready.distance.surrounds(mask)
            or ready.distance.series_of(mask) >= self._policy.lasting_series
            for mask in self._agreeing(ready, candidates, lambda text: text)
        )

    def _agreeing(
        self, ready: _Context, candidates: Sequence[Candidate], part: Callable[[str], str]
    ) -> Iterator[int]:
        """Sets of kernels, all and those of this machine, that agree on a variable's type."""
        known = [c for c in candidates if c.kernels and c.module == self._module]
        everywhere = _kernels(known)
        for mask in (everywhere, ready.distance.on_this_machine(everywhere)):
            if len({part(c.type) for c in known if c.kernels & mask}) == 1:
                yield mask

    def _from_extra(self, ready: _Context, symbol: Symbol) -> TypedVariable | None:
        if ready.extra is None or self._evidence.convert is None:
            return None
        extra = ready.extra
        var_id = extra.find(
            symbol.name,
            symbol.address,
            lambda name: [s.address for s in self._symbols.by_name(name) if not is_text(s)],
        )
        if var_id is None:
            return None
        stated = extra.stated(var_id)
        type_ = None if stated is None else ready.types.from_text(stated)
        if type_ is None:
            type_ = self._evidence.convert(extra.btf, var_id)
        return TypedVariable(symbol.name, type_, symbol.address, Source.EXTRA_BTF)

    def _best(
        self,
        ready: _Context,
        symbol: Symbol,
        proposals: Sequence[Proposal],
        rivals: frozenset[int],
        *,
        gap: bool,
    ) -> tuple[Type, Proposal] | Rejection:
        """The one type that holds in the first tier in which any does, or why none does."""
        cause = Rejection.UNKNOWN
        tier: tuple[int, ...] | None = None
        holds: dict[str, tuple[Type, Proposal]] = {}
        refused: dict[str, tuple[int, ...]] = {}
        roomy: Proposal | None = None
        grown = False
        known = self._known(ready, symbol.name)
        settled, tails = known.lasting, known.tails
        if proposals is not known.proposals:
            tails = _tails(proposals, ready.database.tails)
        unknown: tuple[int, ...] | None = None
        for proposal in proposals:
            if tier is not None and proposal.tier != tier:
                break
            if unknown is not None and unknown < proposal.tier < (Tier.CURATED,):
                # An unknown length does not justify falling back to an older kernel's type.
                continue
            if roomy is not None and proposal.is_elsewhere and not roomy.is_elsewhere:
                # Something unnamed may follow; another module's type fits by chance.
                break
            element = _element(proposal.type)
            if refused.get(element, proposal.tier) != proposal.tier:
                # A nearer kernel's length does not hold; one further away is no better.
                continue
            checked = ready.checker.check(
                proposal.type,
                symbol,
                trusted=proposal.source is Source.DATABASE_SAME,
                open_ended=proposal.source is Source.RULE or proposal.tier[0] == Tier.CURATED,
                rivals=rivals,
                gap=gap,
                tail=tails.get(element),
                doubt=proposal.tier[0] != Tier.MACRO,
                settled=settled,
            )
            if not isinstance(checked, Rejection):
                if self._leaves_room(ready, symbol, checked[1], proposal):
                    checked = Rejection.SIZE
                    grown = True
                elif grown and not _is_number(checked[1]):
                    # A number grew; what another kernel has there instead is chance.
                    checked = Rejection.SIZE
                elif proposal.is_elsewhere and not ready.checker.fills(checked[1], symbol):
                    # Of the same name in another module: more than the name has to agree.
                    checked = Rejection.GAP
            if isinstance(checked, Rejection):
                refused.setdefault(element, proposal.tier)
                if cause is Rejection.UNKNOWN:
                    cause = checked
                if checked is Rejection.LENGTH and unknown is None:
                    unknown = proposal.tier
                if checked is Rejection.GAP and not gap:
                    roomy = roomy or proposal
            else:
                tier = proposal.tier
                holds.setdefault(checked[0], (checked[1], proposal))
        if len(holds) > 1:
            return Rejection.AMBIGUOUS
        if not holds and roomy is not None and roomy is _nearest(proposals):
            found = self._best(ready, symbol, (roomy,), rivals, gap=True)
            if not isinstance(found, Rejection) and ready.checker.is_followed(found[0], symbol):
                return found
        return next(iter(holds.values())) if holds else cause

    def _known(self, ready: _Context, name: str) -> _Known:
        """What the database has of a name; many names have the same."""
        candidates = ready.database.candidates(name)
        found = ready.known.get(id(candidates))
        if found is None or found.candidates is not candidates:
            found = self._digest(ready, candidates)
            if len(ready.known) >= _KNOWN_SETS:
                ready.known.clear()
            ready.known[id(candidates)] = found
        return found

    def _digest(self, ready: _Context, candidates: tuple[Candidate, ...]) -> _Known:
        proposals = [self._from_candidate(ready, candidate) for candidate in candidates]
        ordered = tuple(sorted((*proposals, *_other_keys(proposals)), key=lambda p: p.tier))
        texts = {AnnotatedType.parse(p.type).type for p in ordered}
        lengths = (ready.checker.length(text) for text in texts)
        return _Known(
            candidates,
            ordered,
            frozenset(length for length in lengths if length is not None),
            _tails(ordered, ready.database.tails),
            self._is_lasting(ready, candidates),
        )

    def _proposals(self, symbol: Symbol, known: _Known) -> Sequence[Proposal]:
        """What the database knows, then what the kernel's macros say of a name."""
        texts = list(macro_names.propose(symbol.name, self._exists, self._evidence.architecture))
        sized = macro_names.by_size(symbol.name, self._size_of)
        if not texts and sized is None:
            return known.proposals
        made = [
            Proposal(text, Source.RULE, (Tier.MACRO, order), "made by a kernel macro")
            for order, text in enumerate(texts)
        ]
        if sized is not None:
            made.append(Proposal(sized, Source.RULE, (Tier.SIZED,), "sized by another type"))
        return (*known.proposals, *made)

    def _from_candidate(self, ready: _Context, candidate: Candidate) -> Proposal:
        other_module = candidate.module != self._module
        if not candidate.kernels:
            return Proposal(
                candidate.type,
                Source.DATABASE_OTHER,
                (Tier.CURATED, other_module),
                "curated declaration",
            )
        rank, release = ready.distance.nearest(candidate.kernels)
        if rank[0] == 0 and not other_module:
            return Proposal(
                candidate.type, Source.DATABASE_SAME, (Tier.SAME_KERNEL,), f"DWARF of {release}"
            )
        tier = (Tier.OTHER_KERNEL, other_module, *rank)
        seen = not candidate.module and ready.distance.saw_contents(candidate.kernels)
        note = f"DWARF of {release}"
        return Proposal(candidate.type, Source.DATABASE_OTHER, tier, note, seen, other_module)

    def _by_family(
        self, ready: _Context, symbol: Symbol, cause: Rejection
    ) -> tuple[Type, Proposal] | Rejection:
        """
        The type that the symbol's families agree on, of those that fit it.

        The most specific family that knows enough decides; a wider one may add nothing.
        """
        for pattern in patterns(symbol.name):
            family = ready.database.families.get(pattern)
            if family is None:
                continue
            holds: dict[str, tuple[Type, int]] = {}
            last = Rejection.MISSING
            roomy = 0  # members of a type that is not impossible, if something follows it
            total = family.members - sum(count for _, count in family.types)
            for text, count in family.types_for(symbol.name):
                checked = ready.checker.check(
                    text, symbol, trusted=False, open_ended=True, rivals=frozenset(), gap=False
                )
                if isinstance(checked, Rejection):
                    last = checked
                    if checked is Rejection.GAP:
                        roomy = max(roomy, count)
                else:
                    before = holds.get(checked[0], (checked[1], 0))[1]
                    holds[checked[0]] = (checked[1], before + count)
            if not holds:
                return last
            total = max(total, 0) + sum(count for _, count in holds.values())
            type_, count = max(holds.values(), key=lambda hold: hold[1])
            if roomy > count or not ready.checker.may_be_empty(type_, symbol):
                return Rejection.DOUBT
            if count >= self._policy.family_share * total and count >= MIN_MEMBERS:
                note = f"as {count} others named {pattern}"
                return type_, Proposal(str(type_), Source.RULE, (Tier.FAMILY,), note)
            cause = Rejection.DOUBT
            if count < self._policy.family_majority * total:
                break
        return cause

    def _arguments(self, name: str) -> int | None:
        """How many arguments a system call's metadata says that it has."""
        metadata = macro_names.syscall_of(name)
        address = None if metadata is None else self._address_of(metadata)
        if address is None or self._btf is None:
            return None
        btf = self._btf()
        try:
            offset = btf.offset_of("syscall_metadata", "nb_args") // 8
            count = int.from_bytes(self._prog.read(address + offset, 4), btf.byteorder)
        except (BtfError, FaultError):
            return None
        return count if 0 < count <= _MAX_ARGUMENTS else None

    def _size_of(self, name: str) -> int | None:
        try:
            return size_of((self._find_type or self._prog.type)(name))
        except LookupError:
            return None

    def _parameters(self) -> Mapping[int, Parameter]:
        """The kernel's parameters, read when the first number is asked for."""
        if self._known_parameters is None:
            self._known_parameters = {}
            if self._evidence.parameters is not None:
                self._known_parameters = self._evidence.parameters()
            elif self._btf is not None and self._symbol_at is not None and not self._module:
                self._known_parameters = read_parameters(
                    self._btf(), self._prog.read, self._address_of, self._symbol_at
                )
        return self._known_parameters

    def _address_of(self, name: str) -> int | None:
        symbols = self._symbols.by_name(name)
        return symbols[0].address if len(symbols) == 1 else None

    def _ends_at(self, address: int) -> bool:
        """Whether a section ends, or another begins, at an address; so too where unknown."""
        if self._symbol_at is None:
            return True
        symbol = self._symbol_at(address)
        if symbol is None or symbol.address != address:
            return True
        return symbol.name in END_MARKERS or symbol.name.startswith(_SECTION_STARTS)

    def _is_per_cpu(self, word: int) -> bool:
        """Whether the first CPU has memory where a pointer to per-CPU data would lead it."""
        table = self._address_of("__per_cpu_offset")
        if table is None:
            return False
        try:
            base = int.from_bytes(self._prog.read(table, 8), byte_order(self._prog.platform))
            # No offset: a kernel with one CPU, or a file without a machine's memory.
            return bool(base) and len(self._prog.read((base + word) % (1 << 64), 1)) == 1
        except (FaultError, LookupError, OverflowError):
            return False

    def _exists(self, name: str) -> bool:
        return bool(self._symbols.by_name(name))

    def _problem(self, error: DebugInfoError) -> None:
        if self._on_problem is not None:
            self._on_problem(error)
        else:
            logger.warning("%s", error)

    def _prepare(self) -> _Context:
        try:
            database = self._load()
        except DebugInfoError as e:
            self._problem(e)
            database = Database.build((), {}, {})

        distance = KernelDistance(
            database.kernels, self._evidence.release, self._evidence.architecture
        )
        places = SectionMap(self._address_of)
        types = TypeBuilder(self._prog, self._find_type)
        shapes = contents = neighbours = None
        if self._btf is not None:
            shapes = StructuralIndex(self._btf())
            start, end = self._address_of("_text"), self._address_of("_end")
            if self._symbol_at is not None and start is not None and end is not None:
                contents = Contents(
                    self._btf(), range(start, end), self._symbol_at, self._is_per_cpu
                )
                neighbours = Padding(
                    database,
                    self._btf(),
                    shapes,
                    self._symbol_at,
                    lambda candidate: distance.nearest(candidate.kernels)[0],
                )
        prog = self._prog
        arch = by_name(self._evidence.architecture)
        arch = by_name(self._evidence.architecture)
        facts = ImageFacts(
            places,
            database.tails,
            prog.read,
            lambda name: int(prog.constant(name).value_()),
            self._evidence.exact_sizes,
            CACHE_LINE if arch is None else arch.cache_line,
            0 if arch is None else arch.small_data,
            shapes,
            contents,
            self._parameters,
            self._arguments,
            self._ends_at,
        )
        checker = TypeChecker(types, facts, self._policy)
        extra = None
        if self._evidence.extra is not None:
            try:
                extra = self._evidence.extra()
            except DebugInfoError as e:
                self._problem(e)
        return _Context(database, places, checker, distance, extra, types, neighbours, {})


def _other_keys(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """
    The other kind of each static key, after it.

    DEFINE_STATIC_KEY_MAYBE() makes a key of the kind that the configuration asks for.
    """
    for proposal in proposals:
        other = _KEYS.get(proposal.type)
        if other is not None:
            yield replace(
                proposal,
                type=other,
                source=Source.DATABASE_OTHER,
                tier=(*proposal.tier, 1),
                note=f"{proposal.note}, of the kind that the contents are of",
            )


def _kernels(candidates: Sequence[Candidate]) -> int:
    """All kernels that have one of some candidates."""
    found = 0
    for candidate in candidates:
        found |= candidate.kernels
    return found


def _is_number(type_: Type) -> bool:
    """Whether a type is a number, or no more than one in a structure."""
    kind = type_.unaliased_kind()
    if kind == TypeKind.STRUCT:
        return bool(type_.unaliased().is_complete()) and sizeof(type_) <= POLICY.small_record
    return kind in _NUMBERS


def _nearest(proposals: Sequence[Proposal]) -> Proposal | None:
    """The first proposal, if none of its tier is of another type."""
    first = proposals[0]
    same = all(p.type == first.type for p in proposals if p.tier == first.tier)
    return first if same else None


@lru_cache(maxsize=_KNOWN_TEXTS)
def _element(text: str) -> str:
    """What two types that differ in length or const only have in common."""
    return without_length(AnnotatedType.parse(text).type).removeprefix("const ")


def _tails(proposals: Sequence[Proposal], usually: Mapping[str, TrailingZeros]) -> dict[str, int]:
    """
    How arrays end, by element, where all kernels that know agree.

    No mark means the usual end, if contents were seen, and else nothing.
    """
    found: dict[str, set[int]] = {}
    for proposal in proposals:
        marked = AnnotatedType.parse(proposal.type)
        tail = marked.tail
        if tail is None and proposal.seen and marked.type.endswith("]"):
            element = _element(proposal.type).partition(" [")[0]
            usual = usually.get(element)
            tail = None if usual is None else usual.zeros
        if tail is not None:
            found.setdefault(_element(proposal.type), set()).add(tail)
    return {element: min(tails) for element, tails in found.items() if len(tails) == 1}


@dataclass(frozen=True, slots=True)
class _Known:
    """
    What the database has of a name, in the order in which it is tried.

    :ivar lengths: that kernels give an array of the name.
    :ivar tails: how such arrays end, by element.
    :ivar lasting: older and newer kernels agree on the type, or those of several series.
    """

    candidates: tuple[Candidate, ...]
    proposals: tuple[Proposal, ...]
    lengths: frozenset[int]
    tails: dict[str, int]
    lasting: bool


@dataclass(frozen=True, slots=True)
class _Context:
    """What the first lookup prepares."""

    database: Database
    places: SectionMap
    checker: TypeChecker
    distance: KernelDistance
    extra: ExtraBtf | None
    types: TypeBuilder
    neighbours: Padding | None
    known: dict[int, _Known]


_shipped: Database | None = None


def shipped_database() -> Database:
    """
    Return the database that is part of this package, read once.

    :raises DebugInfoError: it is missing or damaged.
    """
    global _shipped
    if _shipped is None:
        _shipped = Database.load(cache=Cache.default())
    return _shipped
