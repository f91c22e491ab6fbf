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
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from drgn import FaultError, Object, Program, Type

from btfdbg.frames.sources.strings import Strings, file_of, is_source
from btfdbg.lazy_dataclass import dataclass

_MAX_TABLE = 64 << 20
_MAX_MODULE_ENTRIES = 1 << 16
_MAX_MODULES = 1 << 14
_NATIVE = "<" if sys.byteorder == "little" else ">"


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


class ByFunction(Mapping[str, Named]):
    """
    What tables say, by the names of functions.

    Which file an entry means is found when its function is asked for: of hundreds of files a
    look-up needs one or none.
    """

    def __init__(self, path_of: Callable[[int], str]) -> None:
        """:param path_of: the source file whose name stands at an address, else ""."""
        self._path_of = path_of
        # As the dump has them: of a thousand names a dozen are looked up.
        self._entries: dict[bytes, list[tuple[int, str]]] = {}

    def add(self, entries: Iterator[tuple[bytes | None, int]], evidence: str) -> None:
        """Take a table's entries: function, and address of the file's name."""
        found = self._entries
        for function, file in entries:
            if function in found:
                found[function].append((file, evidence))
            elif function:
                found[function] = [(file, evidence)]

    def __getitem__(self, function: str) -> Named:
        if not _is_name(function):
            raise KeyError(function)
        files: dict[str, str] = {}
        for file, evidence in self._entries[function.encode()]:
            path = self._path_of(file)
            if path:
                files.setdefault(path, evidence)
        if not files:
            raise KeyError(function)
        return Named(tuple(files), next(iter(files.values())))

    def __iter__(self) -> Iterator[str]:
        names = (name.decode() for name in self._entries if name.isascii())
        return (function for function in names if function in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Records:
    """Entries of the kernel's tables, by function; read when the first is asked for."""

    def __init__(
        self, prog: Program, strings: Strings, address_of: Callable[[str], int | None]
    ) -> None:
        """:param address_of: the address of a symbol that exists once, else None."""
        self._prog = prog
        self._strings = strings
        self._address_of = address_of
        self._kernel: ByFunction | None = None
        self._modules: dict[str, ByFunction] = {}

    def of_kernel(self) -> Mapping[str, Named]:
        """By the names of functions in the kernel image."""
        if self._kernel is None:
            found = ByFunction(self._path)
            for record in _RECORDS:
                found.add(self._of_section(record), record.evidence)
            self._kernel = found
        return self._kernel

    def of_module(self, name: str, module: Object) -> Mapping[str, Named]:
        """By the names of functions in a module."""
        known = self._modules.get(name)
        if known is None:
            found = ByFunction(self._path)
            found.add(self._module_debug(name, module), _RECORDS[0].evidence)
            known = self._modules[name] = found
        return known

    def _of_section(self, record: _Record) -> Iterator[tuple[bytes | None, int]]:
        for first, last in record.sections:
            start, end = self._address_of(first), self._address_of(last)
            if start is None or end is None or not start < end <= start + _MAX_TABLE:
                continue
            return self._entries(record, start, end - start)
        return iter(())

    def _entries(
        self, record: _Record, start: int, size: int
    ) -> Iterator[tuple[bytes | None, int]]:
        """Function, and address of the file's name, of the entries in a table, each pair once."""
        try:
            type_ = self._prog.type(f"struct {record.struct}")
            offsets = [_offset(type_, path) for path in (record.function, record.file)]
            stride = type_.size or 0
        except LookupError:
            return iter(())
        width = self._prog.address_size()
        if stride < width or any(offset + width > stride for offset in offsets):
            return iter(())
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
        names = self._strings.of_all(function for function, _ in pairs)
        return zip(names, (file for _, file in pairs), strict=True)

    def _path(self, file: int) -> str:
        path = file_of(self._strings.at(file))
        return path if path is not None and is_source(path) else ""

    def _little(self) -> bool:
        platform = self._prog.platform
        return platform is not None and bool(platform.flags & platform.flags.IS_LITTLE_ENDIAN)

    def _module_debug(self, name: str, module: Object) -> Iterator[tuple[bytes | None, int]]:
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


def _is_name(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _column(rows: memoryview, code: tuple[str, str], offset: int, stride: int) -> Iterable[int]:
    """The numbers at an offset in each of many rows."""
    order, letter = code
    width = struct.calcsize(letter)
    if order == _NATIVE and not offset % width and not stride % width and rows:
        words: memoryview[int] = rows.cast(letter)  # type: ignore[call-overload]
        return words[offset // width :: stride // width].tolist()
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
