"""What types of variables are judged with: made once, at the first question.

Owns putting the parts together: the database, the order of its kernels, the dump's sections,
the shapes in its BTF, and the checker over all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from drgn import Program, Type

from btfdbg.arch import CACHE_LINE, by_name
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.database import Database
from btfdbg.variables import macro_names
from btfdbg.variables.contents import Contents
from btfdbg.variables.convert import TypeBuilder
from btfdbg.variables.dump_facts import DumpFacts
from btfdbg.variables.evidence import DumpEvidence, ImageFacts
from btfdbg.variables.extra import ExtraBtf
from btfdbg.variables.kernel_distance import KernelDistance
from btfdbg.variables.padding import Padding
from btfdbg.variables.placement import SectionKind, SectionMap
from btfdbg.variables.policy import Policy
from btfdbg.variables.proposals import KnownName
from btfdbg.variables.structural_index import StructuralIndex
from btfdbg.variables.type_checker import TypeChecker


@dataclass(frozen=True, slots=True)
class Context:
    """
    What the first lookup prepares and everything after it is judged with.

    :ivar evidence: what the caller knows of the dump.
    :ivar policy: what is taken for enough where nothing is proof.
    :ivar facts: answers of the dump itself.
    :ivar extra: the extra BTF of this kernel, if there is one.
    :ivar padding: what other kernels have behind a variable; None without BTF.
    :ivar known: what the database has of names, by the id of their candidates.
    :ivar names: the same of the names that were asked last.
    :ivar knows_exports: the database has a row of the table of exported symbols. In Debian's
        kernels assembly makes them, so that no DWARF has one.
    """

    evidence: DumpEvidence
    policy: Policy
    facts: DumpFacts
    database: Database
    places: SectionMap
    checker: TypeChecker
    distance: KernelDistance
    extra: ExtraBtf | None
    types: TypeBuilder
    padding: Padding | None
    known: dict[int, KnownName]
    names: dict[str, KnownName]
    knows_exports: bool


def prepare(
    prog: Program,
    evidence: DumpEvidence,
    *,
    load: Callable[[], Database],
    find_type: Callable[[str], Type] | None,
    policy: Policy,
    on_problem: Callable[[DebugInfoError], None],
) -> Context:
    """
    Read what the first question needs.

    :param load: gives the compiled database.
    :param find_type: finds a named type, ``prog.type`` by default.
    :param on_problem: told what is wrong with the database or the extra BTF.
    """
    try:
        database = load()
    except DebugInfoError as e:
        on_problem(e)
        database = Database.build((), {}, {})

    facts = DumpFacts(prog, evidence, find_type)
    distance = KernelDistance(database.kernels, evidence.release, evidence.architecture)
    places = SectionMap(facts.address_of)
    types = TypeBuilder(prog, find_type)
    shapes = contents = padding = None
    if evidence.btf is not None:
        shapes = StructuralIndex(evidence.btf())
        start, end = facts.address_of("_text"), facts.address_of("_end")
        if evidence.symbol_at is not None and start is not None and end is not None:
            contents = Contents(
                evidence.btf(),
                range(start, end),
                evidence.symbol_at,
                facts.is_per_cpu,
                lambda address: places.of(address) is SectionKind.CONST,
            )
            padding = Padding(
                database,
                evidence.btf(),
                shapes,
                evidence.symbol_at,
                lambda candidate: distance.nearest(candidate.kernels)[0],
            )
    arch = by_name(evidence.architecture)
    image = ImageFacts(
        places,
        database.tails,
        prog.read,
        lambda name: int(prog.constant(name).value_()),
        evidence.exact_sizes,
        CACHE_LINE if arch is None else arch.cache_line,
        0 if arch is None else arch.small_data,
        shapes,
        contents,
        facts.parameters,
        facts.arguments,
        facts.ends_at,
    )
    checker = TypeChecker(types, image, policy)
    extra = None
    if evidence.extra is not None:
        try:
            extra = evidence.extra()
        except DebugInfoError as e:
            on_problem(e)
    return Context(
        evidence, policy, facts, database, places, checker, distance, extra, types, padding, {}, {},
        database.has_prefix(macro_names.EXPORT),
    )  # fmt: skip
