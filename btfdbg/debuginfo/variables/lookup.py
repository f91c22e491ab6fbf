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
from typing import Protocol

import drgn
from drgn import Program, Type, TypeKind

from btfdbg.btf import Btf
from btfdbg.debuginfo.cache import Cache
from btfdbg.debuginfo.choice import is_text, only
from btfdbg.debuginfo.variables import rules
from btfdbg.debuginfo.variables.cdecl import (
    Array,
    CDeclError,
    CType,
    format_type,
    is_const,
    parse_type,
    qualified,
    unqualified,
)
from btfdbg.debuginfo.variables.convert import TypeBuilder
from btfdbg.debuginfo.variables.database import Candidate, Database
from btfdbg.debuginfo.variables.evidence import (
    CACHE_LINE,
    CACHE_LINES,
    Extent,
    Fit,
    Place,
    Places,
    extent_at,
)
from btfdbg.debuginfo.variables.extra import ExtraBtf
from btfdbg.debuginfo.variables.families import MIN_MEMBERS, patterns, without_length
from btfdbg.debuginfo.variables.lengths import ArrayEvidence, array_length
from btfdbg.debuginfo.variables.provenance import Source, TypedVariable
from btfdbg.debuginfo.variables.shapes import Shapes
from btfdbg.debuginfo.variables.textdb import Kernel, Marked, Tail, series_version
from btfdbg.errors import DebugInfoError
from btfdbg.record import dataclass, replace

logger = logging.getLogger("btfdbg.variables")

_WRITABLE = (Place.WRITABLE, Place.PERCPU, Place.RO_AFTER_INIT)
_CONTENTS_LIMIT = 1 << 16
_MAX_DEPTH = 3
_CURATED_TIER = 5
_LARGEST_GAP = 1 << 16
# Addresses of x86-64 and arm64 kernels, whose pointers can be told from other data.
_KERNEL_HALF = 0xFFFF_8000_0000_0000
_FAMILY_SHARE = 0.985
_FAMILY_MAJORITY = 0.5


class Symbol(Protocol):
    """What a lookup needs to know of a symbol; btfdbg.debuginfo.kallsyms.Sym has it."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def type_letter(self) -> str: ...


class Symbols(Protocol):
    """What a lookup asks of a symbol table."""

    def by_name(self, name: str) -> Sequence[Symbol]: ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    A type that a symbol may have.

    :ivar tier: proposals of a smaller tier are asked first; within a tier, two that fit
        contradict each other.
    """

    type: str
    source: Source
    tier: tuple[int, ...]
    note: str = ""


class Verdicts:
    """
    The gates: does a proposed type hold for a symbol?

    :param read: reads memory of the dump; raises :class:`drgn.FaultError`.
    :param constant: value of an enumerator; raises :class:`LookupError`.
    :param exact_sizes: a symbol's size is its own, not the distance to the next one.
    """

    def __init__(
        self,
        types: TypeBuilder,
        places: Places,
        tails: Mapping[str, Tail],
        shapes: Shapes | None,
        read: Callable[[int, int], bytes],
        constant: Callable[[str], int],
        exact_sizes: bool,
        cache_line: int,
    ) -> None:
        self._cache_line = cache_line
        self._constant = constant
        self._exact_sizes = exact_sizes
        self._shapes = shapes
        self._types = types
        self._tails = tails
        self._places = places
        self._read = read
        self._trees: dict[str, CType | None] = {}

    def tree(self, text: str) -> CType | None:
        """Return the parsed text, None if it cannot be parsed."""
        try:
            return self._trees[text]
        except KeyError:
            pass
        try:
            parsed: CType | None = parse_type(text)
        except CDeclError:
            parsed = None
        self._trees[text] = parsed
        return parsed

    def length(self, text: str) -> int | None:
        """Return the outermost array's length that a text states, None without one."""
        tree = self.tree(text) if "[" in text else None
        return tree.length if isinstance(tree, Array) else None

    def check(
        self,
        text: str,
        symbol: Symbol,
        *,
        trusted: bool,
        open_ended: bool,
        rivals: frozenset[int],
        gap: bool,
    ) -> tuple[str, Type] | None:
        """
        Return the type in the form that holds for the symbol, None if none does.

        :param trusted: the text is of this very kernel: lengths and qualifiers included.
        :param open_ended: ``[]`` in the text stands for any length, not for an array that
            was declared without one.
        :param rivals: the lengths that kernels give an array of this name.
        :param gap: the symbol may have unnamed constants behind it.
        """
        extent = extent_at(
            symbol.address, symbol.size, exact=self._exact_sizes, cache_line=self._cache_line
        )
        marked = Marked.parse(text)
        text = marked.type
        if trusted:
            return self._fits(text, extent, gap=True)
        tree = self.tree(text)
        if tree is None:
            return None
        place = self._places.of(symbol.address)
        if place is Place.CONST and not marked.readonly and not is_const(tree):
            text = format_type(tree := qualified(tree, "const"))
        elif place in _WRITABLE and is_const(tree):
            text = format_type(tree := unqualified(tree, "const"))
        if isinstance(tree, Array) and (tree.length is not None or open_ended):
            return self._array(tree, symbol, extent, place, marked.tail, rivals)
        if self._shapes is not None and not self._shapes.exists(tree):
            return None
        return self._fits(text, extent, gap=gap)

    def _fits(self, text: str, extent: Extent, *, gap: bool) -> tuple[str, Type] | None:
        type_ = self._types.from_text(text)
        if type_ is None:
            return None
        size = _size(type_)
        if size is None:
            # A function, or an incomplete type: extents say nothing about it.
            return (text, type_)
        fit = extent.fit(size)
        if fit is Fit.OVER or (fit in (Fit.GAP, Fit.UNKNOWN) and not gap):
            return None
        if fit is Fit.GAP and (extent.size or 0) >= _LARGEST_GAP:
            return None  # that much is a variable, whatever its type
        return (text, type_)

    def _array(
        self,
        tree: Array,
        symbol: Symbol,
        extent: Extent,
        place: Place,
        tail: int | None,
        rivals: frozenset[int],
    ) -> tuple[str, Type] | None:
        try:
            element = self._types.build(tree.element)
        except (LookupError, CDeclError):
            return None
        size = _size(element)
        if not size:
            return None
        text = format_type(unqualified(tree.element, "const"))
        evidence = ArrayEvidence(
            element=text,
            element_size=size,
            hint=tree.length,
            stable=len(rivals) <= 1,
            rivals=rivals,
            fixed=rules.is_fixed(symbol.name),
            tail=tail,
            lengths=None if self._shapes is None else self._shapes.lengths(tree.element),
            extent=extent,
            place=place,
            has_pointers=symbol.address >= _KERNEL_HALF and _has_pointers(element),
            contents=self._contents(symbol),
            string=text == "char" and (is_const(tree) or rules.is_string(symbol.name)),
        )
        length = self._counted(evidence, symbol.name)
        if length is None:
            length = array_length(evidence, self._tails)
        if length is None:
            return None
        sized = replace(tree, length=length)
        try:
            return format_type(sized), self._types.build(sized)
        except (LookupError, CDeclError):
            return None

    def _counted(self, evidence: ArrayEvidence, name: str) -> int | None:
        """The value of the enumerator that counts the array's elements, if it fits."""
        room = evidence.extent.size or 0
        if rules.is_per_cpu_table(name):
            count = room // evidence.element_size
            return count if evidence.lengths is not None and count in evidence.lengths else None
        enumerator = rules.counting_enumerator(name)
        if enumerator is None:
            return None
        try:
            count = self._constant(enumerator)
        except LookupError:
            return None
        return count if 0 < count * evidence.element_size <= room else None

    def _contents(self, symbol: Symbol) -> bytes | None:
        if not 0 < symbol.size <= _CONTENTS_LIMIT:
            return None
        try:
            return self._read(symbol.address, symbol.size)
        except (drgn.FaultError, ValueError):
            return None


def _size(type_: Type) -> int | None:
    if type_.unaliased_kind() in (TypeKind.FUNCTION, TypeKind.VOID):
        return None
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return None


def _has_pointers(type_: Type, depth: int = 0) -> bool:
    """Whether objects of the type hold pointers, as far as three levels of members tell."""
    type_ = type_.unaliased()
    if type_.kind == TypeKind.POINTER:
        return True
    if type_.kind == TypeKind.ARRAY:
        return _has_pointers(type_.type, depth)
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION) or depth == _MAX_DEPTH:
        return False
    return any(_has_pointers(member.type, depth + 1) for member in type_.members or ())


class Kinship:
    """How near each kernel of a database is to one release."""

    def __init__(self, kernels: Sequence[Kernel], release: str, machine: str) -> None:
        me = Kernel.of(release, machine)
        mine = series_version(release)
        self._order: list[tuple[int, ...]] = []
        self.releases = [kernel.release for kernel in kernels]
        series = sorted({kernel.version for kernel in kernels} | {mine})
        for kernel in kernels:
            distance = abs(series.index(kernel.version) - series.index(mine))
            self._order.append(
                (
                    kernel.release != release,
                    distance + (kernel.machine != machine) * 2,
                    kernel.lane != me.lane,
                )
            )

    def nearest(self, mask: int) -> tuple[tuple[int, ...], str]:
        """Return the rank of the nearest kernel of a set, and its release."""
        best: tuple[int, ...] = (9,)
        release = ""
        index = 0
        while mask:
            if mask & 1 and self._order[index] < best:
                best, release = self._order[index], self.releases[index]
            mask >>= 1
            index += 1
        return best, release


class VariableTypes:
    """
    Types of the global variables of one kernel (or of one of its modules).

    :param prog: for types and memory; nothing is asked of it before the first lookup.
    :param symbols: the kernel's symbols.
    :param release: as ``uname -r`` prints it.
    :param architecture: as ``uname -m`` prints it.
    :param database: the compiled database, or how to get it; None for the shipped one.
    :param find_type: finds a named type, ``prog.type`` by default.
    :param minimum: trust below which no type is given.
    :param on_problem: told, once, what is wrong with the database.
    :param module: name of the module whose variables these are, "" for the kernel.
    :param btf: gives the BTF in which types must exist in every detail.
    :param extra: gives the extra BTF of this kernel, if there is one.
    :param convert: makes a type out of an id of extra BTF.
    :param exact_sizes: the symbols' sizes are their own (a module's ``st_size``).
    """

    def __init__(
        self,
        prog: Program,
        symbols: Symbols,
        *,
        release: str,
        architecture: str,
        database: Callable[[], Database] | None = None,
        find_type: Callable[[str], Type] | None = None,
        minimum: Source = Source.RULE,
        on_problem: Callable[[DebugInfoError], None] | None = None,
        module: str = "",
        btf: Callable[[], Btf] | None = None,
        exact_sizes: bool = False,
        extra: Callable[[], ExtraBtf | None] | None = None,
        convert: Callable[[Btf, int], Type] | None = None,
    ) -> None:
        self._prog = prog
        self._symbols = symbols
        self._release = release
        self._architecture = architecture
        self._load = database or shipped_database
        self._find_type = find_type
        self._on_problem = on_problem
        self._module = module
        self._btf = btf
        self._exact_sizes = exact_sizes
        self._extra = extra
        self._convert = convert
        self.minimum = minimum
        self._ready: _Ready | None = None
        self._found: dict[tuple[str, int], TypedVariable | None] = {}

    def find(self, name: str) -> TypedVariable | None:
        """
        Return a variable by its name.

        :return: None if the kernel has no such symbol, or more than one of equal standing,
            or no type holds for it, or only one that is trusted less than :attr:`minimum`.
        """
        symbol = only([s for s in self._symbols.by_name(name) if not is_text(s)])
        return None if symbol is None else self._typed(symbol)

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

    def _typed(self, symbol: Symbol) -> TypedVariable | None:
        key = (symbol.name, symbol.address)
        try:
            found = self._found[key]
        except KeyError:
            found = self._found[key] = self._decide(symbol)
        return found if found is not None and found.source >= self.minimum else None

    def _decide(self, symbol: Symbol) -> TypedVariable | None:
        ready = self._ready
        if ready is None:
            ready = self._ready = self._prepare()
        exact = self._from_extra(ready, symbol)
        if exact is not None:
            return exact
        known = ready.database.candidates(symbol.name)
        proposals = list(self._proposals(ready, symbol, known))
        texts = {Marked.parse(p.type).type for p in proposals if p.source is not Source.RULE}
        lengths = frozenset(
            length for t in texts if (length := ready.verdicts.length(t)) is not None
        )
        found = self._best(ready, symbol, proposals, lengths, gap=False)
        if found is None and len({p.type for p in proposals}) == 1:
            found = self._best(ready, symbol, proposals, lengths, gap=True)
        if found is None and not known:
            found = self._by_family(ready, symbol)
        if found is None:
            return None
        type_, proposal = found
        note = proposal.note
        if ready.places.of(symbol.address) is Place.INIT:
            note = f"{note}; its memory was freed after boot" if note else "freed after boot"
        return TypedVariable(symbol.name, type_, symbol.address, proposal.source, note)

    def _from_extra(self, ready: _Ready, symbol: Symbol) -> TypedVariable | None:
        if ready.extra is None or self._convert is None:
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
            type_ = self._convert(extra.btf, var_id)
        return TypedVariable(symbol.name, type_, symbol.address, Source.EXTRA_BTF)

    def _best(
        self,
        ready: _Ready,
        symbol: Symbol,
        proposals: Sequence[Proposal],
        rivals: frozenset[int],
        *,
        gap: bool,
    ) -> tuple[Type, Proposal] | None:
        """The one type that holds in the first tier in which any does."""
        tier: tuple[int, ...] | None = None
        holds: dict[str, tuple[Type, Proposal]] = {}
        refused: dict[str, tuple[int, ...]] = {}
        for proposal in proposals:
            if tier is not None and proposal.tier != tier:
                break
            element = without_length(Marked.parse(proposal.type).type)
            if refused.get(element, proposal.tier) != proposal.tier:
                # A nearer kernel's length does not hold; one further away is no better.
                continue
            checked = ready.verdicts.check(
                proposal.type,
                symbol,
                trusted=proposal.source is Source.DATABASE_SAME,
                open_ended=proposal.source is Source.RULE or proposal.tier[0] == _CURATED_TIER,
                rivals=rivals,
                gap=gap,
            )
            if checked is None:
                refused.setdefault(element, proposal.tier)
            else:
                tier = proposal.tier
                holds.setdefault(checked[0], (checked[1], proposal))
        return next(iter(holds.values())) if len(holds) == 1 else None

    def _proposals(
        self, ready: _Ready, symbol: Symbol, known: tuple[Candidate, ...]
    ) -> Iterator[Proposal]:
        yield from sorted(
            (self._from_candidate(ready, candidate) for candidate in known),
            key=lambda proposal: proposal.tier,
        )
        exists = self._exists
        for order, text in enumerate(rules.propose(symbol.name, exists)):
            yield Proposal(text, Source.RULE, (10, order), "made by a kernel macro")
        sized = rules.by_size(symbol.name, self._size_of)
        if sized is not None:
            yield Proposal(sized, Source.RULE, (11,), "sized by another type")

    def _from_candidate(self, ready: _Ready, candidate: Candidate) -> Proposal:
        other_module = candidate.module != self._module
        if not candidate.kernels:
            return Proposal(
                candidate.type,
                Source.DATABASE_OTHER,
                (_CURATED_TIER, other_module),
                "curated declaration",
            )
        rank, release = ready.kinship.nearest(candidate.kernels)
        if rank[0] == 0 and not other_module:
            return Proposal(candidate.type, Source.DATABASE_SAME, (0,), f"DWARF of {release}")
        tier = (1, other_module, *rank)
        return Proposal(candidate.type, Source.DATABASE_OTHER, tier, f"DWARF of {release}")

    def _by_family(self, ready: _Ready, symbol: Symbol) -> tuple[Type, Proposal] | None:
        """
        The type that the symbol's families agree on, of those that fit it.

        The most specific family that knows enough decides; a wider one may add nothing.
        """
        for pattern in patterns(symbol.name):
            family = ready.database.families.get(pattern)
            if family is None:
                continue
            holds: dict[str, tuple[Type, int]] = {}
            total = family.members - sum(count for _, count in family.types)
            for text, count in family.types_for(symbol.name):
                checked = ready.verdicts.check(
                    text, symbol, trusted=False, open_ended=True, rivals=frozenset(), gap=False
                )
                if checked is not None:
                    before = holds.get(checked[0], (checked[1], 0))[1]
                    holds[checked[0]] = (checked[1], before + count)
            if not holds:
                return None
            total = max(total, 0) + sum(count for _, count in holds.values())
            type_, count = max(holds.values(), key=lambda hold: hold[1])
            if count >= _FAMILY_SHARE * total and count >= MIN_MEMBERS:
                note = f"as {count} others named {pattern}"
                return type_, Proposal(str(type_), Source.RULE, (20,), note)
            if count < _FAMILY_MAJORITY * total:
                return None
        return None

    def _size_of(self, name: str) -> int | None:
        try:
            return _size((self._find_type or self._prog.type)(name))
        except LookupError:
            return None

    def _exists(self, name: str) -> bool:
        return bool(self._symbols.by_name(name))

    def _problem(self, error: DebugInfoError) -> None:
        if self._on_problem is not None:
            self._on_problem(error)
        else:
            logger.warning("%s", error)

    def _prepare(self) -> _Ready:
        try:
            database = self._load()
        except DebugInfoError as e:
            self._problem(e)
            database = Database.build((), {}, {})

        def address_of(name: str) -> int | None:
            symbols = self._symbols.by_name(name)
            return symbols[0].address if len(symbols) == 1 else None

        places = Places(address_of)
        types = TypeBuilder(self._prog, self._find_type)
        shapes = None if self._btf is None else Shapes(self._btf())
        prog = self._prog
        verdicts = Verdicts(
            types,
            places,
            database.tails,
            shapes,
            prog.read,
            lambda name: int(prog.constant(name).value_()),
            self._exact_sizes,
            CACHE_LINES.get(self._architecture, CACHE_LINE),
        )
        extra = None
        if self._extra is not None:
            try:
                extra = self._extra()
            except DebugInfoError as e:
                self._problem(e)
        kinship = Kinship(database.kernels, self._release, self._architecture)
        return _Ready(database, places, verdicts, kinship, extra, types)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What the first lookup prepares."""

    database: Database
    places: Places
    verdicts: Verdicts
    kinship: Kinship
    extra: ExtraBtf | None
    types: TypeBuilder


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
