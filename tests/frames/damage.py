"""Arguments of stacks with one damaged word: is a value ever another than that of the whole stack?

``python -m tests.frames.damage DUMP [-n WORDS] [--seed N] [-v]``

One word of a task's stack, at or above its stack pointer, gets a flipped bit, is made a random
number, NULL or a copy of another word of that stack; then the whole stack is unwound and asked
again. Frames are the same if number and pc are. The dump stays as it is: the stacks are
laid over it.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

import drgn
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.frames.arguments import objects_of, recovery, walk
from btfdbg.program.session import Session
from tests.frames.truth import bits_of

KINDS = ("bit", "random", "zero", "copy")
_WORD = 8
_PAGE = 1 << 12
_STACK_SIZE = 1 << 14

Values = dict[tuple[int, int, str], tuple[bytes | None, str, bool]]
"""
Of each frame's pc and number and a parameter: its value, where from or why not, and whether
something confirms it.
"""


class Stack:
    """A task's stack laid over the dump's, so that it can be damaged."""

    def __init__(self, session: Session, task: drgn.Object) -> None:
        self.session = session
        self.task = task
        prog = session.prog
        first = task.stack.value_()
        pages = range(first, first + _STACK_SIZE, _PAGE)
        # A trimmed dump has the upper ones.
        start = next((p for p in pages if _is_read(prog, p, first + _STACK_SIZE - p)), None)
        if start is None:
            raise drgn.FaultError("its stack is not in the dump", first)
        size = first + _STACK_SIZE - start
        self.start, self.end = start, start + size
        self.lowest = self.end
        self.data = bytearray(prog.read(start, size))
        self.whole = bytes(self.data)
        prog.add_memory_segment(start, size, self._read)
        self.values = self.ask()
        lowest = (self.lowest - 64 & -_WORD) - start
        self.words = range(max(lowest, 0), size, _WORD)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        at = address - self.start
        return bytes(self.data[at : at + count])

    def ask(self) -> Values:
        """All arguments as the stack is now."""
        found: Values = {}
        try:
            trace = self.session.prog.stack_trace(self.task)
        except (ValueError, drgn.FaultError):
            return found
        for number, frame in enumerate(walk(recovery(self.session), trace)):
            if frame is None:
                continue
            sp = frame.raw.sp
            if sp is not None and self.start <= sp < self.end:
                self.lowest = min(self.lowest, sp)
            for argument in objects_of(self.session, frame):
                value = None if argument.value is None else bits_of(argument.value)
                key = (frame.raw.pc, number, argument.name)
                found[key] = value, argument.source or argument.why, argument.confirmed
        return found

    def damaged(self, at: int, kind: str, chance: random.Random) -> Values:
        """All arguments with one word damaged."""
        was = int.from_bytes(self.whole[at : at + _WORD], "little")
        word = {
            "bit": was ^ 1 << chance.randrange(64),
            "random": chance.getrandbits(64),
            "zero": 0,
        }.get(kind)
        if word is None:
            other = chance.choice(self.words)
            word = int.from_bytes(self.whole[other : other + _WORD], "little")
        self.data[at : at + _WORD] = word.to_bytes(_WORD, "little")
        try:
            return self.ask()
        finally:
            self.data[at : at + _WORD] = self.whole[at : at + _WORD]


def _is_read(prog: drgn.Program, address: int, size: int) -> bool:
    try:
        prog.read(address, size)
    except drgn.FaultError:
        return False
    return True


class Damage:
    """Counts over the words of one dump's stacks."""

    def __init__(self, dump: Path, seed: int = 1, tasks: int = 40) -> None:
        self.session = btfdbg.session(btfdbg.program_from_core_dump(dump))
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        every = list(for_each_task(self.session.prog))
        self.chance.shuffle(every)
        self.stacks: list[Stack] = []
        for task in every:
            if len(self.stacks) >= tasks:
                break
            try:
                stack = Stack(self.session, task)
            except drgn.FaultError:
                continue
            if sum(value is not None for value, _, _ in stack.values.values()) >= 4:
                self.stacks.append(stack)

    def run(self, words: int) -> None:
        """Damage so many words, one at a time."""
        for _ in range(words):
            stack = self.chance.choice(self.stacks)
            kind = self.chance.choice(KINDS)
            at = self.chance.choice(stack.words)
            self.count(stack, at, kind)

    def count(self, stack: Stack, at: int, kind: str) -> None:
        """Damage one word and count what became of the values."""
        found = stack.damaged(at, kind, self.chance)
        self.counts["words"] += 1
        wrong = confirmed = 0
        for key, (value, why, _) in stack.values.items():
            if value is None or key not in found:
                continue
            now, source, is_confirmed = found[key]
            if now is None:
                self.counts["values lost"] += 1
            elif now != value:
                wrong += 1
                confirmed += is_confirmed
                self.wrong.append(
                    f"{kind} {stack.start + at:#x}: {key[0]:#x} {key[2]}:"
                    f" {value[::-1].hex()} became {now[::-1].hex()} ({source}; was {why})"
                    f"{' CONFIRMED' if is_confirmed else ''}"
                )
        self.counts["values"] += len(stack.values)
        self.counts["values confirmed"] += sum(c for _, _, c in stack.values.values())
        self.counts["values WRONG"] += wrong
        self.counts["values WRONG, confirmed"] += confirmed
        if wrong:
            self.counts["words WRONG"] += 1
            self.counts[f"words WRONG, {kind}"] += 1


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("-n", type=int, default=2640)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    damage = Damage(args.dump, args.seed)
    damage.run(args.n)
    print(*(f"{name}: {count}" for name, count in sorted(damage.counts.items())), sep="  ")
    for text in damage.wrong[: None if args.verbose else 40]:
        print(text)


if __name__ == "__main__":
    main()
