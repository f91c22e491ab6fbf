"""Memory and symbols of the running kernel's code, its own and its modules'.

Owns extents by kallsyms, names at a place, which functions do not come back, and where texts
and data begin and end. Knows no instruction and no prototype.

Only core text counts: init text is freed after boot and used as data, and memory where bpf
programs and trampolines are made belongs to no symbol table.

Facts: ``tools/objtool/noreturns.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.ir import Refusal
from btfdbg.frames.module_text import ModuleText, module_text
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import try_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session

_MAX_DATA = 64 << 20
_MAX_REMEMBERED = 1 << 15
_MANY_CALLED = 128
# Functions that do not come back; a wrong one here would hide code, a missing one only
# joins a path that nobody takes.
_NORETURN = frozenset(
    {
        "__stack_chk_fail",
        "panic",
        "do_exit",
        "make_task_dead",
        "do_group_exit",
        "rewind_stack_and_make_dead",
        "rewind_stack_do_exit",
        "__fortify_panic",
        "fortify_panic",
        "cpu_startup_entry",
        "kthread_exit",
        "kthread_complete_and_exit",
        "usercopy_abort",
        "__reiserfs_panic",
        "x86_64_start_kernel",
        "do_task_dead",
        "machine_real_restart",
        "ex_handler_msr_mce",
        "nmi_panic_self_stop",
        "panic_smp_self_stop",
        "die_kernel",
        "arm64_serror_panic",
        "bad_mode",
        "__module_put_and_kthread_exit",
    }
)


class TextSymbols:
    """
    The code of one Program, by its symbols.

    :ivar machine: ``x86_64`` or ``aarch64``.
    """

    def __init__(self, session: Session, machine: str) -> None:
        self._session = session
        self.machine = machine
        self.tracer_offset = 4 if machine == "x86_64" else 12
        self._kernel: tuple[int, int] | None = None
        self._modules: dict[str, ModuleText] | None = None
        self._symbols: dict[int, Sym | None] = {}
        self._names: dict[int, tuple[str, ...]] = {}
        self._noreturn: dict[int, bool] = {}
        self._ends: frozenset[int] | None = None
        self._current: frozenset[int] | None = None
        self._per_cpu: list[Sym] | None = None

    def memory(self, address: int, size: int) -> bytes | None:
        """Memory of the dump, None if any byte of it cannot be read, for whatever reason."""
        return try_read(self._session.prog.read, address, size)

    def word(self, address: int, size: int = 8) -> int | None:
        """A little-endian word, None if it cannot be read."""
        data = self.memory(address, size)
        return None if data is None else int.from_bytes(data, "little")

    # Symbols

    def read(self, address: int, size: int) -> bytes:
        """
        Read code.

        :raises Refusal: it is not in the dump.
        """
        data = self.memory(address, size)
        if data is None:
            raise Refusal("its code is not in the dump")
        return data

    def symbol(self, address: int) -> Sym | None:
        """The text symbol that holds an address, of the kernel or of a module."""
        try:
            return self._symbols[address]
        except KeyError:
            if len(self._symbols) >= _MAX_REMEMBERED:
                self._symbols.clear()
            found = self._symbols[address] = self._symbol(address)
            return found

    def _symbol(self, address: int) -> Sym | None:
        symbols = self._session.symbols
        start, end = self.kernel_range()
        if start <= address < end:
            sym = symbols.by_address(address) if symbols is not None else None
            return sym if sym is not None and address < sym.address + sym.size else None
        module = self.module_of(address)
        objects = self._session.module_objects
        if module is None or objects is None:
            return None
        sym = objects.symbols.by_address(address)
        if sym is None or not is_text(sym) or address >= sym.address + max(sym.size, 1):
            return None
        return sym

    def by_name(self, name: str, module: str) -> tuple[Sym, ...]:
        """Text symbols of that name, of the kernel ("") or of one module."""
        if not module:
            symbols = self._session.symbols
            found = symbols.by_name(name) if symbols is not None else ()
        else:
            objects = self._session.module_objects
            found = objects.symbols.by_name(name, module) if objects is not None else ()
        return tuple(s for s in found if is_text(s))

    def names_at(self, address: int) -> tuple[str, ...]:
        """All names of a place in the text."""
        known = self._names.get(address)
        if known is None:
            if len(self._names) >= _MAX_REMEMBERED:
                self._names.clear()
            known = self._names[address] = self._names_at(address)
        return known

    def _names_at(self, address: int) -> tuple[str, ...]:
        sym = self.symbol(address)
        if sym is None or sym.address != address:
            return ()
        names_at = getattr(self._session.symbols, "names_at", None)
        start, end = self.kernel_range()
        if names_at is None or not start <= address < end:
            return (sym.name,)
        found: tuple[str, ...] = names_at(address)
        return found or (sym.name,)

    def per_cpu_symbol(self, address: int) -> Sym | None:
        """The per-CPU variable, of the kernel or of a module, that is at an offset in an area."""
        symbols = self._session.symbols
        sym = symbols.by_address(address) if symbols is not None else None
        if sym is not None and sym.percpu and address < sym.address + max(sym.size, 1):
            return sym
        if self._per_cpu is None:
            from btfdbg.program.per_cpu import of_modules

            ranges = of_modules(self._session)
            every = self._session.module_symbols if ranges else None
            self._per_cpu = [
                s for s in every or () if any(start <= s.address < end for start, end in ranges)
            ]
        for sym in self._per_cpu:
            if sym.address <= address < sym.address + max(sym.size, 1):
                return sym
        return None

    def is_noreturn(self, address: int) -> bool:
        """Whether the function at an address does not come back."""
        known = self._noreturn.get(address)
        if known is None:
            if len(self._noreturn) >= _MANY_CALLED:
                return address in self._all_noreturn()
            known = self._noreturn[address] = not _NORETURN.isdisjoint(self._called(address))
        return known

    def _called(self, address: int) -> tuple[str, ...]:
        """
        Names of the kernel's function that a call leads to.

        As :meth:`names_at`, without the extent of each: of fifty to two hundred calls nothing else
        is asked.
        """
        start, end = self.kernel_range()
        if not start <= address < end:
            return ()
        found = self._names.get(address)
        if found is not None:
            return found
        names_at: Callable[[int], tuple[str, ...]] | None
        names_at = getattr(self._session.symbols, "names_at", None)
        return self.names_at(address) if names_at is None else names_at(address)

    def _all_noreturn(self) -> frozenset[int]:
        """
        Where the functions are that do not come back.

        To look for them costs as much as to ask the names of some dozens that are called.
        """
        if self._ends is None:
            start, end = self.kernel_range()
            found = {s.address for name in _NORETURN for s in self.by_name(name, "")}
            self._ends = frozenset(
                a for a in found if start <= a < end and not _NORETURN.isdisjoint(self.names_at(a))
            )
        return self._ends

    def current_variables(self) -> frozenset[int]:
        """Addresses, within a CPU's area, of the pointer to the running task (x86)."""
        if self._current is None:
            found = set()
            for name, member in (("current_task", None), ("pcpu_hot", "current_task")):
                symbols = self._session.lookup_symbols(name)
                if len(symbols) == 1:
                    offset = self._offset(f"struct {name}", member) if member else 0
                    if offset is not None:
                        found.add(symbols[0].address + offset)
            self._current = frozenset(found)
        return self._current

    def _offset(self, type_name: str, member: str) -> int | None:
        """Bytes from the start of a struct, None if this kernel has no such member."""
        try:
            return int(drgn.offsetof(self._session.prog.type(type_name), member))
        except LookupError:
            return None

    def kernel_range(self) -> tuple[int, int]:
        """Start and end of the kernel's own core text; (0, 0) if not known."""
        if self._kernel is None:
            self._kernel = self._session.between("_stext", "_etext") or (0, 0)
        return self._kernel

    def image(self) -> range:
        """Addresses of the kernel image."""
        return range(*(self._session.between("_stext", "_end") or (0, 0)))

    def ranges(self, module: str, *, everywhere: bool) -> list[tuple[int, int]]:
        """
        Texts, start and end.

        :param module: One module's, "" for the kernel's.
        :param everywhere: Those of all modules too.
        """
        texts = self.module_texts() if module or everywhere else {}
        found = [] if module else [self.kernel_range()]
        for name, text in texts.items():
            if everywhere or name == module:
                found.append((text.start, text.end))
        return [(start, end) for start, end in found if start < end]

    def data(self, module: str) -> list[tuple[int, int]]:
        """Constants and initialised data, start and end, of the kernel ("") or of one module."""
        if not module:
            between = self._session.between
            found = (between("__start_rodata", "__end_rodata"), between("_sdata", "_edata"))
            return [place for place in found if place and 0 < place[1] - place[0] <= _MAX_DATA]
        self._session.ensure_modules()
        for loaded in self._session.loaded:
            if loaded.name == module:
                return [(s, e) for s, e in loaded.address_ranges or () if 0 < e - s <= _MAX_DATA]
        return []

    def module_of(self, address: int) -> str | None:
        """The module whose core text holds an address."""
        start, end = self.kernel_range()
        if start <= address < end or not address >> 63:
            return None
        for name, module in self.module_texts().items():
            if module.start <= address < module.end:
                return name
        return None

    def module_texts(self) -> dict[str, ModuleText]:
        """Core text of each loaded module, by its name."""
        if self._modules is None:
            self._modules = {}  # what is read for it may ask for it
            try:
                self._modules = self._all_texts()
            except BaseException:  # a Ctrl-C among them: half of the modules are no answer
                self._modules = None
                raise
        return self._modules

    def _all_texts(self) -> dict[str, ModuleText]:
        found: dict[str, ModuleText] = {}
        self._session.ensure_modules()
        try:
            part: int | None = int(self._session.prog["MOD_TEXT"])  # since 6.4
        except (LookupError, TypeError):
            part = None
        for module in self._session.loaded:
            try:
                text = module_text(module, part)
            except (LookupError, drgn.FaultError, AttributeError, ValueError, TypeError):
                continue
            if text is not None:
                found.setdefault(module.name, text)
        return found
