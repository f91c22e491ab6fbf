"""The kernel's symbols as its own vmlinux has them.

Owns link-time addresses, and the symbols that kallsyms leaves out of itself: its own
tables. Each of these is believed only if memory there says what the table says.

Facts: scripts/kallsyms.c writes the tables and drops their symbols from the list;
KERNELOFFSET is ``kaslr_offset()`` (arch_crash_save_vmcoreinfo()); absolute per-CPU
symbols (x86 before 6.15) do not move.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.combined import CombinedTable
from btfdbg.kallsyms.model import Sym, SymbolTable, try_read
from btfdbg.kallsyms.tables import KallsymsTable, Layout
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.kallsyms.model import Memory
    from btfdbg.program.session import Session

_MASK64 = (1 << 64) - 1
_LOWEST = 1 << 32  # no kernel of 64 bits is linked below
_TOKENS = 256
_ALIGN = 8  # of each table: ALGN in scripts/kallsyms.c
_ALIGNMENTS = (4, _ALIGN)  # 4 since 7.0, and still 8 where a table has longs


@dataclass(frozen=True, slots=True)
class OwnTable:
    """
    One of kallsyms' own tables.

    :ivar name: As the kernel's source calls it.
    :ivar address: In memory.
    :ivar size: Bytes; 0 if it is not known.
    :ivar type: C declaration of its type.
    """

    name: str
    address: int
    size: int
    type: str


def kernel_offset(session: Session) -> int:
    """
    What to take off an address in memory to get the link-time one.

    :raises DebugInfoError: the dump does not say how far the kernel was moved.
    """
    offset = session.vmcoreinfo.kernel_offset
    if offset is None:
        raise DebugInfoError(
            "VMCOREINFO has no KERNELOFFSET: how far the kernel was moved is not known",
            step="symbols",
            hint="give VMCOREINFO with --vmcoreinfo FILE",
        )
    return offset


def link_address(sym: Sym, offset: int, percpu_absolute: bool) -> int:
    """The link-time address of a symbol of memory."""
    if percpu_absolute and is_offset(sym):
        return sym.address
    return (sym.address - offset) & _MASK64


def is_offset(sym: Sym) -> bool:
    """
    Whether a symbol of a kernel with absolute per-CPU symbols is one of them.

    ``__per_cpu_end`` ends them and is none, but does not move either.
    """
    return sym.percpu or sym.address < _LOWEST


def has_absolute_percpu(table: SymbolTable) -> bool:
    """Whether per-CPU symbols are offsets from the start of a CPU's area."""
    start = table.by_name("__per_cpu_start")
    return bool(start) and start[0].address < 4096


def of_session(session: Session) -> list[Sym]:
    """
    All symbols of the kernel image, by address.

    :raises DebugInfoError: the dump gave none.
    """
    if session.symbols is None:
        raise DebugInfoError(
            "no symbols were found in this dump", step="symbols", hint="give them with --kallsyms"
        )
    return list(session.symbols)


def own_tables(session: Session) -> list[OwnTable]:
    """kallsyms' own tables, as far as memory proves where they are."""
    table: object = session.symbols
    if isinstance(table, CombinedTable):
        table = table.first
    if not isinstance(table, KallsymsTable):
        return []
    return list(_own_tables(session.prog.read, table.layout))


def _own_tables(read: Memory, layout: Layout) -> Iterator[OwnTable]:
    count, order = layout.num_syms, layout.byteorder
    place = count.to_bytes(4, order)
    markers = _markers(read, layout)
    # "kallsyms_num_syms: .long N" stands right before the names, or in a word of 8 bytes.
    # An unsigned long, as the markers, until Linux kernel commit 80ffbaa5b1bd ("kallsyms: reduce
    # size a little on 64-bit") (in v4.20).
    forms = [(4, place, "unsigned int"), (_ALIGN, place + bytes(4), "unsigned int")]
    if markers is not None and markers[1] == 8:
        forms = [(_ALIGN, count.to_bytes(8, order), "unsigned long")]
    for back, wanted, type_ in forms:
        if try_read(read, layout.names - back, len(wanted)) == wanted:
            size = 8 if type_ == "unsigned long" else 4
            yield OwnTable("kallsyms_num_syms", layout.names - back, size, f"const {type_}")
            break
    end = layout.names_end if markers is None else markers[0]
    yield OwnTable("kallsyms_names", layout.names, end - layout.names, "const u8 []")
    if markers is not None:
        at, width = markers
        word = "unsigned int" if width == 4 else "unsigned long"
        yield OwnTable("kallsyms_markers", at, width * len(layout.markers), f"const {word} []")
    size = sum(len(token) + 1 for token in layout.tokens)
    yield OwnTable("kallsyms_token_table", layout.token_table, size, "const char []")
    starts, at = [], 0
    for token in layout.tokens:
        starts.append(at)
        at += len(token) + 1
    after = layout.token_table + size
    prefix = "<" if order == "little" else ">"
    if len(starts) == _TOKENS and at <= 0xFFFF:
        words = struct.pack(f"{prefix}{_TOKENS}H", *starts)
        for unit in _ALIGNMENTS:
            index = after + -after % unit
            if try_read(read, index, len(words)) == words:
                yield OwnTable("kallsyms_token_index", index, len(words), "const u16 [256]")
                break
    absolute = layout.encoding is Encoding.ABSOLUTE
    size = count * layout.encoding.width
    yield OwnTable(
        "kallsyms_addresses" if absolute else "kallsyms_offsets",
        layout.addresses,
        size,
        "const unsigned long []" if absolute else "const int []",
    )
    if layout.encoding in (Encoding.RELATIVE, Encoding.PERCPU):
        after = layout.addresses + size + -(layout.addresses + size) % _ALIGN
        if try_read(read, after, 8) == layout.base.to_bytes(8, order):
            yield OwnTable("kallsyms_relative_base", after, 8, "const unsigned long")
    if layout.seqs is not None:
        yield OwnTable("kallsyms_seqs_of_names", layout.seqs, 3 * count, "const u8 []")


def _markers(read: Memory, layout: Layout) -> tuple[int, int] | None:
    """Address and width of ``kallsyms_markers``, if it is where the names end."""
    prefix = "<" if layout.byteorder == "little" else ">"
    for width, letter in ((4, "I"), (8, "Q")):
        if any(marker >= 1 << 8 * width for marker in layout.markers):
            continue
        wanted = struct.pack(f"{prefix}{len(layout.markers)}{letter}", *layout.markers)
        for unit in _ALIGNMENTS:
            start = layout.names_end - layout.names_end % unit
            for at in (start, start - unit, start + unit):
                if at >= layout.names and try_read(read, at, len(wanted)) == wanted:
                    return at, width
    return None
