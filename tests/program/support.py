"""A kernel small enough to write down: BTF by the builder, symbols by hand, memory in a dict."""

from __future__ import annotations

from collections.abc import Iterator

import drgn

from btfdbg.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.kallsyms import Sym
from btfdbg.program.convert import TypeConverter
from btfdbg.program.finders import BtfFinders
from btfdbg.program.session import Session
from btfdbg.variables.var_offsets import VarOffsets
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

X86_64 = drgn.Platform(drgn.Architecture.X86_64)
S390X = drgn.Platform(drgn.Architecture.S390X, drgn.PlatformFlags.IS_64_BIT)


class Table:
    """A ``SymbolTable`` over a list."""

    source = "a list"
    problems: tuple[str, ...] = ()

    def __init__(self, *syms: Sym) -> None:
        self._syms = syms

    @property
    def count(self) -> int:
        return len(self._syms)

    def by_name(self, name: str) -> tuple[Sym, ...]:
        return tuple(s for s in self._syms if s.name == name)

    def by_address(self, address: int) -> Sym | None:
        for s in self._syms:
            if s.address <= address < s.address + s.size:
                return s
        return None

    def extent(self, name_or_sym: str | Sym) -> int:
        if isinstance(name_or_sym, Sym):
            return name_or_sym.size
        return self.by_name(name_or_sym)[0].size

    def names(self) -> Iterator[str]:
        return (s.name for s in self._syms)

    def __iter__(self) -> Iterator[Sym]:
        return iter(self._syms)


class Kernel:
    """A Program with the type and object finders of one BTF registered, and nothing else."""

    def __init__(self, btf: Builder | Btf, *syms: Sym, platform: drgn.Platform = X86_64) -> None:
        self.btf = btf.to_btf() if isinstance(btf, Builder) else btf
        self.prog = drgn.Program(platform)
        self.session = Session(self.prog, VmcoreInfo.parse(b"OSRELEASE=6.12.0\n"))
        self.session.symbols = Table(*syms)
        self.session.set_vmlinux(self.btf, "the test")
        self.session.var_offsets = VarOffsets(self.btf)
        self.converter = TypeConverter(self.prog, self.btf)
        self.session.converter = self.converter
        self.finders = BtfFinders(self.session, self.converter)
        answers = self.session.answers
        find_type = answers.of_types(self.finders.find_type)
        find_object = answers.of_objects(self.finders.find_object)
        self.prog.register_type_finder("btfdbg", find_type, enable_index=-1)
        self.prog.register_object_finder("btfdbg", find_object, enable_index=-1)

    def memory(self, address: int, data: bytes) -> None:
        """Put bytes at an address."""
        put(self.prog, address, data)


def put(prog: drgn.Program, address: int, data: bytes) -> None:
    """Memory of a Program, virtual, with these bytes in it."""
    prog.add_memory_segment(
        address, len(data), lambda a, n, offset, physical: data[offset : offset + n]
    )
