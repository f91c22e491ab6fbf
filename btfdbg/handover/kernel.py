"""What a file for another tool is made of: symbols with link-time addresses, and types.

Owns gathering both from a Session, and the difference between "of no known type" and
"no variable". Knows no file format.

Why all symbols are read first: a look-up by name through kallsyms' index costs a dozen
reads, and there is one for nearly every symbol here; a dict costs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Btf, Kind, TypeId, kinds
from btfdbg.btf.names import named_types
from btfdbg.handover import symbols as symbols_
from btfdbg.handover.types import TypeIds
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.convert import TypeBuilder

if TYPE_CHECKING:
    from btfdbg.program.session import Session
    from btfdbg.variables.provenance import TypedVariable

_BANNER_MAX = 4096
# Tables that the linker script begins and ends: the type that C code declares, and the symbol
# behind (kernel/tracepoint.c).
_DECLARED = {"__start___tracepoints_ptrs": ("tracepoint_ptr_t []", "__stop___tracepoints_ptrs")}


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    :ivar symbols: All symbols of the image by address in memory.
    :ivar offset: What to take off an address in memory to get the link-time one.
    :ivar percpu_absolute: Per-CPU symbols are offsets and were not moved.
    :ivar tables: kallsyms' own tables, which are not among the symbols.
    :ivar btf: The kernel's BTF, with what its variables need on top.
    :ivar types: Type id of a variable by its name and its symbol's address in memory.
    :ivar banner: ``linux_banner`` with its NUL byte; empty if it is not known.
    :ivar untyped: How many data symbols have no type.
    :ivar named: The symbols of a name; of most one alone.
    """

    symbols: tuple[Sym, ...]
    offset: int
    percpu_absolute: bool
    tables: tuple[symbols_.OwnTable, ...]
    btf: Btf
    types: dict[tuple[str, int], TypeId]
    banner: bytes
    untyped: int
    named: Mapping[str, Sym | tuple[Sym, ...]]

    def first(self, name: str) -> Sym | None:
        """The first symbol of a name, by address; ``None`` without one."""
        found = self.named.get(name)
        return found[0] if isinstance(found, tuple) else found

    def link_address(self, sym: Sym) -> int:
        """The address that the kernel's own vmlinux gives a symbol."""
        return symbols_.link_address(sym, self.offset, self.percpu_absolute)


class Expanded:
    """A symbol table with all its names, and what begins at an address, at hand."""

    def __init__(self, table: SymbolTable, syms: Sequence[Sym]) -> None:
        self._table = table
        self._syms = syms
        # Most names have one symbol, which then stands there without a tuple (8 MB of them).
        self.named: dict[str, Sym | tuple[Sym, ...]] = {}
        by_name = self.named
        first_of = by_name.setdefault
        for sym in syms:
            found = first_of(sym.name, sym)
            if found is not sym:
                others = found if isinstance(found, tuple) else (found,)
                by_name[sym.name] = (*others, sym)
        self._starts: dict[int, Sym] = {}
        if isinstance(table, KallsymsTable):
            # As by_address() has it: the first that is not only an end; no absolute per-CPU one.
            lowest, _ = table.image_range
            self._starts = {
                sym.address: sym for sym in reversed(syms) if sym.size and sym.address >= lowest
            }

    @property
    def source(self) -> str:
        return self._table.source

    @property
    def count(self) -> int:
        return self._table.count

    @property
    def problems(self) -> tuple[str, ...]:
        return self._table.problems

    def by_name(self, name: str) -> tuple[Sym, ...]:
        found = self.named.get(name, ())
        return found if isinstance(found, tuple) else (found,)

    def by_address(self, address: int) -> Sym | None:
        return self._starts.get(address) or self._table.by_address(address)

    def extent(self, name_or_sym: str | Sym) -> int:
        return self._table.extent(name_or_sym)

    def names(self) -> Iterator[str]:
        return (sym.name for sym in self._syms)

    def __iter__(self) -> Iterator[Sym]:
        return iter(self._syms)


def gather(session: Session, without: tuple[str, ...] = ()) -> Kernel:
    """
    Read all symbols, and the types of all variables that are known.

    :param without: Beginnings of names of variables whose types nobody asks for.
    :raises DebugInfoError: the dump has no symbols or no BTF, or does not say how far the
        kernel was moved.
    """
    offset = symbols_.kernel_offset(session)
    syms = symbols_.of_session(session)
    table = session.symbols
    assert table is not None  # of_session() saw it
    btf = session.vmlinux
    assert session.converter is not None  # there is BTF
    ids = TypeIds(btf, session.converter.convert)
    types: dict[tuple[str, int], TypeId] = {}
    untyped = 0
    in_btf = {name for part in btf.chain() for name, _ in named_types(part, (Kind.VAR,))}
    reads_code, session.reads_code = session.reads_code, False
    session.symbols = expanded = Expanded(table, syms)
    try:
        wanted = [s for s in syms if not is_text(s) and not s.name.startswith(without)]
        judged: dict[tuple[str, int], TypedVariable] = {}
        if session.variables is not None:
            judged = session.variables.judge([sym for sym in wanted if sym.name not in in_btf])
        # By name: what is added to the BTF is in the same order in every run and version.
        for sym in sorted(wanted, key=attrgetter("name")):
            name = sym.name
            if name in in_btf:
                type_id = _type_of(session, ids, sym)
            else:
                typed = judged.get((name, sym.address))
                type_id = None if typed is None else ids.id_of(typed.type)
            if type_id is None and name == "jiffies":
                type_id = _jiffies(session, ids, sym)
            if type_id is None and name in _DECLARED:
                type_id = _declared(session, ids, sym)
            if type_id is None:
                untyped += 1
            else:
                types[name, sym.address] = type_id
    finally:
        session.symbols = table
        session.reads_code = reads_code
    tables = tuple(symbols_.own_tables(session))
    builder = TypeBuilder(session.prog)
    for own in tables:
        built = builder.from_text(own.type)
        type_id = None if built is None else ids.id_of(built)
        if type_id is not None:
            types[own.name, own.address] = type_id
    return Kernel(
        tuple(syms),
        offset,
        symbols_.has_absolute_percpu(table),
        tables,
        ids.btf(),
        types,
        banner(session),
        untyped,
        expanded.named,
    )


def _type_of(session: Session, ids: TypeIds, sym: Sym) -> TypeId | None:
    """The id of a variable's type of whose name the BTF has one."""
    own = session.own_variable(sym.name, sym.address)
    if own is not None:
        var = session.vmlinux.type_by_id(own)
        return var.type if isinstance(var, kinds.Var) else own
    found = None if session.variables is None else session.variables.of_symbol(sym)
    return None if found is None else ids.id_of(found.type)


def _jiffies(session: Session, ids: TypeIds, sym: Sym) -> TypeId | None:
    """
    The type of ``jiffies``, which the linker script defines and so no DWARF of a kernel.

    It is ``jiffies_64``'s lower word, all of it on 64-bit machines
    (include/linux/jiffies.h, arch/*/kernel/vmlinux.lds.S).
    """
    if all(other.address != sym.address for other in session.lookup_symbols("jiffies_64")):
        return None
    type_ = TypeBuilder(session.prog).from_text("volatile unsigned long")
    return None if type_ is None else ids.id_of(type_)


def _declared(session: Session, ids: TypeIds, sym: Sym) -> TypeId | None:
    """The type that C code declares a table of the linker script to be, if it ends as it must."""
    text, end = _DECLARED[sym.name]
    if all(other.address != sym.address + sym.size for other in session.lookup_symbols(end)):
        return None
    type_ = TypeBuilder(session.prog).from_text(text)
    return None if type_ is None else ids.id_of(type_)


def banner(session: Session) -> bytes:
    """``linux_banner`` as it is in memory, NUL byte included; empty if it cannot be read."""
    found = session.lookup_symbols("linux_banner")
    if len(found) != 1:
        return b""
    for size in (_BANNER_MAX, 512, 256):
        try:
            data: bytes = session.prog.read(found[0].address, size)
        except drgn.FaultError:
            continue
        text, nul, _ = data.partition(b"\0")
        if nul and text.startswith(b"Linux version "):
            return text + nul
    return b""
