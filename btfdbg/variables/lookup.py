"""Types of global variables of one dump, from all evidence there is.

Owns the order in which evidence is asked: extra BTF, the database and rules, families of
names, parameters, this dump's code; and remembers what was found, and why nothing was. A wrong
type is worse than none, so what is left in doubt has none.

Nothing is read before the first question.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import attrgetter

from drgn import FaultError, Program, Type, TypeKind

from btfdbg.cache import Cache
from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.choice import is_text, unique_symbol
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables import macro_names, probed
from btfdbg.variables.accessed import INVERTED, doubt_of, may_be_inverted, refused_by_code
from btfdbg.variables.agreement import element_of, is_settled, own_or_curated
from btfdbg.variables.beyond import is_doubtful
from btfdbg.variables.choose import best, by_family, may_have_grown
from btfdbg.variables.code_claims import one_or_table, proven_by_code
from btfdbg.variables.context import Context, prepare
from btfdbg.variables.drift import may_have_changed
from btfdbg.variables.evidence import CodeType, DumpEvidence
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.policy import POLICY, Policy, Tier
from btfdbg.variables.proposals import Proposal
from btfdbg.variables.propose import from_candidate, known_name, proposals_for
from btfdbg.variables.provenance import Rejection, Source, TypedVariable
from btfdbg.variables.symbols import Symbol
from btfdbg.variables.twins import has_twin, may_lack_const

# A plain name, which type checkers take for typing's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.variables.doubted import Doubted

logger = logging.getLogger("btfdbg.variables")

# struct lock_class_key is empty without LOCKDEP: what stands there is the next variable.
_EMPTY = "__key"


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
        self._load = database or shipped_database
        self._find_type = find_type
        self._policy = policy
        self._on_problem = on_problem
        self._context: Context | None = None
        self._found: dict[tuple[str, int], TypedVariable | None] = {}
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
        context = self._prepared()
        symbols = [s for s in self._symbols.by_name(name) if not is_text(s)]
        places = {(context.places.of(s.address), s.type_letter) for s in symbols}
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

    def judge(self, symbols: Sequence[Symbol]) -> dict[tuple[str, int], TypedVariable]:
        """
        Judge many variables at once, for those who would ask for each; those that have a type.

        Names are looked up in the database's order, and memory is read in its own: each block
        and each page once.
        """
        context = self._prepared()
        if self._evidence.btf is not None:
            self._evidence.btf().index_names()
        context.names.clear()
        if not context.knows_exports and context.extra is None:
            symbols = [s for s in symbols if not macro_names.is_export(s.name)]
        names = sorted({s.name for s in symbols})
        context.names.update({name: known_name(context, name) for name in names})
        judged = {}
        ordered = sorted(symbols, key=attrgetter("address"))
        with context.checker.reading_ahead():
            self._decide_all(ordered)
            for symbol in ordered:
                found = self._typed(symbol)
                if found is not None:
                    judged[symbol.name, symbol.address] = found
        context.names.clear()
        return judged

    def _decide_all(self, symbols: Sequence[Symbol]) -> None:
        """Decide on all variables, but for those of which code is asked: it is told of them."""
        asked: list[Symbol] = []
        for symbol in symbols:
            key = (symbol.name, symbol.address)
            if key not in self._found:
                count = len(asked)
                found = self._decide(symbol, asked)
                if len(asked) == count:
                    self._found[key] = found
        if asked and self._evidence.expect_accesses is not None:
            self._evidence.expect_accesses(asked)

    def forget(self) -> None:
        """Free all that was found and prepared, some 50 MB after a whole kernel's variables."""
        if self._context is not None:
            self._context.checker.forget()
        self._context = None
        for memory in (self._found, self._coded, self._causes, self._refusals):
            memory.clear()

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
        context = self._prepared()
        known = [from_candidate(context, c) for c in own_or_curated(context, name)]
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

    def _prepared(self) -> Context:
        if self._context is None:
            self._context = prepare(
                self._prog,
                self._evidence,
                load=self._load,
                find_type=self._find_type,
                policy=self._policy,
                on_problem=self._problem,
            )
            self._context.checker.length_of = self._length_of
        return self._context

    def _length_of(self, name: str) -> int | None:
        """Length of an array; None if there is none of that name, or its length is not proven."""
        found = self.find(name)
        is_array = found is not None and found.type.kind is TypeKind.ARRAY
        return found.type.length if found is not None and is_array else None

    def _typed(self, symbol: Symbol) -> TypedVariable | None:
        key = (symbol.name, symbol.address)
        try:
            found = self._found[key]
        except KeyError:
            found = self._found[key] = self._decide(symbol)
        if found is None:
            found = self._by_code(symbol)
        return found if found is not None and found.source >= self._policy.minimum else None

    def _decide(self, symbol: Symbol, asked: list[Symbol] | None = None) -> TypedVariable | None:
        """:param asked: gets what code is to be asked of, which is then not decided on."""
        context = self._prepared()
        exact = self._from_extra(context, symbol)
        if exact is not None:
            return exact
        if not context.knows_exports and macro_names.is_export(symbol.name):
            self._causes[symbol.name, symbol.address] = Rejection.UNKNOWN
            return None
        known = known_name(context, symbol.name)
        proposals = proposals_for(context, symbol, known)
        found: tuple[Type, Proposal] | Rejection = Rejection.UNKNOWN
        room = symbol
        if proposals:
            found = best(context, symbol, proposals, known.lengths, gap=False)
        if found in (Rejection.GAP, Rejection.LENGTH):
            shortened = self._shortened(context, symbol)
            if shortened.size != symbol.size:
                again = best(context, shortened, proposals, known.lengths, gap=False)
                if not isinstance(again, Rejection):
                    found, room = again, shortened
        if isinstance(found, Rejection) and len({p.type for p in proposals}) == 1:
            found = best(context, symbol, proposals, known.lengths, gap=True)
        if not isinstance(found, Rejection) and _is_a_namesake_s(context, found[1], proposals):
            found = Rejection.MISSING
        if (
            isinstance(found, Rejection)
            and not known.candidates
            and not macro_names.is_export(symbol.name)
            and not macro_names.has_type_of_its_own(symbol.name)
        ):
            found = by_family(context, symbol, found)
        if isinstance(found, Rejection):
            parameter = context.facts.parameters().get(symbol.address)
            if parameter is not None and not symbol.name.startswith(_EMPTY):
                guess = Proposal(
                    str(parameter), Source.RULE, (Tier.PARAMETER,), "a parameter of that type"
                )
                found = best(context, symbol, (guess,), frozenset(), gap=False)
        if not isinstance(found, Rejection) and (
            may_have_grown(context, room, *found)
            or may_have_changed(context, room, *found)
            or is_doubtful(context, room, *found, lambda: self._shortened(context, symbol))
            or has_twin(context, symbol, *found)
        ):
            found = Rejection.AMBIGUOUS
        if not isinstance(found, Rejection):
            doubt = doubt_of(context, room, *found)
            if doubt is not None and asked is not None:
                asked.append(room)
                return None
            if doubt is not None:
                found = refused_by_code(context, room, found[0], doubt) or found
        if isinstance(found, Rejection):
            self._causes[symbol.name, symbol.address] = found
            return self._as_probed(context, symbol, found) or self._without_length(
                context, symbol, proposals
            )
        type_, proposal = found
        if proposal.tier[0] == Tier.FAMILY and self._module:
            # What names suggest was learned from kernels; out of the tree code is asked first.
            coded = self._by_code(symbol)
            if coded is not None:
                return coded
        note = proposal.note
        if context.places.of(symbol.address) is SectionKind.INIT:
            note = f"{note}; its memory was freed after boot" if note else "freed after boot"
        caution = INVERTED if may_be_inverted(context, symbol, type_) else ""
        return TypedVariable(symbol.name, type_, symbol.address, proposal.source, note, caution)

    def _by_code(self, symbol: Symbol) -> TypedVariable | None:
        """The type that this dump's code proves, where nothing else knows one."""
        if self._evidence.code is None or self._policy.minimum > Source.CODE:
            return None
        if not self._evidence.asks_code() or macro_names.has_type_of_its_own(symbol.name):
            return None
        key = (symbol.name, symbol.address)
        if key in self._coded:
            return self._coded[key]
        context = self._context
        if context is None or context.places.of(symbol.address) is SectionKind.INIT:
            return None
        from btfdbg.variables.doubted import doubted

        symbol = self._shortened(context, symbol)
        # What is found while another is looked at may be cut short: only it knows.
        claim = self._evidence.code(symbol)
        wanted = doubted(context, symbol, self._causes.get(key))
        if claim is not None:
            self._coded[key] = None
        type_ = None if claim is None else proven_by_code(context, symbol, claim)
        if claim is not None and type_ is not None:
            type_ = one_or_table(context, symbol, type_, claim)
        found = None
        if claim is not None and type_ is not None:
            found = TypedVariable(symbol.name, type_, symbol.address, Source.CODE, claim.why)
        elif wanted is not None:
            found = self._borne_out(symbol, wanted, claim)
        if found is not None:
            self._coded[key] = found
        return found

    def _shortened(self, context: Context, symbol: Symbol) -> Symbol:
        """The symbol without what is behind it and has none; a module's ends where it says."""
        from btfdbg.variables.ubsan import without_records

        start, end = context.facts.address_of("_text"), context.facts.address_of("_end")
        if self._evidence.exact_sizes or start is None or end is None:
            return symbol
        if context.places.of(symbol.address) is not SectionKind.WRITABLE:
            return symbol
        data = self._read(symbol.address, min(symbol.size, context.policy.contents_limit))
        return without_records(symbol, data or b"", range(start, end), self._read)

    def _read(self, address: int, size: int) -> bytes | None:
        try:
            return bytes(self._prog.read(address, size))
        except (FaultError, ValueError):
            return None

    def _borne_out(
        self, symbol: Symbol, wanted: Doubted, claim: CodeType | None
    ) -> TypedVariable | None:
        """What other kernels have, where this dump's code or memory speaks for it."""
        from btfdbg.variables.doubted import sized

        why, count = "", 0
        if self._evidence.bears_out is not None:
            why, count = self._evidence.bears_out(symbol, wanted.element, wanted.is_array)
        if not why and claim is not None and wanted.is_claimed(claim):
            why = claim.why
        if not why:
            return None
        type_ = sized(self._prepared(), wanted, count) if count else wanted.type
        note = f"{why}, as in {wanted.note}"
        return TypedVariable(symbol.name, type_, symbol.address, Source.CODE, note)

    def _as_probed(
        self, context: Context, symbol: Symbol, cause: Rejection
    ) -> TypedVariable | None:
        """The type that drgn takes a variable to be of whose absence would mislead it."""
        if self._module or symbol.name not in probed.DECLARATIONS:
            return None
        if cause in (Rejection.CODE, Rejection.SHRUNK):
            # Whatever drgn takes it for, this kernel's code does not.
            self._refusals[symbol.name] = cause.value
            return None
        known = known_name(context, symbol.name).proposals
        build = context.types.from_text
        declared = probed.spelled(
            probed.DECLARATIONS[symbol.name],
            [AnnotatedType.parse(p.type).type for p in known if not p.is_elsewhere],
            build,
        )
        chosen = probed.choose(declared, symbol, build, context.checker.exists_as_written)
        if isinstance(chosen, str):
            self._refusals[symbol.name] = chosen
            return None
        note = f"as drgn declares it, because not proven here: {cause.value}"
        return TypedVariable(symbol.name, chosen[1], symbol.address, Source.RULE, note)

    def _without_length(
        self, context: Context, symbol: Symbol, proposals: Sequence[Proposal]
    ) -> TypedVariable | None:
        """An array whose elements all kernels agree on, where nothing proves how many there are."""
        if self._causes[symbol.name, symbol.address] is not Rejection.LENGTH:
            return None
        own = [p for p in proposals if not p.is_elsewhere and p.source is not Source.RULE]
        if not own or not is_settled(
            context, known_name(context, symbol.name).candidates, element_of
        ):
            return None
        found = context.checker.open_array(own[0].type, symbol)
        if found is None or may_lack_const(context, symbol, own):
            return None
        type_ = context.types.from_text(found)
        note = "an array whose length nothing here proves"
        if type_ is None:
            return None
        return TypedVariable(symbol.name, type_, symbol.address, own[0].source, note)

    def _from_extra(self, context: Context, symbol: Symbol) -> TypedVariable | None:
        if context.extra is None or self._evidence.convert is None:
            return None
        extra = context.extra
        var_id = extra.find(
            symbol.name,
            symbol.address,
            lambda name: [s.address for s in self._symbols.by_name(name) if not is_text(s)],
        )
        if var_id is None:
            return None
        stated = extra.stated(var_id)
        type_ = None if stated is None else context.types.from_text(stated)
        if type_ is None:
            type_ = self._evidence.convert(extra.btf, var_id)
        return TypedVariable(symbol.name, type_, symbol.address, Source.EXTRA_BTF)

    def _problem(self, error: DebugInfoError) -> None:
        if self._on_problem is not None:
            self._on_problem(error)
        else:
            logger.warning("%s", error)


def _is_a_namesake_s(context: Context, proposal: Proposal, proposals: Sequence[Proposal]) -> bool:
    """
    Whether a type is another module's, and this BTF lacks the one that kernels have in this one.

    ``zero`` of nf_tables is a struct nft_data. Before v5.11 no BTF has the types of modules, and
    mac80211's ``zero``, an array of bytes, would hold in its place.
    """
    if not proposal.is_elsewhere:
        return False
    own = (p for p in proposals if not p.is_elsewhere and p.source is not Source.RULE)
    build = context.types.from_text
    return any(build(AnnotatedType.parse(p.type).type) is None for p in own)


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
