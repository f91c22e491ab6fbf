"""What the kernel's own table of parameters says of the variables behind them.

``module_param(name, type, perm)`` leaves a ``struct kernel_param`` with the variable's
address and the operations of its type: ``param_ops_bool`` for a bool, whatever another
kernel has under that name. For arrays it leaves the number of elements, too.

Owns the reading of that table. Facts: include/linux/moduleparam.h (``__param_check()``
makes the compiler compare the types); include/asm-generic/vmlinux.lds.h for the bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import drgn

from btfdbg.btf import Btf
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.symbols import Symbol

_MAX_PARAMETERS = 1 << 14
_OPS = "param_ops_"
_TYPES = {
    "bool": "bool",
    "invbool": "bool",
    "bool_enable_only": "bool",
    "byte": "unsigned char",
    "charp": "char *",
    "short": "short",
    "ushort": "unsigned short",
    "int": "int",
    "bint": "int",
    "uint": "unsigned int",
    "hexint": "unsigned int",
    "long": "long",
    "ulong": "unsigned long",
    "ullong": "unsigned long long",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    The variable behind a parameter.

    :ivar type: of the variable, or of its elements.
    :ivar length: elements of an array; None for a single value.
    """

    type: str
    length: int | None = None

    def __str__(self) -> str:
        return self.type if self.length is None else f"{self.type} [{self.length}]"


def read_parameters(
    btf: Btf,
    read: Callable[[int, int], bytes],
    address_of: Callable[[str], int | None],
    symbol_at: Callable[[int], Symbol | None],
) -> dict[int, Parameter]:
    """
    Return the built-in parameters of known type, by the addresses of their variables.

    :param address_of: address of a symbol that exists once, else None.
    :return: empty where the table cannot be read.
    """
    start, stop = address_of("__start___param"), address_of("__stop___param")
    if start is None or stop is None:
        return {}
    try:
        row = btf.resolve_size(btf.find_by_name_kind("kernel_param"))
        ops = btf.offset_of("kernel_param", "ops") // 8
        arg = btf.offset_of("kernel_param", "arg") // 8
        array = _Array.of(btf)
        count = (stop - start) // row
        if not 0 < count <= _MAX_PARAMETERS:
            return {}
        table = read(start, row * count)
    except (BtfError, drgn.FaultError, ValueError):
        return {}
    pointer = struct.Struct(("<" if btf.byteorder == "little" else ">") + "Q")
    names: dict[int, str] = {}

    def name_of(address: int) -> str:
        if address not in names:
            symbol = symbol_at(address)
            exact = symbol is not None and symbol.address == address
            names[address] = symbol.name if symbol is not None and exact else ""
        return names[address]

    def type_of(address: int) -> str | None:
        name = name_of(address)
        return _TYPES.get(name.removeprefix(_OPS)) if name.startswith(_OPS) else None

    found: dict[int, Parameter] = {}
    for at in range(0, len(table), row):
        (ops_at,) = pointer.unpack_from(table, at + ops)
        (target,) = pointer.unpack_from(table, at + arg)
        type_ = type_of(ops_at)
        if type_ is not None:
            found[target] = Parameter(type_)
        elif name_of(ops_at) == "param_array_ops":
            try:
                elements, length, elements_ops = array.read(read, pointer, target)
            except drgn.FaultError:
                continue
            type_ = type_of(elements_ops)
            if type_ is not None:
                found[elements] = Parameter(type_, length)
    return found


@dataclass(frozen=True, slots=True)
class _Array:
    """Where ``struct kparam_array`` has what; bytes."""

    size: int
    max: int
    ops: int
    elem: int

    @classmethod
    def of(cls, btf: Btf) -> _Array:
        offsets = (btf.offset_of("kparam_array", name) // 8 for name in ("max", "ops", "elem"))
        return cls(btf.resolve_size(btf.find_by_name_kind("kparam_array")), *offsets)

    def read(
        self, read: Callable[[int, int], bytes], pointer: struct.Struct, address: int
    ) -> tuple[int, int, int]:
        """Return the elements' address, their number, and the address of their operations."""
        data = read(address, self.size)
        order = pointer.format[0]
        (length,) = struct.unpack_from(f"{order}I", data, self.max)
        (elements,) = pointer.unpack_from(data, self.elem)
        (ops,) = pointer.unpack_from(data, self.ops)
        return elements, length, ops
