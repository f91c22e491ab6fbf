"""What judging a type asks of the dump itself: symbols, sections, parameters, sizes.

Owns reading them, each when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drgn import FaultError, Program, Type

from btfdbg.btf import Kind
from btfdbg.errors import BtfError
from btfdbg.kallsyms.model import END_MARKERS
from btfdbg.variables import macro_names
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.forms import size_of
from btfdbg.variables.parameters import Parameter, read_parameters
from btfdbg.vmcore.platforms import byte_order

_MAX_ARGUMENTS = 6
_BANNER = 192
# Linker symbols at which a section begins (include/asm-generic/vmlinux.lds.h).
_SECTION_STARTS = ("__start_", "__init_begin", "__bss_start", "__per_cpu_start", "_sdata", "__brk")


class DumpFacts:
    """
    Answers of one dump about one kernel, or one of its modules.

    :param find_type: finds a named type, ``prog.type`` by default.
    """

    def __init__(
        self,
        prog: Program,
        evidence: DumpEvidence,
        find_type: Callable[[str], Type] | None = None,
    ) -> None:
        self._prog = prog
        self._evidence = evidence
        self._symbols = evidence.symbols
        self._module = evidence.module
        self._btf = evidence.btf
        self._symbol_at = evidence.symbol_at
        self._find_type = find_type
        self._known_parameters: Mapping[int, Parameter] | None = None
        self._by_clang: bool | None = None

    def arguments(self, name: str) -> int | None:
        """How many arguments a system call's metadata says that it has."""
        metadata = macro_names.syscall_of(name)
        address = None if metadata is None else self.address_of(metadata)
        if address is None or self._btf is None:
            return None
        btf = self._btf()
        try:
            bits = btf.offset_of("syscall_metadata", "nb_args")
            # It was an int; kernels of 7.2 have a bit field, and other numbers behind it.
            member = btf.member_at(btf.find_by_name_kind("syscall_metadata", Kind.STRUCT), bits)
            width = member.bitfield_size or 8 * btf.resolve_size(member.type)
            word = self._prog.read(address + bits // 8, -(-(bits % 8 + width) // 8))
            count = int.from_bytes(word, btf.byteorder)
            if btf.byteorder == "big":
                count >>= -(bits + width) % 8
            else:
                count >>= bits % 8
            count &= (1 << width) - 1
        except (BtfError, FaultError):
            return None
        return count if 0 < count <= _MAX_ARGUMENTS else None

    def size_of(self, name: str) -> int | None:
        """Bytes of a named type, None if the kernel has none of that name."""
        try:
            return size_of((self._find_type or self._prog.type)(name))
        except LookupError:
            return None

    def parameters(self) -> Mapping[int, Parameter]:
        """The kernel's parameters, read when the first number is asked for."""
        if self._known_parameters is None:
            found: Mapping[int, Parameter] = {}
            if self._evidence.parameters is not None:
                found = self._evidence.parameters()
            elif self._btf is not None and self._symbol_at is not None and not self._module:
                found = read_parameters(
                    self._btf(), self._prog.read, self.address_of, self._symbol_at
                )
            self._known_parameters = found
        return self._known_parameters

    def address_of(self, name: str) -> int | None:
        """Where the only symbol of a name is."""
        symbols = self._symbols.by_name(name)
        return symbols[0].address if len(symbols) == 1 else None

    def ends_at(self, address: int) -> bool:
        """Whether a section ends, or another begins, at an address; so too where unknown."""
        if self._symbol_at is None:
            return True
        symbol = self._symbol_at(address)
        if symbol is None or symbol.address != address:
            return True
        return symbol.name in END_MARKERS or symbol.name.startswith(_SECTION_STARTS)

    def is_per_cpu(self, word: int) -> bool:
        """Whether the first CPU has memory where a pointer to per-CPU data would lead it."""
        return self.of_first_cpu(word, 1) is not None

    def of_first_cpu(self, word: int, size: int) -> bytes | None:
        """What the first CPU has at an offset in per-CPU data; None if it cannot be read."""
        table = self.address_of("__per_cpu_offset")
        if table is None:
            return None
        try:
            base = int.from_bytes(self._prog.read(table, 8), byte_order(self._prog.platform))
            if not base:
                return None  # a kernel with one CPU, or a file without a machine's memory
            data = bytes(self._prog.read((base + word) % (1 << 64), size))
        except (FaultError, LookupError, OverflowError):
            return None
        return data if len(data) == size else None

    def is_made_by_clang(self) -> bool:
        """Whether the kernel's banner names clang as its compiler (init/version.c)."""
        if self._by_clang is None:
            address = self.address_of("linux_banner")
            try:
                banner = b"" if address is None else self._prog.read(address, _BANNER)
            except (FaultError, ValueError):
                banner = b""
            self._by_clang = b"clang version" in banner
        return self._by_clang

    def exists(self, name: str) -> bool:
        """Whether there is a symbol of a name."""
        return bool(self._symbols.by_name(name))
