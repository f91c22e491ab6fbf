"""BTF's prototypes of the functions at addresses, as long as they are what is in memory.

Owns the doubt: several functions of one name, names that disagree, and local functions whose
parameters clang may have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from btfdbg.btf import Kind
from btfdbg.errors import BtfError
from btfdbg.frames.abi import Param, Signature, Types, signature
from btfdbg.kallsyms.choice import is_text, own_ids
from btfdbg.kallsyms.lto import PromotedSymbols, c_name
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import drgn

    from btfdbg.frames.state import Value
    from btfdbg.frames.text_symbols import TextSymbols
    from btfdbg.kallsyms.model import Sym
    from btfdbg.program.convert import TypeConverter
    from btfdbg.program.session import Session

_WORD = 8
# Exported by every kernel since 2.6.
_EXPORTED = ("schedule", "kfree", "mutex_lock")
CHANGED = "clang may have changed what a local function is passed"
"""Why a function has no prototype: of a kernel by clang, and nobody is seen to have its address."""


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


class Prototypes:
    """The prototypes of one Program; each is read once."""

    def __init__(self, session: Session, symbols: TextSymbols) -> None:
        self._session = session
        self._symbols = symbols
        self._known: dict[int, Prototype | str] = {}
        self._types: dict[TypeConverter, Types] = {}
        self._clang: str | None = None
        self._kept: frozenset[int] | None = None
        self._promoted: PromotedSymbols | None = None

    def at(self, address: int) -> Prototype | str:
        """BTF's prototype of the function that starts at an address, or why there is none."""
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = self._read(address, is_kept=False)
        return known

    def at_call(self, address: int) -> Prototype | str:
        """
        The same of a function that a stack has an indirect call of, so that somebody has its
        address, or one by assembly.

        It is not kept for other stacks: what one shows depends on no other.
        """
        found = self.at(address)
        return self._read(address, is_kept=True) if found == CHANGED else found

    def is_foreign(self, address: int) -> bool:
        """
        Whether a function is assembly in a kernel that clang optimised as a whole.

        All C functions are local there, exported ones too (``-fvisibility=hidden``). What a global
        one calls has parameters as in the source: the linker tells LLVM which functions other
        objects refer to (``VisibleToRegularObj``), and those are not changed.
        """
        names = self._symbols.names_at(address)
        converter = self._session.converter
        if not names or converter is None or not self._is_clang() or not self._is_hidden():
            return False
        symbols = [s for n in names for s in self._symbols.by_name(n, "") if s.address == address]
        if {s.type_letter for s in symbols} != {"T"}:
            return False
        return not any(own_ids(converter.btf, n, (Kind.FUNC,)) for n in names)

    def _is_hidden(self) -> bool:
        """Whether functions that modules call are local."""
        for name in _EXPORTED:
            symbols = self._symbols.by_name(name, "")
            if len(symbols) == 1 and self._session.lookup_symbols(f"__ksymtab_{name}"):
                return symbols[0].type_letter == "t"
        return False

    def _read(self, address: int, is_kept: bool) -> Prototype | str:
        """:param is_kept: Whether somebody is known to have the function's address."""
        try:
            return self._find(address, is_kept)
        except BtfError as e:
            return f"its prototype is damaged: {e}"

    def _find(self, address: int, is_kept: bool) -> Prototype | str:
        module = self._symbols.module_of(address) or ""
        names = self._symbols.names_at(address)
        if not names:
            return "no function starts there"
        converter = self._converter(module)
        if converter is None:
            return f"module {module} has no BTF" if module else "the dump gave no kernel BTF"
        problem = ""
        found: dict[tuple[object, ...], Prototype] = {}
        for name in names:
            may_be_renamed = not module and self._is_clang()
            if may_be_renamed:
                name = c_name(name)
            ids = own_ids(converter.btf, name, (Kind.FUNC,))
            if not ids:
                continue
            symbols = self._symbols.by_name(name, module)
            if may_be_renamed:
                symbols = (*symbols, *self._promoted_by_name(name))
            if len(ids) > 1 or len({s.address for s in symbols}) != 1:
                problem = f"there are several functions {name}"
                continue
            doubtful = symbols[0].type_letter.islower() and self._is_clang()
            if doubtful and not (is_kept or self._is_called_by_pointer(name, address)):
                problem = CHANGED
                continue
            proto = converter.btf.type_by_id(ids[0]).type  # type: ignore[union-attr]
            sig = signature(self._types_of(converter), proto)
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
        own = self._symbols.module_of(address) or ""
        converter = self._converter(own)
        if converter is None or own not in ("", module):
            return None
        found = set()
        for name in self._symbols.names_at(address):
            ids = own_ids(converter.btf, name, (Kind.FUNC,))
            if len(ids) == 1 and len({s.address for s in self._symbols.by_name(name, own)}) == 1:
                found.add(int(converter.btf.type_by_id(ids[0]).type))  # type: ignore[union-attr]
        return found.pop() if len(found) == 1 else None

    def _types_of(self, converter: TypeConverter) -> Types:
        found = self._types.get(converter)
        if found is None:
            found = self._types[converter] = Types(converter.btf, self._symbols.machine)
        return found

    def _converter(self, module: str) -> TypeConverter | None:
        if not module:
            return self._session.converter
        btfs = self._session.module_btfs
        return None if btfs is None else btfs.converter(module)

    def _is_called_by_pointer(self, name: str, address: int) -> bool:
        """
        Whether a function's address is kept: then its parameters are those of its type.

        Modules call what is exported; tables of operations name what they hold, and code what it
        hands on. With link-time optimisation all of the kernel's own functions are local.
        """
        if self._session.lookup_symbols(f"__ksymtab_{name}"):
            return True
        if self._kept is None:
            from btfdbg.frames.taken import in_data, in_text

            start, end = self._symbols.kernel_range()
            read = self._symbols.memory
            found = in_data(read, self._symbols.data(""), start, end)
            if self._symbols.machine == "x86_64":
                found |= in_text(read, self._symbols.ranges("", everywhere=True), start, end)
            self._kept = frozenset(found)
        return address in self._kept

    def _promoted_by_name(self, name: str) -> tuple[Sym, ...]:
        """Symbols of the kernel that ThinLTO renamed."""
        if self._promoted is None and self._session.symbols is not None:
            self._promoted = PromotedSymbols(self._session.symbols)
        found = () if self._promoted is None else self._promoted.by_name(name)
        return tuple(s for s in found if is_text(s))

    def _is_clang(self) -> bool:
        if self._clang is None:
            banner = b""
            for sym in self._session.lookup_symbols("linux_banner")[:1]:
                banner = self._symbols.memory(sym.address, 256) or b""
            self._clang = "clang" if b"clang version" in banner else ""
        return bool(self._clang)
