"""Values that registers and stack slots hold, and what is left of them where paths meet.

Owns the names of values (:data:`Value`), the :class:`State` before an instruction and its
meeting with another one. Two places that hold equal values hold equal bits. Knows no
instruction and no architecture.
"""

from __future__ import annotations

Base = tuple[object, ...]
Value = tuple["Base | None", int, int]
"""``(base, k, bits)``: base plus k, of which the low ``bits`` are right. No base: a number.

Bases: ``("entry", register)``, ``("stack", offset)`` (an argument on the stack, at an offset
from the stack pointer at entry), ``("sp",)``, ``("current",)``, ``("load", pc, register,
address or None, size)``, ``("call", pc, register, target)``, ``("def", pc, register)``,
``("phi", block, register or offset of a slot)``."""

M64 = (1 << 64) - 1
MAX_DEPTH = 4
"""Loads through each other that a value's name may tell of; a longer chain has no address."""
SP: Base = ("sp",)
ALIGNED = 1 << 40
"""Bytes that count for those, not known, which a function skips to align its stack: what it has
behind the gap lies that much lower, and so beside nothing that it has before it."""
ALIGNED_SP: Base = ("sp", "aligned")
MAX_ALIGNMENT = 64
CURRENT_TASK: Base = ("current",)
# The lowest address in the frame that was given away: none, or any.
NOTHING = 1 << 62

ALL = -NOTHING

Slot = tuple[int, Value, bool]
"""Size in bytes, what is in it, and whether a push made it."""


class State:
    """Values before an instruction: by register, and by offset from the stack at entry."""

    __slots__ = ("escaped", "regs", "slots")

    def __init__(self, regs: dict[str, Value], slots: dict[int, Slot], escaped: int) -> None:
        self.regs = regs
        self.slots = slots
        self.escaped = escaped

    def copy(self) -> State:
        """A state of its own."""
        return State(dict(self.regs), dict(self.slots), self.escaped)

    def overlaps(self, offset: int, size: int) -> bool:
        """Whether a slot holds any byte of a range."""
        return any(o < offset + size and offset < o + s[0] for o, s in self.slots.items())

    def join(self, block: int, new: State) -> bool:
        """
        Keep what holds in both states that meet at a block; whether this one changed.

        :param new: May be changed.
        """
        changed = False
        regs = self.regs
        for register, value in new.regs.items():
            was = regs[register]
            if was != value:
                if was[0] == value[0] and was[1] == value[1]:
                    if value[2] >= was[2]:
                        continue
                    regs[register] = value
                else:
                    phi = _meet(block, register, was, value)
                    if was == phi:
                        continue
                    for lost in (was, value):
                        if of_stack(lost):
                            new.escaped = min(new.escaped, signed(lost[1]))
                    regs[register] = phi
                changed = True
        slots = self.slots
        if slots != new.slots:
            changed |= _join_slots(block, slots, new.slots)
        if new.escaped < self.escaped:
            self.escaped = new.escaped
            changed = True
        return changed


def signed(value: int) -> int:
    """A number of 64 bits as C's ``long`` has it."""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


def is_aligned(k: int) -> bool:
    """Whether an offset from the stack pointer at entry is one behind an alignment's gap."""
    return -2 * ALIGNED < signed(k) < -ALIGNED // 2


def of_stack(value: Value) -> bool:
    """Whether a value is an address in the function's own frame."""
    return value[0] == SP


def depth(value: Value) -> int:
    """How many loads through each other a value tells of; one more than the bound at most."""
    count = 0
    base = value[0]
    while base is not None and base[0] == "load" and count <= MAX_DEPTH:
        count += 1
        inner = base[3]
        if not isinstance(inner, tuple):
            break
        base = inner[0]
    return count


def _meet(block: int, register: str, one: Value, other: Value) -> Value:
    """What a register holds where two paths meet on which it holds different values."""
    left = one[0]
    if left is not None and left[0] == "load" and left[3] is not None and _same_place(one, other):
        # Another value on each path, but both loaded from the same place.
        return ("load", block, register, *left[3:]), one[1], min(one[2], other[2])
    return ("phi", block, register), 0, 64


def _same_place(one: Value, other: Value) -> bool:
    """Whether two values are loads through equal chains of pointers."""
    left, right = one[0], other[0]
    if one[1] != other[1] or left is None or right is None:
        return one[:2] == other[:2]
    if left[0] != "load" or right[0] != "load":
        return left == right
    if left[4:] != right[4:] or left[3] is None or right[3] is None:
        return False
    return _same_place(left[3], right[3])  # type: ignore[arg-type]


def _join_slots(
    block: int,
    slots: dict[int, Slot],
    others: dict[int, Slot],
) -> bool:
    """Keep the slots that both have; whether anything changed."""
    changed = False
    for offset, slot in list(slots.items()):
        other = others.get(offset)
        if other == slot:
            continue
        size, (base, k, bits), pushed = slot
        if other is None or other[0] != size:
            del slots[offset]
            changed = True
            continue
        if other[1][:2] == (base, k):
            merged = (size, (base, k, min(bits, other[1][2])), pushed or other[2])
        else:
            # What is in it differs by the path; that it is one value stays true.
            merged = (size, (("phi", block, offset), 0, 8 * size), pushed or other[2])
        if merged != slot:
            slots[offset] = merged
            changed = True
    return changed
