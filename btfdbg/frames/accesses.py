"""How many bytes code reads and writes at a variable's address: a number's size is held against it.

Owns reading that off single instructions, without an analysis of functions: only an address that
stands in the instruction (x86-64), or is made by an ``adrp`` and what follows it (arm64), counts.
So it is cheap, and silent where code gets at the variable otherwise. Needs no Session: memory,
the extents of the text and a disassembler will do, so a vmlinux can be asked as a dump can.

Facts: Intel SDM volume 2; Arm ARM C4.1 (loads and stores, their size in bits 31 and 30).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from btfdbg.errors import DebugInfoError
from btfdbg.frames.arguments import arch_of, recovery
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.fate import fate
from btfdbg.frames.reference_index import ReferenceIndex
from btfdbg.frames.references import (
    ADRP,
    MASK_ADRP,
    REACH,
    Read,
    adrp_page,
    present,
    references,
    references_of,
)
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.frames.code import Arch
    from btfdbg.frames.disasm import Disassembler
    from btfdbg.frames.ir import Mem
    from btfdbg.program.session import Session
    from btfdbg.variables.symbols import Symbol

Extent = Callable[[int], "tuple[int, int] | None"]
"""Start and end of the function that holds an address."""

_CACHE_KEY = "btfdbg.frames.accesses"
_MAX_NAMED = 4096
_MAX_PLACES = 64
# Questions from which on all places are found at once: so many searches cost as much.
_INDEX_FROM = 40
_MAX_FUNCTION = 1 << 16
_MAX_KNOWN = 256
_MAX_TOLD = 1 << 12
_WORD = 8
_M64 = (1 << 64) - 1
# What may touch a part of a number only: a flag is tested and set in its byte.
_BITS = frozenset(("test", "and", "or", "xor", "bt", "bts", "btr", "btc", "not"))
_COUNTS = frozenset(("add", "sub", "inc", "dec", "xadd", "adc", "sbb"))
# The count of a shift is a byte, whatever number it is of.
_SHIFT = "cl, "
# The register of the first argument, as what is written comes first.
_FIRST = ("rdi, ",)
_REGISTER = ("rdi", "edi", "di,", "dil")
_READS = frozenset(("cmp", "test", "push"))
_MAX_BETWEEN = 12
_LOCK = 0xF0
# alternatives replace "lock" on a kernel with one CPU (arch/x86/kernel/alternative.c).
_UNLOCKED = 0x3E
# Groups of arm64's instructions that may write the register of their lowest bits.
_WRITES = frozenset((4, 5, 6, 8, 9, 12, 13, 14))


def accesses(session: Session, symbol: Symbol) -> Accesses | None:
    """
    What the kernel's code does at the address of one of its variables.

    :return: None if no code says it, or none can be read: no capstone, another architecture.
    """
    reader = _known_reader(session)
    return None if reader is None else reader.of(symbol.address, symbol.size)


def expect_accesses(session: Session, symbols: Iterable[Symbol]) -> None:
    """Look for the accesses to several variables at once, before :func:`accesses` is asked."""
    reader = _known_reader(session)
    if reader is not None:
        reader.expect([(symbol.address, symbol.size) for symbol in symbols])


def _known_reader(session: Session) -> AccessReader | None:
    cache: dict[Any, Any] = session.prog.cache
    reader = cache.get(_CACHE_KEY)
    if reader is None:
        try:
            reader = _reader(session)
        except DebugInfoError:
            reader = False
        cache[_CACHE_KEY] = reader
    return reader if isinstance(reader, AccessReader) else None


def _reader(session: Session) -> AccessReader:
    made = recovery(session)
    text = made.text

    @functools.cache
    def ranges() -> list[tuple[int, int]]:
        return present(text.memory, text.ranges("", everywhere=False))

    def extent(address: int) -> tuple[int, int] | None:
        symbol = text.symbol(address)
        return None if symbol is None else (symbol.address, symbol.address + symbol.size)

    data = range(text.kernel_range()[1], text.image().stop)
    return AccessReader(
        text.memory, ranges, extent, text.machine, made.arch, made.disassemble, data
    )


@dataclass(frozen=True, slots=True)
class Accesses:
    """
    What code does at a variable's address.

    :ivar sizes: bytes of what it reads and writes there whole.
    :ivar bits: bytes in which it tests or sets bits: as few as they need.
    :ivar behind: how far behind the address the furthest other access in its room ends, in
        bytes; 0 without one.
    :ivar is_indexed: whether an index is added to the address.
    :ivar is_counted: whether something is added there in one step that others see as one
        (``lock add``).
    :ivar is_added: whether something is added there otherwise.
    :ivar is_followed: whether what is read there is used as an address.
    :ivar passed: the functions that are passed the address as their first argument.
    """

    sizes: frozenset[int]
    bits: frozenset[int] = frozenset()
    behind: int = 0
    is_indexed: bool = False
    is_counted: bool = False
    is_added: bool = False
    is_followed: bool = False
    passed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _One:
    """One access: offset, bytes, and how."""

    offset: int
    size: int
    bits: bool = False
    indexed: bool = False
    counted: bool = False
    added: bool = False
    followed: bool = False
    passed: int = 0


class AccessReader:
    """
    Accesses to the variables of one kernel.

    :param read: memory, None if any byte of it cannot be read.
    :param ranges: gives start and end of the texts to look in.
    :param extent: the function around an address.
    :param data: addresses of the kernel image that are none of its text.
    """

    def __init__(
        self,
        read: Read,
        ranges: Callable[[], Sequence[tuple[int, int]]],
        extent: Extent,
        machine: str,
        arch: Arch,
        disassemble: Disassembler,
        data: range,
    ) -> None:
        self._read = read
        self._ranges = ranges
        self._extent = extent
        self._machine = machine
        self._arch = arch
        self._disassemble = disassemble
        self._data = data
        self._index: ReferenceIndex | None = None
        self._decoded: dict[int, list[tuple[int, int, str, str]]] = {}
        self._told: dict[tuple[int, int], Accesses | None] = {}
        self._expected: dict[tuple[int, int], list[int]] = {}

    @classmethod
    def of_machine(
        cls,
        machine: str,
        read: Read,
        ranges: Callable[[], Sequence[tuple[int, int]]],
        extent: Extent,
        data: range,
    ) -> AccessReader:
        """
        For a machine as ``uname -m`` names it; see the class.

        :raises DebugInfoError: no capstone, or another architecture than x86-64 and arm64.
        """
        disassemble = open_disassembler(machine)
        return cls(read, ranges, extent, machine, arch_of(machine), disassemble, data)

    def expect(self, variables: Iterable[tuple[int, int]]) -> None:
        """
        Look for several variables at once, before :meth:`of` is asked for each.

        :param variables: What will be asked.
        """
        new = [one for one in variables if one[0] in self._data and one not in self._told]
        if self._index is None and len(self._told) + len(new) < _INDEX_FROM:
            self._expected.update(references_of(self._read, self._ranges(), self._machine, new))

    def of(self, start: int, size: int) -> Accesses | None:
        """
        What code does at an address.

        :param size: bytes of the room there, at least one.
        :return: None if no access was found, or the address is none of the data's.
        """
        if start not in self._data:
            return None
        key = (start, size)
        if key not in self._told:
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told[key] = self._find(start, size)
        return self._told[key]

    def _find(self, start: int, size: int) -> Accesses | None:
        found: list[_One] = []
        one = self._x86_64 if self._machine == "x86_64" else self._arm64
        places = list(islice(self._places(start, size), _MAX_NAMED))
        # Of many those from all over: what tests one bit stands together with its like. On arm64
        # most of them name a neighbour.
        step = -(-len(places) // _MAX_PLACES) or 1 if self._machine == "x86_64" else 1
        for at in places[::step]:
            found.extend(one(at, start, size))
        if not found:
            return None
        passed = frozenset(a.passed for a in found if a.passed)
        found = [a for a in found if not a.passed]
        here = [a for a in found if not a.offset and not a.indexed]
        return Accesses(
            frozenset(a.size for a in here if not a.bits),
            frozenset(a.size for a in here if a.bits),
            max((a.offset + a.size for a in found if a.offset and not a.indexed), default=0),
            any(a.indexed and not a.offset for a in found),
            any(a.counted for a in here),
            any(a.added for a in here),
            any(a.followed for a in here),
            passed,
        )

    def _places(self, start: int, size: int) -> Iterator[int]:
        expected = self._expected.pop((start, size), None)
        if expected is not None:
            return iter(expected)
        if self._index is None and len(self._told) >= _INDEX_FROM:
            self._index = ReferenceIndex(self._read, self._ranges(), self._machine, self._data)
        if self._index is not None:
            return self._index.places(start, size)
        return references(self._read, self._ranges(), self._machine, start, size)

    def _x86_64(self, at: int, start: int, size: int) -> Iterator[_One]:
        """The accesses of the instruction in which an address stands."""
        extent = self._extent(at)
        if extent is None:
            return
        every = self._instructions(*extent)
        number = bisect_right(every, (at,)) - 1
        if number < 0:
            return
        address, length, mnemonic, operands = every[number]
        if not address < at < address + length:
            return
        yield from self._memory(address, length, mnemonic, operands, start, size)
        yield from self._loaded(every[number : number + 1 + _MAX_BETWEEN], start)
        is_taken = operands.startswith(_FIRST) and (mnemonic == "lea" or operands[-1] != "]")
        if is_taken and self._named(operands, address + length) == start:
            called = self._called(every[number + 1 : number + 1 + _MAX_BETWEEN])
            if called:
                yield _One(0, 0, passed=called)

    def _loaded(self, decoded: Sequence[tuple[int, int, str, str]], start: int) -> Iterator[_One]:
        """What becomes of the variable's value, if the first instruction reads all of it."""
        address, length, mnemonic, operands = decoded[0]
        if mnemonic != "mov":
            return

        def is_home(mem: Mem, end: int) -> bool:
            if mem.index_by is not None or mem.base not in (None, "pc") or mem.segment:
                return False
            return (end if mem.base else 0) + mem.disp & _M64 == start

        target, *rest = self._arch.split(operands)
        source = getattr(rest[0], "mem", None) if rest else None
        if source is None or not is_home(source, address + length):
            return
        found = fate(self._arch, decoded[1:], target.name, is_home)
        width = target.bits // 8
        if found.is_put_back:
            yield _One(0, width, added=True)
        if found.is_address and width == _WORD:
            yield _One(0, width, followed=True)

    def _named(self, operands: str, end: int) -> int | None:
        """The address that an instruction puts into a register."""
        what = operands.partition(", ")[2]
        if what[-1:] != "]":
            try:
                return int(what, 0) & _M64
            except ValueError:
                return None
        # As of a load: what "lea" computes is no access.
        for mem, _ in self._arch.memory("mov", operands):
            if mem.base == "pc" and mem.index_by is None:
                return (end + mem.disp) & _M64
        return None

    def _called(self, following: Sequence[tuple[int, int, str, str]]) -> int:
        """The function that is called next, with the first argument as it is; 0 if none is."""
        for _, _, mnemonic, operands in following:
            direct = self._arch.direct(mnemonic, operands)
            if mnemonic == "call":
                return direct[1] if direct is not None else 0
            if mnemonic == "jmp" or mnemonic.startswith("ret"):
                return 0
            if operands.startswith(_REGISTER) and mnemonic not in _READS:
                return 0
        return 0

    def _memory(
        self, address: int, length: int, mnemonic: str, operands: str, start: int, size: int
    ) -> Iterator[_One]:
        before = mnemonic.split()
        name = before[-1]
        if any(word.startswith("rep") for word in before):
            return
        for mem, width in self._arch.memory(mnemonic, operands):
            if mem.segment not in ("", "ds") or width > _WORD:
                continue
            end = address + length if mem.base == "pc" else 0
            offset = (end + mem.disp & _M64) - start
            if not 0 <= offset < size:
                continue
            indexed = mem.index_by is not None or mem.base not in (None, "pc")
            # Where "lock" was, a prefix without a meaning is on a kernel with one CPU.
            prefix = (self._read(address, 1) or b"\0")[0]
            adds = name in _COUNTS and "[" in operands.partition(",")[0]
            yield _One(
                offset,
                width,
                name in _BITS or operands.startswith(_SHIFT),
                indexed,
                adds and prefix == _LOCK,
                adds and prefix != _LOCK and prefix != _UNLOCKED,
            )

    def _instructions(self, start: int, end: int) -> list[tuple[int, int, str, str]]:
        found = self._decoded.get(start)
        if found is None:
            if len(self._decoded) >= _MAX_KNOWN:
                self._decoded.clear()
            code = self._read(start, min(end - start, _MAX_FUNCTION)) or b""
            found = self._decoded[start] = list(self._disassemble(code, start))
        return found

    def _arm64(self, at: int, start: int, size: int) -> Iterator[_One]:
        """The accesses behind an ``adrp`` by the register that it makes a page of."""
        extent = self._extent(at)
        if extent is None:
            return
        code = self._read(at, min(extent[1] - at, REACH)) or b""
        words = memoryview(code[: len(code) // 4 * 4]).cast("I")
        if not words or words[0] & MASK_ADRP != ADRP:
            return
        known = {words[0] & 31: adrp_page(words[0], at) << 12 & _M64}
        for number, word in enumerate(words[1:], 1):
            register, base = word & 31, known.get(word >> 5 & 31)
            if word & 0xFF80_0000 == 0x9100_0000:  # add, 64 bits, immediate
                offset = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
                known.pop(register, None)
                if base is not None:
                    known[register] = base + offset
                continue
            if word & 0xFFC0_0000 == 0xF980_0000:
                continue  # a prefetch
            if word & 0x3B00_0000 == 0x3900_0000:  # load or store, unsigned offset
                if base is not None and not word >> 26 & 1:
                    width = 1 << (word >> 30)
                    offset = base + (word >> 10 & 0xFFF) * width - start
                    if 0 <= offset < size:
                        yield _One(offset, width)
                if word >> 22 & 3:  # it loads: the register is another
                    known.pop(register, None)
                continue
            if word & 0x3F20_0C00 == 0x3820_0000 or word & 0x3F00_0000 == 0x0800_0000:
                # One step that others see as one: ldadd and its kin, exclusive, acquire, release.
                if base is not None and 0 <= base - start < size:
                    adds = word & 0x3F20_FC00 == 0x3820_0000
                    yield _One(base - start, 1 << (word >> 30), counted=adds)
                continue
            if word & 0x7C00_0000 == 0x1400_0000 and word >> 31 == 0:
                return  # an unconditional jump: what follows is reached otherwise
            if word & 0xFC00_0000 == 0x9400_0000 and known.get(0) == start:
                here = at + 4 * number
                away = word & 0x3FF_FFFF
                yield _One(0, 0, passed=here + 4 * (away - ((away & 1 << 25) << 1)) & _M64)
            if word & 0xFC00_0000 == 0x9400_0000 or word & 0xFFFF_FC1F == 0xD63F_0000:
                for clobbered in (*range(19), 30):
                    known.pop(clobbered, None)
                continue
            if word & 0xFFFF_FC1F == 0xD65F_0000:
                return
            if word >> 25 & 15 in _WRITES:
                known.pop(register, None)
            if not known:
                return
