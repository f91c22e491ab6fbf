"""arm64: what its instructions do, and its calling convention.

Owns the translation from the disassembler's syntax into ``ir``. An instruction that is not
known here makes everything unknown that any instruction could write.

Facts: Arm Architecture Reference Manual for A-profile, part C6 (base instructions) and C3.2
(addressing modes, write-back); AAPCS64 6.1 (registers); ``arch/arm64/include/asm/brk-imm.h``
(probes' breakpoints); ``arch/arm64/include/asm/current.h`` (``sp_el0`` is the running task).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    CONST,
    CURRENT,
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
    Insn,
    JumpTable,
    Meaning,
    Mem,
    Op,
)

SP = "sp"
CALLEE_SAVED: tuple[str, ...] = tuple(f"x{n}" for n in range(19, 30))
ARGUMENTS: tuple[str, ...] = tuple(f"x{n}" for n in range(8))
RETURN = "x0"
CALLER_SAVED: tuple[str, ...] = (*(f"x{n}" for n in range(19)), "x30")
REGISTERS: tuple[str, ...] = (*CALLER_SAVED, *CALLEE_SAVED, SP)
RETURN_ADDRESS_ON_STACK = False

VENEER_BYTES = 16
NOT_ABOVE: tuple[str, ...] = ("b.ls",)
_BR_X16 = 0xD61F_0200
_UNKNOWN_SIZE = 1024
_MAX_CASES = 1024
_VECTOR_SIZES = {"q": 16, "d": 8, "s": 4, "h": 2, "b": 1}


class Reg(NamedTuple):
    """A register operand; "zr" is the one that is always zero."""

    name: str
    bits: int


class Place(NamedTuple):
    """A memory operand, and what the base becomes before or behind the access."""

    mem: Mem
    before: int = 0
    after: int = 0


class Vector(NamedTuple):
    """A floating-point or vector register, of a size in bytes."""

    size: int


class Shift(NamedTuple):
    """``lsl #3``, ``sxtw``: what is done to the operand before it."""

    text: str


Operand = Reg | Place | Vector | Shift | int | None

_REGISTERS = {
    f"{letter}{n}": Reg(f"x{n}", bits) for letter, bits in (("x", 64), ("w", 32)) for n in range(31)
}
_REGISTERS |= {"sp": Reg(SP, 64), "wsp": Reg(SP, 32), "fp": Reg("x29", 64), "lr": Reg("x30", 64)}
_REGISTERS |= {"xzr": Reg("zr", 64), "wzr": Reg("zr", 32)}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONDITIONS = ("b.", "bc.")
_COMPARE_AND_BRANCH = ("cbz", "cbnz", "tbz", "tbnz")
_NOTHING = _words(
    "nop cmp cmn tst ccmp ccmn prfm prfum dmb dsb isb sb msr yield wfe wfi sev sevl tlbi"
    " dc ic at csdb bti clrex esb ssbb pssbb sys fcmp fcmpe dgh tsb psb rprfm smstart smstop"
)
_SIGNS_RETURN_ADDRESS = _words(
    "paciasp pacibsp autiasp autibsp paciaz pacibz autiaz autibz xpaclri hint"
)
_FIRST_OPERAND = _words(
    "and ands orr orn eor eon bic bics mvn lsl lsr asr ror lslv lsrv asrv rorv mul madd"
    " msub mneg smull umull smulh umulh smaddl umaddl smsubl umsubl smnegl umnegl udiv"
    " sdiv clz cls rbit rev rev16 rev32 extr ubfx sbfx ubfiz sbfiz bfi bfxil bfc ubfm"
    " sbfm bfm csinc csinv csneg cset csetm cinc cinv cneg neg negs ngc ngcs adc adcs sbc"
    " sbcs movk movn movz crc32b crc32h crc32w crc32x crc32cb crc32ch crc32cw crc32cx"
    " pacga fmov umov smov fcvtzs fcvtzu xpaci xpacd autia autib autda autdb pacia pacib"
    " pacda pacdb irg gmi subp addg subg rdvl cntb cnth cntw cntd sysl"
)
_EXTENSIONS = {"sxtw": 32, "uxtw": 32, "sxth": 16, "uxth": 16, "sxtb": 8, "uxtb": 8}
_EXTENDED = re.compile(r", w\d+, ([su])xtw(?: #(\d))?\]")
# A vector, a predicate or a part of ZA as the first operand, or a list of them.
_WIDE = re.compile(r"\{?\s*(?:[vzpqdshb]\d|za|zt)")
_SIMPLE_PLACE = re.compile(r", \[(x\d+|sp)\](?:, (?:#.*|x\d+))?$")
# Copying and filling memory, in three steps each (FEAT_MOPS); what has a ``!`` is counted.
_COPIES = tuple(f"{name}{step}" for name in ("cpy", "cpyf", "set") for step in "pme")
_COUNTED = re.compile(r"(x\d+)\]?!")
_LOADS = ("ldr", "ldur", "ldar", "ldapr", "ldapur", "ldxr", "ldaxr", "ldtr", "ldlar")
_STORES = ("str", "stur", "stlr", "stlur", "sttr", "stllr")
_PAIRS = ("ldp", "ldnp", "ldpsw", "ldxp", "ldaxp")
_STORE_PAIRS = ("stp", "stnp")
_EXCLUSIVE = ("stxr", "stlxr", "stxp", "stlxp")
_SUFFIXES = {"b": 1, "h": 2, "sb": 1, "sh": 2, "sw": 4}
_ATOMIC_LOADS = ("ldadd", "ldclr", "ldset", "ldeor", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp")
_ATOMIC_STORES = ("stadd", "stclr", "stset", "steor", "stsmax", "stsmin", "stumax", "stumin")
_ORDERS = ("", "a", "l", "al")
# Breakpoints that replace an instruction (KPROBES_BRK_IMM, UPROBES_BRK_IMM, KPROBES_BRK_SS_IMM).
_PROBES = (4, 5, 6)


def _atomics(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        n + order + size for n in names for order in _ORDERS for size in ("", "b", "h")
    )


_LOADING = _atomics(_ATOMIC_LOADS)
_STORING = _atomics(_ATOMIC_STORES)
_COMPARING = _atomics(("cas",))


def direct(mnemonic: str, operands: str) -> tuple[int, int] | None:
    """Kind and target of a direct jump or call; None if it is another instruction."""
    if mnemonic[0] not in "bct":
        return None
    if mnemonic == "bl":
        return CALL, int(operands.lstrip("#"), 16)
    if mnemonic == "b":
        return JUMP, int(operands.lstrip("#"), 16)
    if mnemonic.startswith(_CONDITIONS) or mnemonic in _COMPARE_AND_BRANCH:
        return BRANCH, int(operands.rpartition(", ")[2].lstrip("#"), 16)
    return None


def translate(mnemonic: str, operands: str) -> Meaning:
    """
    Translate an instruction without a direct target.

    >>> translate("mov", "x19, x0")
    (0, None, ((0, 'x19', 'x0', 64),))
    """
    if mnemonic == "mrs" and operands.endswith(", sp_el0"):
        return FALL, None, ((CURRENT, operands.partition(",")[0]),)
    parts = split(operands)
    if mnemonic in _NOTHING:
        return FALL, None, ()
    if mnemonic in ("ret", "retaa", "retab", "eret", "eretaa", "udf"):
        return STOP, None, ()
    if mnemonic.startswith("blr"):
        return CALL_REGISTER, _through(mnemonic == "blr", parts), ()
    if mnemonic.startswith("br") and mnemonic != "brk":
        return JUMP_REGISTER, _through(mnemonic == "br", parts), ()
    if mnemonic == "brk":
        return (BREAK if parts and parts[0] in _PROBES else FALL), None, ()
    if _WIDE.match(operands) and not isinstance(parts[0], Reg):
        return FALL, None, _wide(mnemonic, operands, parts)
    if mnemonic.startswith(_COPIES) and isinstance(parts[0], Place):
        counted = tuple(_COUNTED.findall(operands))
        return FALL, None, ((FILL, parts[0].mem.base), (DEF, counted, ()))
    return FALL, None, _data(mnemonic, parts)


def _wide(name: str, operands: str, parts: list[Operand]) -> tuple[Op, ...]:
    """
    An instruction on vectors: no other register is written, but for the address's own.

    A store whose address is more than a register may go anywhere from there.
    """
    if isinstance(parts[0], Vector) and any(isinstance(p, Place) for p in parts):
        return _data(name, parts)
    stores = name.startswith("st")
    if not stores and ", [" not in operands:
        return ()
    match = _SIMPLE_PLACE.search(operands)
    if match is None:
        return _unknown(parts)
    base = Reg(match[1], 64)
    filled: tuple[Op, ...] = ((FILL, base.name),) if stores else ()
    moved = parts[-1]
    if isinstance(moved, Reg):
        return (*filled, (ADDREG, base.name, base.name, moved.name, 1, 64))
    if isinstance(moved, Place) and moved.after:
        return (*filled, (ADD, base.name, base.name, moved.after, 64))
    return filled


def split(operands: str) -> list[Operand]:
    """The operands of an instruction; None for what is none of these (a system register)."""
    texts: list[str] = []
    depth = 0
    for piece in operands.split(", ") if operands else ():
        if depth:
            texts[-1] += f", {piece}"
        else:
            texts.append(piece)
        depth += piece.count("[") + piece.count("{") - piece.count("]") - piece.count("}")
    found: list[Operand] = []
    for text in texts:
        if found and isinstance(found[-1], Place) and text[:1] == "#":
            moved = _number(text)
            if moved is not None:  # post-index
                found[-1] = found[-1]._replace(after=moved)
                continue
        found.append(_operand(text))
    return found


def veneer(code: bytes, address: int) -> int:
    """
    Where a module's entry of its ``.plt`` leads, 0 if it is none.

    ``adrp x16, …; add x16, x16, …; br x16``, before 5.0 ``movn``, two ``movk`` and ``br``
    (``arch/arm64/kernel/module-plts.c``; Linux kernel commit bdb85cd1d206 ("arm64/module:
    switch to ADRP/ADD sequences for PLT entries")).
    """
    if len(code) < VENEER_BYTES:
        return 0
    words = [int.from_bytes(code[at : at + 4], "little") for at in range(0, VENEER_BYTES, 4)]
    if words[0] & 0xFFFF_FC1F == 0xD503_241F:  # bti
        words, address = words[1:], address + 4
    first, second = words[:2]
    if first & 0x9F00_001F == 0x9000_0010 and second & 0xFFC0_03FF == 0x9100_0210:
        pages = (first >> 5 & 0x7_FFFF) << 2 | first >> 29 & 3
        pages -= (pages & 1 << 20) << 1
        target = ((address >> 12) + pages << 12) + (second >> 10 & 0xFFF)
        return target % (1 << 64) if words[2] == _BR_X16 else 0
    if first & 0xFFE0_001F == 0x9280_0010 and words[3] == _BR_X16:
        low, middle, high = (word >> 5 & 0xFFFF for word in words[:3])
        is_rest = [word & 0xFFE0_001F for word in words[1:3]] == [0xF2A0_0010, 0xF2C0_0010]
        number = (1 << 64) - 1 & ~0xFFFF_FFFF_FFFF | high << 32 | middle << 16 | ~low & 0xFFFF
        return number if is_rest else 0
    return 0


def jump_table(before: Sequence[Insn]) -> JumpTable | None:
    """
    The table of a switch, as GCC writes it.

    ``cmp wI, #last; b.hi …; adrp xT; add xT; ldrb wE, [xT, wI, uxtw]; adr xB, base;
    add xJ, xB, wE, sxtb #2; br xJ``
    """
    jump = _definition(before, len(before) - 1, before[-1].text[1])
    if jump is None or before[jump].text[0] != "add":
        return None
    _, _, sum_ = before[jump].text[1].partition(", ")
    base, entry, extended = (*sum_.split(", "), "", "")[:3]
    size = {"sxtb #2": 1, "sxth #2": 2, "sxtw #2": 4}.get(extended)
    start = _definition(before, jump, base)
    load = _definition(before, jump, entry)
    if size is None or start is None or load is None or before[start].text[0] != "adr":
        return None
    parts = before[load].text[1].split(", [")[-1].rstrip("]").split(", ")
    scaled = {1: "uxtw", 2: "uxtw #1", 4: "uxtw #2"}[size]
    if len(parts) != 3 or parts[2] != scaled:
        return None
    if before[load].text[0] != {1: "ldrb", 2: "ldrh", 4: "ldr"}[size]:
        return None
    table, index, _ = parts
    address = _address(before, load, table)
    last = _bound(before, load, index)
    origin = _number(before[start].text[1].rpartition(", ")[2])
    if address is None or last is None or origin is None:
        return None
    return JumpTable(address, size, last + 1, origin)


def _definition(code: Sequence[Insn], end: int, register: str) -> int | None:
    """The last instruction before another one that writes a register, by its first operand."""
    number = register.lstrip("wx")
    for at in range(end - 1, -1, -1):
        first = code[at].text[1].partition(", ")[0]
        if code[at].kind != FALL and code[at].kind != BRANCH:
            return None
        if first.lstrip("wx") == number and code[at].ops:
            return at
    return None


def _address(code: Sequence[Insn], end: int, register: str) -> int | None:
    """What ``adrp`` and ``add`` made."""
    low = _definition(code, end, register)
    if low is None:
        return None
    mnemonic, operands = code[low].text
    parts = operands.split(", ")
    if mnemonic == "adr":
        return _number(parts[1])
    page = _definition(code, low, parts[1]) if mnemonic == "add" and len(parts) == 3 else None
    if page is None or code[page].text[0] != "adrp":
        return None
    high, more = _number(code[page].text[1].rpartition(", ")[2]), _number(parts[2])
    return None if high is None or more is None else high + more


def _bound(code: Sequence[Insn], end: int, index: str) -> int | None:
    """The largest index, by the comparison before; None if it was changed since."""
    written = _definition(code, end, index)
    first = -1 if written is None else written
    compared = {f"{index}, #"}
    if written is not None and code[written].text[0] == "mov":
        # A copy: what it was made from may be compared in its place.
        source = code[written].text[1].partition(", ")[2]
        changed = _definition(code, end, source)
        if source[:1] == "w" and (changed is None or changed < written):
            compared.add(f"{source}, #")
    for at in range(end - 1, first, -1):
        mnemonic, operands = code[at].text
        if mnemonic == "cmp" and operands.startswith(tuple(compared)):
            last = _number(operands.partition(", ")[2])
            above = any(i.text[0] in ("b.hi", "b.ls") for i in code[at + 1 : end])
            return last if above and last is not None and last < _MAX_CASES else None
    return None


def memory(mnemonic: str, operands: str) -> list[tuple[Mem, int]]:
    """What an instruction accesses: places, each with its size in bytes."""
    if mnemonic.startswith(("prfm", "prfum")):
        return []
    parts = split(operands)
    place = next((p for p in parts if isinstance(p, Place)), None)
    if place is None:
        return []
    mem = place.mem._replace(disp=place.mem.disp + place.before)
    accessed = _access(mnemonic, parts, mem) or ()
    sizes = [op[3] for op in accessed if op[0] in (LOAD, STORE)]
    return [(mem, sum(sizes) or 8)]


def _operand(text: str) -> Operand:
    register = _REGISTERS.get(text)
    if register is not None:
        return register
    if text[:1] == "#":
        return _number(text)
    if text[:1] == "[":
        return _memory(text)
    word, _, rest = text.partition(" ")
    if rest[:1] == "#" or word in _EXTENSIONS or word in ("sxtx", "uxtx"):
        return Shift(text)
    if text[:1] in _VECTOR_SIZES and text[1:].isdigit():
        return Vector(_VECTOR_SIZES[text[0]])
    return None


def _number(text: str) -> int | None:
    try:
        return int(text.lstrip("#"), 0)
    except ValueError:
        return None


def _memory(text: str) -> Place | None:
    inside, _, behind = text[1:].partition("]")
    base, *rest = inside.split(", ")
    register = _REGISTERS.get(base)
    if register is None or register.bits != 64:
        return None
    index: str | None = None
    scale, disp = 1, 0
    for piece in rest:
        known = _REGISTERS.get(piece)
        number = _number(piece) if piece[:1] == "#" else None
        if number is not None:
            disp = number
        elif known is not None:
            index, scale = known.name, 1 if known.bits == 64 else 0
        else:
            word, _, amount = piece.partition(" #")
            if word == "lsl" and scale:
                scale = 1 << (_number(amount) or 0)
            else:
                scale = 0  # extended: not followed
    if behind == "!":
        return Place(Mem(register.name), before=disp)
    return Place(Mem(register.name, index, scale, disp))


def _through(plain: bool, parts: list[Operand]) -> str | None:
    what = parts[0] if plain and parts else None
    return what.name if isinstance(what, Reg) else None


def halves(mnemonic: str, operands: str) -> str:
    """The register of which an instruction writes 32 bits, and thereby clears the others."""
    register = _REGISTERS.get(operands.partition(",")[0].strip())
    stores = mnemonic.startswith(("st", "cas", "ldp", "swp"))
    return register.name if register is not None and register.bits == 32 and not stores else ""


def _reads(parts: list[Operand]) -> tuple[str, ...]:
    return tuple(p.name for p in parts if isinstance(p, Reg) and p.name != "zr")


def _define(what: Operand, reads: tuple[str, ...] = ()) -> tuple[Op, ...]:
    if isinstance(what, Reg) and what.name != "zr":
        return ((DEF, (what.name,), reads),)
    return ()


def _data(name: str, parts: list[Operand]) -> tuple[Op, ...]:
    if name == "mov":
        return _move(parts)
    if name in ("add", "adds", "sub", "subs"):
        return _sum(parts, 1 if name.startswith("add") else -1)
    if name in ("adr", "adrp"):
        match parts:
            case [Reg(dst), int(number)]:
                return ((CONST, dst, number),)
    if name in ("and", "ands"):
        return _and(parts)
    if name in _EXTENSIONS:
        match parts:
            case [Reg(dst), Reg(src)] if dst != "zr" != src:
                return ((MOVE, dst, src, _EXTENSIONS[name]),)
    if name == "csel":
        match parts:
            case [Reg(dst, bits), Reg(one), Reg(other), _] if "zr" not in (dst, one, other):
                return ((SELECT, dst, one, other, bits),)
        return _define(parts[0] if parts else None, _reads(parts))
    if name == "mrs":
        return _define(parts[0] if parts else None)
    if name in _SIGNS_RETURN_ADDRESS:
        return ((DEF, ("x30",), ()),)
    if name in _FIRST_OPERAND:
        return _define(parts[0] if parts else None, _reads(parts[1:]))
    if name in ("hvc", "smc", "svc"):
        return ((DEF, CALLER_SAVED, ()),)
    return _memory_access(name, parts)


def _move(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg("zr"), _]:
            return ()
        case [Reg(dst), Reg("zr")]:
            return ((CONST, dst, 0),)
        case [Reg(dst, bits), Reg(src, width)]:
            return ((MOVE, dst, src, min(bits, width)),)
        case [Reg(dst, bits), int(number)]:
            return ((CONST, dst, number & ((1 << bits) - 1)),)
    return _define(parts[0] if parts else None)


def _sum(parts: list[Operand], sign: int) -> tuple[Op, ...]:
    match parts:
        case [Reg(dst, bits), Reg(src), int(number)] if "zr" not in (dst, src):
            return ((ADD, dst, src, sign * number, bits),)
        case [Reg(dst, bits), Reg(src), int(number), Shift(text)] if "zr" not in (dst, src):
            shift = _number(text.rpartition(" ")[2]) if text.startswith("lsl #") else None
            if shift is not None:
                return ((ADD, dst, src, sign * (number << shift), bits),)
        case [Reg(dst, bits), Reg(one, width), Reg(other)] if "zr" not in (dst, one, other):
            if width == bits:
                return ((ADDREG, dst, one, other, sign, bits),)
    return _define(parts[0] if parts else None, _reads(parts[1:]))


def _and(parts: list[Operand]) -> tuple[Op, ...]:
    match parts:
        case [Reg(dst, bits), Reg(src), int(number)] if "zr" not in (dst, src) and dst != SP:
            mask = number & ((1 << bits) - 1)
            kept = (~mask & (mask + 1)).bit_length() - 1  # low bits that stay
            if kept >= 8:
                return ((MOVE, dst, src, min(kept, bits)),)
    return _define(parts[0] if parts else None, _reads(parts[1:]))


def extended(operands: str, index: int) -> int | None:
    """
    Bytes that an index of 32 bits adds to an address.

    >>> extended("w0, [x1, w2, sxtw #2]", 0xFFFFFFFF)
    -4
    """
    match = _EXTENDED.search(operands)
    if match is None:
        return None
    index &= (1 << 32) - 1
    if match[1] == "s" and index >> 31:
        index -= 1 << 32
    return index << int(match[2] or 0)


def _memory_access(name: str, parts: list[Operand]) -> tuple[Op, ...]:
    place = next((p for p in parts if isinstance(p, Place)), None)
    if place is None:
        match parts:
            case [Reg(dst), int(address)] if name.startswith(("ldr", "ldrsw")):
                return ((LOAD, dst, Mem(None, disp=address), 8),)
        return _unknown(parts)
    moved = place.mem.base or ""
    before = ((ADD, moved, moved, place.before, 64),) if place.before else ()
    after = ((ADD, moved, moved, place.after, 64),) if place.after else ()
    inner = _access(name, parts, place.mem)
    if inner is None:
        return _unknown(parts)
    return (*before, *inner, *after)


def _access(name: str, parts: list[Operand], mem: Mem) -> tuple[Op, ...] | None:
    first = parts[0]
    if name in _PAIRS:
        return _load_pair(name, parts, mem)
    if name in _STORE_PAIRS:
        size = _size(first)
        second = mem._replace(disp=mem.disp + size)
        return (_store(first, mem, size), _store(parts[1], second, size))
    if name.startswith(_EXCLUSIVE):
        size = 16 if name.endswith("p") else _sized(name, parts[1])
        source = None if name.endswith("p") else parts[1]
        return (_store(source, mem, size), *_define(first))
    if name in _LOADING:
        return (_store(None, mem, _size(parts[1])), *_define(parts[1]))
    if name in _STORING:
        return (_store(None, mem, _size(first)),)
    if name in _COMPARING:
        return (_store(None, mem, _size(first)), *_define(first))
    if name.startswith(_LOADS):
        if isinstance(first, Reg):
            return () if first.name == "zr" else ((LOAD, first.name, mem, _sized(name, first)),)
        return () if isinstance(first, Vector) else None
    if name.startswith(_STORES):
        return (_store(first, mem, _sized(name, first)),)
    return None


def _load_pair(name: str, parts: list[Operand], mem: Mem) -> tuple[Op, ...] | None:
    one, other = parts[0], parts[1]
    if isinstance(one, Vector):
        return ()
    if not isinstance(one, Reg) or not isinstance(other, Reg):
        return None
    size = 4 if name == "ldpsw" else one.bits // 8
    loads = [
        (LOAD, register.name, mem._replace(disp=mem.disp + at), size)
        for register, at in ((one, 0), (other, size))
        if register.name != "zr"
    ]
    if one.name == mem.base:  # the base goes last
        loads.reverse()
    return tuple(loads)


def _size(what: Operand) -> int:
    if isinstance(what, Reg):
        return what.bits // 8
    return what.size if isinstance(what, Vector) else _UNKNOWN_SIZE


def _sized(name: str, what: Operand) -> int:
    """Bytes of an access by the end of its name, or by the register."""
    for suffix in ("sb", "sh", "sw", "b", "h"):
        if name.endswith(suffix) and not isinstance(what, Vector):
            return _SUFFIXES[suffix]
    return _size(what)


def _store(what: Operand, mem: Mem, size: int) -> Op:
    if isinstance(what, Reg):
        return (STORE, mem, 0 if what.name == "zr" else what.name, size, False)
    return (STORE, mem, None, size, False)


def _unknown(parts: list[Operand]) -> tuple[Op, ...]:
    stores = tuple(
        (STORE, p.mem, None, _UNKNOWN_SIZE, False) for p in parts if isinstance(p, Place)
    )
    written = tuple(r for r in REGISTERS if r != SP)
    return (*stores, (DEF, written, _reads(parts)))
