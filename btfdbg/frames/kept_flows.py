"""Analyses of functions kept from one run to the next, each under all that it was made of.

Owns what an analysis depends on: the questions that it asked about the function (``code.Code``:
bytes, tables, symbols, prototypes), in order, and a digest of the answers. A kept one is taken
only if the dump answers the same questions the same, byte for byte; then it is what an analysis
would find, whatever dump it was made of. Where code was patched, or lies elsewhere, since the
kernel was placed at another address, it is made anew.

What makes it - this package's code, and capstone - is in the key: with another version nothing
is found. An entry is bounded, and has those that were used last.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from btfdbg.cache import Cache, CacheKey, Latest, blake2b
from btfdbg.frames.blocks import meanings
from btfdbg.frames.code import MAX_BYTES, Code, Fixup
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import Refusal
from btfdbg.frames.packed_flow import Damaged, pack, unpack

if TYPE_CHECKING:
    from btfdbg.frames.code import Arch
    from btfdbg.frames.disasm import Disassembler

MAX_FLOWS = 2048
MAX_PACKED = 6 << 20
"""Bytes of all of them; those that were not used for longest are left out beyond it."""

_KIND = "flows-2"
# Start, bytes of the record, words on the stack that it was made for.
_ROW = struct.Struct("<QIH")
_COUNT = struct.Struct("<I")
_DIGEST = 16
_MAX_MADE = 256  # analyses that wait to be packed
_MAX_QUESTIONS = 1 << 16
_MAKERS = (
    "agreement", "blocks", "code", "disasm", "execute", "flow", "function", "ir", "kept_flows",
    "packed_flow", "state", "text_symbols", "text_tables",
)  # fmt: skip
_SEGMENTS = ("", "fs", "gs")

_Question = tuple[int, int, int]
_Answer = TypeVar("_Answer")


class _Ask(Generic[_Answer]):
    """
    What is asked about a function, with two numbers.

    :ivar number: What stands for it in a record.
    :ivar put: Gives a function's answer.
    """

    __slots__ = ("number", "put")

    def __init__(self, number: int, put: Callable[[Code, int, int], _Answer]) -> None:
        self.number = number
        self.put = put


READ = _Ask(0, lambda code, start, end: code.read(start, end))
READ_TABLE = _Ask(1, lambda code, start, size: code.read_table(start, size))
EXTENT = _Ask(2, lambda code, target, _: code.extent(target))
IS_FUNCTION = _Ask(3, lambda code, target, _: code.is_function(target))
IS_TRACER = _Ask(4, lambda code, address, target: code.is_tracer(address, target))
IS_CURRENT = _Ask(5, lambda code, segment, at: code.is_current(_SEGMENTS[segment], at))
STACK_WORDS = _Ask(6, lambda code, target, _: code.stack_words(target))
FIXUPS = _Ask(7, lambda code, start, end: code.fixups(start, end))
BRANCHES = _Ask(8, lambda code, start, end: code.branches(start, end))
_EVERY: tuple[_Ask[Any], ...] = (
    READ, READ_TABLE, EXTENT, IS_FUNCTION, IS_TRACER, IS_CURRENT, STACK_WORDS, FIXUPS, BRANCHES,
)  # fmt: skip
_ASKS = {ask.number: ask for ask in _EVERY}


class Asked:
    """A function that notes what it is asked, and what it says."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self.start = code.start
        self.end = code.end
        self._returns: dict[int, bool] = {}
        self._answers: dict[_Question, object] = {}

    def _ask(self, ask: _Ask[_Answer], one: int, other: int = 0) -> _Answer:
        question = ask.number, one, other
        if question not in self._answers:
            self._answers[question] = ask.put(self._code, one, other)
        return cast("_Answer", self._answers[question])

    def read(self, address: int, end: int) -> bytes:
        return self._ask(READ, address, end)

    def read_table(self, address: int, size: int) -> bytes:
        return self._ask(READ_TABLE, address, size)

    def extent(self, target: int) -> tuple[int, int] | None:
        return self._ask(EXTENT, target)

    def is_function(self, target: int) -> bool:
        return self._ask(IS_FUNCTION, target)

    def is_tracer(self, address: int, target: int) -> bool:
        return self._ask(IS_TRACER, address, target)

    def is_current(self, segment: str, address: int) -> bool:
        return self._ask(IS_CURRENT, _SEGMENTS.index(segment), address)

    def stack_words(self, target: int) -> int | None:
        return self._ask(STACK_WORDS, target)

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]:
        return self._ask(FIXUPS, start, end)

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        return self._ask(BRANCHES, start, end)

    def returns(self, target: int) -> bool:
        known = self._returns.get(target)
        if known is None:
            known = self._returns[target] = self._code.returns(target)
        return known

    def questions(self) -> array[int]:
        """What was asked: how many there were, three numbers each; then targets of calls."""
        flat = array("Q", (len(self._answers),))
        for question in self._answers:
            flat.extend(question)
        flat.extend(self._returns)
        return flat

    def digest(self, stack_arguments: int) -> bytes:
        """A digest of the answers."""
        ends = [target for target, returns in self._returns.items() if not returns]
        return _digest(self, stack_arguments, list(self._answers.values()), ends)


def _digest(code: Code, stack_arguments: int, answers: list[object], ends: list[int]) -> bytes:
    parts = [f"{code.start:x} {code.end:x} {stack_arguments} {ends}".encode()]
    for answer in answers:
        data = answer if isinstance(answer, bytes) else repr(answer).encode()
        parts += (b"%d:" % len(data), data)
    return blake2b(b"".join(parts), digest_size=_DIGEST, person=b"btfdbg-flow").digest()


def _answered(code: Code, stack_arguments: int, flat: array[int]) -> tuple[bytes, list[object]]:
    """
    The digest of a function's answers to questions, and those that the flow is made of.

    :raises Damaged: it is asked what no analysis asks.
    """
    if not flat or flat[0] > _MAX_QUESTIONS or len(flat) > 4 * _MAX_QUESTIONS:
        raise Damaged("questions")
    answers: list[object] = []
    first = 1 + 3 * flat[0]
    budget = 4 * MAX_BYTES
    for at in range(1, first, 3):
        number, one, other = flat[at : at + 3]
        size = {READ.number: other - one, READ_TABLE.number: other}.get(number, 0)
        budget -= size
        if size < 0 or budget < 0 or number not in _ASKS:
            raise Damaged("questions")
        answers.append(_ASKS[number].put(code, one, other))
    ends = [target for target in flat[first:] if not code.returns(target)]
    return _digest(code, stack_arguments, answers, ends), answers


class KeptFlows:
    """
    The analyses of one kernel's functions.

    :ivar is_new: Whether something was added since it was read.
    """

    def __init__(self, before: dict[int, tuple[int, bytes | memoryview]] | None = None) -> None:
        self._records: Latest[int, tuple[int, bytes | memoryview]] = Latest(MAX_FLOWS, before)
        self._made: list[tuple[FunctionFlow, Asked, int]] = []
        self.is_new = False

    @classmethod
    def unpack(cls, data: memoryview) -> KeptFlows:
        """Read :meth:`pack`'s bytes; of others there is nothing in them."""
        before: dict[int, tuple[int, bytes | memoryview]] = {}
        try:
            (count,) = _COUNT.unpack_from(data)
            rows = data[_COUNT.size : _COUNT.size + count * _ROW.size]
            at = _COUNT.size + len(rows)
            for start, size, words in _ROW.iter_unpack(rows):
                if len(before) < MAX_FLOWS and at + size <= len(data):
                    before[start] = words, data[at : at + size]
                at += size
        except struct.error:
            before.clear()
        return cls(before)

    def pack(self) -> bytes:
        """Return a row for each, then what they are, those that were used last at first."""
        self.pack_made()
        rows, records, room = [], [], MAX_PACKED
        for start, (words, record) in self._records.items():
            room -= len(record)
            if room < 0:
                break
            rows.append(_ROW.pack(start, len(record), words))
            records.append(record)
        return b"".join((_COUNT.pack(len(rows)), *rows, *records))

    def pack_made(self) -> None:
        """Make records of what was analysed since the last time; :meth:`take` gives it then."""
        made = self._made
        self._made = []
        for flow, asked, words in made:
            try:
                record = asked.digest(words) + pack(flow, asked.questions())
            except (Damaged, OverflowError):
                continue
            self._records.add(asked.start, (words, record))

    def take(
        self, code: Code, arch: Arch, disassemble: Disassembler, stack_arguments: int
    ) -> FunctionFlow | None:
        """The analysis of a function, if one is kept that all answers of this dump agree with."""
        found = self._records.get(code.start)
        if found is None or found[0] != stack_arguments:
            return None
        record = found[1]
        try:
            flat, rest = unpack(record[_DIGEST:], meanings(arch))
            digest, answers = _answered(code, stack_arguments, flat)
            if digest != record[:_DIGEST]:
                return None
            parts = rest()
        except (Refusal, ValueError, IndexError):
            return None
        mappings = [a for a in answers if isinstance(a, dict)]
        return FunctionFlow.known(code, arch, disassemble, parts, mappings)

    def make(
        self, code: Code, arch: Arch, disassemble: Disassembler, stack_arguments: int
    ) -> FunctionFlow:
        """Analyse a function, and keep that."""
        asked = Asked(code)
        flow = FunctionFlow(asked, arch, disassemble, stack_arguments)
        flow.ask(code)
        if not flow.problem:
            # Not yet: what is asked about it next belongs to it, and nobody waits at the end.
            self._made.append((flow, asked, stack_arguments))
            self.is_new = True
            if len(self._made) >= _MAX_MADE:
                self.pack_made()
        return flow


def kept_flows(
    owner: object, machine: str, build_id: str, start: int, capstone: bytes | None
) -> KeptFlows | None:
    """
    What is kept of a kernel's functions; what is added is kept when its owner goes.

    :param start: Where the kernel's text begins.
    :param capstone: What tells its version from others; None if nothing does.
    :return: None if nothing is kept.
    """
    cache = Cache.default()
    if cache.folder is None or capstone is None or not start:
        return None
    makers = _makers(machine)
    if makers is None:
        return None
    key = CacheKey.of(build_id, sizes=(start,), pages=(makers, capstone))
    kept = cache.load(key, _KIND)
    flows = KeptFlows() if kept is None else KeptFlows.unpack(memoryview(kept))
    cache.store_in_the_end(owner, key, _KIND, flows)
    return flows


def _makers(machine: str) -> bytes | None:
    """The code that an analysis is made by; None if it cannot be read."""
    digest = blake2b(digest_size=_DIGEST)
    folder = os.path.dirname(__file__)
    for name in (*_MAKERS, "arm64" if machine == "aarch64" else machine):
        try:
            with open(os.path.join(folder, f"{name}.py"), "rb", buffering=0) as file:
                digest.update(file.read())
        except OSError:
            return None
    return digest.digest()
