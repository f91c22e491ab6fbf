"""Stacks that are alike: unwound once, recognised after that.

Owns the recognition. A thousand tasks that wait for one thing have one stack: the same
return addresses at the same places. So the first is unwound, and where each of its return
addresses stands is noted; a task whose words there are the same has the same frames. What
an unwinder does with a frame depends on the return address alone, so nothing is guessed.

Facts: ``arch/x86/include/asm/processor.h`` (thread.sp), ``arch/arm64/include/asm/processor.h``
(thread.cpu_context; a frame record is the caller's frame pointer and the return address,
whose upper bits may be signed), ``arch/s390/include/asm/processor.h`` and
``arch/powerpc/include/asm/processor.h`` (thread.ksp); ``on_cpu`` says that a task runs and
its registers are elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.calls import UNREADABLE, thread_size
from btfdbg.vmcore.platforms import byte_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.calls import Call

_POINTER = 8
_MAX_STACK = 1 << 16
_SHAPES = 4096  # that are remembered
_MAX_FRAMES = 256
_LOW = 6  # bytes of an address that pointer authentication leaves as they are
# The saved stack pointer; where frame pointers lead from one return address to the next, the
# saved program counter and frame pointer too.
_SAVED = (
    ("thread.cpu_context.sp", "thread.cpu_context.pc", "thread.cpu_context.fp"),
    ("thread.sp", "", ""),
    ("thread.ksp", "", ""),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in ``struct task_struct``, -1 for what this architecture has not, and sizes."""

    stack: int
    pointer: int
    counter: int
    frame: int
    on_cpu: int
    on_cpu_size: int
    size: int


@dataclass(frozen=True, slots=True)
class Words:
    """
    What stands on the stack of a task that does not run.

    :ivar start: The saved stack pointer.
    :ivar data: From there to the stack's end.
    :ivar pc: The saved program counter as bytes, empty if the stack itself has it.
    :ivar fp: The saved frame pointer, 0 if frames are not found by it.
    """

    start: int
    data: bytes
    pc: bytes
    fp: int


@dataclass(frozen=True, slots=True)
class _Shape:
    places: tuple[tuple[int, bytes], ...]
    calls: tuple[Call, ...]


class Alike:
    """The stacks of one dump that were seen."""

    def __init__(self, prog: drgn.Program) -> None:
        self._read = prog.read
        self._shapes: dict[object, list[_Shape]] = {}
        self._count = 0
        self._order = byte_order(prog.platform)
        self._layout = _layout_of(prog)
        self._last: tuple[int, Words | None] = (0, None)

    def _number(self, address: int, size: int = _POINTER) -> int:
        return int.from_bytes(self._read(address, size), self._order)

    def words(self, task: int) -> Words | None:
        """
        Return what stands on a task's stack.

        :param task: Address of its ``struct task_struct``.
        :return: ``None`` if it runs, or if its stack is not where it should be.
        """
        if self._last[0] == task:
            return self._last[1]
        try:
            found = self._words(task)
        except UNREADABLE:
            found = None
        self._last = task, found
        return found

    def _words(self, task: int) -> Words | None:
        layout = self._layout
        if layout is None or self._number(task + layout.on_cpu, layout.on_cpu_size):
            return None
        bottom, start = self._number(task + layout.stack), self._number(task + layout.pointer)
        if not bottom <= start < bottom + layout.size or start % _POINTER:
            return None
        pc = self._read(task + layout.counter, _POINTER) if layout.counter >= 0 else b""
        fp = self._number(task + layout.frame) if layout.frame >= 0 else 0
        return Words(start, self._read(start, bottom + layout.size - start), pc, fp)

    def find(self, task: int) -> tuple[Call, ...] | None:
        """Return the calls of a task whose stack is like one that was learned."""
        words = self.words(task)
        if words is None:
            return None
        data = words.data
        for shape in self._shapes.get(self._key(words), ()):
            if all(data.startswith(word, at) for at, word in shape.places):
                return shape.calls
        return None

    def learn(self, task: int, calls: tuple[Call, ...], pointers: Sequence[int]) -> None:
        """
        Remember a stack that was unwound, if the words that made its frames are found.

        :param pointers: Each frame's stack pointer, not asked where frame pointers lead.
        """
        words = self.words(task)
        if words is None or not calls or self._count >= _SHAPES:
            return
        if words.fp:
            places = self._chained(words, calls)
        else:
            places = self._places(words, calls, pointers)
        if places is not None:
            self._count += 1
            shape = _Shape(places, calls)
            self._shapes.setdefault(self._key(words), []).append(shape)

    def _key(self, words: Words) -> object:
        """Return what stacks that are alike have in common before any word is looked at."""
        chain = self._chain(words) if words.fp else ()
        return len(words.data), words.pc, tuple(chain)

    def _chain(self, words: Words) -> list[int]:
        """Return where the records of a chain of frame pointers stand."""
        found: list[int] = []
        at = words.fp - words.start
        while 0 <= at <= len(words.data) - 2 * _POINTER and len(found) < _MAX_FRAMES:
            if found and at <= found[-1]:
                break
            found.append(at)
            at = int.from_bytes(words.data[at : at + _POINTER], self._order) - words.start
        return found

    def _chained(self, words: Words, calls: Sequence[Call]) -> tuple[tuple[int, bytes], ...] | None:
        """Return where each return address stands: beside its frame pointer."""
        chain = self._chain(words)
        if calls[0].pc.to_bytes(_POINTER, self._order) != words.pc or len(calls) > len(chain) + 1:
            return None
        found = []
        for at, call in zip(chain, calls[1:], strict=False):
            word = call.pc.to_bytes(_POINTER, self._order)[:_LOW]
            place = at + _POINTER
            if call.interrupted or words.data[place : place + _LOW] != word:
                return None
            found.append((place, word))
        if len(calls) <= len(chain):  # where it ended, it ends only for the same word
            place = chain[len(calls) - 1] + _POINTER
            found.append((place, words.data[place : place + _LOW]))
        return tuple(found)

    def _places(
        self, words: Words, calls: Sequence[Call], pointers: Sequence[int]
    ) -> tuple[tuple[int, bytes], ...] | None:
        """Return where each return address stands: below the caller's stack pointer."""
        found = []
        low = 0
        for call, pointer in zip(calls, pointers, strict=False):
            high = pointer - words.start
            if call.interrupted or not low <= high <= len(words.data):
                return None
            word = call.pc.to_bytes(_POINTER, self._order)
            at = _last(words.data, word, low, high)
            if at < 0:
                return None
            found.append((at, word))
            low = high
        return tuple(found)


def _layout_of(prog: drgn.Program) -> Layout | None:
    """Return where a task keeps what is needed here, ``None`` if that is not known."""
    platform = prog.platform
    if platform is None or not platform.flags & drgn.PlatformFlags.IS_64_BIT:
        return None
    try:
        task = prog.type("struct task_struct")
        stack, on_cpu = drgn.offsetof(task, "stack"), drgn.offsetof(task, "on_cpu")
        running = drgn.sizeof(task.member("on_cpu").type)
        size = min(thread_size(prog), _MAX_STACK)
    except UNREADABLE:
        return None
    for names in _SAVED:
        try:
            at = [drgn.offsetof(task, name) if name else -1 for name in names]
        except UNREADABLE:
            continue
        if at[2] >= 0 and not platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN:
            return None  # a signed word's upper bytes come first: no case to try it on
        return Layout(stack, at[0], at[1], at[2], on_cpu, running, size)
    return None


def _last(data: bytes, word: bytes, low: int, high: int) -> int:
    """Return the last place of a word that is one, or -1."""
    at = data.rfind(word, low, high)
    while at >= 0 and at % _POINTER:
        at = data.rfind(word, low, at + _POINTER - 1)
    return at
