"""The functions of the running kernel: where each starts and ends, and a system call's.

In five files: ``module_text`` (where a module's code is), ``text_symbols`` (memory, names and
extents), ``text_tables`` (what an exception or a static branch changes), ``prototypes`` (what
BTF says of a function), ``function`` (one of them, as ``flow`` asks for it); here they are put
together, once for a Session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btfdbg.frames.function import Function, parent_of
from btfdbg.frames.ir import Refusal
from btfdbg.frames.prototypes import Prototype, Prototypes
from btfdbg.frames.text_symbols import TextSymbols
from btfdbg.frames.text_tables import CodeTables

if TYPE_CHECKING:
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session

_MAX_SYSTEM_CALLS = 1024
_CACHE_KEY = "btfdbg.frames.text"


class Text(TextSymbols):
    """The text of one Program: its symbols, and the functions at them."""

    def __init__(self, session: Session, machine: str) -> None:
        super().__init__(session, machine)
        self._functions: dict[int, Function | str] = {}
        self._prototypes = Prototypes(session, self)
        self._tables = CodeTables(session, self)

    def prototype_at(self, address: int) -> Prototype | str:
        """BTF's prototype of the function that starts at an address, or why there is none."""
        return self._prototypes.at(address)

    def prototype_at_call(self, address: int) -> Prototype | str:
        """The same where a call on a stack shows that it is kept: see :class:`Prototypes`."""
        return self._prototypes.at_call(address)

    def is_foreign(self, address: int) -> bool:
        """Whether a function is assembly that LLVM left as it is: see :class:`Prototypes`."""
        return self._prototypes.is_foreign(address)

    def function_type(self, address: int, module: str) -> int | None:
        """The FUNC_PROTO's id of the function at an address: see :class:`Prototypes`."""
        return self._prototypes.function_type(address, module)

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
        parent = parent_of(sym.name)
        if parent:
            found = self.by_name(parent, module)
            if len(found) != 1 or len(self.by_name(sym.name, module)) != 1:
                return f"{sym.name}: which function it is part of cannot be told"
            sym = found[0]
        if not sym.size:
            return f"{sym.name}: its size is not known"
        names = self.names_at(sym.address)
        end = self._without_tracer(sym.address, sym.address + sym.size)
        return Function(self, self._prototypes, self._tables, (sym.address, end), names, module)

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


def text_of(session: Session, machine: str) -> Text:
    """The Text of a Session; made once."""
    cache: dict[Any, Any] = session.prog.cache
    found = cache.get(_CACHE_KEY)
    if not isinstance(found, Text):
        found = cache[_CACHE_KEY] = Text(session, machine)
    return found
