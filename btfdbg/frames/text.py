"""The functions of the running kernel: where each starts and ends, and what may rewrite it.

Owns the answers that ``flow`` asks for, taken from the dump: extents by kallsyms, bytes,
the exception tables, the static branches; and the prototypes that BTF gives. Knows no
instruction.

Only core text counts: init text is freed after boot and used as data, and memory where bpf
programs and trampolines are made belongs to no symbol table.

Facts: ``arch/x86/include/asm/extable.h`` and ``extable_fixup_types.h`` (entries of 12 bytes,
``data`` since 5.17, Linux kernel commit 4b5305decc84 ("x86/extable: Extend extable
functionality"); before, ``handler``); ``arch/arm64/include/asm/asm-extable.h`` (``type`` and
``data`` since 5.16, commit d6e2cc564775); ``include/linux/jump_label.h`` (struct jump_entry);
``kernel/module/main.c`` (``extable``, ``jump_entries``); ``tools/objtool/noreturns.h``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import drgn

from btfdbg.btf import Kind
from btfdbg.errors import BtfError
from btfdbg.frames.abi import Param, Signature, signature
from btfdbg.frames.flow import MAX_BYTES, Fixup, Value
from btfdbg.frames.ir import Refusal
from btfdbg.frames.text_tables import Rows, SortedRows, branch_rows, fixup_rows
from btfdbg.kallsyms.choice import is_text, own_ids
from btfdbg.kallsyms.model import try_read
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.kallsyms import Sym
    from btfdbg.program.convert import TypeConverter
    from btfdbg.program.session import Session

_MAX_TABLE = 16 << 20
_MAX_DATA = 64 << 20
_DATA_CHUNK = 1 << 16
_FIXUP_BYTES = 96
_MAX_SYSTEM_CALLS = 1024
_MAX_REMEMBERED = 1 << 15
_CACHE_KEY = "btfdbg.frames.text"
_WORD = 8
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
_TRACERS = ("__fentry__", "ftrace_caller", "ftrace_regs_caller", "ftrace_stub")


@dataclass(frozen=True, slots=True)
class Prototype:
    """
    What BTF says of a function.

    :ivar name: The name under which BTF has it.
    :ivar signature: Places of its parameters.
    :ivar result: BTF id of the type that it returns.
    :ivar converter: Makes drgn's types of the ids in it.
    """

    name: str
    signature: Signature
    result: int
    converter: TypeConverter

    def type_of(self, type_id: int) -> drgn.Type | None:
        """The drgn type of a parameter's or the result's id; None if the BTF is damaged there."""
        try:
            return self.converter.convert(type_id)
        except BtfError:
            return None

    def words(self, regs: Mapping[str, Value]) -> Iterator[tuple[Param, Value]]:
        """The parameters that are a word in one register each, and what registers hold for them."""
        for param in () if self.signature.problem else self.signature.params:
            if len(param.registers) == 1 and not param.by_reference and param.size == _WORD:
                value = regs.get(param.registers[0])
                if value is not None:
                    yield param, value


class Function:
    """
    One function, as ``flow`` asks for it.

    :ivar names: All its names.
    :ivar module: The module's name, "" for the kernel itself.
    """

    def __init__(self, text: Text, start: int, end: int, names: tuple[str, ...], module: str):
        self.start = start
        self.end = end
        self.names = names
        self.module = module
        self._text = text
        self._fixups_outside: set[int] = set()

    def read(self, address: int, end: int) -> bytes:
        """The bytes from an address on, to the end of a part."""
        return self._text.read(address, min(end, address + MAX_BYTES) - address)

    def read_table(self, address: int, size: int) -> bytes:
        """A jump table, which is among the constants."""
        return self._text.read(address, size)

    def extent(self, target: int) -> tuple[int, int] | None:
        """Start and end of a ``.cold`` part, or of an exception's fix-up code."""
        if target in self._fixups_outside:
            return target, target + _FIXUP_BYTES
        sym = self._text.symbol(target)
        if sym is None or sym.size > MAX_BYTES or _parent(sym.name) not in self.names:
            return None
        if len(self._text.by_name(sym.name, self.module)) != 1:
            return None
        return sym.address, sym.address + sym.size

    def is_function(self, target: int) -> bool:
        """Whether a symbol of the text starts there."""
        sym = self._text.symbol(target)
        return sym is not None and sym.address == target

    def is_tracer(self, address: int, target: int) -> bool:
        """Whether a call at the entry is ftrace's."""
        if address - self.start > self._text.tracer_offset:
            return False
        sym = self._text.symbol(target)
        return sym is None or sym.name in _TRACERS

    def is_current(self, segment: str, address: int) -> bool:
        """Whether a per-CPU load gives the running task."""
        return address in self._text.current_variables()

    def returns(self, target: int) -> bool:
        """Whether a call can come back."""
        return not self._text.is_noreturn(target)

    def stack_words(self, target: int) -> int | None:
        """Words on the stack that a direct call takes; None if not known."""
        found = self._text.prototype_at(target)
        if isinstance(found, str) or found.signature.problem or found.signature.variadic:
            return None
        return found.signature.stack_words

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]:
        """Entries of the exception table."""
        found = self._text.fixups(self.module, start, end)
        for fixup in found.values():
            if not self.start <= fixup.target < self.end and not self.is_function(fixup.target):
                self._fixups_outside.add(fixup.target)
        return found

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        """Static branches and their other targets."""
        return self._text.branches(self.module, start, end)


class Text:
    """
    The text of one Program.

    :ivar machine: ``x86_64`` or ``aarch64``.
    """

    def __init__(self, session: Session, machine: str) -> None:
        self._session = session
        self.machine = machine
        self.tracer_offset = 4 if machine == "x86_64" else 12
        self._kernel: tuple[int, int] | None = None
        self._modules: dict[str, _ModuleText] | None = None
        self._symbols: dict[int, Sym | None] = {}
        self._functions: dict[int, Function | str] = {}
        self._prototypes: dict[int, Prototype | str] = {}
        self._fixups: dict[str, SortedRows] = {}
        self._branches: dict[str, SortedRows] = {}
        self._clang: str | None = None
        self._noreturn: dict[int, bool] = {}
        self._current: frozenset[int] | None = None
        self._kept: frozenset[int] | None = None
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
        start, end = self._kernel_range()
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
            every = objects.symbols.by_name(name) if objects is not None else ()
            found = tuple(s for s in every if s.module == module)
        return tuple(s for s in found if is_text(s))

    def names_at(self, address: int) -> tuple[str, ...]:
        """All names of a place in the text."""
        sym = self.symbol(address)
        if sym is None or sym.address != address:
            return ()
        names_at = getattr(self._session.symbols, "names_at", None)
        start, end = self._kernel_range()
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
            in_kernel = self.module_of(address) is None
            names = self.names_at(address) if in_kernel else ()
            known = self._noreturn[address] = any(name in _NORETURN for name in names)
        return known

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

    def system_call(self, regs: int, table: int | None = None) -> tuple[int, int] | None:
        """
        The system call that a task is in.

        :param regs: Address of its struct pt_regs.
        :param table: Address of the table of functions, if it is known.
        :return: Its number, and the address of the function that the kernel's table has for
            it; None if that cannot be told.
        """
        if table is None:
            found = self._session.lookup_symbols("sys_call_table")
            table = found[0].address if len(found) == 1 else None
        member = "orig_ax" if self.machine == "x86_64" else "syscallno"
        offset = self._offset("struct pt_regs", member)
        if table is None or offset is None:
            return None
        number = self.word(regs + offset, 4)
        if number is None or number >= _MAX_SYSTEM_CALLS:
            return None
        function = self.word(table + 8 * number)
        return None if function is None else (number, function)

    def reads_registers(self, function: Function) -> bool:
        """
        Whether a function is a system call's entry, whose loads from its one argument, the
        struct pt_regs, give today what they gave then.
        """
        for name in function.names:
            head, found, call = name.partition("_sys_")
            if found and head in ("__x64", "__ia32", "__arm64"):
                # These give the task other registers.
                return "exec" not in call and "sigreturn" not in call
        return False

    def registers_size(self) -> int:
        """Bytes of struct pt_regs, 0 if it is not known."""
        try:
            return self._session.prog.type("struct pt_regs").size or 0
        except LookupError:
            return 0

    def _kernel_range(self) -> tuple[int, int]:
        if self._kernel is None:
            self._kernel = self._between("_stext", "_etext")
        return self._kernel

    def _between(self, first: str, last: str) -> tuple[int, int]:
        """Addresses of two of the kernel's symbols; (0, 0) unless there is one of each."""
        start, end = self._session.lookup_symbols(first), self._session.lookup_symbols(last)
        return (start[0].address, end[0].address) if len(start) == len(end) == 1 else (0, 0)

    def ranges(self, module: str, *, everywhere: bool) -> list[tuple[int, int]]:
        """
        Texts, start and end.

        :param module: One module's, "" for the kernel's.
        :param everywhere: Those of all modules too.
        """
        texts = self._module_texts() if module or everywhere else {}
        found = [] if module else [self._kernel_range()]
        for name, text in texts.items():
            if everywhere or name == module:
                found.append((text.start, text.end))
        return [(start, end) for start, end in found if start < end]

    def data(self, module: str) -> list[tuple[int, int]]:
        """Constants and initialised data, start and end, of the kernel ("") or of one module."""
        if not module:
            pairs = (("__start_rodata", "__end_rodata"), ("_sdata", "_edata"))
            found = []
            for first, last in pairs:
                start, end = self._session.lookup_symbols(first), self._session.lookup_symbols(last)
                if len(start) == len(end) == 1:
                    found.append((start[0].address, end[0].address))
            return [(start, end) for start, end in found if 0 < end - start <= _MAX_DATA]
        self._session.ensure_modules()
        for loaded in self._session.loaded:
            if loaded.name == module:
                return [(s, e) for s, e in loaded.address_ranges or () if 0 < e - s <= _MAX_DATA]
        return []

    def module_of(self, address: int) -> str | None:
        """The module whose core text holds an address."""
        start, end = self._kernel_range()
        if start <= address < end or not address >> 63:
            return None
        for name, module in self._module_texts().items():
            if module.start <= address < module.end:
                return name
        return None

    def _module_texts(self) -> dict[str, _ModuleText]:
        if self._modules is None:
            found: dict[str, _ModuleText] = {}
            self._modules = found
            self._session.ensure_modules()
            try:
                part: int | None = int(self._session.prog["MOD_TEXT"])  # since 6.4
            except (LookupError, TypeError):
                part = None
            for module in self._session.loaded:
                try:
                    text = _module_text(module, part)
                except (LookupError, drgn.FaultError, AttributeError, ValueError, TypeError):
                    continue
                if text is not None:
                    found.setdefault(module.name, text)
        return self._modules

    def function(self, pc: int) -> Function | str:
        """
        The function that holds an address; for a ``.cold`` part the one it is part of.

        :return: Or why none is known.
        """
        sym = self.symbol(pc)
        if sym is None:
            return "the address is in no function of the kernel or of a module"
        known = self._functions.get(sym.address)
        if known is None:
            known = self._functions[sym.address] = self._function(sym)
        return known

    def _function(self, sym: Sym) -> Function | str:
        module = sym.module
        parent = _parent(sym.name)
        if parent:
            found = self.by_name(parent, module)
            if len(found) != 1 or len(self.by_name(sym.name, module)) != 1:
                return f"{sym.name}: which function it is part of cannot be told"
            sym = found[0]
        if not sym.size:
            return f"{sym.name}: its size is not known"
        names = self.names_at(sym.address)
        end = self._without_tracer(sym.address, sym.address + sym.size)
        return Function(self, sym.address, end, names, module)

    def _without_tracer(self, start: int, end: int) -> int:
        """
        The end of a function without the pointer to ftrace's ops before the next one.

        arm64 keeps it there (``CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS``, since 6.3). The upper
        half of a kernel pointer is no instruction.
        """
        if self.machine != "aarch64" or end - start < 16:
            return end
        try:
            last = self.read(end - 8, 8)
        except Refusal:
            return end
        return end - 8 if last[6:] == b"\xff\xff" else end

    # Prototypes

    def prototype_at(self, address: int) -> Prototype | str:
        """BTF's prototype of the function that starts at an address, or why there is none."""
        known = self._prototypes.get(address)
        if known is None:
            try:
                known = self._prototype(address)
            except BtfError as e:
                known = f"its prototype is damaged: {e}"
            self._prototypes[address] = known
        return known

    def _prototype(self, address: int) -> Prototype | str:
        module = self.module_of(address) or ""
        names = self.names_at(address)
        if not names:
            return "no function starts there"
        converter = self._converter(module)
        if converter is None:
            return f"module {module} has no BTF" if module else "the dump gave no kernel BTF"
        problem = ""
        found: dict[tuple[object, ...], Prototype] = {}
        for name in names:
            ids = own_ids(converter.btf, name, (Kind.FUNC,))
            if not ids:
                continue
            symbols = self.by_name(name, module)
            if len(ids) > 1 or len({s.address for s in symbols}) != 1:
                problem = f"there are several functions {name}"
                continue
            local = symbols[0].type_letter.islower()
            if local and self._is_clang() and not self._is_called_by_pointer(name, address):
                problem = "clang may have changed what a local function is passed"
                continue
            proto = converter.btf.type_by_id(ids[0]).type  # type: ignore[union-attr]
            sig = signature(converter.btf, proto, self.machine)
            result = converter.btf.type_by_id(proto).type  # type: ignore[union-attr]
            key = tuple((p.type_id, p.registers, p.stack) for p in sig.params)
            found.setdefault(key, Prototype(name, sig, result, converter))
        if len(found) == 1 and not problem:
            return next(iter(found.values()))
        if found:
            return "its names have different prototypes"
        return problem or f"BTF has no function {names[0]}"

    def function_type(self, address: int, module: str) -> int | None:
        """
        The FUNC_PROTO's id of the function that starts at an address; None if not known.

        A function whose address somebody keeps has the prototype that its source says.

        :param module: In whose BTF the id is to be, "" for the kernel's.
        """
        own = self.module_of(address) or ""
        converter = self._converter(own)
        if converter is None or own not in ("", module):
            return None
        found = set()
        for name in self.names_at(address):
            ids = own_ids(converter.btf, name, (Kind.FUNC,))
            if len(ids) == 1 and len({s.address for s in self.by_name(name, own)}) == 1:
                found.add(int(converter.btf.type_by_id(ids[0]).type))  # type: ignore[union-attr]
        return found.pop() if len(found) == 1 else None

    def image(self) -> range:
        """Addresses of the kernel image."""
        return range(*self._between("_stext", "_end"))

    def _converter(self, module: str) -> TypeConverter | None:
        if not module:
            return self._session.converter
        btfs = self._session.module_btfs
        return None if btfs is None else btfs.converter(module)

    def _is_called_by_pointer(self, name: str, address: int) -> bool:
        """
        Whether a function's address is kept: then its parameters are those of its type.

        Modules call what is exported; tables of operations name what they hold. With
        link-time optimisation all of the kernel's own functions are local. LLVM changes what
        only direct calls use (DeadArgumentElimination, ArgumentPromotion).
        """
        if self._session.lookup_symbols(f"__ksymtab_{name}"):
            return True
        if self._kept is None:
            start, end = self._kernel_range()
            found: set[int] = set()
            for first, last in self.data(""):
                for at in range(first & -8, last, _DATA_CHUNK):
                    data = self.memory(at, min(_DATA_CHUNK, last - at) & -8) or b""
                    found.update(w for w in memoryview(data).cast("Q") if start <= w < end)
            self._kept = frozenset(found)
        return address in self._kept

    def _is_clang(self) -> bool:
        if self._clang is None:
            self._clang = ""
            for sym in self._session.lookup_symbols("linux_banner")[:1]:
                banner = self.memory(sym.address, 256) or b""
                self._clang = "clang" if b"clang version" in banner else ""
        return bool(self._clang)

    # Tables that change the flow

    def fixups(self, module: str, start: int, end: int) -> Mapping[int, Fixup]:
        """Entries of the exception table between two addresses."""
        if module not in self._fixups:
            rows = partial(fixup_rows, self.machine)
            self._fixups[module] = self._table(module, "ex_table", rows)
        return self._fixups[module].between(start, end)

    def branches(self, module: str, start: int, end: int) -> Mapping[int, int]:
        """Static branches between two addresses."""
        if module not in self._branches:
            self._branches[module] = self._table(module, "jump_table", branch_rows)
        return self._branches[module].between(start, end)

    def _table(
        self,
        module: str,
        which: str,
        rows: Callable[[int, bytes, drgn.Type], Rows],
    ) -> SortedRows:
        what = {"ex_table": "exception table", "jump_table": "table of static branches"}[which]
        name = "exception_table_entry" if which == "ex_table" else "jump_entry"
        where = self._where(module, which)
        if where is None or not where[1]:
            return SortedRows(Rows((), int))  # a kernel without them has no type for them either
        try:
            type_ = self._session.prog.type(f"struct {name}")
            start, size = where
            if size < 0:
                size *= -(type_.size or 0)
            if not 0 <= size <= _MAX_TABLE:
                return SortedRows(None, f"the {what} is damaged")
            data = self.memory(start, size)
            if data is None:
                return SortedRows(None, f"the {what} is not in the dump")
            return SortedRows(rows(start, data, type_))
        except LookupError:
            return SortedRows(None, f"the form of the {what} is not known")

    def _where(self, module: str, which: str) -> tuple[int, int] | None:
        """Start, and size in bytes or minus the number of entries."""
        if module:
            text = self._module_texts()[module]
            return text.extable if which == "ex_table" else text.jumps
        start = self._session.lookup_symbols(f"__start___{which}")
        stop = self._session.lookup_symbols(f"__stop___{which}")
        if len(start) != 1 or len(stop) != 1:
            return None
        return start[0].address, stop[0].address - start[0].address


@dataclass(frozen=True, slots=True)
class _ModuleText:
    """Core text of a module, and its tables: (address, minus the number of entries)."""

    start: int
    end: int
    extable: tuple[int, int] | None
    jumps: tuple[int, int] | None


def _module_text(module: drgn.Module, part: int | None) -> _ModuleText | None:
    if not isinstance(module, drgn.RelocatableModule):
        return None
    obj = module.object
    if part is not None:
        start, size = obj.mem[part].base.value_(), obj.mem[part].size.value_()
    else:
        try:
            start, size = obj.core_layout.base.value_(), obj.core_layout.text_size.value_()
        except AttributeError:
            start, size = obj.module_core.value_(), obj.core_text_size.value_()
    if not 0 < size < 1 << 30:
        return None
    return _ModuleText(
        start,
        start + size,
        _module_table(obj, "extable", "num_exentries"),
        _module_table(obj, "jump_entries", "num_jump_entries"),
    )


def _module_table(obj: drgn.Object, pointer: str, count: str) -> tuple[int, int] | None:
    try:
        return obj.member_(pointer).value_(), -int(obj.member_(count).value_())
    except LookupError:
        return None


def _parent(name: str) -> str:
    """The function that a ``.cold`` symbol is part of; "" if it is not one."""
    head, cold, rest = name.rpartition(".cold")
    return head if cold and (not rest or rest[1:].isdigit()) else ""


def text_of(session: Session, machine: str) -> Text:
    """The Text of a Session; made once."""
    cache: dict[Any, Any] = session.prog.cache
    found = cache.get(_CACHE_KEY)
    if not isinstance(found, Text):
        found = cache[_CACHE_KEY] = Text(session, machine)
    return found
