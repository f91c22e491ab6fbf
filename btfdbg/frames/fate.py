"""What becomes of a value that code has just read from a variable, in the next instructions.

Owns telling that it is used as an address, which a number's is not, and that something is added
to it before it is put back, which needs another step than that of an ``atomic_t``. Straight on
only, and not past a call: what a jump or a call leads to is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.frames.code import Arch
    from btfdbg.frames.ir import Mem

Decoded = tuple[int, int, str, str]
"""Address and bytes of an instruction, its mnemonic and operands."""

_ADDS = frozenset(("add", "sub", "inc", "dec"))
_ASKS = frozenset(("cmp", "test", "push", "bt"))
_PREFETCH = "prefetch"


@dataclass(frozen=True, slots=True)
class Fate:
    """
    What is done with a value.

    :ivar is_address: memory is read or written at the address that the value is.
    :ivar is_put_back: it goes back to where it came from, with something added.
    """

    is_address: bool = False
    is_put_back: bool = False


def fate(
    arch: Arch, following: Iterable[Decoded], register: str, is_home: Callable[[Mem, int], bool]
) -> Fate:
    """
    What x86-64's instructions do with what a register has.

    :param following: those after the one that read the value, as many as are to be looked at.
    :param is_home: whether a place, in an instruction that ends at an address, is the variable.
    """
    held = {register: False}  # registers with the value, and whether something was added to it
    is_address = is_put_back = False
    for address, length, mnemonic, operands in following:
        name = mnemonic.split()[-1]
        if name in ("call", "jmp") or name.startswith("ret"):
            break
        parts = arch.split(operands)
        for mem, _ in () if name.startswith(_PREFETCH) else arch.memory(mnemonic, operands):
            if mem.base is not None and held.get(mem.base) is False:
                is_address = is_address or (mem.index_by is None and not mem.segment)
        if len(parts) == 2 and name == "mov" and getattr(parts[0], "mem", None) is not None:
            is_sum = held.get(_register(parts[1]), False)
            is_put_back = is_put_back or (is_sum and is_home(parts[0].mem, address + length))
        _move_on(held, name, parts)
        if not held:
            break
    return Fate(is_address, is_put_back)


def _register(part: Any) -> str:
    return str(getattr(part, "name", ""))


def _move_on(held: dict[str, bool], name: str, parts: Sequence[Any]) -> None:
    """Which registers have the value after an instruction."""
    if not parts or name in _ASKS:
        return
    target = _register(parts[0])
    if name in _ADDS:
        # What is added may be a register or a number; from memory it may be the place's own.
        if target in held:
            held[target] = True
        return
    if name.startswith(("xchg", "cmpxchg", "mul", "imul", "div", "idiv")):
        held.clear()  # they write more than they name
        return
    if not target:
        return
    source = parts[1] if len(parts) == 2 else None
    mem = getattr(source, "mem", None)
    is_sum = name == "lea" and mem is not None and mem.base in held and mem.index_by is None
    copied = held.get(_register(source)) if name == "mov" else None
    held.pop(target, None)
    if copied is not None or is_sum:
        held[target] = is_sum or bool(copied)
