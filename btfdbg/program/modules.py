"""Loaded kernel modules: drgn's Module objects, and the split BTF of each.

Owns reading a module's BTF lazily and telling what is wrong with which module,
so that one corrupt module loses only itself.

Facts: ``kernel/bpf/btf.c``, ``btf_module_notify()`` and ``btf_parse_module()``:
the kernel keeps its own, already relocated copy in ``struct btf``;
``module.btf_data`` is NULL once the module is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Btf, Kind
from btfdbg.errors import BtfdbgError, BtfError, DebugInfoError
from btfdbg.interrupts import pass_on
from btfdbg.program.convert import TypeConverter
from btfdbg.program.find_btf import KernelBtf, kernel_btfs, read_btf
from btfdbg.program.misjudged import note_misjudged
from btfdbg.program.module_index import ModuleIndex
from btfdbg.program.module_notes import leave_out_oversized_tables, oversized_notes
from btfdbg.program.session import Session
from btfdbg.vmcore.read_failures import unread

if TYPE_CHECKING:
    from pathlib import Path

    from btfdbg.program.modules_dir import ModulesDir

# CONFIG limits nothing here; the largest desktop kernels load a few hundred.
_MAX_MODULES = 1 << 14


class ModuleBtfs(Mapping[str, Btf]):
    """
    Module name to split BTF, in the order in which the kernel parsed them.

    The list of names is read once, when first needed; each BTF when it is first
    asked for. A module whose BTF cannot be had is left out, with a note.
    """

    def __init__(
        self, session: Session, vmlinux: TypeConverter, modules_dir: Path | None = None
    ) -> None:
        self._session = session
        self._vmlinux = vmlinux
        self._folder: ModulesDir | None = None
        if modules_dir is not None:
            from btfdbg.program.modules_dir import ModulesDir

            self._folder = ModulesDir(modules_dir)
        self._sources: dict[str, str] = {}
        self._found: dict[str, KernelBtf] | None = None
        self._converters: dict[str, TypeConverter | None] = {}
        self._listing = False
        self._index: ModuleIndex | None = None

    def _list(self) -> dict[str, KernelBtf]:
        if self._found is None:
            if self._listing:
                # The walk itself looks up types; those are the kernel's own.
                return {}
            self._listing = True
            found: dict[str, KernelBtf] = {}
            try:
                with self._session.answers.unfinished():
                    for entry in kernel_btfs(self._session):
                        if entry.kernel and entry.name != "vmlinux" and entry.name:
                            found.setdefault(entry.name, entry)
            except DebugInfoError as e:
                self._session.note("module BTF", str(e), e.hint)
            finally:
                self._listing = False
            self._found = found
        return self._found

    def converter(self, name: str) -> TypeConverter | None:
        """The converter of one module's types, ``None`` if it has no usable BTF."""
        if name not in self._converters:
            found = self._load(name)
            converter = None
            if found is not None:
                btf, self._sources[name] = found
                converter = TypeConverter(self._session.prog, btf, self._vmlinux)
                converter.find_definition = self.definition
            self._converters[name] = converter
        return self._converters[name]

    def converters(self) -> Iterator[TypeConverter]:
        """Converters of all modules whose BTF can be read."""
        for name in self._names():
            converter = self.converter(name)
            if converter is not None:
                yield converter

    def index(self) -> ModuleIndex:
        """Names of all modules' types; made at the first question."""
        if self._index is None:
            if self._listing:
                return ModuleIndex(())
            with self._session.answers.unfinished():
                self._index = ModuleIndex(self.converters())
        return self._index

    def definition(self, name: str, is_union: bool) -> drgn.Type | None:
        """
        The one definition in the modules of what is only declared elsewhere.

        :return: ``None`` if there is none, or more than one.
        """
        kind = Kind.UNION if is_union else Kind.STRUCT
        found = self.index().types(name, (kind,))
        if len(found) != 1:
            return None
        return found[0].converter.convert(found[0].type_id)

    def _load(self, name: str) -> tuple[Btf, str] | None:
        entry = self._list().get(name)
        hint = "--modules-dir DIR reads it from the .ko"
        if entry is not None:
            try:
                what = f"BTF of module {name}"
                data = read_btf(self._session.prog, entry.data, entry.size, what)
                btf = Btf.parse(data, base=self._vmlinux.btf)
                return btf, f"struct btf {entry.id} of the kernel"
            except DebugInfoError as e:
                self._session.note("module BTF", str(e), "" if self._folder else hint)
                note_misjudged(self._session, e.__cause__)
            except BtfError as e:
                self._session.note("module BTF", f"module {name}: {e}")
        if self._folder is None:
            return None
        try:
            return self._folder.load(name, self._vmlinux.btf), str(self._folder.find(name))
        except DebugInfoError as e:
            self._session.note("module BTF", str(e), e.hint)
            return None

    def source(self, name: str) -> str | None:
        """Where the BTF of a module was found."""
        return self._sources.get(name) if self.converter(name) is not None else None

    def __getitem__(self, name: str) -> Btf:
        converter = self.converter(name)
        if converter is None:
            raise KeyError(name)
        return converter.btf

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names() if self.converter(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _names(self) -> dict[str, KernelBtf | None]:
        names: dict[str, KernelBtf | None] = dict(self._list())
        if self._folder is not None and not self._listing:
            # Loaded modules that the kernel holds no BTF of.
            for name in self._session.module_names():
                names.setdefault(name, None)
        return names

    def entry(self, name: str) -> KernelBtf | None:
        """Where the kernel keeps the BTF of a module."""
        return self._list().get(name)


def create_modules(session: Session) -> int:
    """
    Let drgn enumerate the loaded modules, so that addresses in them unwind and have names.

    :return: Number of modules created.
    :raises KeyboardInterrupt: also where drgn took it for damage of one module.
    """
    left_out: list[str] = []
    session.loaded.clear()
    with _collected_warnings(left_out):
        count, whole = _create_modules(session)
    for message in left_out:
        pass_on(Exception(message))
    restored = 0
    if left_out or not whole:
        from btfdbg.program.module_restore import restore_modules

        try:
            restored = restore_modules(session)
        except BtfError as e:
            session.note("modules", f"none can be restored: {e}")
    leave_out_oversized_tables(session)
    if left_out:
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        session.note("modules", left_out[0] + more)
    return count + restored


@contextmanager
def _collected_warnings(found: list[str]) -> Iterator[None]:
    """drgn logs what it cannot read of the module list; that becomes a note, like our own."""

    def take(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        found.append(record.getMessage())
        return False

    drgn_logger = logging.getLogger("drgn")
    drgn_logger.addFilter(take)
    try:
        yield
    finally:
        drgn_logger.removeFilter(take)


@contextmanager
def wanting(session: Session, name: str | None = None) -> Iterator[None]:
    """
    Within it drgn takes a file with DWARF for a loaded module: the modules' types come from the
    dump, and a file is not looked for otherwise.

    :param name: Of the one module that takes it; ``None``: any of them does.
    """
    session.ensure_modules()
    status = drgn.ModuleFileStatus
    waiting = [
        module
        for module in session.loaded
        if name in (None, module.name) and module.debug_file_status is status.DONT_NEED
    ]
    for module in waiting:
        module.debug_file_status = status.WANT
    try:
        yield
    finally:
        for module in waiting:
            if module.debug_file_status is status.WANT:
                module.debug_file_status = status.DONT_NEED


def _read_modules(session: Session) -> int:
    """Make the Modules of a list that is in order; how many there are, 0 if it is drgn's to say."""
    dump = session.dump
    if dump is None or dump.is_mapped or session.prog.flags & drgn.ProgramFlags.IS_LIVE:
        # A letter out of a mapped file costs drgn next to nothing.
        return 0
    from btfdbg.program.module_list import create, read_list

    with unread(session.prog).silent():
        found = read_list(session.prog) or ()
    for one in found:
        module = create(session.prog, one)
        module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
        session.loaded.append(module)
    return len(found)


def _create_modules(session: Session) -> tuple[int, bool]:
    """How many modules there are, and whether their list was followed to its end."""
    count = _read_modules(session)
    if count:
        return count, True
    whole = False
    seen: set[str] = set()
    damaged = oversized_notes(session.prog)
    if damaged is not None:
        session.note("modules", f"the notes of the module at {damaged:#x} are damaged")
        return 0, False
    try:
        for module, new in session.prog.loaded_modules():
            if isinstance(module, drgn.MainModule):
                continue
            key = f"{module.name}@{getattr(module, 'address', 0)}"
            if not new and key in seen:
                # drgn follows the list until it is back at its head.
                session.note("modules", f"the module list runs in a circle at {module.name}")
                break
            seen.add(key)
            module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
            session.loaded.append(module)
            count += 1
            if count >= _MAX_MODULES:
                session.note("modules", f"more than {_MAX_MODULES} modules; the rest is left out")
                break
        else:
            whole = True
    except MemoryError:
        session.note("modules", "the module list is damaged: its sizes need too much memory")
    except (LookupError, ValueError, drgn.FaultError, BtfdbgError) as e:
        session.note("modules", f"the module list cannot be read to its end: {e}")
    return count, whole
