"""Where the table of taint flags is, by what stands in it.

Owns finding ``taint_flags`` in a kernel whose kallsyms has functions only. The flags and their
letters are fixed, as users read them in logs, and no other table looks so: it is believed if it
is there once.

Facts: ``kernel/panic.c`` (``taint_flags``, constant since commit 7fd8329ba502, in v4.10),
``include/linux/panic.h`` (``struct taint_flag``: the letters come first, what is behind them
differs between kernels).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import drgn
from drgn import FaultError, Object

from btfdbg.btf import Kind

if TYPE_CHECKING:
    from btfdbg.program.session import Session

# Letters of the flags that every kernel since v4.10 has; where the flag is not set, a blank.
_LETTERS = b"PFSRMBUDAWCIOELK"
_CHUNK = 1 << 20
_MAX_SPAN = 256 << 20
_MAX_STRIDE = 64
_MAX_FLAGS = 32


def taint_flags(session: Session) -> Object | None:
    """
    Return the table, ``const struct taint_flag [N]``.

    It lies between the first and the last function. How long it is, its own entries say: a
    letter, and a blank where the flag is not set.

    :raises BtfError: the kernel's BTF has no such structure.
    """
    prog, btf = session.prog, session.vmlinux
    tags = btf.types_by_name("taint_flag", Kind.STRUCT)
    functions = getattr(session.symbols, "image_range", None)
    if functions is None or len(tags) != 1:
        return None
    stride = btf.resolve_size(tags[0])
    letter, blank = (btf.offset_of("taint_flag", name) // 8 for name in ("c_true", "c_false"))
    if not 2 <= stride <= _MAX_STRIDE:
        return None

    def entry(is_set: bytes, is_not: bytes) -> bytes:
        parts = [b"."] * stride
        parts[letter], parts[blank] = is_set, is_not
        return b"".join(parts)

    first = entry(b"P", b"G")
    others = (entry(bytes((one,)), b" ") for one in _LETTERS[1:])
    later = entry(b"[A-Z]", b" ")
    most = b"%d" % (_MAX_FLAGS - len(_LETTERS))
    table = re.compile(b"(?s)" + first + b"".join(others) + b"(?:" + later + b"){0," + most + b"}")
    start, end = functions
    found: dict[int, int] = {}
    for at in range(start & -4096, min(end, start + _MAX_SPAN), _CHUNK):
        try:
            data = prog.read(at, _CHUNK + stride * _MAX_FLAGS)
        except FaultError:
            continue
        for match in table.finditer(data):
            found[at + match.start()] = len(match[0]) // stride
    if len(found) != 1:
        return None
    ((address, length),) = found.items()
    element = prog.type("struct taint_flag").qualified(drgn.Qualifiers.CONST)
    return Object(prog, prog.array_type(element, length), address=address)
