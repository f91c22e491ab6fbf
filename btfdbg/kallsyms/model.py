"""What every source of symbols gives, and how all of them read memory.

Owns the value ``Sym``, the protocol ``SymbolTable`` and the three ways of
reading that survive holes. Knows no table format and no drgn object except the
error that drgn's memory readers raise.

Facts: type letters are those of nm(1), as scripts/kallsyms.c stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol, runtime_checkable

from btfdbg.lazy_dataclass import dataclass

Memory = Callable[[int, int], bytes]
"""``read(address, size)``: virtual memory of the dump; raises if any byte is missing."""

ByteOrder = Literal["little", "big"]

PAGE = 4096
"""Smallest unit in which a dump loses memory (larger pages are multiples)."""

MAX_SYMBOLS = 1 << 22
"""Bound on any symbol count read from a dump; a distribution kernel has about 2**18."""

MAX_NAME = 2048
"""Bound on one expanded name in bytes (KSYM_NAME_LEN is 128, since 6.1 it is 512)."""

END_MARKERS = frozenset(
    {
        "_etext",
        "_einittext",
        "_edata",
        "_end",
        "__bss_stop",
        "__brk_limit",
        "__end_rodata",
        "__end_rodata_aligned",
        "__end_rodata_hpage_align",
        "__init_end",
        "__inittext_end",
        "__initdata_end",
        "__per_cpu_end",
        "__noinstr_text_end",
        "__softirqentry_text_end",
        "__irqentry_text_end",
        "__entry_text_end",
        "__sched_text_end",
        "__lock_text_end",
        "__cpuidle_text_end",
        "__kprobes_text_end",
    }
)
"""Linker symbols at which something ends and nothing begins."""

STOP = "__stop_"
"""What the name of such a symbol begins with where a linker made it for a section's end."""

# Before the name in the ``source`` of a module's symbol.
_MODULE = "module "


@dataclass(frozen=True, slots=True)
class Sym:
    """
    One symbol.

    :ivar name: As the kernel spells it.
    :ivar address: Virtual address; for a per-CPU symbol of x86 before 6.15 the
        offset from the start of the per-CPU area.
    :ivar size: *Extent*: bytes to the next symbol at another address. It
        includes padding and symbols that kallsyms leaves out, so it is an upper
        bound. 0 for the last symbol and for a linker symbol that ends a section.
    :ivar type_letter: As nm(1): ``T`` text, ``D`` data, ``B`` bss, ``R`` read-only,
        ``W``/``V`` weak, ``A`` absolute; lower case if local. ``?`` if the source
        does not know.
    :ivar percpu: The symbol lies in ``__per_cpu_start``..``__per_cpu_end``.
    :ivar source: What gave it; see ``SymbolTable.source``.
    """

    name: str
    address: int
    size: int
    type_letter: str
    percpu: bool = False
    source: str = "kallsyms"

    @property
    def module(self) -> str:
        """Name of the module that has it, "" for the kernel itself."""
        return self.source[len(_MODULE) :] if self.source.startswith(_MODULE) else ""


@runtime_checkable
class SymbolTable(Protocol):
    """
    Symbols of the kernel image (not of modules).
    """

    @property
    def source(self) -> str:
        """How the symbols were found, in words."""

    @property
    def count(self) -> int:
        """Number of symbols, damaged ones included."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage that was met so far, in words; grows as more is looked at."""

    def by_name(self, name: str) -> tuple[Sym, ...]:
        """All symbols of that name, by address; empty if there is none."""

    def by_address(self, address: int) -> Sym | None:
        """
        The symbol whose extent holds the address.

        Of several at one address the first, which is the one that the kernel
        prints. Absolute per-CPU symbols are never an answer: they would turn
        NULL and small integers into names.
        """

    def extent(self, name_or_sym: str | Sym) -> int:
        """Bytes to the next symbol at another address (see ``Sym.size``); 0 if unknown."""

    def names(self) -> Iterator[str]:
        """Every name, in the order of the table; a name may occur more than once."""

    def __iter__(self) -> Iterator[Sym]:
        """Every symbol, by address."""


def try_read(read: Memory, address: int, size: int) -> bytes | None:
    """Read all of it, or nothing."""
    if size <= 0 or address < 0 or address + size > 1 << 64:
        return b"" if size == 0 else None
    try:
        data = read(address, size)
    # A reader may be drgn's over any dump format: a page that is not there is a
    # FaultError, but a page that does not decompress is a bare Exception, and
    # neither may end the search. KeyboardInterrupt passes.
    except Exception:
        return None
    return data if len(data) == size else None


def read_prefix(read: Memory, address: int, size: int) -> bytes:
    """As much of it as can be read from its start on, in whole pages."""
    data = try_read(read, address, size)
    if data is not None:
        return data
    parts: list[bytes] = []
    end = address + size
    while address < end:
        step = min(PAGE - address % PAGE, end - address)
        part = try_read(read, address, step)
        if part is None:
            break
        parts.append(part)
        address += step
    return b"".join(parts)


def read_suffix(read: Memory, end: int, size: int) -> bytes:
    """As much as can be read of the ``size`` bytes that stand before ``end``."""
    size = min(size, end)
    data = try_read(read, end - size, size)
    if data is not None:
        return data
    parts: list[bytes] = []
    start = end - size
    while end > start:
        low = max(start, (end - 1) // PAGE * PAGE)
        part = try_read(read, low, end - low)
        if part is None:
            break
        parts.append(part)
        end = low
    return b"".join(reversed(parts))


def text_of(name: bytes) -> str:
    """A name as text; a byte that is not ASCII (a damaged table) is shown escaped."""
    return name.decode("ascii", "backslashreplace")
