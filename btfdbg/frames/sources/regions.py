"""The functions of the kernel image and of each module, with what their tables say of files.

Owns the way from an address to its neighbours and to the bug table and records that cover
it. Gives no verdicts.

Facts: section symbols ``__start___bug_table`` and ``__stop___bug_table``
(include/asm-generic/vmlinux.lds.h); ``struct module``: ``bug_table``, ``num_bugs``
(include/linux/module.h).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from drgn import FaultError, Program

from btfdbg.frames.sources.bugtable import MAX_TABLE, BugTable, read_table
from btfdbg.frames.sources.links import Links, StaticCalls, pointers
from btfdbg.frames.sources.model import Function, is_local, is_weak
from btfdbg.frames.sources.records import Named, Records
from btfdbg.frames.sources.strings import Strings
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.loaded import LoadedModule
from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.vmcore.platforms import byte_order, machine_of

# Padding in front of functions has names of its own.
_CFI = "__cfi_"
_PADDING = ("__pfx_", _CFI)
_GIVEN = "kfree"  # EXPORT_SYMBOL, in every kernel
_MODULE_ALIASES = ("init_module", "cleanup_module")
_MAX_PADDING = 8
_MAX_OPS = 4096
# Between these the linker has put one part of each object file's text.
_PARTS = (
    "_stext", "_etext", "_sinittext", "_einittext",
    "__noinstr_text_start", "__noinstr_text_end", "__sched_text_start", "__sched_text_end",
    "__cpuidle_text_start", "__cpuidle_text_end", "__lock_text_start", "__lock_text_end",
    "__kprobes_text_start", "__kprobes_text_end", "__entry_text_start", "__entry_text_end",
    "__irqentry_text_start", "__irqentry_text_end", "__static_call_text_start",
    "__softirqentry_text_start", "__softirqentry_text_end", "__static_call_text_end",
    "__exittext_begin", "__exittext_end", "__indirect_thunk_start", "__indirect_thunk_end",
)  # fmt: skip


def image_range(symbols: SymbolTable) -> tuple[int, int]:
    """Lowest and highest address of the kernel image; (0, 0) if its symbols do not say."""
    known: tuple[int, int] | None = getattr(symbols, "image_range", None)
    if known is not None:
        return known
    start = symbols.by_name("_text") or symbols.by_name("_stext")
    end = symbols.by_name("_end") or symbols.by_name("_etext")
    if len(start) != 1 or len(end) != 1:
        return (0, 0)
    return start[0].address, end[0].address


class Region(Protocol):
    """Code that was linked together: the kernel image, or one module."""

    @property
    def module(self) -> str:
        """The module's name, "" for the kernel."""

    @property
    def bugs(self) -> BugTable | None:
        """Its bug table, None if there is none that can be read."""

    @property
    def records(self) -> Mapping[str, Named]:
        """What other tables say of its functions, by name."""

    @property
    def links(self) -> Links | None:
        """What its calls say of which code belongs together, None if they cannot be read."""

    def at(self, address: int) -> Function | None:
        """The function that holds an address."""

    def named(self, name: str) -> Sequence[Function]:
        """All functions of that name."""

    def before(self, function: Function) -> Function | None:
        """The function that lies before one; None at the start, or where symbols are lost."""

    def behind(self, function: Function) -> Function | None:
        """The function that lies behind one."""

    def is_weak(self, function: Function) -> bool:
        """Whether a function may be a default that another file's stands in for elsewhere."""

    def names(self) -> Iterator[str]:
        """Names of all functions, and perhaps of other things."""

    def all(self) -> Iterator[Function]:
        """All functions, by address."""


class KernelRegion:
    """The kernel image, through its symbol table, which is asked for one symbol at a time."""

    module = ""

    def __init__(self, prog: Program, symbols: SymbolTable, strings: Strings) -> None:
        self._prog = prog
        self._symbols = symbols
        self._strings = strings
        self._records = Records(prog, strings, self._address_of)
        self._bugs: BugTable | None = None
        self._read = False
        self._links: Links | None = None
        self._linked = False
        self._all_local: bool | None = None

    @property
    def links(self) -> Links | None:
        if not self._linked:
            self._links = self._read_links()
            self._linked = True
        return self._links

    def _read_links(self) -> Links | None:
        """None if what the kernel wrote into its own code is not known."""
        start = self._address_of("__start_static_call_sites")
        sites = self._between(start, self._address_of("__stop_static_call_sites"))
        patched = self._symbols.by_name("pv_ops")
        first = patched[0].address if patched else None
        ops = self._between(first, first and first + min(patched[0].size, _MAX_OPS))
        if sites is None or ops is None:
            return None
        order = "<" if byte_order(self._prog.platform) == "little" else ">"
        return Links(
            self,
            self._strings.bytes_at,
            machine_of(self._prog.platform),
            sorted({a for n in _PARTS if (a := self._address_of(n)) is not None}),
            StaticCalls(sites, start or 0, order),
            pointers(ops, order),
            (self._address_of("_sinittext") or 0, self._address_of("_einittext") or 0),
        )

    def _between(self, start: int | None, end: int | None) -> bytes | None:
        """Memory from one symbol to another; nothing if there are none, None if it is missing."""
        if start is None or end is None or start == end:
            return b""
        if not start < end <= start + MAX_TABLE:
            return None
        return self._strings.bytes_at(start, end - start)

    def is_static(self, function: Function) -> bool:
        """
        Whether every symbol at the start of a function is local.

        Of no function where the whole kernel was linked as one: clang's link time
        optimisation makes all of them local, those that modules are given too.
        """
        if not isinstance(function, Sym) or function.type_letter != "t":
            return False
        if self._all_local is None:
            given = self._symbols.by_name(_GIVEN)
            self._all_local = any(symbol.type_letter == "t" for symbol in given)
        if self._all_local:
            return False
        address = function.address
        names_at: Callable[[int], tuple[str, ...]] | None
        names_at = getattr(self._symbols, "names_at", None)
        names = () if names_at is None else names_at(address)
        return all(
            alias.type_letter.islower()
            for name in names
            if len(names) > 1
            for alias in self._symbols.by_name(name)
            if alias.address == address
        )

    def is_weak(self, function: Function) -> bool:
        if not is_local(function):
            return is_weak(function)
        # What is in front of a function keeps the letter that it had in its own file.
        front = self._symbols.by_address(function.address - 1)
        return front is not None and front.name.startswith(_CFI) and is_weak(front)

    @property
    def bugs(self) -> BugTable | None:
        if not self._read:
            start = self._address_of("__start___bug_table")
            end = self._address_of("__stop___bug_table")
            if start is not None and end is not None and start < end <= start + MAX_TABLE:
                code = [image_range(self._symbols)]
                self._bugs = read_table(self._prog, self._strings, start, end - start, code)
            self._read = True
        return self._bugs

    @property
    def records(self) -> Mapping[str, Named]:
        return self._records.of_kernel()

    def module_records(self, module: LoadedModule) -> Mapping[str, Named]:
        """As :attr:`records`, of a module: older kernels have all of them in one list."""
        return self._records.of_module(module.name, module.object)

    def _address_of(self, name: str) -> int | None:
        found = self._symbols.by_name(name)
        return found[0].address if len(found) == 1 else None

    def at(self, address: int) -> Sym | None:
        symbol = self._symbols.by_address(address)
        if symbol is None or not is_text(symbol):
            return None
        return self.behind(symbol) if symbol.name.startswith(_PADDING) else symbol

    def named(self, name: str) -> Sequence[Sym]:
        return [symbol for symbol in self._symbols.by_name(name) if is_text(symbol)]

    def before(self, function: Function) -> Sym | None:
        address = function.address
        for _ in range(_MAX_PADDING):
            symbol = self._symbols.by_address(address - 1)
            if symbol is None or not is_text(symbol):
                return None
            if not symbol.name.startswith(_PADDING):
                return symbol
            address = symbol.address
        return None

    def behind(self, function: Function) -> Sym | None:
        address, size = function.address, function.size
        for _ in range(_MAX_PADDING):
            symbol = self._symbols.by_address(address + size) if size else None
            if symbol is None or not is_text(symbol):
                return None
            if not symbol.name.startswith(_PADDING):
                return symbol
            address, size = symbol.address, symbol.size
        return None

    def names(self) -> Iterator[str]:
        # Without making symbols of them: a kernel has 160,000.
        found: Iterator[str] = getattr(self._symbols, "text_names", self._symbols.names)()
        return (name for name in found if not name.startswith(_PADDING))

    def all(self) -> Iterator[Sym]:
        for symbol in self._symbols:
            if is_text(symbol) and not symbol.percpu and not symbol.name.startswith(_PADDING):
                yield symbol


class ModuleRegion:
    """One loaded module."""

    def __init__(
        self,
        prog: Program,
        module: LoadedModule,
        symbols: Iterator[Sym],
        strings: Strings,
        kernel: KernelRegion | None,
        sections: Sequence[int] = (),
    ) -> None:
        """:param sections: their addresses, as far as they are known."""
        self.module = module.name
        self._prog = prog
        self._module = module
        self._strings = strings
        self._kernel = kernel
        self._bugs: BugTable | None = None
        self._read = False
        by_address: dict[int, Sym] = {}
        shared = set()
        for symbol in symbols:
            if not is_text(symbol) or symbol.percpu or symbol.name.startswith(_PADDING):
                continue
            if not symbol.type_letter.islower():
                shared.add(symbol.address)
            if symbol.address not in by_address or by_address[symbol.address].name in (
                _MODULE_ALIASES
            ):
                by_address[symbol.address] = symbol
        self._functions = [by_address[address] for address in sorted(by_address)]
        self._starts = [function.address for function in self._functions]
        self._shared = frozenset(shared)
        self._sections = sorted(sections)
        # Without sections a call into another one would look like one within an object file;
        # before 5.2 no symbol of a module says that it is global (see ``kallsyms.modules``).
        cold = [f.address for f in self._functions if ".cold" in f.name][:1]
        borders = sorted([*sections, *cold])
        self.links = (
            Links(self, strings.bytes_at, machine_of(prog.platform), borders)
            if sections and shared
            else None
        )

    @property
    def bugs(self) -> BugTable | None:
        if not self._read:
            try:
                module = self._module.object
                start, count = module.bug_table.value_(), module.num_bugs.value_()
                size = count * (self._prog.type("struct bug_entry").size or 0)
                if 0 < size <= MAX_TABLE:
                    code = list(self._module.ranges)
                    self._bugs = read_table(self._prog, self._strings, start, size, code)
            except (LookupError, AttributeError, FaultError, ValueError):
                pass
            self._read = True
        return self._bugs

    @property
    def records(self) -> Mapping[str, Named]:
        return {} if self._kernel is None else self._kernel.module_records(self._module)

    def is_static(self, function: Function) -> bool:
        """Whether every symbol at the start of a function is local."""
        return function.address not in self._shared

    def is_weak(self, function: Function) -> bool:
        return is_weak(function)

    def at(self, address: int) -> Sym | None:
        number = bisect_right(self._starts, address) - 1
        if number < 0:
            return None
        function = self._functions[number]
        inside = address == function.address or address < function.address + function.size
        return function if inside else None

    def named(self, name: str) -> Sequence[Sym]:
        return [function for function in self._functions if function.name == name]

    def before(self, function: Function) -> Sym | None:
        number = bisect_right(self._starts, function.address) - 2
        return self._in_one_section(number, function) if number >= 0 else None

    def behind(self, function: Function) -> Sym | None:
        number = bisect_right(self._starts, function.address)
        return self._in_one_section(number, function) if number < len(self._starts) else None

    def _in_one_section(self, number: int, function: Function) -> Sym | None:
        """
        A neighbour, if it lies in the section that a function is in.

        The linker puts a module's files one after the other into each section anew.
        """
        found = self._functions[number]
        ends = (bisect_right(self._sections, f.address) for f in (found, function))
        return found if next(ends) == next(ends) else None

    def names(self) -> Iterator[str]:
        return (function.name for function in self._functions)

    def all(self) -> Iterator[Sym]:
        return iter(self._functions)
