"""Names from whose absence drgn concludes something are never silently absent."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.cpumask import for_each_online_cpu, for_each_possible_cpu
from drgn.helpers.linux.hugetlb import for_each_hstate
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.vmstat import global_numa_event_state

import btfdbg
from btfdbg.errors import RefusedError
from btfdbg.kallsyms import Sym, SymbolTable
from btfdbg.kallsyms.modules import ModuleSymbols
from btfdbg.lazy_dataclass import replace
from btfdbg.program.attach import _Missing
from btfdbg.program.session import Session
from btfdbg.vardb.database import Database
from btfdbg.variables import probed, shipped_database

DECLARED = probed.DECLARATIONS
CORES = Path(__file__).parents[2] / "corefiles"
CORE_NAMES = ("6.1-amd64-hung.vmcore", "6.12-amd64-null.vmcore", "6.12-arm64-deadlock.vmcore")


@pytest.fixture(scope="module", params=CORE_NAMES)
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(CORES / str(request.param)))


@pytest.fixture(scope="module")
def unknown(session: Session) -> drgn.Program:
    """A Program whose database of variables knows nothing at all."""
    prog = btfdbg.program_from_core_dump(str(session.prog.core_dump_path))
    other = btfdbg.session(prog)
    assert other.variables is not None
    other.variables._load = lambda: Database.build((), {}, {})
    other.variables._context = None
    other.variables._found.clear()
    return prog


def _has_data(session: Session, name: str) -> bool:
    return any(s.type_letter not in "tTwW" for s in session.lookup_symbols(name))


def _bare(type_: drgn.Type) -> str:
    """The type without the length of its outermost array and without const."""
    bare = type_
    if bare.kind == drgn.TypeKind.ARRAY:
        bare = bare.type
        return _bare(bare) + " []"
    while bare.kind == drgn.TypeKind.TYPEDEF and bare.unaliased_kind() == drgn.TypeKind.STRUCT:
        bare = bare.type
    if bare.kind == drgn.TypeKind.POINTER:
        return _bare(bare.type) + " *"
    return str(bare.unqualified().type_name())


@pytest.mark.parametrize("name", sorted(probed.DECLARATIONS))
def test_a_name_that_the_database_lacks_has_the_type_that_drgn_takes_it_for(
    name: str, session: Session, unknown: drgn.Program
) -> None:
    if not _has_data(session, name):
        assert name not in unknown
        return
    given = unknown[name]
    assert given.address_ == session.prog[name].address_
    assert _bare(given.type_) == _bare(session.prog[name].type_)


def test_nothing_known_of_variables_changes_no_value_of_drgns(
    session: Session, unknown: drgn.Program
) -> None:
    def facts(prog: drgn.Program) -> list[object]:
        crashed = prog.crashed_thread()
        cpus = list(for_each_online_cpu(prog)), list(for_each_possible_cpu(prog))
        running = [per_cpu(prog["runqueues"], cpu).curr.comm.string_() for cpu in cpus[1]]
        stack = [str(frame) for frame in crashed.stack_trace()]
        modules = [m.name for m in prog.modules()]
        return [crashed.tid, cpus, running, stack, modules, prog["vmemmap"].value_()]

    assert facts(unknown) == facts(session.prog)


def _without_symbols(
    session: Session, monkeypatch: pytest.MonkeyPatch, *names: str
) -> drgn.Program:
    prog = btfdbg.program_from_core_dump(str(session.prog.core_dump_path))
    other = btfdbg.session(prog)
    lookup = Session.lookup_symbols

    def without(self: Session, name: str) -> tuple[Sym, ...]:
        return () if self is other and name in names else lookup(self, name)

    monkeypatch.setattr(Session, "lookup_symbols", without)
    return prog


@pytest.mark.parametrize(
    "name",
    ["__per_cpu_offset", "nr_cpu_ids", "modules", "mem_section", "hstates", "vm_numa_event"],
)
def test_a_symbol_that_must_be_there_is_not_taken_for_absent(
    name: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    prog = _without_symbols(session, monkeypatch, name)
    with pytest.raises(RefusedError, match=f"{name} cannot be trusted here: the kernel"):
        prog[name]


def test_per_cpu_values_are_refused_rather_than_read_from_the_template(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    prog = _without_symbols(session, monkeypatch, "__per_cpu_offset")
    with pytest.raises(RefusedError, match="several CPUs"):
        per_cpu(prog["runqueues"], 0)


def test_huge_pages_and_numa_events_are_not_counted_without_their_symbols(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """drgn would say that there are no huge pages, and give another counter for the event."""
    prog = _without_symbols(session, monkeypatch, "hstates", "vm_numa_event")
    with pytest.raises(RefusedError, match=r"huge pages \(struct hstate.order\)"):
        list(for_each_hstate(prog))
    with pytest.raises(RefusedError, match=r"such events \(NR_VM_NUMA_EVENT_ITEMS\)"):
        global_numa_event_state(prog, prog["NUMA_MISS"])
    assert "vm_numa_stat" not in prog  # before Linux 5.14


def test_what_a_kernel_of_another_kind_lacks_is_absent(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel for one CPU has neither __per_cpu_offset nor what kernel/smp.c defines."""
    names = ("__per_cpu_offset", "nr_cpu_ids", "smp_call_function_many")
    prog = _without_symbols(session, monkeypatch, *names)
    assert "__per_cpu_offset" not in prog
    assert "nr_cpu_ids" not in prog


def test_what_drgn_means_of_the_kernel_is_looked_for_in_no_module(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module may well have a variable of its own that is called cur_cpu_spec."""
    prog = _without_symbols(session, monkeypatch)
    asked: list[str] = []
    by_name = ModuleSymbols.by_name

    def asks(self: ModuleSymbols, name: str, module: str | None = None) -> tuple[Sym, ...]:
        asked.append(name)
        return by_name(self, name, module)

    monkeypatch.setattr(ModuleSymbols, "by_name", asks)
    assert "cur_cpu_spec" not in prog  # powerpc's
    for name in ("__start_init_task", "__end_init_task"):
        try:
            prog.symbol(name)
        except LookupError:
            pass  # before Linux 6.10
    assert asked == []
    assert "no_such_name" not in prog
    assert asked == ["no_such_name"]


class _Place:
    def __init__(self, size: int, address: int = 0xFFFFFFFF82000000) -> None:
        self.name, self.size, self.address, self.type_letter = "x", size, address, "D"


def _build(text: str) -> drgn.Type | None:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    prog.register_type_finder(
        "test",
        lambda p, kinds, name, file: (
            p.struct_type(name, 16, ()) if name in ("mem_section", "cpumask") else None
        ),
        enable_index=0,
    )
    from btfdbg.variables.convert import TypeBuilder

    return TypeBuilder(prog).from_text(text)


@pytest.mark.parametrize(
    ("name", "size", "wanted"),
    [
        ("nr_cpu_ids", 4, "unsigned int"),
        ("nr_cpu_ids", 64, "unsigned int"),
        ("nr_cpu_ids", 0, "unsigned int"),  # its extent is not known
        ("__per_cpu_offset", 32, "unsigned long []"),
        ("mem_section", 8, "struct mem_section **"),
        ("mem_section", 32, "struct mem_section **"),
        ("mem_section", 1 << 16, "struct mem_section [][1]"),
    ],
)
def test_a_declaration_is_chosen_by_its_place(name: str, size: int, wanted: str) -> None:
    chosen = probed.choose(DECLARED[name], _Place(size), _build, lambda text: True)
    assert chosen[0] == wanted


@pytest.mark.parametrize(
    ("name", "place", "why"),
    [
        ("nr_cpu_ids", _Place(2), "'unsigned int' needs 4 bytes, and 2 are there"),
        ("nr_cpu_ids", _Place(8, 0x1001), "'unsigned int' cannot stand at 0x1001"),
        ("hstates", _Place(64), "the kernel's BTF has no struct hstate []"),
        ("mem_section", _Place(0), "it may be struct mem_section ** or struct mem_section [][1]"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(name: str, place: _Place, why: str) -> None:
    assert probed.choose(DECLARED[name], place, _build, lambda text: True) == why


@pytest.mark.parametrize("size", [8, 256])
@pytest.mark.parametrize("exists", [True, False])
def test_of_two_pointers_the_one_is_chosen_that_the_kernels_btf_has(
    exists: bool, size: int
) -> None:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    irq_stack = prog.pointer_type(prog.struct_type("irq_stack", 16384, ()), size=8)
    made = {"struct irq_stack *": irq_stack, "void *": prog.pointer_type(prog.void_type(), size=8)}
    chosen = probed.choose(
        DECLARED["hardirq_stack_ptr"],
        _Place(size),
        made.get,
        lambda text: exists or text == "void *",
    )
    assert chosen[0] == ("struct irq_stack *" if exists else "void *")


def test_a_declaration_is_spelled_as_the_nearest_kernel_does(session: Session) -> None:
    assert session.variables is not None
    build = session.variables._prepared().types.from_text

    def spelled(declared: str, *known: str) -> str:
        (found,) = probed.spelled((declared,), known, build)
        return found

    constant = "const struct bus_type"
    assert spelled(constant, "struct bus_type", constant) == "struct bus_type"
    assert spelled(constant, constant, "struct bus_type") == constant
    assert spelled("struct pglist_data *[]", "pg_data_t *[16]") == "pg_data_t *[]"
    # What drgn would take for something else is no other spelling.
    others = (
        "struct class",
        "struct bus_type *",
        "struct bus_type [2]",
        "struct nothing_here",
        "int",
    )
    assert spelled(constant, *others) == constant
    assert spelled("struct nothing_here", "struct nothing_either") == "struct nothing_here"


def test_every_probed_name_that_the_database_knows_has_that_type_there() -> None:
    """A row that no kernel of the database agrees with is a mistake in the table."""
    database = shipped_database()

    def words(text: str) -> set[str]:
        return set(text.replace("*", " ").replace("[", " ").replace("]", " ").split())

    for name, declarations in probed.DECLARATIONS.items():
        known = [c.type for c in database.candidates(name)]
        aliases = {"pg_data_t": "struct pglist_data", "cpumask_t": "struct cpumask"}
        known = [" ".join(aliases.get(w, w) for w in k.split()) for k in known]
        agree = [k for k in known for d in declarations if words(d) - {"const"} <= words(k)]
        assert not known or agree or name == "irq_stack_ptr", (name, known)


def test_a_name_that_thinlto_gave_a_suffix_is_found_by_its_c_name(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a kernel made by clang: its banner says so, and the symbol is called otherwise."""
    prog = btfdbg.program_from_core_dump(str(session.prog.core_dump_path))
    other = btfdbg.session(prog)
    assert other.symbols is not None
    table: SymbolTable = other.symbols
    wanted, banner = table.by_name("mod_tree"), table.by_name("linux_banner")[0]

    class Renamed:
        source, problems, count = table.source, (), table.count

        def by_name(self, name: str) -> tuple[Sym, ...]:
            if name == "mod_tree.llvm.42":
                return tuple(replace(s, name=name) for s in wanted)
            return () if name == "mod_tree" else table.by_name(name)

        def names(self) -> list[str]:
            return ["mod_tree.llvm.42"]

        def __getattr__(self, name: str) -> object:
            return getattr(table, name)

    monkeypatch.setattr(other, "symbols", Renamed())
    prog.add_memory_segment(
        banner.address, 64, lambda a, n, o, p: b"(clang version 18.1.3)".ljust(64)[o : o + n]
    )
    other.symbols_by_rule = _Missing(other).by_name
    assert prog["mod_tree"].address_ == wanted[0].address
    assert prog["mod_tree"].type_.type_name() == "struct mod_tree_root"
