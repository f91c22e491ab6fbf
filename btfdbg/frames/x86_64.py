"""x86-64: what its instructions do, and its calling convention.

Owns the translation from the disassembler's Intel syntax into ``ir``. An instruction that is
not known here makes everything unknown that any instruction could write.

Facts: Intel SDM volume 2; System V ABI for AMD64, section 3.2 (registers, argument passing);
capstone's Intel syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
    Meaning,
    Mem,
    Op,
)

SP = "rsp"
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
RETURN = "rax"
CALLER_SAVED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")
REGISTERS = (*CALLER_SAVED, *CALLEE_SAVED, SP)
RETURN_ADDRESS_ON_STACK = True

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
_MEMORY = re.compile(r"(?:(\w+) ptr )?(?:(\w\w):)?\[([^\]]+)\]")


def _register_names() -> Iterator[tuple[str, tuple[str, int]]]:
    for letter in "abcd":
        full = f"r{letter}x"
        yield full, (full, 64)
        yield f"e{letter}x", (full, 32)
        yield f"{letter}x", (full, 16)
        yield f"{letter}l", (full, 8)
        yield f"{letter}h", (full, 0)  # bits 8 to 15: no low part
    for name in ("si", "di", "bp", "sp"):
        full = f"r{name}"
        yield full, (full, 64)
        yield f"e{name}", (full, 32)
        yield name, (full, 16)
        yield f"{name}l", (full, 8)
    for number in range(8, 16):
        full = f"r{number}"
        yield full, (full, 64)
        for suffix, bits in (("d", 32), ("w", 16), ("b", 8)):
            yield full + suffix, (full, bits)


_REGISTERS = dict(_register_names())

Operand = "tuple[str, int] | int | tuple[Mem, int] | None"

_NOTHING = frozenset(
    "nop endbr64 endbr32 cmp test bt cld cli sti clc stc cmc clac stac lfence mfence sfence pause"
    " wrmsr wrmsrns out outsb swapgs wbinvd wbnoinvd invlpg invpcid clflush clflushopt clwb"
    " prefetchw prefetcht0 prefetcht1 prefetcht2 prefetchnta prefetch verw verr lgdt lidt lldt ltr"
    " lmsw clts mwait mwaitx monitor monitorx wait fwait emms vzeroupper vzeroall ucomisd comisd"
    " ucomiss comiss serialize hlt fninit fnclex ldmxcsr fldcw xrstor xrstor64 xrstors xrstors64"
    " fxrstor fxrstor64 wrfsbase wrgsbase wrpkru data16 invd ptest vptest tpause umonitor".split()
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
_FIRST_OPERAND = frozenset(
    "and or xor sub add adc sbb shl sal shr sar rol ror rcl rcr shld shrd not neg bts btr btc bsf"
    " bsr tzcnt lzcnt popcnt bswap andn bextr blsi blsmsk blsr bzhi pdep pext rorx sarx shlx shrx"
    " crc32 adcx adox movbe rdrand rdseed rdfsbase rdgsbase rdpid str sldt smsw sgdt sidt lsl lar"
    " stmxcsr fnstcw fnstsw fxsave fxsave64 movnti movd movq movdqa movdqu movaps movups movapd"
    " movupd movntdq movntps movlps movhps movsd movss xsave xsave64 xsaveopt xsaveopt64 xsavec"
    " xsavec64 xsaves xsaves64 pxor xorps imul".split()
)
_STRING_STORES = frozenset("stosb stosw stosd stosq".split())
_STRING_MOVES = frozenset("movsb movsw movsq".split())
_MOVES = frozenset(("mov", "movabs"))
_EXTENSIONS = frozenset(("movzx", "movsx", "movsxd"))
_RETURNS = frozenset("ret retq retf iret iretq iretd sysret sysretq sysexit".split())
_LEFT_OUT = ("lock", "bnd", "notrack", "xacquire", "xrelease", "data16")
# What an unknown instruction may write without naming it.
_ANY = (*CALLER_SAVED, *CALLEE_SAVED)
_ACCUMULATOR = "rax"


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


def split(operands: str) -> list[object]:
    """Operands as values: (register, bits), a number, (Mem, bytes), or None."""
    return [_operand(text) for text in operands.split(", ")] if operands else []


def _prefixes(mnemonic: str) -> tuple[str, bool]:
    *before, name = mnemonic.split()
    repeated = any(word.startswith("rep") for word in before)
    if any(word not in _LEFT_OUT and not word.startswith("rep") for word in before):
        return mnemonic, repeated
    return name, repeated


def _operand(text: str) -> object:
    register = _REGISTERS.get(text)
    if register is not None:
        return register
    if text[-1:] == "]":
        return _memory(text)
    try:
        return int(text, 0)
    except ValueError:
        return None


def _memory(text: str) -> object:
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
        elif known is not None and known[1] >= 32:
            if known[1] == 32:
                index, scale = known[0], 0  # an address of 32 bits: not followed
            elif factor or base is not None:
                index, scale = known[0], int(factor or "1")
            else:
                base = known[0]
        else:
            try:
                disp += sign * int(word, 0)
            except ValueError:
                return None
    return Mem(base, index, scale, disp, segment or ""), _SIZES.get(kind or "", _UNKNOWN_SIZE)


def _terms(inside: str) -> list[tuple[int, str]]:
    words = inside.split(" ")
    terms = [(1, words[0])]
    for sign, word in zip(words[1::2], words[2::2], strict=False):
        terms.append((-1 if sign == "-" else 1, word))
    return terms


def _through(parts: list[object]) -> str | Mem | None:
    what = parts[0] if len(parts) == 1 else None
    if isinstance(what, tuple):
        found = what[0]
        return found if isinstance(found, (str, Mem)) else None
    return None


def _is_register(what: object) -> bool:
    return isinstance(what, tuple) and isinstance(what[0], str)


def _is_memory(what: object) -> bool:
    return isinstance(what, tuple) and isinstance(what[0], Mem)


def _reads(parts: list[object]) -> tuple[str, ...]:
    """Registers whose values go into a result (not those that only address memory)."""
    return tuple(p[0] for p in parts if isinstance(p, tuple) and isinstance(p[0], str))


def _write(what: object, reads: tuple[str, ...] = ()) -> tuple[Op, ...]:
    """An operand becomes something that is not known."""
    if isinstance(what, tuple):
        if isinstance(what[0], str):
            return ((DEF, (what[0],), reads),)
        return ((STORE, what[0], None, what[1], False),)
    return ()


def _move(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) != 2:
        return _unknown(parts)
    dst, src = parts
    if isinstance(dst, tuple) and isinstance(dst[0], Mem):
        if _is_register(src):
            register, bits = src  # type: ignore[misc]
            return ((STORE, dst[0], register if bits else None, dst[1], False),)
        known = src if isinstance(src, int) else None
        return ((STORE, dst[0], known, dst[1], False),)
    if not _is_register(dst):
        return ()  # a segment, control or debug register
    register, bits = dst  # type: ignore[misc]
    if not bits:
        return ((DEF, (register,), ()),)
    if isinstance(src, int):
        if bits >= 32:
            return ((CONST, register, src & ((1 << bits) - 1)),)
        return ((DEF, (register,), ()),)
    if isinstance(src, tuple) and isinstance(src[0], Mem):
        if bits >= 32:
            return ((LOAD, register, src[0], src[1]),)
        return ((DEF, (register,), ()),)
    if isinstance(src, tuple) and src[1]:
        return ((MOVE, register, src[0], min(bits, src[1])),)
    return ((DEF, (register,), ()),)


def _extend(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) != 2 or not _is_register(parts[0]):
        return _unknown(parts)
    register = parts[0][0]  # type: ignore[index]
    src = parts[1]
    if isinstance(src, tuple) and isinstance(src[0], Mem):
        return ((LOAD, register, src[0], src[1]),)
    if isinstance(src, tuple) and src[1]:
        return ((MOVE, register, src[0], src[1]),)
    return ((DEF, (register,), _reads(parts)),)


def _lea(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) != 2 or not _is_register(parts[0]) or not _is_memory(parts[1]):
        return _unknown(parts)
    register, bits = parts[0]  # type: ignore[misc]
    if bits < 32:
        return ((DEF, (register,), ()),)
    return ((ADDRESS, register, parts[1][0], bits),)  # type: ignore[index]


def _push(parts: list[object]) -> tuple[Op, ...]:
    what = parts[0] if parts else None
    source: str | int | None = None
    if isinstance(what, int):
        source = what & _M64
    elif isinstance(what, tuple) and isinstance(what[0], str) and what[1] == 64:
        source = what[0]
    # The value that is pushed is the one before rsp moves.
    return ((STORE, Mem(SP, disp=-8), source, 8, True), (ADD, SP, SP, -8, 64))


def _pop(parts: list[object]) -> tuple[Op, ...]:
    what = parts[0] if parts else None
    if isinstance(what, tuple) and isinstance(what[0], str) and what[0] != SP:
        return ((LOAD, what[0], Mem(SP), 8), (ADD, SP, SP, 8, 64))
    if isinstance(what, tuple) and isinstance(what[0], Mem):
        return ((ADD, SP, SP, 8, 64), (STORE, what[0], None, 8, False))
    return _write(what) or ((ADD, SP, SP, 8, 64),)


def _sum(parts: list[object], sign: int) -> tuple[Op, ...]:
    if len(parts) == 2 and _is_register(parts[0]):
        register, bits = parts[0]  # type: ignore[misc]
        src = parts[1]
        if bits >= 32:
            if isinstance(src, int):
                return ((ADD, register, register, sign * src, bits),)
            if isinstance(src, tuple) and isinstance(src[0], str) and src[1] == bits:
                if src[0] == register and sign < 0:
                    return ((CONST, register, 0),)
                return ((ADDREG, register, register, src[0], sign, bits),)
    return _write(parts[0] if parts else None, _reads(parts))


def _xor(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) == 2 and parts[0] == parts[1] and _is_register(parts[0]):
        register, bits = parts[0]  # type: ignore[misc]
        if bits >= 32:
            return ((CONST, register, 0),)
    return _write(parts[0] if parts else None, _reads(parts))


def _and(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) == 2 and _is_register(parts[0]) and isinstance(parts[1], int):
        register, bits = parts[0]  # type: ignore[misc]
        mask = parts[1] & ((1 << bits) - 1)
        kept = ((~mask & (mask + 1)).bit_length() or 1) - 1
        if bits >= 32 and kept >= 8:
            return ((MOVE, register, register, min(kept, bits)),)
    return _write(parts[0] if parts else None, _reads(parts))


def _or(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) == 2 and _is_register(parts[0]) and isinstance(parts[1], int):
        register, bits = parts[0]  # type: ignore[misc]
        full = (1 << bits) - 1
        if bits >= 32 and parts[1] & full == full:
            return ((CONST, register, full),)
    return _write(parts[0] if parts else None, _reads(parts))


def _swap(parts: list[object]) -> tuple[Op, ...]:
    if len(parts) == 2 and all(_is_register(p) for p in parts):
        (one, bits), (other, width) = parts  # type: ignore[misc]
        if bits == width and bits >= 32:
            return ((SWAP, one, other, bits),)
    # Memory gets what the register held.
    for this, that in ((0, 1), (1, 0)):
        if len(parts) == 2 and _is_memory(parts[this]) and _is_register(parts[that]):
            register, bits = parts[that]  # type: ignore[misc]
            where, size = parts[this]  # type: ignore[misc]
            source = register if bits else None
            return ((STORE, where, source, size, False), (DEF, (register,), ()))
    return _write_all(parts)


def _cmpxchg(parts: list[object]) -> tuple[Op, ...]:
    return (*_write(parts[0] if parts else None, _reads(parts)), (DEF, ("rax",), ()))


def _cmpxchg_wide(parts: list[object]) -> tuple[Op, ...]:
    return (*_write(parts[0] if parts else None), (DEF, ("rax", "rdx"), ()))


def _write_all(parts: list[object]) -> tuple[Op, ...]:
    reads = _reads(parts)
    return tuple(op for p in parts for op in _write(p, reads))


def _leave(parts: list[object]) -> tuple[Op, ...]:
    return (
        (MOVE, SP, "rbp", 64),
        (LOAD, "rbp", Mem(SP), 8),
        (ADD, SP, SP, 8, 64),
    )


def _unknown(parts: list[object]) -> tuple[Op, ...]:
    return (*_write_all(parts), (DEF, _ANY, _reads(parts)))


_OTHER = {
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


def _rest(name: str, repeated: bool, parts: list[object]) -> tuple[Op, ...]:
    if name.startswith("set"):
        return _write(parts[0] if parts else None)
    if name.startswith("cmov") and len(parts) == 2 and _is_register(parts[0]):
        register, bits = parts[0]  # type: ignore[misc]
        if _is_register(parts[1]) and bits >= 32:
            return ((SELECT, register, register, parts[1][0], bits),)  # type: ignore[index]
        return ((DEF, (register,), (register,)),)
    if name == "imul" and len(parts) == 1:
        return ((DEF, ("rax", "rdx"), _reads(parts)),)
    if name in _STRING_STORES or name in _STRING_MOVES or (name == "movsd" and _is_string(parts)):
        return _string(name, repeated)
    if name in _FIRST_OPERAND:
        return _write(parts[0] if parts else None, _reads(parts))
    if name in _IMPLICIT:
        explicit = _write_all(parts) if name == "in" else ()
        return (*explicit, (DEF, _IMPLICIT[name], _reads(parts)))
    return _unknown(parts)


def _is_string(parts: list[object]) -> bool:
    return len(parts) == 2 and all(_is_memory(p) for p in parts)


def _string(name: str, repeated: bool) -> tuple[Op, ...]:
    stores = name in _STRING_STORES
    if not repeated:
        size = {"b": 1, "w": 2, "d": 4, "q": 8}[name[-1]]
        moved = () if stores else ((ADD, "rsi", "rsi", size, 64),)
        source = _ACCUMULATOR if stores else None
        store = (STORE, Mem("rdi"), source, size, False)
        return (store, (ADD, "rdi", "rdi", size, 64), *moved)
    written = ("rdi", "rcx") if stores else ("rdi", "rsi", "rcx")
    return ((FILL, "rdi"), (DEF, written, ()))
