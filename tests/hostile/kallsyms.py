"""Target for kallsyms: tables in every layout, pointed at or searched for.

An input is three parts: which byte order and how to look, the VMCOREINFO text, memory.
"""

from __future__ import annotations

from itertools import islice
from random import Random

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms import load
from btfdbg.kallsyms.find_kallsyms import by_scan
from btfdbg.kallsyms.model import MAX_NAME, PAGE, ByteOrder, SymbolTable
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from tests.kallsyms.encoder import BASE, STYLES, make_image, some_symbols

from .target import Target, join, split

_BIG, _PHYSICAL, _SEARCH = 1, 2, 4
_MANY = 3000
_SYMBOLS = 300
_RAM = 0x40000000


def kallsyms(data: bytes) -> bool:
    """Find tables in memory and ask them everything."""
    flags, text, memory = split(data, 3)
    how = flags[0] if flags else 0
    base = _RAM if how & _PHYSICAL else BASE

    def read(address: int, size: int) -> bytes:
        if not base <= address <= address + size <= base + len(memory):
            raise ValueError("no memory there")
        return memory[address - base : address - base + size]

    order: ByteOrder = "big" if how & _BIG else "little"
    info = VmcoreInfo.parse(text)
    ranges = [(base, base + len(memory))]
    try:
        table: SymbolTable
        if how & (_PHYSICAL | _SEARCH):
            table = by_scan(
                read, ranges, info if text else None, byteorder=order,
                physical=bool(how & _PHYSICAL),
            )  # fmt: skip
        else:
            table = load(read, info, order, ranges=ranges)
    except DebugInfoError:
        return False
    _ask(table)
    return True


def _ask(table: SymbolTable) -> None:
    for name in ("_stext", "init_uts_ns", "_end", "nothing", "", "x" * MAX_NAME, "é"):
        for sym in table.by_name(name):
            assert sym.name == name
            assert table.extent(sym) >= 0
    for address in (0, 1, BASE, BASE + 5000, BASE + (1 << 20), (1 << 64) - 1):
        table.by_address(address)
    names = list(islice(table.names(), _MANY))
    for sym in islice(table, _MANY):
        assert 0 <= sym.address < 1 << 64
        assert len(sym.name) <= 4 * MAX_NAME
        assert sym.size >= 0
    for name in names[::40]:
        table.by_name(name)
    assert table.count >= 0
    assert all(isinstance(problem, str) for problem in table.problems)


def _seeds() -> list[bytes]:
    found = []
    for number, style in enumerate(STYLES.values()):
        symbols = some_symbols(Random(number), _SYMBOLS, style)
        image = make_image(symbols, style, at=64)
        end = max(image.where.values()) - image.base + 8 * _SYMBOLS
        # Memory comes in pages.
        memory = bytes(image.data[: -(-end // PAGE) * PAGE])
        big = _BIG if style.byteorder == "big" else 0
        found.append(join(bytes([big]), image.vmcoreinfo(), memory))
        found.append(join(bytes([big | _SEARCH]), image.vmcoreinfo(pointers=False), memory))
    found.append(join(bytes([big | _PHYSICAL]), image.vmcoreinfo(pointers=False), memory))
    return found


TARGETS = (Target("kallsyms", kallsyms, _seeds),)
