"""Which member an access means, where its place alone does not say.

Owns the cases in which a type has more than one thing at an offset, or the access is larger or
smaller than what is there: elements of arrays by an index in a register, bit-fields by the bits
that the code uses, unions, and parts of structs that are copied. The member's path is a name,
or all that it may be in braces: ``{low, mid}``.

Must not know where a pointer's type came from.

Facts: Intel SDM volume 2 (TEST, SHR); Arm ARM C6 (UBFX, TBZ).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.ir import STORE
from btfdbg.frames.layout import enclosing, members_at, pointed_to, size_of, underlying
from btfdbg.lazy_pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from btfdbg.frames.ir import Insn, Mem

_BITS = 8
_MAX_NAMES = 4
_PAIR = 16  # bytes that arm64's ldp and stp access
_LOOK_AHEAD = 6
_INDEX = pattern(r"\[\d+\]")


def path_at(
    type_: drgn.Type,
    offset: int,
    size: int,
    index: int = 0,
    used: int | None = None,
    pointer: bool | None = None,
) -> str:
    """
    The path of what an access means in a type.

    :param offset: Bytes, without what a register adds for an index.
    :param size: Bytes of the access.
    :param index: Bytes that a register adds. They must stay in one array of the type.
    :param used: The bits of what was read that the code uses; None if not known.
    :param pointer: Whether a pointer is meant, or a number; None if not known.
    :return: ``words[3]``, ``{low, mid}``; "" if nothing can be said.
    """
    if index:
        return _element(type_, offset, size, index)
    found = members_at(type_, offset, size)
    if len({m.path for m in found}) > 1 and used is not None:
        exact = _with_bits(type_, offset, used)
        found = [m for m in found if m.path in exact] or found
    if pointer is not None and all(m.type is not None for m in found):
        found = [m for m in found if (pointed_to(m.type) is not None) is pointer] or found
    every = list(dict.fromkeys(m.path for m in found if m.path))
    # A union that is accessed whole is among its own members.
    paths = [p for p in every if not any(q.startswith((f"{p}.", f"{p}[")) for q in every)]
    if not paths and size == _PAIR and not enclosing(type_, offset, size):
        halves = (path_at(type_, at, _PAIR // 2) for at in (offset, offset + _PAIR // 2))
        paths = [path for path in halves if path]
        return _braces(paths) if len(paths) == 2 else ""
    if not paths:
        return enclosing(type_, offset, size)
    return paths[0] if len(paths) == 1 else _braces(paths)


def _element(type_: drgn.Type, offset: int, size: int, index: int) -> str:
    """A member of an array's element: the same one as that of the element without an index."""
    there = {m.path for m in members_at(type_, offset + index, size)}
    here = {_INDEX.sub("[]", m.path) for m in members_at(type_, offset, size)}
    paths = [p for p in there if "[" in p and _INDEX.sub("[]", p) in here]
    return paths[0] if len(paths) == 1 and len(there) == 1 else ""


def _braces(paths: list[str]) -> str:
    """
    Several paths as one, with what they have in common in front.

    >>> _braces(["either.as_number", "either.as_node"])
    'either.{as_number, as_node}'
    """
    split = [path.split(".") for path in paths]
    common = 0
    while all(len(p) > common + 1 and p[common] == split[0][common] for p in split):
        common += 1
    front = "".join(f"{name}." for name in split[0][:common])
    names = [".".join(p[common:]) for p in split]
    if len(names) > _MAX_NAMES:
        names = [*names[: _MAX_NAMES - 1], "…"]
    return f"{front}{{{', '.join(names)}}}"


def _with_bits(type_: drgn.Type, offset: int, used: int) -> set[str]:
    """Paths of the bit-field whose bits are used: all of them, or within one alone."""
    found: list[tuple[str, int]] = []
    _bit_fields(type_, -_BITS * offset, "", found, 0)
    touched = [(path, mask) for path, mask in found if mask & used]
    return {touched[0][0]} if len(touched) == 1 else set()


def _bit_fields(
    type_: drgn.Type, start: int, before: str, found: list[tuple[str, int]], depth: int
) -> None:
    """Bit-fields and their masks, bit 0 being the first of the access."""
    real = underlying(type_)
    if real.kind not in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION) or depth > _BITS:
        return
    for member in real.members or ():
        at = start + member.bit_offset
        path = f"{before}{member.name or ''}"
        if member.bit_field_size is None:
            size = size_of(member.type)
            if size is not None and at < 64 and at + _BITS * size > 0:
                _bit_fields(
                    member.type, at, f"{path}." if member.name else before, found, depth + 1
                )
            continue
        bits = ((1 << member.bit_field_size) - 1) << at if at >= 0 else 0
        if at < 0 < at + member.bit_field_size:
            bits = (1 << (at + member.bit_field_size)) - 1
        if bits & ((1 << 64) - 1):
            found.append((path, bits))


def used_bits(insns: Mapping[int, Insn], insn: Insn, mem: Mem, size: int) -> int | None:
    """
    The bits of memory that an instruction and those behind it use.

    :return: A mask, bit 0 being the first of the access; None if the code does not tell, as
        where what was read is written back, or the instruction is none that reads.

    >>> hex(used_bits(insns, insn, mem, 2))  # movzx eax, word ptr [rdi]; shr ax, 3; and eax, 7
    '0x38'
    """
    name = insn.text[0].rpartition(" ")[2]
    whole = (1 << _BITS * size) - 1
    number = _number(insn.text[1].rpartition(", ")[2])
    if number is not None and name in ("test", "or", "xor"):
        return number & whole
    if number is not None and name == "and":
        return ~number & whole
    if not name.startswith(("mov", "ldr")) or any(op[0] == STORE for op in insn.ops):
        return None
    found = _followed(insns, insn, mem, _register(insn.text[1].partition(",")[0]))
    return None if found is None else found & whole


def _followed(insns: Mapping[int, Insn], insn: Insn, mem: Mem, register: str) -> int | None:
    """The bits of a register that are used, or replaced and written back, in a straight line."""
    mask: int | None = None
    how, written = "", False
    shift, at = 0, insn.end
    for _ in range(_LOOK_AHEAD):
        following = insns.get(at)
        if following is None:
            break
        at = following.end
        written |= any(op[0] == STORE and op[1] == mem for op in following.ops)
        if mask is not None or not register:
            continue
        parts = [part.strip() for part in following.text[1].split(",")]
        if register not in (_register(p) for p in parts):
            continue
        numbers = [n for n in (_number(p) for p in parts) if n is not None]
        mask, shift, register = _step(following.text[0], parts, numbers, shift)
        how = "" if shift else following.text[0]
    if mask is None or not written:
        return None if how == "bfi" else mask
    # Read, changed and written back: by "and", the bits that were left alone are the others.
    return ~mask if how == "and" else mask if how == "bfi" else None


def _step(
    name: str, parts: list[str], numbers: list[int], shift: int
) -> tuple[int | None, int, str]:
    """What an instruction does with the register: mask, shift, and where it goes on."""
    count = len(numbers)
    if count == 2 and name in ("ubfx", "sbfx", "bfi"):
        return ((1 << numbers[1]) - 1) << (numbers[0] + shift), shift, ""
    if (count == 2 and name in ("tbz", "tbnz")) or (count == 1 and name == "bt"):
        return 1 << (numbers[0] + shift), shift, ""
    if count == 1 and name in ("and", "test", "tst", "ands"):
        return numbers[0] << shift, shift, ""
    if count == 1 and name in ("shr", "lsr") and shift + numbers[0] < 64:
        return None, shift + numbers[0], _register(parts[0])
    return None, 0, ""


def _number(text: str) -> int | None:
    try:
        return int(text.removeprefix("#"), 0)
    except ValueError:
        return None


def _register(text: str) -> str:
    """A register's name without its width: "a" for eax, "8" for r8d, "3" for w3."""
    match = re.fullmatch(r"[er]?([abcd])[xlh]|[er]?([sd]i|bp|sp)l?|r(\d+)[dwb]?|[wx](\d+)", text)
    return "" if match is None else next(g for g in match.groups() if g)
