"""Machine code to text, by capstone.

Owns opening capstone for an architecture and iterating over instructions as
(address, size, mnemonic, operands). Knows no meaning of any of them.

Why not always capstone's Python classes: importing them costs 25 to 50 ms of CPU (a module of
names for each of its thirty architectures), as much as all of a ``bt``. Its library is called
through ctypes in 6 ms, if it is of the version whose ``cs_insn`` is written down here; any
other version is used by its own classes.

Facts: capstone 5 ``include/capstone/capstone.h`` (``cs_insn``, ``cs_open``, ``cs_disasm_iter``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from btfdbg.errors import DebugInfoError

Text = tuple[int, int, str, str]
"""Address, size in bytes, mnemonic, operands."""


class Disassembler(Protocol):
    """Disassemble bytes."""

    def __call__(self, code: bytes, address: int, skip: int = 0, /) -> Iterator[Text]:
        """
        Give instructions up to the end, or to what cannot be decoded.

        :param address: Of the first instruction.
        :param skip: Bytes of the code that stand before it.
        """


# cs_arch and cs_mode, the same numbers since capstone 3.
_ARCHITECTURES = {"x86_64": (3, 1 << 3), "aarch64": (1, 0)}
_VERSION = 5


def open_disassembler(machine: str) -> Disassembler:
    """
    Open capstone for ``x86_64`` or ``aarch64``.

    :raises DebugInfoError: capstone is not installed, or the architecture is another.
    """
    made: Disassembler | None = None
    for folder in _folders(machine):
        made = made or _by_library(folder, machine)
    made = made or _by_classes(machine)
    return _with_unprivileged(made) if machine == "aarch64" else _with_operands_of_ud1(made)


def open_when_needed(machine: str) -> Disassembler:
    """
    As :func:`open_disassembler`, but capstone, 5 MB, is loaded for the first bytes only.

    :raises DebugInfoError: likewise; if it does not load, what is returned raises it.
    """
    _folders(machine)
    made: Disassembler | None = None

    def disassemble(code: bytes, address: int, skip: int = 0) -> Iterator[Text]:
        nonlocal made
        if made is None:
            made = open_disassembler(machine)
        return made(code, address, skip)

    return disassemble


def _folders(machine: str) -> list[str]:
    """Where capstone is."""
    if machine not in _ARCHITECTURES:
        raise DebugInfoError(f"machine code of {machine} is not read", step="frames")
    from importlib.util import find_spec

    spec = find_spec("capstone")
    if spec is None or not spec.submodule_search_locations:
        raise DebugInfoError(
            "the machine code cannot be read: capstone is not installed",
            step="frames",
            hint="pip install 'btfdbg[disasm]'",
        )
    return list(spec.submodule_search_locations)


def version() -> bytes | None:
    """What tells the capstone that is installed from others; None if it cannot be told."""
    import os
    from importlib.util import find_spec

    spec = find_spec("capstone")
    found = []
    try:
        for folder in (spec and spec.submodule_search_locations) or ():
            with os.scandir(os.path.join(folder, "lib")) as files:
                for file in files:
                    status = file.stat()
                    found.append((file.name, status.st_size, status.st_mtime_ns))
    except OSError:
        return None
    return repr(sorted(found)).encode() if found else None


def _with_operands_of_ud1(disassemble: Disassembler) -> Disassembler:
    """
    Give ``ud1`` its whole length.

    capstone (4 and 5) ends it behind its opcode, 0f b9, though a ModRM byte follows (SDM
    volume 2, UD). Newer kernels' warnings are made of it (7.2's are).
    """

    def both(code: bytes, address: int, skip: int = 0) -> Iterator[Text]:
        again = True
        while again:
            again = False
            for insn in disassemble(code, address, skip):
                at, size, mnemonic, operands = insn
                if mnemonic not in ("ud0", "ud1") or operands:
                    yield insn
                    continue
                behind = skip + at - address + size
                size += _modrm_length(code[behind : behind + 6])
                yield at, size, mnemonic, operands
                skip += at - address + size
                address = at + size
                again = True
                break

    return both


def _modrm_length(code: bytes) -> int:
    """Bytes of a ModRM byte and what belongs to it: SIB and displacement."""
    if not code:
        return 0
    mod, rm = code[0] >> 6, code[0] & 7
    if mod == 3:
        return 1
    length = 1
    if rm == 4:
        length += 1
        if mod == 0 and len(code) > 1 and code[1] & 7 == 5:
            length += 4
    elif rm == 5 and mod == 0:
        length += 4
    return length + (0, 1, 4)[mod]


def _with_unprivileged(disassemble: Disassembler) -> Disassembler:
    """
    Decode also ``ldtrb w1, [x1]``, which get_user() is made of.

    capstone (4 and 5) takes an unprivileged access whose two registers are one for an
    instruction with write-back, where that is not allowed.
    """

    def both(code: bytes, address: int, skip: int = 0) -> Iterator[Text]:
        while skip < len(code):
            for insn in disassemble(code, address, skip):
                yield insn
                skip += insn[1]
                address = insn[0] + insn[1]
            found = _unprivileged(disassemble, code[skip : skip + 4], address)
            if found is None:
                return
            yield found
            skip += 4
            address += 4

    return both


def _unprivileged(disassemble: Disassembler, code: bytes, address: int) -> Text | None:
    word = int.from_bytes(code, "little")
    register = word & 31
    if len(code) < 4 or word & 0x3F20_0C00 != 0x3800_0800 or word >> 5 & 31 != register:
        return None
    other = (word | 31).to_bytes(4, "little")  # the same with the zero register
    for _, size, mnemonic, operands in disassemble(other, address):
        zero, _, place = operands.partition(", ")
        return address, size, mnemonic, f"{zero[0]}{register}, {place}"
    return None


def _by_library(folder: str, machine: str) -> Disassembler | None:
    """Call the library that came with the wheel; None if it is another than we know."""
    import ctypes
    import os

    class CsInsn(ctypes.Structure):
        _fields_ = (
            ("id", ctypes.c_uint),
            ("address", ctypes.c_uint64),
            ("size", ctypes.c_uint16),
            ("bytes", ctypes.c_ubyte * 24),
            ("mnemonic", ctypes.c_char * 32),
            ("op_str", ctypes.c_char * 160),
            ("detail", ctypes.c_void_p),
        )

    try:
        names = sorted(n for n in os.listdir(os.path.join(folder, "lib")) if ".so" in n)
        library = ctypes.CDLL(os.path.join(folder, "lib", names[0]))
        if library.cs_version(None, None) >> 8 != _VERSION:
            return None
        handle = ctypes.c_size_t()
        arch, mode = _ARCHITECTURES[machine]
        if library.cs_open(arch, mode, ctypes.byref(handle)):
            return None
        library.cs_malloc.argtypes = (ctypes.c_size_t,)
        library.cs_malloc.restype = ctypes.POINTER(CsInsn)
        step = library.cs_disasm_iter
        step.argtypes = (
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        step.restype = ctypes.c_bool
        where = library.cs_malloc(handle)
    except (OSError, AttributeError, IndexError):
        return None
    if not where:
        return None
    insn, key, at = where.contents, handle.value, ctypes.addressof(where.contents)
    refer = ctypes.byref

    def disassemble(code: bytes, address: int, skip: int = 0) -> Iterator[Text]:
        data = ctypes.c_char_p(code)
        first = ctypes.cast(data, ctypes.c_void_p).value or 0
        pointer = ctypes.c_void_p(first + skip)
        left, here = ctypes.c_size_t(len(code) - skip), ctypes.c_uint64(address)
        a, b, c = refer(pointer), refer(left), refer(here)
        while step(key, a, b, c, at):
            yield insn.address, insn.size, insn.mnemonic.decode(), insn.op_str.decode()

    return disassemble


def _by_classes(machine: str) -> Disassembler:
    """Use capstone's own classes, whatever version they are of."""
    try:
        import capstone

        engine = capstone.Cs(*_ARCHITECTURES[machine])
    except Exception as error:  # a CsError is an Exception and no more
        raise DebugInfoError(
            f"the machine code cannot be read: capstone does not load: {error}",
            step="frames",
            hint="pip install --upgrade 'btfdbg[disasm]'",
        ) from error

    def disassemble(code: bytes, address: int, skip: int = 0) -> Iterator[Text]:
        yield from engine.disasm_lite(code[skip:], address)

    return disassemble
