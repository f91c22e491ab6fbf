"""The access that a log's fault is about: which register held the bad address.

Owns reading a report's register dump and its ``Code:`` line, and the sentence about the
instruction there. Machine code to operands is ``frames``' work.

A sentence is made only where the log proves it: what the operand comes to with the dumped
registers is the address that the log says was accessed or, for a general protection fault
that names none, no canonical address; and of the instruction's operands it is one.

Facts: show_opcodes() and __show_regs() of arch/x86/kernel, __show_regs() and
dump_kernel_instr() of arch/arm64/kernel; mm/kasan/report.c (kasan_non_canonical_hook());
KASAN_SHADOW_OFFSET of arch/x86/include/asm/kasan.h and arch/arm64/Kconfig.
"""

from __future__ import annotations

import itertools
import re

from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from btfdbg.frames.disasm import Disassembler
    from btfdbg.report.event import Event

# As a dump of registers spells them, and as machine code does.
_NAMES = {name.upper(): name for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp")}
_NAMES |= {f"R{number:02}": f"r{number}" for number in range(8, 16)}
_NAMES |= {name: name for name in ("sp", *(f"x{number}" for number in range(31)))}
_HEX = frozenset("0123456789abcdef")
_ADDRESS = r"(?:address:?|dereference at|request at) (?:0x)?([0-9a-f]{8,16})\b"
_MASK = (1 << 64) - 1
_UNTAGGED = (1 << 56) - 1  # arm64 ignores the top byte of a pointer
_TAG = 0xFF << 56
_SHADOW = 0xDFFFFC0000000000  # where KASAN's shadow of address 0 would be on x86-64
_SMALL = 1 << 16  # an index this small is no pointer
_LONGEST = {"x86_64": 15, "aarch64": 4}  # bytes of an instruction
_engines: dict[str, Disassembler | None] = {}


class Dump:
    """
    The registers and the code of one report, line by line.

    The first dump counts, until the call trace or the registers of user space: what comes
    after them is of another exception.
    """

    __slots__ = ("_closed", "_user", "code", "values")

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.code = ""
        self._closed = False
        self._user = False  # the line before had user space's program counter

    def take(self, text: str) -> bool:
        """Take a line's registers or code; return False if it has neither."""
        user, self._user = self._user, False
        if "Code: " in text and text.lstrip().startswith("Code: "):
            words = text.split()[1:]
            if all(set(word.strip("<>()")) <= _HEX for word in words):
                if not self.code and not user:
                    self.code = " ".join(words)
                return True
            return False
        if self._closed or ":" not in text:
            return False
        words = text.replace(" :", ":").split()
        before = len(self.values)
        for word, following in itertools.pairwise(words):
            name = _NAMES.get(word[:-1]) if word[-1] == ":" else None
            value = following.rpartition(":")[2]  # RSP: 0018:ff1c0000003b7d68
            if name is not None and len(value) == 16 and _HEX.issuperset(value):
                self.values.setdefault(name, int(value, 16))
        return len(self.values) > before

    def close(self, *, user: bool) -> None:
        """End the registers: at the call trace, or at ``user`` space's program counter."""
        self._closed = bool(self.values) or user
        self._user = user


def address_in(message: str) -> int | None:
    """
    Return the address that a fault's first line names.

    >>> hex(address_in("BUG: kernel NULL pointer dereference, address: 0000000000000010"))
    '0x10'
    """
    match = re.search(_ADDRESS, message)
    return int(match[1], 16) if match else None


@dataclass(frozen=True, slots=True)
class LogAccess:
    """
    The access of the instruction that faulted.

    :ivar instruction: As the disassembler writes it.
    :ivar kind: ``"read"`` or ``"write"``.
    :ivar size: Bytes.
    :ivar address: What was accessed.
    :ivar place: The operand as an expression, ``rdi+0x10``.
    :ivar register: The register that held the bad pointer, "" if not one alone did.
    :ivar value: That register's value; 0 without.
    :ivar shadow: What was accessed is KASAN's shadow of this address, None otherwise.
    """

    instruction: str
    kind: str
    size: int
    address: int
    place: str
    register: str
    value: int
    shadow: int | None = None

    def __str__(self) -> str:
        bytes_ = f"{self.size} byte{'s' if self.size != 1 else ''}"
        text = f"{self.instruction}: {self.kind}s {bytes_} at {self.place} = {self.address:#x}"
        if self.shadow is not None:
            text += f", KASAN's shadow of {self.shadow:#x}"
        return f"{text}; {self.register} is {self._value()}" if self.register else text

    def _value(self) -> str:
        from btfdbg.frames.pointers import state_of

        tagged = self.register[0] in "xs" and self.value >> 48 & 0xFF == 0xFF
        state = state_of(self.value | _TAG if tagged else self.value)
        if not state or state.startswith("NULL"):
            return state or f"{self.value:#x}"
        return f"{self.value:#x}, {state}"


def access_of(event: Event) -> LogAccess | None:
    """
    Return what the instruction of an event's fault accessed, None where the log proves nothing.

    Needs capstone; without it there is no answer. x86-64 and arm64.
    """
    values = dict(event.registers)
    machine = "x86_64" if "rax" in values else "aarch64" if "x0" in values else ""
    code = _marked(event.code, machine)
    engine = _engine(machine) if code else None
    if engine is None:
        return None
    from btfdbg.frames import arm64, x86_64
    from btfdbg.frames.ir import STORE

    arch = x86_64 if machine == "x86_64" else arm64
    insn = next(engine(code, 0), None)
    if insn is None:
        return None
    _, _, mnemonic, operands = insn
    found = []
    for mem, size in arch.memory(mnemonic, operands):
        if mem.segment or mem.base == "pc" or not mem.scale:
            return None
        terms = [(mem.base, 1), (mem.index_by, mem.scale)]
        if any(name is not None and name not in values for name, _ in terms):
            return None
        address = mem.disp + sum(values[name] * by for name, by in terms if name is not None)
        address &= _MASK
        if not _is_it(address, size, event, machine):
            continue
        _, _, ops = arch.translate(mnemonic, operands)
        writes = any(
            op[0] == STORE and op[1]._replace(disp=0) == mem._replace(disp=0) for op in ops
        )
        held = [values[name] for name, _ in terms if name is not None]
        shadow = _shadowed(address, held, machine)
        if shadow is None:
            register = _guilty(mem.base, mem.index_by, mem.scale, values)
        else:
            register = _holder(shadow[0], 1 << shadow[1], values, machine)
        found.append(
            LogAccess(
                instruction=f"{mnemonic} {operands}".strip(),
                kind="write" if writes else "read",
                size=size,
                address=address,
                place=_place(mem.base, mem.index_by, mem.scale, mem.disp),
                register=register,
                value=values.get(register, 0),
                shadow=None if shadow is None else shadow[0],
            )
        )
    return found[0] if len({(one.place, one.register) for one in found}) == 1 else None


def _is_it(address: int, size: int, event: Event, machine: str) -> bool:
    """Say whether an operand's address is what the log says was accessed."""
    said = address_in(event.message)
    if said is None:
        from btfdbg.frames.pointers import not_canonical

        return (
            machine == "x86_64" and "general protection" in event.message and not_canonical(address)
        )
    if machine == "aarch64":
        said, address = said & _UNTAGGED, address & _UNTAGGED
    return 0 <= said - address < max(size, 1)


def _guilty(base: str | None, index: str | None, scale: int, values: Mapping[str, int]) -> str:
    """Return the register that held the pointer: the only one, or one beside a small index."""
    if base is None or index is None:
        return base or index or "" if scale == 1 or index is None else ""
    moved = values[index] * scale & _MASK
    if min(moved, (1 << 64) - moved) < _SMALL <= values[base]:
        return base
    return ""


def _shadowed(address: int, held: list[int], machine: str) -> tuple[int, int] | None:
    """
    Return the address whose shadow KASAN looked at, and how many bits a byte of it stands for.

    :param held: The values of the operand's registers, of which one is the shadow's offset.
    """
    if machine == "x86_64":
        if _SHADOW in held or address >> 40 == _SHADOW >> 40:
            return (address - _SHADOW) << 3 & _MASK, 3
        return None
    for value in held:  # dfff8…, efff8… with software tags; the digits depend on VA_BITS
        if value >> 56 in (0xDF, 0xEF) and not value & 0xFFFF_FFFF:
            bits = 3 if value >> 56 == 0xDF else 4
            return (address - value) << bits & _MASK, bits
    return None


def _holder(meant: int, granule: int, values: Mapping[str, int], machine: str) -> str:
    """Return the one register that holds an address or points a few bytes behind it."""
    mask = _MASK if machine == "x86_64" else _UNTAGGED
    held = [name for name, value in values.items() if 0 <= (value - meant) & mask < granule]
    return held[0] if len(held) == 1 else ""


def _place(base: str | None, index: str | None, scale: int, disp: int) -> str:
    terms = [base] if base else []
    if index:
        terms.append(f"{index}*{scale}" if scale != 1 else index)
    text = "+".join(terms)
    if not disp and text:
        return text
    return f"{text}{'-' if disp < 0 else '+'}{abs(disp):#x}" if text else f"{disp & _MASK:#x}"


def _marked(code: str, machine: str) -> bytes:
    """Return the code from the marked instruction on, empty if none is marked."""
    mark = "<" if machine == "x86_64" else "("
    at = code.find(mark)
    if at < 0 or not machine:
        return b""
    words = re.sub(r"[<>()]", "", code[at:]).split()
    width = 2 if machine == "x86_64" else 8
    if any(len(word) != width for word in words):
        return b""
    data = b"".join(bytes.fromhex(word)[::-1] for word in words)
    return data[: _LONGEST[machine]]


def _engine(machine: str) -> Disassembler | None:
    if machine not in _engines:
        from btfdbg.errors import DebugInfoError
        from btfdbg.frames.disasm import open_disassembler

        try:
            _engines[machine] = open_disassembler(machine)
        except DebugInfoError:
            _engines[machine] = None  # no capstone
    return _engines[machine]
