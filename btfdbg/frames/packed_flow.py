"""The analysis of a function as bytes, and back: what ``kept_flows`` keeps.

Owns the form. Instructions are their places and the disassembler's words, which are translated
when somebody asks what one does; states are numbers of values, each value written once.

Everything is where it was: a reader of a packed flow that is asked the same gives the same, the
order of its registers and slots included. Knows no dump and no cache.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from btfdbg.frames.ir import Insn
from btfdbg.frames.state import State
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.ir import Meaning
    from btfdbg.frames.state import Base, Value

MAX_UNPACKED = 8 << 20
"""Bytes of one function; the kernel's longest take some 2 MB."""

_FAST = 1  # zlib's level: 6 takes three times as long for a tenth less
_PLAIN = 0x80  # an instruction that does nothing but lead on
_MAX_INSIDE = 16  # values that one is told by, one in the other: twice what states have
_MAX_ITEM = 4  # numbers of an item
_NONE, _STRING, _NUMBER, _NEGATIVE, _VALUE = range(5)
_NEWLINE, _TAB = "\n", "\t"


class Damaged(ValueError):
    """Bytes that no flow was packed into."""


class _Known(Insn):
    """An instruction that was decoded before: the rest of it is found when it is asked for."""

    __slots__ = ("_line", "_translate")

    def __init__(
        self,
        address: int,
        size: int,
        kind: int,
        target: int,
        line: str,
        translate: Callable[[str, str], Meaning],
    ) -> None:
        self.address = address
        self.size = size
        self.kind = kind & ~_PLAIN
        self.target = target
        self.end = address + size
        self._line = line
        if kind & _PLAIN:
            self.through, self.ops = None, ()
        else:
            self._translate = translate

    def __getattr__(self, name: str) -> Any:
        # Only while it is not set yet.
        if name == "text":
            mnemonic, _, operands = self._line.partition(_TAB)
            self.text = mnemonic, operands
            return self.text
        if name in ("ops", "through"):
            _, self.through, self.ops = self._translate(*self.text)
            return self.ops if name == "ops" else self.through
        raise AttributeError(name)


class _Insns(Mapping[int, Insn]):
    """Instructions by address, each made when it is asked for: a stack asks for few of them."""

    def __init__(
        self,
        addresses: array[int],
        columns: tuple[array[int], array[int], array[int], array[int]],
        lines: list[str],
        translate: Callable[[str, str], Meaning],
    ) -> None:
        """
        :param columns: Of each its size, kind, target, and the number of its line.
        :raises Damaged: they are not as many.
        """
        count = len(addresses)
        self._at = dict(zip(addresses, range(count), strict=True))
        self._sizes, self._kinds, self._targets, self._numbers = columns
        self._lines = lines
        self._translate = translate
        self._made: dict[int, Insn] = {}
        if {count} != {len(self._at), *map(len, columns)}:
            raise Damaged("instructions")

    def __getitem__(self, address: int) -> Insn:
        found = self._made.get(address)
        if found is None:
            number = self._at[address]
            line = self._numbers[number]
            if line >= len(self._lines):
                raise Damaged("instructions")
            found = self._made[address] = _Known(
                address,
                self._sizes[number],
                self._kinds[number],
                self._targets[number],
                self._lines[line],
                self._translate,
            )
        return found

    # Of the Mapping's own each would try and catch.

    def get(self, address: int, default: Any = None) -> Any:
        found = self._made.get(address)
        return found or (self[address] if address in self._at else default)

    def __contains__(self, address: object) -> bool:
        return address in self._at

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class _Rows:
    """States by number, made of the columns that they were packed into."""

    def __init__(self, arrays: Iterator[Callable[[str], array[int]]]) -> None:
        """:raises Damaged: they are not what states are packed into."""
        self._names = next(arrays)("B").tobytes().decode().split(_NEWLINE)
        self._values = _Values(arrays)
        self.addresses, (self.blocks,) = next(arrays)("Q"), next(arrays)("I")
        self._registers = next(arrays)("I")
        self._firsts, self._slots, self._escaped = (
            next(arrays)("I"),
            next(arrays)("q"),
            next(arrays)("q"),
        )
        count = len(self.addresses)
        if (
            self.blocks > count
            or len(self._registers) != count * len(self._names)
            or len(self._firsts) != count + 1
            or len(self._escaped) != count
            or len(self._slots) != 3 * self._firsts[-1]
        ):
            raise Damaged("states")

    def state(self, number: int) -> State:
        """:raises Damaged: nothing that a state is packed into is there."""
        try:
            return self._make(number)
        except (IndexError, RuntimeError, StopIteration) as error:
            raise Damaged(f"what was kept of a function: {error}") from None

    def _make(self, number: int) -> State:
        values, width = self._values, len(self._names)
        held = map(values.__getitem__, self._registers[number * width : (number + 1) * width])
        flat = self._slots[3 * self._firsts[number] : 3 * self._firsts[number + 1]].tolist()
        offsets, sizes, kept = flat[::3], flat[1::3], flat[2::3]
        if kept and min(kept) < 0:
            raise IndexError("a slot without a value")
        return State(
            dict(zip(self._names, held, strict=True)),
            {
                offset: (size >> 1, values[value], bool(size & 1))
                for offset, size, value in zip(offsets, sizes, kept, strict=True)
            },
            self._escaped[number],
        )


class _States(Mapping[int, State]):
    """States before instructions, each made when it is asked for."""

    def __init__(self, rows: _Rows, numbers: range) -> None:
        self._rows = rows
        self._at = dict(zip(rows.addresses[numbers.start : numbers.stop], numbers, strict=True))
        self._made: dict[int, State] = {}

    def __getitem__(self, address: int) -> State:
        state = self._made.get(address)
        if state is None:
            state = self._made[address] = self._rows.state(self._at[address])
        return state

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, address: object) -> bool:
        return address in self._at


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What a flow is made of.

    :ivar insns: Instructions by address, in the order in which they were reached.
    :ivar tables: Indirect jump to the targets in its jump table.
    :ivar leaders: Addresses at which a block begins.
    :ivar blocks: Address of each block's first instruction to the state before it.
    :ivar before: Other instructions to the state before them, of those that were asked about.
    :ivar beyond: What ``agreement`` found.
    """

    insns: Mapping[int, Insn]
    tables: dict[int, list[int]]
    leaders: set[int]
    blocks: Mapping[int, State]
    before: Mapping[int, State]
    beyond: dict[int, str]


def pack(flow: FunctionFlow, before: array[int]) -> bytes:
    """
    Pack a flow.

    :param before: Numbers of 64 bits that :func:`unpack` gives back with it.
    :raises Damaged: something in it has no place in this form.
    """
    insns = flow.insns
    texts: dict[tuple[str, str], int] = {}
    arrays = [
        before,
        array("Q", insns),
        array("B", (i.size for i in insns.values())),
        array("B", (i.kind | _PLAIN * _is_plain(i) for i in insns.values())),
        array("Q", (i.target for i in insns.values())),
        array("I", (texts.setdefault(i.text, len(texts)) for i in insns.values())),
        array("B", _text(texts)),
        array("Q", _flat(flow.tables)),
        array("Q", flow.leaders),
        array("B", _NEWLINE.join(f"{n}{_TAB}{r}" for n, r in flow.beyond.items()).encode()),
    ]
    arrays += _packed_states(flow.blocks, flow.asked)
    whole = bytearray()
    for part in arrays:
        data = part.tobytes()
        whole += len(data).to_bytes(4, "little")
        whole += data
    if len(whole) > MAX_UNPACKED:
        raise Damaged("too large")
    return zlib.compress(whole, _FAST)


def _is_plain(insn: Insn) -> bool:
    return not insn.ops and insn.through is None


def _text(texts: Iterable[tuple[str, str]]) -> bytes:
    lines = []
    for mnemonic, operands in texts:
        if _NEWLINE in operands or _TAB in mnemonic:
            raise Damaged(mnemonic)
        lines.append(f"{mnemonic}{_TAB}{operands}")
    return _NEWLINE.join(lines).encode()


def _flat(tables: dict[int, list[int]]) -> Iterator[int]:
    for at, targets in tables.items():
        yield at
        yield len(targets)
        yield from targets


def _packed_states(blocks: Mapping[int, State], asked: Mapping[int, State]) -> list[array[int]]:
    names = list(next(iter(blocks.values())).regs)
    values: dict[Value, int] = {}
    registers: list[int] = []
    firsts, slots, escaped = array("I", (0,)), array("q"), array("q")
    for state in (*blocks.values(), *asked.values()):
        if list(state.regs) != names:
            raise Damaged("registers")
        registers += [values.setdefault(v, len(values)) for v in state.regs.values()]
        for offset, (size, value, pushed) in state.slots.items():
            slots.extend((offset, size << 1 | pushed, values.setdefault(value, len(values))))
        firsts.append(len(slots) // 3)
        escaped.append(state.escaped)
    return [
        array("B", _NEWLINE.join(names).encode()),
        *_packed_values(list(values)),
        array("Q", (*blocks, *asked)),
        array("I", (len(blocks),)),
        array("I", registers),
        firsts,
        slots,
        escaped,
    ]


def _packed_values(values: Sequence[Value]) -> list[array[int]]:
    """
    Values as numbers of their bases, of which those come first that tell of no other.

    Most of them are made where paths meet: those have columns of their own.
    """
    numbers: dict[Base | None, int] = {None: 0}
    strings: dict[str, int] = {}
    meetings = array("Q")
    for base, _, _ in values:
        if base is None or base in numbers or len(base) != 3 or base[0] != "phi":
            continue
        block, place = base[1:]
        if isinstance(block, int) and isinstance(place, str):
            numbers[base] = len(numbers)
            meetings.extend((block, strings.setdefault(place, len(strings))))
    stream, firsts = array("Q"), array("I")

    def number(base: Base | None) -> int:
        found = numbers.get(base)
        if found is not None:
            return found
        items: list[int] = []
        for item in base or ():
            if item is None:
                items.append(_NONE)
            elif isinstance(item, str):
                items += (_STRING, strings.setdefault(item, len(strings)))
            elif isinstance(item, int):
                items += (_NUMBER, item) if item >= 0 else (_NEGATIVE, -item)
            elif isinstance(item, tuple) and len(item) == 3:
                items += (_VALUE, number(item[0]), item[1], item[2])
            else:
                raise Damaged(repr(item))
        firsts.append(len(stream))
        stream.append(len(base or ()))
        stream.extend(items)
        found = numbers[base] = len(numbers)
        return found

    of = array("I", (number(base) for base, _, _ in values))
    return [
        array("B", _NEWLINE.join(strings).encode()),
        meetings,
        stream,
        firsts,
        of,
        array("Q", (k for _, k, _ in values)),
        array("B", (bits for _, _, bits in values)),
    ]


def unpack(
    data: bytes | memoryview, translate: Callable[[str, str], Meaning]
) -> tuple[array[int], Callable[[], Parts]]:
    """
    Read what :func:`pack` wrote.

    :return: The numbers that were given to it, and what makes the rest.
    :raises Damaged: nothing was packed into these bytes; so does what is returned.
    """
    try:
        opened = zlib.decompressobj()
        whole = opened.decompress(data, MAX_UNPACKED + 1)
    except zlib.error as error:
        raise Damaged(str(error)) from None
    if len(whole) > MAX_UNPACKED or not opened.eof:
        raise Damaged("too large")
    arrays = _arrays(memoryview(whole))

    def rest() -> Parts:
        try:
            return _parts(arrays, translate)
        except (ValueError, IndexError, KeyError, StopIteration, TypeError) as error:
            raise Damaged(str(error)) from None

    return next(arrays)("Q"), rest


def _arrays(whole: memoryview) -> Iterator[Callable[[str], array[int]]]:
    at = 0
    while at < len(whole):
        size = int.from_bytes(whole[at : at + 4], "little")
        part = whole[at + 4 : at + 4 + size]
        if len(part) != size:
            raise Damaged("cut")
        at += 4 + size

        def read(code: str, part: memoryview = part) -> array[int]:
            made = array(code)
            if len(part) % made.itemsize:
                raise Damaged("cut")
            made.frombytes(part)
            return made

        yield read
    raise Damaged("cut")


def _parts(
    arrays: Iterator[Callable[[str], array[int]]], translate: Callable[[str, str], Meaning]
) -> Parts:
    addresses, sizes, kinds = next(arrays)("Q"), next(arrays)("B"), next(arrays)("B")
    targets, numbers = next(arrays)("Q"), next(arrays)("I")
    lines = next(arrays)("B").tobytes().decode().split(_NEWLINE)
    insns = _Insns(addresses, (sizes, kinds, targets, numbers), lines, translate)
    tables: dict[int, list[int]] = {}
    flat = iter(next(arrays)("Q"))
    for at in flat:
        tables[at] = list(islice(flat, next(flat)))
    leaders = set(next(arrays)("Q"))
    beyond: dict[int, str] = {}
    for line in next(arrays)("B").tobytes().decode().splitlines():
        count, _, register = line.partition(_TAB)
        beyond[int(count)] = register
    rows = _Rows(arrays)
    blocks = _States(rows, range(rows.blocks))
    before = _States(rows, range(rows.blocks, len(rows.addresses)))
    return Parts(insns, tables, leaders, blocks, before, beyond)


class _Values:
    """Values by number, each made when it is asked for: a stack asks for few of a function's."""

    def __init__(self, arrays: Iterator[Callable[[str], array[int]]]) -> None:
        self._strings = next(arrays)("B").tobytes().decode().split(_NEWLINE)
        self._met = next(arrays)("Q")
        self._stream = next(arrays)("Q")
        self._firsts = next(arrays)("I")
        self._of, self._ks, self._bits = next(arrays)("I"), next(arrays)("Q"), next(arrays)("B")
        self._made: dict[int, Value] = {}
        self._bases: dict[int, Base | None] = {0: None}
        self._meetings = len(self._met) // 2
        if not len(self._of) == len(self._ks) == len(self._bits) or len(self._met) % 2:
            raise Damaged("values")

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, number: int) -> Value:
        value = self._made.get(number)
        if value is None:
            base = self._base(self._of[number], _MAX_INSIDE)
            value = self._made[number] = (base, self._ks[number], self._bits[number])
        return value

    def _base(self, number: int, depth: int) -> Base | None:
        if number in self._bases:
            return self._bases[number]
        if not depth:
            raise Damaged("depth")
        if number <= self._meetings:
            block, place = self._met[2 * number - 2 : 2 * number]
            base: Base = ("phi", block, self._strings[place])
        else:
            base = tuple(self._items(self._firsts[number - self._meetings - 1], depth))
        self._bases[number] = base
        return base

    def _items(self, at: int, depth: int) -> Iterator[object]:
        flat = iter(self._stream[at : at + 1 + self._stream[at] * _MAX_ITEM])
        for _ in range(next(flat)):
            kind = next(flat)
            if kind == _STRING:
                yield self._strings[next(flat)]
            elif kind == _NUMBER:
                yield next(flat)
            elif kind == _VALUE:
                yield self._base(next(flat), depth - 1), next(flat), next(flat)
            elif kind == _NONE:
                yield None
            elif kind == _NEGATIVE:
                yield -next(flat)
            else:
                raise Damaged(str(kind))
