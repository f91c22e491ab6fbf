"""x86-64: what its instructions do, and its calling convention.

Owns the translation from the disassembler's Intel syntax into ``ir``. An instruction that is
not known here makes everything unknown that any instruction could write.

Facts: Intel SDM volume 2; System V ABI for AMD64, section 3.2 (registers, argument passing);
capstone's Intel syntax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    ADDRESS,
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    CONST,
    DEF,
    FALL,
    FILL,
    JUMP,
    JUMP_REGISTER,
    LOAD,
    MOVE,
    SELECT,
    STOP,
    STORE,
    SWAP,
    Insn,
    JumpTable,
    Meaning,
    Mem,
    Op,
)
from btfdbg.frames.state import ALIGNED
from btfdbg.lazy_pattern import pattern

SP = "rsp"
CALLEE_SAVED: tuple[str, ...] = ("rbx", "rbp", "r12", "r13", "r14", "r15")
ARGUMENTS: tuple[str, ...] = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
RETURN = "rax"
CALLER_SAVED: tuple[str, ...] = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")
REGISTERS: tuple[str, ...] = (*CALLER_SAVED, *CALLEE_SAVED, SP)
RETURN_ADDRESS_ON_STACK = True
VENEER_BYTES = 0
NOT_ABOVE: tuple[str, ...] = ("jbe",)

_M64 = (1 << 64) - 1
_SIZES = {
    "byte": 1,
    "word": 2,
    "dword": 4,
    "fword": 6,
    "qword": 8,
    "tbyte": 10,
    "xword": 10,
    "xmmword": 16,
    "ymmword": 32,
    "zmmword": 64,
}
_UNKNOWN_SIZE = 1024  # xsave and the like
_MEMORY = pattern(r"(?:(\w+) ptr )?(?:(\w\w):)?\[([^\]]+)\]")


class Reg(NamedTuple):
    """A register operand: the full register's name, and how many of its low bits it is."""

    name: str
    bits: int


class Place(NamedTuple):
    """A memory operand and its size in bytes."""

    mem: Mem
    size: int


def _register_names() -> Iterator[tuple[str, Reg]]:
    for letter in "abcd":
        full = f"r{letter}x"
        yield full, Reg(full, 64)
        yield f"e{letter}x", Reg(full, 32)
        yield f"{letter}x", Reg(full, 16)
        yield f"{letter}l", Reg(full, 8)
        yield f"{letter}h", Reg(full, 0)  # bits 8 to 15: no low part
    for name in ("si", "di", "bp", "sp"):
        full = f"r{name}"
        yield full, Reg(full, 64)
        yield f"e{name}", Reg(full, 32)
        yield name, Reg(full, 16)
        yield f"{name}l", Reg(full, 8)
    for number in range(8, 16):
        full = f"r{number}"
        yield full, Reg(full, 64)
        for suffix, bits in (("d", 32), ("w", 16), ("b", 8)):
            yield full + suffix, Reg(full, bits)


_REGISTERS = dict(_register_names())


Operand = Reg | Place | int | None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOTHING = _words(
    "nop endbr64 endbr32 cmp test bt cld cli sti clc stc cmc clac stac lfence mfence sfence pause"
    " wrmsr wrmsrns out outsb swapgs wbinvd wbnoinvd invlpg invpcid clflush clflushopt clwb"
    " prefetchw prefetcht0 prefetcht1 prefetcht2 prefetchnta prefetch verw verr lgdt lidt lldt ltr"
    " lmsw clts mwait mwaitx monitor monitorx wait fwait emms vzeroupper vzeroall ucomisd comisd"
    " ucomiss comiss serialize hlt fninit fnclex ldmxcsr fldcw xrstor xrstor64 xrstors xrstors64"
    " fxrstor fxrstor64 wrfsbase wrgsbase wrpkru data16 invd ptest vptest tpause umonitor"
)
# Registers that are written without being named, besides the first operand.
_IMPLICIT = {
    "cpuid": ("rax", "rbx", "rcx", "rdx"),
    "rdtsc": ("rax", "rdx"),
    "rdtscp": ("rax", "rdx", "rcx"),
    "rdmsr": ("rax", "rdx"),
    "rdpmc": ("rax", "rdx"),
    "rdpkru": ("rax", "rdx"),
    "xgetbv": ("rax", "rdx"),
    "cdq": ("rdx",),
    "cqo": ("rdx",),
    "cwd": ("rdx",),
    "mul": ("rax", "rdx"),
    "div": ("rax", "rdx"),
    "idiv": ("rax", "rdx"),
    "lahf": ("rax",),
    "in": ("rax",),
    "insb": ("rdi", "rcx"),
    "insd": ("rdi", "rcx"),
    "insw": ("rdi", "rcx"),
    "lodsb": ("rax", "rsi", "rcx"),
    "lodsd": ("rax", "rsi", "rcx"),
    "lodsw": ("rax", "rsi", "rcx"),
    "lodsq": ("rax", "rsi", "rcx"),
    "scasb": ("rdi", "rcx"),
    "scasw": ("rdi", "rcx"),
    "scasd": ("rdi", "rcx"),
    "scasq": ("rdi", "rcx"),
    "cmpsb": ("rsi", "rdi", "rcx"),
    "cmpsw": ("rsi", "rdi", "rcx"),
    "cmpsd": ("rsi", "rdi", "rcx"),
    "cmpsq": ("rsi", "rdi", "rcx"),
}
# Their first operand is written and nothing else is.
_FIRST_OPERAND = _words(
    "and or xor sub add adc sbb shl sal shr sar rol ror rcl rcr shld shrd not neg bts btr btc bsf"
    " bsr tzcnt lzcnt popcnt bswap andn bextr blsi blsmsk blsr bzhi pdep pext rorx sarx shlx shrx"
    " crc32 adcx adox movbe rdrand rdseed rdfsbase rdgsbase rdpid str sldt smsw sgdt sidt lsl lar"
    " stmxcsr fnstcw fnstsw fxsave fxsave64 movnti movd movq movdqa movdqu movaps movups movapd"
    " movupd movntdq movntps movlps movhps movsd movss xsave xsave64 xsaveopt xsaveopt64 xsavec"
    " xsavec64 xsaves xsaves64 pxor xorps imul"
)
_STRING_STORES = _words("stosb stosw stosd stosq")
_STRING_MOVES = _words("movsb movsw movsq")
_MOVES = ("mov", "movabs")
_RETURNS = _words("ret retq retf iret iretq iretd sysret sysretq sysexit")
_LEFT_OUT = ("lock", "bnd", "notrack", "xacquire", "xrelease", "data16")
# What an unknown instruction may write without naming it.
_ANY = (*CALLER_SAVED, *CALLEE_SAVED)


def translate(mnemonic: str, operands: str) -> Meaning:
    """
    Translate an instruction without a direct target.

    >>> translate("mov", "rbx, rdi")
    (0, None, ((0, 'rbx', 'rdi', 64),))
    """
    name, repeated = _prefixes(mnemonic)
    ops = _OTHER.get(name)
    parts = split(operands)
    if name in _MOVES:
        return FALL, None, _move(parts)
    if ops is not None:
        return FALL, None, ops(parts)
    if name in _NOTHING:
        return FALL, None, ()
    if name == "call":
        return CALL_REGISTER, _through(parts), ()
    if name == "jmp" or name == "ljmp":
        return JUMP_REGISTER, _through(parts), ()
    if name in _RETURNS:
        return STOP, None, ()
    if name == "int3":
        return BREAK, None, ()
    if name in ("ud0", "ud1", "ud2"):
        # A warning: the handler goes on behind it. A bug does not, which costs nothing.
        return FALL, None, ()
    return FALL, None, _rest(name, repeated, parts)


def direct(mnemonic: str, operands: str) -> tuple[int, int] | None:
    """Kind and target of a direct jump or call; None if it is another instruction."""
    name = _prefixes(mnemonic)[0] if " " in mnemonic else mnemonic
    if not (name[0] in "jcl" and operands[:2] == "0x"):
        return None
    if name == "call":
        return CALL, int(operands, 16)
    if name == "jmp":
        return JUMP, int(operands, 16)
    if name[0] == "j" or name.startswith("loop"):
        return BRANCH, int(operands, 16)
    return None


def split(operands: str) -> list[Operand]:
    """The operands of an instruction; None for what is none of these (a control register)."""
    return [_operand(text) for text in operands.split(", ")] if operands else []


def veneer(code: bytes, address: int) -> int:
    """0: modules are loaded within reach of the kernel."""
    return 0


def jump_table(before: Sequence[Insn]) -> JumpTable | None:
    """None: kernels are built without, as indirect jumps are costly there."""
    return None


def memory(mnemonic: str, operands: str) -> list[tuple[Mem, int]]:
    """What an instruction accesses: places, each with its size in bytes."""
    name, _ = _prefixes(mnemonic)
    if name in ("lea", "nop"):
        return []
    return [(p.mem, p.size) for p in split(operands) if isinstance(p, Place)]


def extended(operands: str, index: int) -> int | None:
    """Bytes that an index of 32 bits adds: no 64-bit kernel's code has one."""
    return None


def _prefixes(mnemonic: str) -> tuple[str, bool]:
    *before, name = mnemonic.split()
    repeated = any(word.startswith("rep") for word in before)
    if any(word not in _LEFT_OUT and not word.startswith("rep") for word in before):
        return mnemonic, repeated
    return name, repeated


def _operand(text: str) -> Operand:
    register = _REGISTERS.get(text)
    if register is not None:
        return register
    if text[-1:] == "]":
        return _memory(text)
    try:
        return int(text, 0)
    except ValueError:
        return None


def _memory(text: str) -> Place | None:
    match = _MEMORY.fullmatch(text)
    if match is None:
        return None
    kind, segment, inside = match.groups()
    base: str | None = None
    index: str | None = None
    scale, disp = 1, 0
    for sign, word in _terms(inside):
        register, _, factor = word.partition("*")
        known = _REGISTERS.get(register)
        if register in ("rip", "eip"):
            base = "pc"
        elif known is not None:
            if known.bits == 32:
                index, scale = known.name, 0  # an address of 32 bits: not followed
            elif factor or base is not None:
                index, scale = known.name, int(factor or "1")
            else:
                base = known.name
        else:
            try:
                disp += sign * int(word, 0)
            except ValueError:
                return None
    size = _SIZES.get(kind or "", _UNKNOWN_SIZE)
    # Only these two move an address; what was a lock prefix may be ds since boot.
    segment = segment if segment in ("fs", "gs") else ""
    return Place(Mem(base, index, scale, disp, segment), size)


def _terms(inside: str) -> list[tuple[int, str]]:
    words = inside.split(" ")
    terms = [(1, words[0])]
    for sign, word in zip(words[1::2], words[2::2], strict=False):
        terms.append((-1 if sign == "-" else 1, word))
    return terms


def _through(parts: list[Operand]) -> str | Mem | None:
    match parts:
        case [Reg(name, 64)]:
            return name
        case [Place(mem)]:
            return mem
    return None


def _reads(parts: list[Operand]) -> tuple[str, ...]:
    """Registers whose values go into a result (not those that only address memory)."""
    return tuple(p.name for p in parts if isinstance(p, Reg))


def _write(what: Operand, reads: tuple[str, ...] = ()) -> tuple[Op, ...]:
    """An operand becomes something that is not known."""
    if isinstance(what, Reg):
        return ((DEF, (what.name,), reads),)
    if isinstance(what, Place):
        return ((STORE, what.mem, None, what.size, False),)
    return ()


def halves(mnemonic: str, operands: str) -> str:
    """The register of which an instruction writes 32 bits, and thereby clears the others."""
    name = mnemonic.rpartition(" ")[2]
    register = _REGISTERS.get(operands.partition(",")[0].strip())
    # cmov may leave the register, but clears its upper half all the same.
    return register.name if register is not None and register.bits == 32 and name != "xchg" else ""


def _first(parts: list[Operand]) -> tuple[Op, ...]:
    return _write(parts[0], _reads(parts)) if parts else ()


def _write_all(parts: list[Operand]) -> tuple[Op, ...]:
    reads = _reads(parts)
    return tuple(op for p in parts for op in _write(p, reads))


def _unknown(parts: list[Operand]) -> tuple[Op, ...]:
    return (*_write_all(parts), (DEF, _ANY, _reads(parts)))


def _move(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Place(mem, size), Reg(name, bits)]:
            return ((STORE, mem, name if bits else None, size, False),)
        case [Place(mem, size), src]:
            return ((STORE, mem, src if isinstance(src, int) else None, size, False),)
        case [Reg(name, bits), int(number)] if bits >= 32:
            return ((CONST, name, number & ((1 << bits) - 1)),)
        case [Reg(name, bits), Place(mem, size)] if bits >= 32:
            return ((LOAD, name, mem, size),)
        case [Reg(name, bits), Reg(src, width)] if bits and width:
            return ((MOVE, name, src, min(bits, width)),)
        case [Reg(name), _]:
            return ((DEF, (name,), ()),)
        case [None, _]:
            return ()  # a segment, control or debug register
    return _unknown(parts)


def _extend(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(name), Place(mem, size)]:
            return ((LOAD, name, mem, size),)
        case [Reg(name), Reg(src, width)] if width:
            return ((MOVE, name, src, width),)
    return _first(parts)


def _lea(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(name, bits), Place(mem)] if bits >= 32:
            return ((ADDRESS, name, mem, bits),)
    return _first(parts)


def _push(parts: list[Operand]) -> tuple[Op, ...]:
    source: str | int | None = None
    match parts:
        case [int(number)]:
            source = number & _M64
        case [Reg(name, 64)]:
            source = name
    # The value that is pushed is the one before rsp moves.
    return ((STORE, Mem(SP, disp=-8), source, 8, True), (ADD, SP, SP, -8, 64))


def _pop(parts: list[Operand]) -> tuple[Op, ...]:
    up = (ADD, SP, SP, 8, 64)
    match parts:
        case [Reg("rsp")]:
            return ((DEF, (SP,), ()),)
        case [Reg(name, 64)]:
            return ((LOAD, name, Mem(SP), 8), up)
    return (up, *_first(parts))


def _sum(parts: list[Operand], sign: int) -> tuple[Op, ...]:
    match parts:
        case [Reg(name, bits), int(number)] if bits >= 32:
            return ((ADD, name, name, sign * number, bits),)
        case [Reg(name, bits), Reg(src, width)] if bits == width >= 32:
            if src == name and sign < 0:
                return ((CONST, name, 0),)
            return ((ADDREG, name, name, src, sign, bits),)
    return _first(parts)


def _xor(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(name, bits), Reg(other, width)] if name == other and bits == width >= 32:
            return ((CONST, name, 0),)
    return _first(parts)


# A function that aligns its stack finds what is before and behind the gap by different registers.
_ALIGNMENTS = frozenset(-size % (1 << 64) for size in (16, 32, 64))


def _and(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(name, bits), int(number)] if bits >= 32:
            mask = number & ((1 << bits) - 1)
            kept = (~mask & (mask + 1)).bit_length() - 1  # low bits that stay
            if kept >= 8 and name != SP:
                return ((MOVE, name, name, min(kept, bits)),)
            if name == SP and bits == 64 and mask in _ALIGNMENTS:
                return ((ADD, SP, SP, -ALIGNED, 64),)
    return _first(parts)


def _or(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(name, bits), int(number)] if bits >= 32:
            full = (1 << bits) - 1
            if number & full == full:
                return ((CONST, name, full),)
    return _first(parts)


def _swap(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(one, bits), Reg(other, width)] if bits == width >= 32:
            return ((SWAP, one, other, bits),)
        case [Place(mem, size), Reg(name, bits)] | [Reg(name, bits), Place(mem, size)]:
            # Memory gets what the register held.
            return ((STORE, mem, name if bits else None, size, False), (DEF, (name,), ()))
    return _write_all(parts)


def _cmpxchg(parts: list[Operand]) -> tuple[Op, ...]:
    return (*_first(parts), (DEF, ("rax",), ()))


def _cmpxchg_wide(parts: list[Operand]) -> tuple[Op, ...]:
    return (*_first(parts), (DEF, ("rax", "rdx"), ()))


def _leave(parts: list[Operand]) -> tuple[Op, ...]:
    return ((MOVE, SP, "rbp", 64), (LOAD, "rbp", Mem(SP), 8), (ADD, SP, SP, 8, 64))


_OTHER: dict[str, Callable[[list[Operand]], tuple[Op, ...]]] = {
    "lea": _lea,
    "push": _push,
    "pop": _pop,
    "movzx": _extend,
    "movsx": _extend,
    "movsxd": _extend,
    "add": lambda parts: _sum(parts, 1),
    "sub": lambda parts: _sum(parts, -1),
    "inc": lambda parts: _sum([*parts, 1], 1),
    "dec": lambda parts: _sum([*parts, 1], -1),
    "xor": _xor,
    "and": _and,
    "or": _or,
    "xchg": _swap,
    "xadd": _write_all,
    "cmpxchg": _cmpxchg,
    "cmpxchg8b": _cmpxchg_wide,
    "cmpxchg16b": _cmpxchg_wide,
    "leave": _leave,
    "cdqe": lambda parts: ((MOVE, "rax", "rax", 32),),
    "cwde": lambda parts: ((MOVE, "rax", "rax", 16),),
    "pushfq": lambda parts: _push([None]),
    "popfq": lambda parts: ((ADD, SP, SP, 8, 64),),
}


def _rest(name: str, repeated: bool, parts: list[Operand]) -> tuple[Op, ...]:
    if name.startswith("set"):
        return _write(parts[0]) if parts else ()
    if name.startswith("cmov"):
        match parts:
            case [Reg(dst, bits), Reg(src, width)] if bits == width >= 32:
                return ((SELECT, dst, dst, src, bits),)
            case [Reg(dst, bits), Place(mem, size)] if bits == 8 * size >= 32:
                return ((SELECT, dst, dst, mem, bits),)
        return _first(parts)
    if name == "imul" and len(parts) == 1:
        return ((DEF, ("rax", "rdx"), _reads(parts)),)
    if name in _STRING_STORES or name in _STRING_MOVES or (name == "movsd" and _is_string(parts)):
        return _string(name, repeated)
    if name in _FIRST_OPERAND:
        return _first(parts)
    if name in _IMPLICIT:
        explicit = _write_all(parts) if name == "in" else ()
        return (*explicit, (DEF, _IMPLICIT[name], _reads(parts)))
    return _unknown(parts)


def _is_string(parts: list[Operand]) -> bool:
    return len(parts) == 2 and all(isinstance(p, Place) for p in parts)


def _string(name: str, repeated: bool) -> tuple[Op, ...]:
    stores = name in _STRING_STORES
    if not repeated:
        size = {"b": 1, "w": 2, "d": 4, "q": 8}[name[-1]]
        moved = () if stores else ((ADD, "rsi", "rsi", size, 64),)
        store = (STORE, Mem("rdi"), "rax" if stores else None, size, False)
        return (store, (ADD, "rdi", "rdi", size, 64), *moved)
    written = ("rdi", "rcx") if stores else ("rdi", "rsi", "rcx")
    return ((FILL, "rdi"), (DEF, written, ()))
