"""Functions and variables of kernel modules.

Owns joining a module's symbol with that module's own types. A name that two
modules have is not guessed; ``prog.variable(name, "module")`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import drgn
from drgn import FaultError, RelocatableModule, sizeof

from btfdbg.btf import Kind
from btfdbg.kallsyms.choice import is_text, own_ids, unique_symbol
from btfdbg.program.convert import TypeConverter
from btfdbg.variables import VariableTypes
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.parameters import Parameter, read_parameters

if TYPE_CHECKING:
    from btfdbg.btf import Btf
    from btfdbg.errors import DebugInfoError
    from btfdbg.kallsyms import Sym
    from btfdbg.kallsyms.modules import ModuleSymbols
    from btfdbg.program.session import Session
    from btfdbg.variables import TypedVariable
    from btfdbg.variables.extra import ExtraBtf

_PREFIX = "module "


def wanted_for(sym: Sym) -> drgn.FindObjectFlags:
    """What an object finder has to be asked for to answer with a symbol."""
    return drgn.FindObjectFlags.FUNCTION if is_text(sym) else drgn.FindObjectFlags.VARIABLE


class _OneModule:
    """The symbols of one module, as ``VariableTypes`` asks for them."""

    def __init__(self, symbols: ModuleSymbols, module: str) -> None:
        self._symbols = symbols
        self._module = module

    def by_name(self, name: str) -> Sequence[Sym]:
        return self._symbols.by_name(name, self._module)


class ModuleObjects:
    """
    Objects of the loaded modules, by name.

    :param session: With its converter and the modules' BTF.
    :param symbols: Symbols of the loaded modules.
    :param architecture: As ``uname -m`` prints it.
    :param extra: Gives the extra BTF of a module, by its name, its build id and the BTF
        that it goes on top of: the third level above the kernel's and the module's.
    """

    def __init__(
        self,
        session: Session,
        symbols: ModuleSymbols,
        architecture: str,
        extra: Callable[[str, str, Btf], ExtraBtf | None] | None = None,
    ) -> None:
        self._session = session
        self._extra = extra
        self._extra_converters: dict[str, TypeConverter] = {}
        self._build_ids: dict[str, str] | None = None
        self._symbols = symbols
        self._architecture = architecture
        self._variables: dict[str, VariableTypes] = {}

    @property
    def symbols(self) -> ModuleSymbols:
        """Symbols of the loaded modules."""
        return self._symbols

    def find(
        self, name: str, flags: drgn.FindObjectFlags, module: str | None = None
    ) -> drgn.Object | None:
        """
        Find a function or variable.

        :param module: Only in this module.
        """
        sym = unique_symbol(self.symbols_of(name, module))
        if sym is None or not flags & wanted_for(sym):
            return None
        type_ = self.type_of(sym)
        if type_ is None:
            return None
        return drgn.Object(self._session.prog, type_, address=sym.address)

    def symbols_of(self, name: str, module: str | None = None) -> Sequence[Sym]:
        """All symbols of a name, of one module or of any."""
        self._session.ensure_modules()
        return self._symbols.by_name(name, module)

    def type_of(self, sym: Sym) -> drgn.Type | None:
        """The type of one symbol of a module, ``None`` if it is not known."""
        type_ = self._own_type(sym, Kind.FUNC if is_text(sym) else Kind.VAR)
        if type_ is None and not is_text(sym):
            typed = self._typed(sym)
            type_ = None if typed is None else typed.type
        return type_

    def source(self, name: str) -> str | None:
        """Which evidence gives the type of a module's variable."""
        sym = unique_symbol(self.symbols_of(name))
        return None if sym is None else self.source_of(sym)

    def source_of(self, sym: Sym) -> str | None:
        """Which evidence gives the type of the variable that a symbol is."""
        if is_text(sym):
            return None
        if self._own_type(sym, Kind.VAR) is not None:
            return f"BTF of {sym.source}"
        typed = self._typed(sym)
        return None if typed is None else typed.known_from

    def _own_type(self, sym: Sym, kind: Kind) -> drgn.Type | None:
        converter = self._converter(sym)
        if converter is None:
            return None
        ids = own_ids(converter.btf, sym.name, (kind,))
        return converter.convert(ids[0]) if len(ids) == 1 else None

    def _converter(self, sym: Sym) -> TypeConverter | None:
        btfs = self._session.module_btfs
        return None if btfs is None else btfs.converter(sym.source.removeprefix(_PREFIX))

    def _typed(self, sym: Sym) -> TypedVariable | None:
        return self.variables_of(sym).of_symbol(sym)

    def variables_of(self, sym: Sym) -> VariableTypes:
        """What judges the variables of the module that a symbol belongs to."""
        module = sym.source.removeprefix(_PREFIX)
        variables = self._variables.get(module)
        if variables is None:
            variables = self._variables[module] = VariableTypes(
                self._session.prog,
                DumpEvidence(
                    _OneModule(self._symbols, module),
                    release=self._session.release,
                    architecture=self._architecture,
                    module=module,
                    exact_sizes=True,
                    extra=lambda: self._extra_of(module),
                    convert=lambda btf, type_id: self._convert_extra(module, btf, type_id),
                    code=lambda symbol: self._session.type_from_code(symbol, module),
                    asks_code=self._session.may_read_code,
                    bears_out=lambda s, t, array: self._session.borne_out(s, t, array, module),
                    parameters=lambda: self._parameters(module),
                ),
                find_type=self._type_finder(module),
                on_problem=lambda e: self._problem(module, e),
            )
        return variables

    def _parameters(self, module: str) -> Mapping[int, Parameter]:
        """The variables behind a module's parameters, by ``struct module``'s table of them."""
        session = self._session
        symbols = session.symbols
        loaded = next((m for m in session.loaded if m.name == module), None)
        if symbols is None or not session.has_btf or not isinstance(loaded, RelocatableModule):
            return {}
        try:
            table = loaded.object.kp
            start, count = table.value_(), loaded.object.num_kp.value_()
            stop = start + count * sizeof(table[0])
        except (AttributeError, LookupError, FaultError, TypeError, ValueError):
            return {}
        ends: dict[str, int] = {"__start___param": start, "__stop___param": stop}

        def address_of(name: str) -> int | None:
            """Of the module's own table; what its rows lead to is the kernel's."""
            if name in ends:
                return ends[name]
            found = session.lookup_symbols(name)
            return found[0].address if len(found) == 1 else None

        return read_parameters(session.vmlinux, session.prog.read, address_of, symbols.by_address)

    def _base_converter(self, module: str) -> TypeConverter | None:
        """Of the module's BTF, or the kernel's if the module has none."""
        btfs = self._session.module_btfs
        own = None if btfs is None else btfs.converter(module)
        return own or self._session.converter

    def _extra_of(self, module: str) -> ExtraBtf | None:
        base = self._base_converter(module)
        if self._extra is None or base is None:
            return None
        return self._extra(module, self._build_id(module), base.btf)

    def _convert_extra(self, module: str, btf: Btf, type_id: int) -> drgn.Type:
        converter = self._extra_converters.get(module)
        if converter is None:
            base = self._base_converter(module)
            converter = TypeConverter(self._session.prog, btf, base)
            self._extra_converters[module] = converter
        return converter.convert(type_id)

    def _build_id(self, module: str) -> str:
        """In hexadecimal, "" if the dump does not have it."""
        if self._build_ids is None:
            self._build_ids = {
                m.name: m.build_id.hex()
                for m in self._session.prog.modules()
                if isinstance(m, drgn.RelocatableModule) and m.build_id is not None
            }
        return self._build_ids.get(module, "")

    def _problem(self, module: str, error: DebugInfoError) -> None:
        self._session.note(error.step or "variables", f"module {module}: {error}", error.hint)

    def _type_finder(self, module: str) -> Callable[[str], drgn.Type]:
        prog = self._session.prog
        btfs = self._session.module_btfs
        # The BTF of a module has all types that it uses and the kernel lacks. Another module's of
        # that name is another type, and to look there takes reading the BTF of all.
        rest = None if btfs is None or btfs.converter(module) is None else "vmlinux"

        def find(name: str) -> drgn.Type:
            try:
                return prog.type(name, module)
            except LookupError:
                return prog.type(name) if rest is None else prog.type(name, rest)

        return find
