"""Tables of the kernel whose entries name a function and the file that it is in.

Owns the list of those tables, and the reading of their entries: dynamic debug's, allocation
tags, the printk index. They hold names and no addresses, so an entry says something of a
symbol only if there is one of that name. To add a table: a row in ``_RECORDS``.

Facts: include/linux/dynamic_debug.h (``struct _ddebug``, ``struct _ddebug_info``),
lib/dynamic_debug.c (``ddebug_tables``); include/linux/codetag.h and alloc_tag.h;
include/linux/printk.h (``struct pi_entry``; its section holds pointers). The layouts
are those of the dump's BTF.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from drgn import FaultError, Object, Program, Type

from btfdbg.frames.sources.strings import Strings, file_of, is_source
from btfdbg.lazy_dataclass import dataclass

_MAX_TABLE = 64 << 20
_MAX_MODULE_ENTRIES = 1 << 16
_MAX_MODULES = 1 << 14


@dataclass(frozen=True, slots=True)
class _Record:
    """
    :ivar evidence: what an answer says it is from.
    :ivar struct: tag of the type of an entry.
    :ivar function: member that points to the function's name.
    :ivar file: member that points to the file's.
    :ivar sections: pairs of symbols, the newest names first.
    :ivar pointers: the section holds pointers to the entries.
    """

    evidence: str
    struct: str
    function: str
    file: str
    sections: tuple[tuple[str, str], ...]
    pointers: bool = False


_RECORDS = (
    _Record(
        "dynamic debug",
        "_ddebug",
        "function",
        "filename",
        (("__start___dyndbg", "__stop___dyndbg"), ("__start___verbose", "__stop___verbose")),
    ),
    _Record(
        "allocation tags",
        "alloc_tag",
        "ct.function",
        "ct.filename",
        (("__start_alloc_tags", "__stop_alloc_tags"),),
    ),
    _Record(
        "printk index",
        "pi_entry",
        "func",
        "file",
        (("__start_printk_index", "__stop_printk_index"),),
        True,
    ),
)


@dataclass(frozen=True, slots=True)
class Named:
    """
    What the tables say of one function's name.

    :ivar files: source files, usually one.
    """

    files: tuple[str, ...]
    evidence: str


class Records:
    """Entries of the kernel's tables, by function; read when the first is asked for."""

    def __init__(
        self, prog: Program, strings: Strings, address_of: Callable[[str], int | None]
    ) -> None:
        """:param address_of: the address of a symbol that exists once, else None."""
        self._prog = prog
        self._strings = strings
        self._address_of = address_of
        self._kernel: dict[str, Named] | None = None
        self._modules: dict[str, dict[str, Named]] = {}

    def of_kernel(self) -> dict[str, Named]:
        """By the names of functions in the kernel image."""
        if self._kernel is None:
            found: dict[str, dict[str, str]] = {}
            for record in _RECORDS:
                for function, file in self._of_section(record):
                    found.setdefault(function, {}).setdefault(file, record.evidence)
            self._kernel = _joined(found)
        return self._kernel

    def of_module(self, name: str, module: Object) -> dict[str, Named]:
        """By the names of functions in a module."""
        known = self._modules.get(name)
        if known is None:
            found: dict[str, dict[str, str]] = {}
            for function, file in self._module_debug(name, module):
                found.setdefault(function, {}).setdefault(file, _RECORDS[0].evidence)
            known = self._modules[name] = _joined(found)
        return known

    def _of_section(self, record: _Record) -> Iterator[tuple[str, str]]:
        for first, last in record.sections:
            start, end = self._address_of(first), self._address_of(last)
            if start is None or end is None or not start < end <= start + _MAX_TABLE:
                continue
            yield from self._entries(record, start, end - start)
            return

    def _entries(self, record: _Record, start: int, size: int) -> Iterator[tuple[str, str]]:
        """(function, source file) of the entries in a table."""
        try:
            type_ = self._prog.type(f"struct {record.struct}")
            offsets = [_offset(type_, path) for path in (record.function, record.file)]
            stride = type_.size or 0
        except LookupError:
            return
        width = self._prog.address_size()
        if stride < width or any(offset + width > stride for offset in offsets):
            return
        order = "little" if self._prog.platform and self._little() else "big"
        if record.pointers:
            table = self._strings.bytes_at(start, size - size % width) or b""
            places: Sequence[int] = [
                int.from_bytes(table[i : i + width], order)  # type: ignore[arg-type]
                for i in range(0, len(table), width)
            ]
        else:
            places = range(start, start + size - stride + 1, stride)
        whole = None if record.pointers else self._strings.bytes_at(start, size)
        if whole is None:
            found = (self._strings.bytes_at(place, stride) for place in places)
            whole = b"".join(data for data in found if data is not None)
        code = ("<" if order == "little" else ">", "Q" if width == 8 else "I")
        rows = memoryview(whole)[: len(whole) - len(whole) % stride]
        columns = (_column(rows, code, offset, stride) for offset in offsets)
        # A function has several entries, and a file those of many functions.
        pairs = dict.fromkeys(zip(*columns, strict=True))
        paths = {file: self._path(file) for file in {file for _, file in pairs}}
        for function, file in pairs:
            name = self._name(function) if paths[file] else ""
            if name:
                yield name, paths[file]

    def _name(self, function: int) -> str:
        name = self._strings.at(function)
        text = name.decode("ascii") if name and name.isascii() else ""
        return text if text.isprintable() else ""

    def _path(self, file: int) -> str:
        path = file_of(self._strings.at(file))
        return path if path is not None and is_source(path) else ""

    def _little(self) -> bool:
        platform = self._prog.platform
        return platform is not None and bool(platform.flags & platform.flags.IS_LITTLE_ENDIAN)

    def _module_debug(self, name: str, module: Object) -> Iterator[tuple[str, str]]:
        try:
            for start, count in self._module_tables(name, module):
                if 0 < count <= _MAX_MODULE_ENTRIES:
                    size = self._prog.type("struct _ddebug").size or 0
                    yield from self._entries(_RECORDS[0], start, count * size)
        except (LookupError, FaultError, AttributeError, ValueError, TypeError):
            return

    def _module_tables(self, name: str, module: Object) -> Iterator[tuple[int, int]]:
        """(address, entries) of a module's dynamic debug."""
        try:
            info = module.dyndbg_info
            yield info.descs.value_(), info.num_descs.value_()
            return
        except AttributeError:
            pass  # older kernels: the list that lib/dynamic_debug.c keeps
        tables = self._prog["ddebug_tables"]
        link = self._prog.type("struct ddebug_table").member("link").bit_offset // 8
        pointer = self._prog.type("struct ddebug_table *")
        head, at = tables.address_, tables.next.value_()
        for _ in range(_MAX_MODULES):
            if at == head or not at:
                return
            table = Object(self._prog, pointer, at - link)
            known = self._strings.at(table.mod_name.value_())
            if known is not None and known.decode("ascii", "replace").replace("-", "_") == name:
                yield table.ddebugs.value_(), table.num_ddebugs.value_()
            at = table.link.next.value_()


def _column(rows: memoryview, code: tuple[str, str], offset: int, stride: int) -> Iterator[int]:
    """The numbers at an offset in each of many rows."""
    order, letter = code
    row = struct.Struct(f"{order}{offset}x{letter}")
    row = struct.Struct(f"{row.format}{stride - row.size}x")
    return (number for (number,) in row.iter_unpack(rows))


def _offset(type_: Type, path: str) -> int:
    """Offset in bytes of a member, given as ``ct.filename``."""
    offset = 0
    for name in path.split("."):
        member = type_.member(name)
        offset += member.bit_offset // 8
        type_ = member.type
    return offset


def _joined(found: dict[str, dict[str, str]]) -> dict[str, Named]:
    return {
        function: Named(tuple(files), next(iter(files.values())))
        for function, files in found.items()
    }
