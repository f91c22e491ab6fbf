"""What the kernel's own table of parameters says of the variables behind them.

``module_param(name, type, perm)`` leaves a ``struct kernel_param`` with the variable's
address and the operations of its type: ``param_ops_bool`` for a bool, whatever another
kernel has under that name. For arrays it leaves the number of elements, too.

Owns the reading of that table. Facts: include/linux/moduleparam.h (``__param_check()``
makes the compiler compare the types); include/asm-generic/vmlinux.lds.h for the bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping

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


class Parameters(Mapping[int, Parameter]):
    """
    Built-in parameters of known type, by the addresses of their variables.

    Most variables are no parameters, so that the names of operations are looked up for those
    that are asked for.

    :param ops: where the operations of each variable are; for an array with its length.
    :param name_at: name of the symbol at an address, empty without one.
    """

    def __init__(
        self, ops: Mapping[int, tuple[int, int | None]], name_at: Callable[[int], str]
    ) -> None:
        self._ops = ops
        self._name_at = name_at

    def __getitem__(self, address: int) -> Parameter:
        ops, length = self._ops[address]
        name = self._name_at(ops)
        type_ = _TYPES.get(name.removeprefix(_OPS)) if name.startswith(_OPS) else None
        if type_ is None:
            raise KeyError(address)
        return Parameter(type_, length)

    def __iter__(self) -> Iterator[int]:
        return (address for address in self._ops if self.get(address) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_parameters(
    btf: Btf,
    read: Callable[[int, int], bytes],
    address_of: Callable[[str], int | None],
    symbol_at: Callable[[int], Symbol | None],
) -> Mapping[int, Parameter]:
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
    of_arrays = address_of("param_array_ops")
    found: dict[int, tuple[int, int | None]] = {}
    for at in range(0, len(table), row):
        (ops_at,) = pointer.unpack_from(table, at + ops)
        (target,) = pointer.unpack_from(table, at + arg)
        if ops_at != of_arrays:
            found[target] = ops_at, None
            continue
        try:
            elements, length, elements_ops = array.read(read, pointer, target)
        except drgn.FaultError:
            continue
        found[elements] = elements_ops, length

    def name_at(address: int) -> str:
        symbol = symbol_at(address)
        return symbol.name if symbol is not None and symbol.address == address else ""

    return Parameters(found, name_at)


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
