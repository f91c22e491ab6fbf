"""A kernel small enough to read: BTF, symbols and memory for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drgn

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.btf.kinds import Member
from btfdbg.program.convert import TypeConverter
from btfdbg.vardb.database import Database
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.lookup import VariableTypes

BASE = 0xFFFF_FFFF_8200_0000
RELEASE = "6.12.1-test-amd64"


@dataclass(frozen=True)
class Sym:
    name: str
    address: int
    size: int
    type_letter: str = "d"


class Symbols:
    """Symbols by name; addresses relative to BASE."""

    def __init__(self, *symbols: Sym) -> None:
        self.asked = 0
        self._all = [Sym(s.name, BASE + s.address, s.size, s.type_letter) for s in symbols]

    def __iter__(self) -> Iterator[Sym]:
        return iter(self._all)

    def by_name(self, name: str) -> list[Sym]:
        self.asked += 1
        return [s for s in self._all if s.name == name]

    def at(self, address: int) -> Sym | None:
        return next((s for s in self._all if s.address <= address < s.address + s.size), None)


def make_btf() -> Btf:
    """
    ``int``, ``char``, ``struct foo``, pointers to it, and arrays of 3 and 5 of those.

    Locks of 4 and 8 bytes; tables of 2 and 3 constant pointers to strings, of 2 to foo.
    """
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    char = builder.add_int("char", 1)
    foo = builder.add_struct("foo", 16, [])
    builder.add_field("a", int_, 0)
    builder.add_field("b", int_, 64)
    pointer = builder.add_ptr(foo)
    builder.add_array(int_, pointer, 3)
    builder.add_array(int_, pointer, 5)
    const_char = builder.add_const(char)
    builder.add_array(int_, const_char, 6)
    const_foo = builder.add_const(foo)
    const_pointer = builder.add_ptr(const_foo)
    builder.add_array(int_, int_, 6)
    builder.add_struct("", 8, [])
    builder.add_field("x", int_, 0)
    builder.add_field("y", int_, 32)
    builder.add_const(int_)
    for name, size in (("spinlock", 4), ("rwlock", 8)):
        lock = builder.add_struct(name, size, [])
        builder.add_field("raw", int_, 0)
        builder.add_typedef(f"{name}_t", lock)
    text = builder.add_ptr(const_char)
    const_text = builder.add_const(text)
    builder.add_array(int_, text, 2)
    builder.add_array(int_, builder.add_const(const_pointer), 2)
    for length in (2, 3):
        builder.add_array(int_, const_text, length)
    return builder.to_btf()


def make_program(btf: Btf, memory: bytes = b"") -> drgn.Program:
    """A program that has the BTF's named types, and memory at BASE."""
    flags = drgn.PlatformFlags.IS_64_BIT | drgn.PlatformFlags.IS_LITTLE_ENDIAN
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64, flags))
    converter = TypeConverter(prog, btf)
    wanted = {drgn.TypeKind.STRUCT: Kind.STRUCT, drgn.TypeKind.TYPEDEF: Kind.TYPEDEF}

    def find(
        prog: drgn.Program, kinds: drgn.TypeKindSet, name: str, filename: str | None
    ) -> drgn.Type | None:
        for kind in kinds:
            if kind in wanted:
                ids = btf.types_by_name(name, (wanted[kind],))
                if ids:
                    return converter.convert(ids[0])
        return None

    prog.register_type_finder("test", find, enable_index=0)
    if memory:
        prog.add_memory_segment(
            BASE, len(memory), lambda address, count, offset, physical: memory[offset:][:count]
        )
    return prog


def make_variables(
    prog: drgn.Program,
    btf: Btf,
    table: Symbols,
    database: Database,
    *,
    release: str = RELEASE,
    machine: str = "x86_64",
    accesses: Any = None,
    expect_accesses: Any = None,
) -> VariableTypes:
    """Types of variables, with symbols by address, which is what tells of neighbours."""
    return VariableTypes(
        prog,
        DumpEvidence(
            table,
            release=release,
            architecture=machine,
            btf=lambda: btf,
            symbol_at=table.at,
            accesses=accesses,
            expect_accesses=expect_accesses,
        ),
        database=lambda: database,
    )


__all__ = [
    "BASE",
    "RELEASE",
    "Member",
    "Sym",
    "Symbols",
    "make_btf",
    "make_program",
    "make_variables",
]
