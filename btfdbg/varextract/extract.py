"""Names, types and sizes of all variables of a kernel, out of its DWARF.

Owns the reading of one vmlinux or module file with debug information through drgn,
whose index of 200 MB of DWARF takes half a second. drgn cannot enumerate variables,
so names come from the symbol table, and a same-name static is asked for with its
source file. Knows nothing of the database that the rows end up in.

A module is read with a program of its own: its DWARF holds every type it needs, and
in a common program its names would hide behind those of others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import drgn
from drgn import Object, Program, TypeKind

from btfdbg.arch import by_elf
from btfdbg.cdecl import Array, CDeclError, format_type, is_const
from btfdbg.errors import BtfdbgError, DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.elfsyms import DataSymbol, ElfSymbols, open_elf, read_symbols
from btfdbg.variables.convert import describe
from btfdbg.variables.placement import SectionKind, SectionMap

logger = logging.getLogger("btfdbg.variables")

_RELEASE = re.compile(rb"Linux version (\S+) ")
_VERMAGIC = re.compile(rb"(?:^|\0)vermagic=(\S+) ")
_MODINFO_NAME = re.compile(rb"(?:^|\0)name=([A-Za-z0-9_]+)\0")
_MODULE_NAME = re.compile(r"[A-Za-z0-9_]+")
_LENGTH_SUFFIX = re.compile(r"\.(?:ko|debug|xz|zst|gz)$")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One variable as its DWARF describes it.

    :ivar type: text in the notation of :mod:`.cdecl`.
    :ivar size: bytes; 0 if the type is incomplete or empty.
    :ivar address: address, or offset in the section for a module.
    :ivar section: name of its ELF section.
    :ivar file: source file's last component for a local symbol, else "".
    :ivar shared: other symbols of this file have the same name.
    :ivar readonly: not const, and yet in read-only data: nothing writes it, so the
        compiler put it there.
    :ivar tail: of an array with contents: how many elements at its end are all zeros;
        None if that is not known.
    """

    name: str
    type: str
    size: int
    address: int
    section: str
    file: str
    shared: bool
    readonly: bool = False
    tail: int | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """
    The variables of one file.

    :ivar module: the module's name with "_" for "-", "" for vmlinux.
    :ivar machine: architecture as ``uname -m`` names it.
    :ivar missing: data symbols that no variable in DWARF describes.
    """

    module: str
    machine: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...]


def module_name(path: Path) -> str:
    """Return the name that the kernel gives a module file: ``nf-nat.ko.xz`` is ``nf_nat``."""
    name = path.name
    while (match := _LENGTH_SUFFIX.search(name)) is not None:
        name = name[: match.start()]
    return name.replace("-", "_")


def own_module_name(path: Path) -> str:
    """
    Return the name of a module file as its .modinfo has it, else as its file is called.

    :raises DebugInfoError: it has none, and the file's is no module's.
    Source: ``MODULE_INFO(name, ...)`` in scripts/mod/modpost.c, since v4.12.
    """
    with open_elf(path) as elf:
        found = elf.get_section_by_name(".modinfo")
        data = b"" if found is None or found["sh_type"] == "SHT_NOBITS" else found.data()
    match = _MODINFO_NAME.search(data)
    name = match[1].decode("ascii") if match is not None else module_name(path)
    if _MODULE_NAME.fullmatch(name) is None:
        raise DebugInfoError(
            f"{path}: it has no .modinfo, and {name!r} is no module's name",
            step="extract",
            hint="give the .ko file, or call it as the module",
        )
    return name


def load_file(path: Path) -> Program:
    """
    Return a program that has the debug information of one file and nothing else.

    :raises DebugInfoError: the file has no DWARF that drgn can use.
    """
    prog = Program()
    module = prog.extra_module("btfdbg-extract", create=True)
    try:
        module.try_file(str(path), force=True)
    except (OSError, ValueError, drgn.ObjectAbsentError) as e:
        raise DebugInfoError(f"{path}: {e}", step="extract") from e
    if module.wants_debug_file() or prog.platform is None:
        raise DebugInfoError(
            f"{path}: no DWARF in it",
            step="extract",
            hint="give the file of the -dbg package, usually under /usr/lib/debug",
        )
    return prog


def extract(path: Path, *, module: str = "") -> Image:
    """
    Read the variables of a vmlinux or module file with DWARF.

    :param module: name of the module; "" for vmlinux.
    :raises DebugInfoError: no DWARF.
    :raises ImageError: no symbol table.
    """
    symbols = read_symbols(path)
    prog = load_file(path)
    rows: list[Row] = []
    missing: list[str] = []
    by_name = _by_name(symbols.symbols)
    where = _Where(path, symbols, by_name)
    for name, same in by_name.items():
        found = list(_rows(prog, name, same, where))
        rows.extend(found)
        if not found:
            missing.append(name)
    row = by_elf(symbols.machine)
    machine = symbols.machine if row is None else row.name
    return Image(module, machine, tuple(rows), tuple(missing))


def extract_all(
    vmlinux: Path, modules: Iterable[Path]
) -> Iterator[tuple[Path, Image | BtfdbgError]]:
    """Read a kernel's vmlinux and modules; a file that cannot be read yields its error."""
    yield vmlinux, extract(vmlinux)
    for path in modules:
        try:
            yield path, extract(path, module=module_name(path))
        except BtfdbgError as e:
            yield path, e


def release_of(path: Path) -> str:
    """
    Return the release that a vmlinux or module file was built as, "" if it does not say.

    Source: ``linux_banner`` in .rodata; ``vermagic=`` in .modinfo. Files made
    with ``objcopy --only-keep-debug`` have neither.
    """
    with open_elf(path) as elf:
        for section, pattern in ((".rodata", _RELEASE), (".modinfo", _VERMAGIC)):
            found = elf.get_section_by_name(section)
            if found is None or found["sh_type"] == "SHT_NOBITS":
                continue
            match = pattern.search(found.data())
            if match is not None:
                return match[1].decode("utf-8", "replace")
    return ""


def _by_name(symbols: Iterable[DataSymbol]) -> dict[str, list[DataSymbol]]:
    by_name: dict[str, list[DataSymbol]] = {}
    for symbol in symbols:
        by_name.setdefault(symbol.name, []).append(symbol)
    return by_name


class _Where:
    """What a variable's place in the file says of it."""

    def __init__(
        self, path: Path, symbols: ElfSymbols, by_name: dict[str, list[DataSymbol]]
    ) -> None:
        self.sections = symbols.sections
        self._relocatable = symbols.is_relocatable
        self._contents: dict[int, bytes] = {}
        if not symbols.is_relocatable:
            self._contents = _contents(path)

        def address_of(name: str) -> int | None:
            found = by_name.get(name, ())
            return found[0].value if len(found) == 1 else None

        self._places = SectionMap(address_of)

    def is_readonly(self, symbol: DataSymbol) -> bool:
        if self._relocatable:
            name = self.sections[symbol.section].name if symbol.section >= 0 else ""
            return name.startswith(".rodata")
        return self._places.of(symbol.value) is SectionKind.CONST

    def tail(self, symbol: DataSymbol, element: int, length: int) -> int | None:
        """How many of ``length`` elements of ``element`` bytes are all zeros at the end."""
        data = self._contents.get(symbol.section)
        if data is None:
            return None
        start = symbol.value - self.sections[symbol.section].address
        array = data[start : start + element * length]
        used = len(array.rstrip(b"\0"))
        if not used or len(array) != element * length:
            return None
        return length + -used // element


def _contents(path: Path) -> dict[int, bytes]:
    """
    Contents of the sections, by index; none if they still need relocation.

    A vmlinux that relocates itself (arm64) has zeros where its pointers will be.
    """
    with open_elf(path) as elf:
        sections = list(elf.iter_sections())
        if any(s["sh_type"] in ("SHT_RELA", "SHT_RELR") and s["sh_flags"] & 2 for s in sections):
            return {}
        return {
            index: section.data()
            for index, section in enumerate(sections)
            if section["sh_flags"] & 2 and section["sh_type"] == "SHT_PROGBITS"
        }


def _rows(prog: Program, name: str, same: list[DataSymbol], where: _Where) -> Iterator[Row]:
    shared = len({(symbol.section, symbol.value) for symbol in same}) > 1
    done: set[tuple[int, int]] = set()
    for symbol in same:
        place = (symbol.section, symbol.value)
        if place in done:
            continue
        variable = _variable(prog, name, symbol.file if shared else "")
        if variable is None or not _is_at(variable, symbol):
            continue
        try:
            tree = describe(variable.type_)
            text = format_type(tree)
        except (CDeclError, drgn.BadDataError) as e:
            logger.info("%s: %s", name, e)
            continue
        done.add(place)
        size = _size(variable)
        tail = None
        if isinstance(tree, Array) and tree.length:
            tail = where.tail(symbol, size // tree.length, tree.length)
        yield Row(
            name,
            text,
            size,
            symbol.value,
            where.sections[symbol.section].name if symbol.section >= 0 else "",
            symbol.file,
            shared,
            readonly=not is_const(tree) and where.is_readonly(symbol),
            tail=tail,
        )


def _variable(prog: Program, name: str, file: str) -> Object | None:
    try:
        return prog.variable(name, file) if file else prog.variable(name)
    except (LookupError, drgn.BadDataError, drgn.FaultError):
        # Bad data: drgn reports DWARF that it cannot use, for instance a floating
        # point DW_AT_const_value of a variable that was optimised away. Fault: clang
        # describes a variable as what memory holds, and there is no memory here.
        return None


def _is_at(variable: Object, symbol: DataSymbol) -> bool:
    try:
        return not variable.absent_ and variable.address_ == symbol.value
    except ValueError:  # a variable that DWARF gives as a constant has no address
        return False


def _size(variable: Object) -> int:
    type_ = variable.type_
    if type_.unaliased_kind() in (TypeKind.FUNCTION, TypeKind.VOID):
        return 0
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return 0
