"""Registers that an exception or a system call left on a stack: found by their values.

Owns what makes words a ``struct pt_regs``: a frame is shown only if segment or mode,
flags, program counter and stack pointer fit each other, and no better one lies on its words.
Where the structure lies in the words is from the dump's own types.

Facts: ``arch/x86/include/uapi/asm/ptrace-abi.h`` and ``segment.h`` (selectors);
``arch/arm64/include/asm/ptrace.h`` (PSR_MODE); ``arch/arm64/kernel/ptrace.c``
(SPSR_EL1_AARCH64_RES0_BITS), ``entry.S`` (``kernel_entry``: sp is what it was before the
registers, ``S_STACKFRAME``), ``processor.h`` (``task_pt_regs``: at the end of the stack; 16 bytes
before it until 34be98f4944f), ``kexec.h`` (``crash_setup_regs``);
``arch/riscv/include/asm/csr.h`` (SR_SPP);
``hardirq_stack_ptr`` and ``cpu_tss_rw``'s neighbour ``cea_exception_stacks`` of x86_64;
``irq_stack_ptr`` of arm64 and riscv64.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence

import drgn
from drgn.commands import CommandError

from btfdbg.commands import symbols
from btfdbg.commands.crash.stack import Stack, code_at
from btfdbg.commands.text import escape
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import machine_of

_X86_KERNEL_CS, _X86_KERNEL_SS = 0x10, (0x18, 0)
_X86_USER_CS, _X86_USER_SS = (0x33, 0x23), 0x2B
_X86_FLAGS_ONE, _X86_FLAGS_IF = 1 << 1, 1 << 9
_COLUMNS = 80
_KERNEL = 1 << 63
# Bits of PSTATE that no arm64 exception of 64-bit code saves as ones: 4, 5, 14-19, 26, 27, 32-.
_ARM64_ZERO = 0x0C0F_C030 | -1 << 32
_ARM64_DAIF = 0xF << 6  # all clear in user mode
_IRQ_STACK_SIZE = 16384
# What crash calls the program counter, by its name in struct pt_regs.
_COUNTERS = {"ip": "RIP", "pc": "PC", "epc": "EPC"}
_TITLES = {"DF": "DOUBLEFAULT", "DB": "DEBUG", "MCE": "MCE", "NMI": "NMI", "VC": "VC"}

Read = Callable[[str], int]


def print_frames(session: Session, stack: Stack, indent: str) -> int:
    """Print every exception frame of a stack; give how many there are."""
    count = 0
    for place, kind, registers in frames(session, stack):
        count += 1
        print()
        print(f"{indent}{kind} EXCEPTION FRAME AT: {place:x}")
        if kind == "KERNEL-MODE":
            _print_place(session, registers, indent)
        _print_registers(registers)
    return count


def _print_place(session: Session, registers: dict[str, int], indent: str) -> None:
    """Which function was interrupted, as crash has it above the registers."""
    name = next((n for n in _COUNTERS if n in registers), None)
    found = None if name is None else symbols.holding(session, registers[name])
    if name is None or found is None:
        return
    module = f" [{found.module}]" if found.module else ""
    place = f"{found.name}+{registers[name] - found.address}{module}"
    print(f"{indent}  [exception {_COUNTERS[name]}: {escape(place)}]")


def frames(session: Session, stack: Stack) -> Iterator[tuple[int, str, dict[str, int]]]:
    """
    The exception frames of a stack.

    :return: Address, ``KERNEL-MODE`` or ``USER-MODE``, and the registers by name.
    :raises CommandError: how this architecture saves registers is not known here.
    """
    prog = session.prog
    kind_of = _kinds(prog)
    members = _members(prog)
    regs = prog.type("struct pt_regs")
    size = regs.size or 0
    at = dict(members)
    if regs.has_member("stackframe"):  # arm64's frame record, whose two words are no registers
        record = int(drgn.offsetof(regs, "stackframe"))
        at |= {"record0": record, "record1": record + 8}
    words = dict(stack.words(prog))
    found: dict[int, tuple[str, int]] = {}
    for place in words:
        if place + size > stack.end:
            break

        def read(name: str, place: int = place) -> int:
            return words.get(place + at[name], 0) if name in at else 0

        kind = kind_of(session, stack, place, size, read)
        if kind:
            found[place] = kind, _rank(stack.end, place, size, read("sp"))
    for place in _best({p: rank for p, (_, rank) in found.items()}, size):
        values = {n: words[place + o] for n, o in members.items() if place + o in words}
        yield place, found[place][0], values


def _rank(end: int, place: int, size: int, sp: int) -> int:
    """How sure: 2 at the stack's top, where a task's are; 1 right below the stack that it cut."""
    return 2 if place + size == end else int(sp == place + size)


def _best(ranks: dict[int, int], size: int) -> Iterator[int]:
    """The places, in order, without those on whose bytes one of a higher rank lies."""
    places = sorted(ranks)
    for place in places:
        near = places[bisect_right(places, place - size) : bisect_left(places, place + size)]
        if all(ranks[other] <= ranks[place] for other in near):
            yield place


def _at_top(stack: Stack, place: int, size: int) -> bool:
    """Whether registers end where a stack does, or at most 16 bytes before."""
    return stack.end - 16 <= place + size <= stack.end


def _kinds(prog: drgn.Program) -> Callable[[Session, Stack, int, int, Read], str]:
    readers = {"x86_64": _x86_64, "aarch64": _arm64, "riscv64": _riscv64}
    found = readers.get(machine_of(prog.platform))
    if found is None:
        raise CommandError("how this architecture saves registers on its stack is not known here")
    return found


def _members(prog: drgn.Program) -> dict[str, int]:
    """Registers of struct pt_regs and their offsets in bytes."""
    found: dict[str, int] = {}

    def visit(type_: drgn.Type, start: int) -> None:
        for member in type_.members or ():
            at = start + member.offset
            inner = member.type
            while inner.kind is drgn.TypeKind.TYPEDEF:
                inner = inner.type
            if inner.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION):
                if member.name is None or member.name == "user_regs":
                    visit(inner, at)
            elif inner.kind is drgn.TypeKind.ARRAY and member.name == "regs":
                for i in range(inner.length or 0):
                    found.setdefault(f"x{i}", at + 8 * i)
            elif inner.kind is drgn.TypeKind.ARRAY:
                continue
            elif member.name is not None and (inner.size or 0) >= 4:
                found.setdefault(member.name, at)

    regs = prog.type("struct pt_regs")
    visit(regs, 0)
    for name in ("cs", "ss"):
        if name not in found and regs.has_member(name):
            found[name] = drgn.offsetof(regs, name)
            found.pop(f"{name}x", None)  # the same word, with FRED's bits
    return found


def _x86_64(session: Session, stack: Stack, place: int, size: int, read: Read) -> str:
    flags = read("flags")
    if not flags & _X86_FLAGS_ONE or flags >> 22:
        return ""
    # Since v6.9 the words of cs and ss have more in them (FRED).
    cs, ss, ip, sp = read("cs") & 0xFFFF, read("ss") & 0xFFFF, read("ip"), read("sp")
    if cs == _X86_KERNEL_CS and ss in _X86_KERNEL_SS and sp & _KERNEL:
        return "KERNEL-MODE" if code_at(session, ip) is not None else ""
    user = cs in _X86_USER_CS and ss == _X86_USER_SS and flags & _X86_FLAGS_IF
    if user and 0 < ip < 1 << 56 and 0 < sp < 1 << 56:
        return "USER-MODE"
    return ""


def _arm64(session: Session, stack: Stack, place: int, size: int, read: Read) -> str:
    state, pc, sp = read("pstate"), read("pc"), read("sp")
    if state & _ARM64_ZERO or pc & 3 or not sp or sp & 15 or not pc:
        return ""
    mode = state & 0xF
    if mode in (0x5, 0x9):  # EL1h, EL2h
        fits = _arm64_on_stack(stack, place, size, read)
        return "KERNEL-MODE" if fits and code_at(session, pc) is not None else ""
    # Words of zero would be a user's as well: where the kernel puts one is known.
    if mode or state & _ARM64_DAIF or place & 15 or not _at_top(stack, place, size):
        return ""
    return "USER-MODE" if not pc >> 52 and not sp >> 52 else ""


def _arm64_on_stack(stack: Stack, place: int, size: int, read: Read) -> bool:
    """
    Whether registers of the kernel are of this place of this stack.

    An exception puts them right below the stack that it interrupts, with a frame record of x29
    and pc (of two zeros since c2c6b27b5aa1). A crash saves its own above its stack pointer.
    """
    sp, x29 = read("sp"), read("x29")
    if sp == place + size:
        return (read("record0"), read("record1")) in ((x29, read("pc")), (0, 0))
    return stack.start <= sp <= place and sp <= x29 < stack.end


def _riscv64(session: Session, stack: Stack, place: int, size: int, read: Read) -> str:
    status, pc, sp = read("status"), read("epc"), read("sp")
    if status & 0x100:  # SR_SPP: it was the kernel
        return "KERNEL-MODE" if sp & _KERNEL and code_at(session, pc) is not None else ""
    at_top = _at_top(stack, place, size)
    return "USER-MODE" if at_top and pc and sp and not pc >> 56 and not sp >> 56 else ""


def _print_registers(values: dict[str, int]) -> None:
    names = list(values)
    for count in (3, 2):
        widths = [max(map(len, names[column::count]), default=0) for column in range(count)]
        if 4 + sum(widths) + 18 * count + 2 * (count - 1) <= _COLUMNS:
            break
    for i in range(0, len(names), count):
        row = zip(names[i : i + count], widths, strict=False)
        print("    " + "  ".join(f"{n.upper():>{width}}: {values[n]:016x}" for n, width in row))


def cpu_stacks(session: Session, cpus: Sequence[int]) -> Iterator[tuple[str, Stack]]:
    """The interrupt stacks of CPUs, and the exception stacks of x86_64, with titles."""
    prog = session.prog
    for cpu in cpus:
        # In pcpu_hot between v6.2 and v6.14.
        end = _per_cpu_word(prog, "hardirq_stack_ptr", cpu) or _per_cpu_word(
            prog, "pcpu_hot", cpu, "hardirq_stack_ptr"
        )
        if end is not None:
            # It points to the last word but one of the stack.
            end = (end + 0xFFF) & ~0xFFF
            yield f"CPU {cpu} IRQ STACK", Stack(end - _IRQ_STACK_SIZE, _IRQ_STACK_SIZE)
        start = _per_cpu_word(prog, "irq_stack_ptr", cpu)
        if start is not None:
            yield f"CPU {cpu} IRQ STACK", Stack(start & ~0xF, _IRQ_STACK_SIZE)
    for cpu in cpus:
        yield from _exception_stacks(prog, cpu)


def _per_cpu_word(prog: drgn.Program, name: str, cpu: int, member: str = "") -> int | None:
    from drgn.helpers.linux.percpu import per_cpu

    try:
        variable = per_cpu(prog[name], cpu)
        found = int((variable.member_(member) if member else variable).value_())
    except (LookupError, drgn.FaultError, TypeError, ValueError):
        return None
    return found or None


def _exception_stacks(prog: drgn.Program, cpu: int) -> Iterator[tuple[str, Stack]]:
    """struct cea_exception_stacks of x86_64: NAME_stack between guard pages."""
    start = _per_cpu_word(prog, "cea_exception_stacks", cpu)
    if start is None:
        return
    try:
        type_ = prog.type("struct cea_exception_stacks")
    except LookupError:
        return
    for member in type_.members or ():
        name = member.name or ""
        # Guards are char[0] where they are not mapped.
        length = member.type.length if member.type.kind is drgn.TypeKind.ARRAY else None
        if name.endswith("_stack") and length:
            short = name[: -len("_stack")]
            title = f"CPU {cpu} {_TITLES.get(short, short)} EXCEPTION STACK"
            yield title, Stack(start + member.offset, min(length, 1 << 16))


def registers_at(prog: drgn.Program, ip: int, sp: int) -> drgn.Object:
    """
    A struct pt_regs of the kernel with a program counter and a stack pointer.

    :raises CommandError: this architecture's is not known here.
    """
    type_ = prog.type("struct pt_regs")
    platform = prog.platform
    arch = platform.arch if platform is not None else None
    size = type_.size or 0
    data = bytearray(size)
    members = _members(prog)

    def put(name: str, value: int) -> None:
        struct.pack_into("<Q", data, members[name], value)

    if arch is drgn.Architecture.X86_64:
        put("ip", ip)
        put("sp", sp)
        put("cs", _X86_KERNEL_CS)
        put("ss", _X86_KERNEL_SS[0])
        # Functions that keep a frame pointer have it just above their return address.
        put("bp", sp)
    elif arch is drgn.Architecture.AARCH64:
        put("pc", ip)
        put("sp", sp)
        put("pstate", 5)
        put("x29", sp)
    else:
        raise CommandError("unwinding from a given place is there on x86_64 and arm64 only")
    return drgn.Object.from_bytes_(prog, type_, bytes(data))
