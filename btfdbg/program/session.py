"""What btfdbg knows about one Program: the ``Session``.

Owns the state that outlives attaching (BTF, symbols, notes) and the lookup of a
Program's Session. Makes none of its parts: ``attach`` hands them in. Knows nothing of
the order of the steps, nor of files (``vmcore``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import drgn

from btfdbg.btf import Btf
from btfdbg.errors import DebugInfoError
from btfdbg.interrupts import is_interrupt
from btfdbg.kallsyms.choice import is_text, unique_symbol
from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.program.answers import Answers

if TYPE_CHECKING:
    from btfdbg.btf import TypeId
    from btfdbg.kallsyms import Sym, SymbolTable
    from btfdbg.kallsyms.all_names import AllNames
    from btfdbg.kallsyms.modules import ModuleSymbols
    from btfdbg.program.convert import TypeConverter
    from btfdbg.program.finders import BtfFinders
    from btfdbg.program.module_objects import ModuleObjects
    from btfdbg.program.modules import ModuleBtfs
    from btfdbg.variables import TypedVariable, VariableTypes
    from btfdbg.variables.evidence import Accesses, CodeType
    from btfdbg.variables.symbols import Symbol
    from btfdbg.variables.var_offsets import VarOffsets
    from btfdbg.vmcore.identify import DumpInfo
    from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_CACHE_KEY = "btfdbg.session"


class Argument(Protocol):
    """
    One parameter of a frame's function, with its value at the function's entry.

    :ivar name: "" if the prototype names none.
    :ivar value: ``None`` if it is not known.
    :ivar source: Where the value was found: a register, the stack, a call.
    :ivar why: Why there is no value, else "".
    :ivar confirmed: More than one word of memory tells the value.
    """

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> drgn.Type: ...
    @property
    def value(self) -> drgn.Object | None: ...
    @property
    def source(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def confirmed(self) -> bool: ...


class SourceFile(Protocol):
    """Where code is from: a file of the kernel's tree."""

    @property
    def file(self) -> str:
        """Path in the kernel's tree."""

    @property
    def line(self) -> int | None:
        """The line, where the dump itself gives it."""

    @property
    def evidence(self) -> str:
        """What says so."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is missing or was worked around: which step, what, and what to do."""

    step: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.step}: {self.what}{hint}"


def _no_rule(name: str) -> tuple[Sym, ...]:
    return ()


@dataclass(slots=True)
class Session:
    """
    btfdbg's side of a ``drgn.Program``.

    >>> session = btfdbg.session(prog)
    >>> session.release, session.variable_source("init_task")
    ('6.12.117+deb13-cloud-amd64', 'database, this release')

    :ivar prog: The Program.
    :ivar notes: What went wrong or was worked around, in the order it was met.
    :ivar symbols: The kernel's symbols, or ``None`` if none were found.
    :ivar btf_source: Which evidence gave the kernel's BTF.
    :ivar loaded: drgn's Modules of the loaded modules in the kernel's order, as far as its
        list can be followed; see :meth:`ensure_modules`.
    :ivar symbols_by_rule: Symbols that no table has, by name; nothing until types are
        registered, because the rules read typed memory.
    :ivar create_modules: Makes drgn's Modules of the loaded modules; asked once.
    :ivar names: All names of the kernel's symbols as text, once :meth:`all_names` was asked.
    :ivar answers: What the finders said so far; forgets when something is added.
    :ivar var_offsets: Tells the VARs of one name in :attr:`vmlinux` apart.
    :ivar reads_code: Whether a variable whose type nothing else knows is looked for in the
        code, which takes some 0.1 s each: not to be done for thousands.
    :ivar log: The kernel log's records, once all of them were read; see ``log_records``.
    :ivar is_file: Whether the Program's memory is that of the dump's file, since it was opened
        here and nobody has added to it yet; what is in the file may then be read past drgn.
    """

    prog: drgn.Program
    vmcoreinfo: VmcoreInfo
    dump: DumpInfo | None = None
    vmcoreinfo_source: str = "note in the dump"
    notes: list[Note] = field(default_factory=list)
    symbols: SymbolTable | None = None
    btf_source: str = ""
    converter: TypeConverter | None = None
    finders: BtfFinders | None = None
    module_btfs: ModuleBtfs | None = None
    module_objects: ModuleObjects | None = None
    create_modules: Callable[[Session], object] | None = None
    module_symbols: ModuleSymbols | None = None
    modules_created: bool = False
    loaded: list[drgn.Module] = field(default_factory=list)
    variables: VariableTypes | None = None
    symbols_by_rule: Callable[[str], tuple[Sym, ...]] = _no_rule
    var_offsets: VarOffsets | None = None
    names: AllNames | None = None
    answers: Answers = field(default_factory=Answers)
    reads_code: bool = True
    log: tuple[tuple[int, str, bytes], ...] | None = None
    is_file: bool = False
    _vmlinux: Btf | None = None

    def __repr__(self) -> str:
        symbols = self.symbols.count if self.symbols is not None else 0
        types = self._vmlinux.type_cnt - 1 if self._vmlinux is not None else 0
        return f"<btfdbg Session of {self.release or 'a kernel'}: {types} types, {symbols} symbols>"

    @property
    def release(self) -> str:
        """Kernel release, as ``uname -r`` prints it."""
        return self.vmcoreinfo.release

    @property
    def build_id(self) -> str:
        """Build id of the kernel in hexadecimal, empty if VMCOREINFO has none (before v5.9)."""
        return self.vmcoreinfo.build_id

    def lookup_symbols(self, name: str) -> tuple[Sym, ...]:
        """All symbols that the kernel itself has of a name; one derived by rule if it has none."""
        return self.answers.symbols(name, self._find_symbols)

    def between(self, first: str, last: str) -> tuple[int, int] | None:
        """Addresses of two symbols of the kernel; ``None`` unless there is one of each."""
        start, end = self.lookup_symbols(first), self.lookup_symbols(last)
        return (start[0].address, end[0].address) if len(start) == len(end) == 1 else None

    def _find_symbols(self, name: str) -> tuple[Sym, ...]:
        found = self.symbols.by_name(name) if self.symbols is not None else ()
        return found or self.symbols_by_rule(name)

    def all_names(self) -> AllNames | None:
        """All names of the kernel's symbols, expanded once; ``None`` without symbols."""
        if self.names is None and self.symbols is not None:
            from btfdbg.cache import Cache
            from btfdbg.kallsyms.all_names import AllNames

            self.names = AllNames.of(self.symbols, Cache.default())
        return self.names

    @property
    def vmlinux(self) -> Btf:
        """
        The kernel's own BTF.

        :raises DebugInfoError: the dump gave none.
        """
        if self._vmlinux is None:
            raise DebugInfoError(
                "this dump gave no kernel BTF",
                step="btf",
                hint="give it with --btf FILE (the kernel's vmlinux, vmlinuz or raw BTF)",
            )
        return self._vmlinux

    @property
    def has_btf(self) -> bool:
        """Whether :attr:`vmlinux` can be had."""
        return self._vmlinux is not None

    def set_vmlinux(self, btf: Btf, source: str) -> None:
        """Record the kernel's BTF and where it was found."""
        self._vmlinux = btf
        self.btf_source = source

    @property
    def modules(self) -> Mapping[str, Btf]:
        """Module name to its split BTF; a module's BTF is read when it is first asked for."""
        return self.module_btfs if self.module_btfs is not None else {}

    def ensure_modules(self) -> None:
        """
        Make drgn's Module objects for the loaded modules, once.

        Stack traces need them before they start; whatever goes through our
        finders asks for them itself.
        """
        if self.modules_created:
            return
        self.modules_created = True
        if self.create_modules is not None:
            try:
                with self.answers.unfinished():
                    self.create_modules(self)
            except BaseException as e:
                if is_interrupt(e):
                    # Half a list would be wrong stacks: the next question starts again.
                    self.modules_created = False
                raise

    def module_names(self) -> tuple[str, ...]:
        """Names of the loaded modules as drgn enumerated them, in the kernel's order."""
        self.ensure_modules()
        found: Iterable[drgn.Module] = self.loaded or self.prog.modules()
        return tuple(m.name for m in found if isinstance(m, drgn.RelocatableModule))

    def module_btf_source(self, name: str) -> str | None:
        """Where the BTF of a module was found, ``None`` if it has none."""
        return self.module_btfs.source(name) if self.module_btfs is not None else None

    def note(self, step: str, what: str, hint: str = "") -> None:
        """Add a note, once."""
        note = Note(step, what, hint)
        if note not in self.notes:
            self.notes.append(note)

    def variable_source(self, name: str) -> str | None:
        """
        Return which evidence gave the type of a global variable.

        :return: ``None`` if the variable has no known type here.
        """
        if self.converter is not None and self._in_own_btf(name):
            return "kernel BTF"
        found = self._typed_variable(name)
        if found is not None:
            return found.known_from
        if self.module_objects is None or self.lookup_symbols(name):
            return None
        return self.module_objects.source(name)

    def variable_caution(self, name: str) -> str:
        """
        Return why what memory holds of a global variable may not be its value in the source.

        :return: "" if nothing is known to speak against it.

        >>> session.variable_caution("vmap_allow_huge")
        'clang may keep the opposite of a static bool that is true at first'
        """
        if self.converter is not None and self._in_own_btf(name):
            return ""
        found = self._typed_variable(name)
        return "" if found is None else found.caution

    def _typed_variable(self, name: str) -> TypedVariable | None:
        """What evidence says of a variable of the kernel; of several that the linker has first."""
        if self.variables is None:
            return None
        return self.variables.find(name) or self.variables.first_linked(name)

    def own_variable(self, name: str, address: int) -> TypeId | None:
        """
        Return the VAR of the kernel's own BTF that a symbol is.

        :param address: Of the symbol; tells file-local variables of one name apart.
        :return: ``None`` if there is none, or several that cannot be told apart.
        """
        if self.var_offsets is None:
            return None
        return self.var_offsets.find(name, address, self._data_addresses)

    def arguments(self, trace: drgn.StackTrace) -> tuple[tuple[Argument, ...], ...]:
        """
        What each frame of a stack trace was called with, read from machine code and BTF.

        :return: For each frame a tuple, one item for each parameter of its prototype, in
            order; empty for a frame whose function has no prototype that can be trusted.
        :raises DebugInfoError: machine code cannot be read: no capstone, or another
            architecture than x86-64 and arm64.

        >>> for frame, args in zip(trace, session.arguments(trace)):
        ...     print(frame.name, *args)
        vfs_write file=0xff3de78301db73c0 buf=0x1be3ce60 count=0x2 pos=0xff77097680013ea8
        """
        found: tuple[tuple[Argument, ...], ...] = self._method("arguments")(self, trace)
        return found

    def source_file(self, address: int) -> SourceFile | None:
        """
        Which source file the code at an address is from.

        :return: ``.file``, ``.line`` (only at the trap of a WARN or BUG, else ``None``) and
            ``.evidence``; ``None`` for what is no code, or without sufficient evidence.

        >>> session.source_file(prog.symbol("vfs_read").address)
        SourceFile(file='fs/read_write.c', line=None, evidence='table')
        """
        found: SourceFile | None = self._method("source_file")(self, address)
        return found

    def type_from_code(self, symbol: Symbol, module: str = "") -> CodeType | None:
        """
        What the code of this dump says of a variable; asked where nothing else knows its type.

        :param module: Whose variable it is, "" for the kernel's.
        :return: ``.type`` as C writes it and ``.why``; ``None`` if the code says nothing, or
            cannot be read.
        """
        if not self.may_read_code():
            return None
        found: CodeType | None = self._method("type_from_code")(self, symbol, module)
        return found

    def borne_out(
        self, symbol: Symbol, element: drgn.Type, array: bool, module: str = ""
    ) -> tuple[str, int]:
        """
        What in this dump speaks for a type that other kernels have under a variable's name.

        :param element: The type; if ``array``, of its elements.
        :param module: Whose variable it is, "" for the kernel's.
        :return: ``code: it accesses elements of 4 bytes``, "" if nothing does, or anything
            speaks against it; and how many elements memory shows, 0 if it does not.
        """
        if not self.may_read_code():
            return "", 0
        found: tuple[str, int] = self._method("borne_out")(
            self, symbol, element, module, array=array
        )
        return found

    def may_read_code(self) -> bool:
        """Whether variables are looked for in the code; if not, no answer is for good."""
        if not self.reads_code:
            self.answers.doubt()  # it may be switched on again
        return self.reads_code

    def accesses(self, symbol: Symbol) -> Accesses | None:
        """
        What the kernel's code does at the address of one of its variables.

        :return: ``.sizes`` of what it reads and writes there, and more; ``None`` if that is not
            known.
        """
        found: Accesses | None = self._method("accesses")(self, symbol)
        return found

    def expect_accesses(self, symbols: Sequence[Symbol]) -> None:
        """Look for the accesses to several variables at once, before they are asked for."""
        self._method("expect_accesses")(self, symbols)

    def _method(self, name: str) -> Callable[..., Any]:
        from importlib import import_module

        from btfdbg import SESSION_METHODS

        found: Callable[..., Any] = getattr(import_module(SESSION_METHODS[name]), name)
        return found

    def _data_addresses(self, name: str) -> list[int]:
        return [s.address for s in self.lookup_symbols(name) if not is_text(s)]

    def _in_own_btf(self, name: str) -> bool:
        symbols = [s for s in self.lookup_symbols(name) if not is_text(s)]
        if not symbols:  # a per-CPU variable of a kernel without data symbols
            from btfdbg.btf import Kind

            return bool(self.vmlinux.types_by_name(name, (Kind.VAR,)))
        sym = unique_symbol(symbols)
        return sym is not None and self.own_variable(name, sym.address) is not None


def session(prog: drgn.Program) -> Session:
    """
    Return the Session of a Program that :func:`btfdbg.attach` (or the plugin) served.

    :raises LookupError: btfdbg is not attached to it.
    """
    found = find_session(prog)
    if found is None:
        raise LookupError("btfdbg is not attached to this Program; call btfdbg.attach(prog)")
    return found


def find_session(prog: drgn.Program) -> Session | None:
    """The Session of a Program, or ``None``."""
    found = prog.cache.get(_CACHE_KEY)
    return found if isinstance(found, Session) else None


def remember_session(s: Session) -> None:
    """Tie a Session to its Program for as long as the Program lives."""
    s.prog.cache[_CACHE_KEY] = s
