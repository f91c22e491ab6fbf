"""Make a Program behave as if debug info were loaded: the ordered steps and nothing else.

The only place where order matters. drgn latches what it sees first (primitive
types, ORC, direct map offset, ``prog.cache``), so everything is registered
before anything looks: symbols → kernel BTF and type finder → object finder →
main module's address range → kernel modules → module symbols and BTF.

A step that fails leaves a note on the Session; attaching as a whole fails only
when nothing useful is left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Btf
from btfdbg.cache import Cache
from btfdbg.errors import BtfdbgError, BtfError, DebugInfoError
from btfdbg.kallsyms.modules import ModuleSymbols
from btfdbg.lazy_dataclass import dataclass, replace
from btfdbg.program import find_btf, remembered_btf, unwind_tables
from btfdbg.program.convert import TypeConverter
from btfdbg.program.find_btf import byteorder
from btfdbg.program.finders import BtfFinders
from btfdbg.program.module_objects import ModuleObjects
from btfdbg.program.modules import ModuleBtfs, create_modules
from btfdbg.program.open_dump import open_dump
from btfdbg.program.session import Session, find_session, remember_session
from btfdbg.variables import VariableTypes, probed
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.var_offsets import VarOffsets
from btfdbg.vmcore.identify import DumpInfo, identify
from btfdbg.vmcore.overlay import complete_memory
from btfdbg.vmcore.platforms import machine_of
from btfdbg.vmcore.program import vmcoreinfo_of

if TYPE_CHECKING:
    from pathlib import Path

    from btfdbg.kallsyms import Sym
    from btfdbg.kallsyms.lto import PromotedSymbols
    from btfdbg.program.symbol_rules import SymbolRules
    from btfdbg.variables.extra import ExtraBtf, ExtraFiles

# ``btf`` and ``btf_symbol`` are taken by a drgn that is still to come (its pull
# request #625), and registering a name twice is an error.
FINDER = "btfdbg"
# Bytes; init/version.c's text is some 200 long.
_MAX_BANNER = 4096


@dataclass(frozen=True, slots=True)
class Options:
    """
    What a user may give in place of what the dump should have said.

    :ivar is_file: See :class:`Session`; who opened the Program knows.
    :ivar search: Reads virtual memory that is only looked through for something; by default
        the Program does.
    :ivar frame_names: Frames of functions that the compiler made copies of have the names of the
        source, as with DWARF; by default those of their symbols.
    """

    btf: Path | None = None
    btf_extra: tuple[Path, ...] = ()
    kallsyms: Path | None = None
    modules_dir: Path | None = None
    is_file: bool = False
    search: Callable[[int, int], bytes] | None = None
    frame_names: bool = False


def attach(
    prog: drgn.Program | str | os.PathLike[str],
    options: Options | None = None,
    dump: DumpInfo | None = None,
) -> Session:
    """
    Register btfdbg's finders on a Program whose memory is already set.

    Idempotent: a second call returns the first one's Session.

    >>> prog = drgn.Program()
    >>> prog.set_core_dump("vmcore")
    >>> btfdbg.attach(prog)
    <btfdbg Session of 6.12.117+deb13-cloud-amd64: 108407 types, 157881 symbols>
    >>> btfdbg.attach("vmcore").prog["init_task"].comm
    (char [16])"swapper/0"

    :param prog: A Linux kernel Program (``set_core_dump()``, ``set_kernel()``…), or the
        path of a dump, which is opened first; the Session has the Program.
    :param dump: What ``identify()`` said of its dump, if that is known already.
    :raises DebugInfoError: neither symbols nor BTF were found.
    """
    if not isinstance(prog, drgn.Program):
        prog, dump = open_dump(prog)
        options = replace(options or Options(), is_file=True)
    session = find_session(prog)
    if session is None:
        session = register(prog, options, dump)
    session.ensure_modules()
    return session


def register(
    prog: drgn.Program, options: Options | None = None, dump: DumpInfo | None = None
) -> Session:
    """
    :func:`attach` without drgn's Module objects of the kernel's modules.

    For the plugin, where drgn creates them itself, and for those who call
    ``Session.ensure_modules()`` before the first stack trace.

    :raises DebugInfoError: neither symbols nor BTF were found.
    """
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise DebugInfoError("this program is not a Linux kernel", step="open")
    session = Session(prog, vmcoreinfo_of(prog, dump), dump)
    remember_session(session)
    options = options or Options()
    session.is_file = options.is_file
    failures = _run(
        session,
        (
            ("open", lambda: _memory(session)),
            ("kallsyms", lambda: _symbols(session, options)),
            ("btf", lambda: _types(session, options)),
            ("objects", lambda: _objects(session, options)),
            ("main module", lambda: _main_module(session, options)),
        ),
    )
    if session.symbols is None and not session.has_btf:
        raise _nothing(session, failures[0])
    return session


def require_given(session: Session, options: Options) -> None:
    """
    Refuse a file that was given for what the dump may lack, and has none of it.

    Without this a command would fail for the want of types or symbols, and not name the file.

    :raises DebugInfoError: ``btf`` gave no types, or ``kallsyms`` no symbols; ``modules_dir`` is
        no folder, or a file of ``btf_extra`` is not there.
    """
    folder = options.modules_dir
    if folder is not None and not folder.is_dir():
        raise DebugInfoError(f"--modules-dir {folder}: no such folder", step="module BTF")
    for extra in options.btf_extra:
        if not extra.exists():
            raise DebugInfoError(f"--btf-extra {extra}: no such file or folder", step="variables")
    for name, file, gave in (
        ("btf", options.btf, session.has_btf),
        ("kallsyms", options.kallsyms, session.symbols is not None),
    ):
        note = next((n for n in session.notes if n.step == name), None)
        if file is not None and not gave and note is not None:
            raise DebugInfoError(f"--{name} {note.what}", step=name, hint=note.hint)


def _nothing(session: Session, failure: DebugInfoError) -> DebugInfoError:
    """What opening the dump remarked explains best why nothing was found in it."""
    remark = next((n for n in session.notes if n.step == "open"), None)
    if remark is None:
        return failure
    return DebugInfoError(f"{remark.what}; {failure}", step="open", hint=remark.hint)


def _run(session: Session, steps: Iterable[tuple[str, Callable[[], None]]]) -> list[DebugInfoError]:
    failures = []
    for name, step in steps:
        try:
            step()
        except DebugInfoError as e:
            session.note(e.step or name, str(e), e.hint)
            failures.append(e)
        except (BtfdbgError, drgn.FaultError, LookupError) as e:
            session.note(name, str(e))
            failures.append(DebugInfoError(str(e), step=name))
    return failures


def _memory(session: Session) -> None:
    info, path = session.dump, session.prog.core_dump_path
    if info is None and path is not None and not session.prog.flags & drgn.ProgramFlags.IS_LIVE:
        info = session.dump = identify(path)
    if info is None:
        return
    session.vmcoreinfo_source = info.vmcoreinfo_source
    for what, hint in info.remarks:
        session.note("open", what, hint)
    complete_memory(session.prog, info, session.vmcoreinfo)


def _symbols(session: Session, options: Options) -> None:
    from btfdbg import kallsyms
    from btfdbg.kallsyms import symbols

    prog = session.prog
    if options.kallsyms is not None:
        from btfdbg.kallsyms import sources

        table: kallsyms.SymbolTable = sources.load_file(options.kallsyms, session.vmcoreinfo)
    else:
        from btfdbg.kallsyms.find_kallsyms import IMAGE_SPAN
        from btfdbg.vmcore.progress import Progress

        with Progress("looking for kallsyms", IMAGE_SPAN) as progress:
            table = kallsyms.load(
                prog.read,
                session.vmcoreinfo,
                byteorder(prog),
                progress=progress,
                cache=Cache.default(),
                search=options.search,
            )
    session.symbols = table
    if isinstance(table, kallsyms.CombinedTable):
        session.note(
            "kallsyms",
            "the kernel has no data symbols (CONFIG_KALLSYMS_ALL=n): of variables, only exported"
            " and per-CPU ones and what can be derived have an address",
            "--kallsyms FILE takes the System.map of exactly this kernel",
        )
    find = unwind_tables.lent(session, symbols.finder(table))
    prog.register_symbol_finder(FINDER, find, enable_index=-1)


def _types(session: Session, options: Options) -> None:
    if options.btf is not None:
        from btfdbg.images import load_btf
        from btfdbg.program.btf_evidence import contradiction

        btf, source = load_btf(options.btf), str(options.btf)
        problem = contradiction(btf, session.vmcoreinfo)
        if problem:
            raise DebugInfoError(
                f"{source} is of another kernel: {problem}",
                step="btf",
                hint=f"give the BTF of exactly {session.release}",
            )
    else:
        data, source = find_btf.vmlinux_btf(session)
        try:
            btf = remembered_btf.parse(data, session.build_id)
        except BtfError as e:
            raise DebugInfoError(
                f"the kernel's BTF ({source}) is damaged: {e}",
                step="btf",
                hint="give it with --btf FILE",
            ) from e
    session.set_vmlinux(btf, source)
    session.var_offsets = VarOffsets(btf)
    converter = TypeConverter(session.prog, btf, char_is_signed=_char_is_signed(session))
    session.converter = converter
    session.module_btfs = ModuleBtfs(session, converter, options.modules_dir)
    session.create_modules = create_modules
    converter.find_definition = session.module_btfs.definition
    session.finders = BtfFinders(session, converter)
    find_type = session.answers.of_types(session.finders.find_type)
    session.prog.register_type_finder(FINDER, find_type, enable_index=-1)


# The first kernel whose plain char is unsigned on every architecture: commit 3bc753c06dd0
# ("kbuild: treat char as always unsigned"). It matters for BTF without signs only.
_UNSIGNED_CHAR_SINCE = (6, 2)


def _char_is_signed(session: Session) -> bool | None:
    """False for kernels whose build says so; ``None``: as the architecture has it."""
    numbers = re.match(r"(\d+)\.(\d+)", session.release)
    if numbers is None:
        return None
    return False if (int(numbers[1]), int(numbers[2])) >= _UNSIGNED_CHAR_SINCE else None


class _Missing:
    """What answers for a name that no table has; each is made when a name is first missing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._promoted: PromotedSymbols | None = None
        self._rules: SymbolRules | None = None

    def by_name(self, name: str) -> tuple[Sym, ...]:
        """The symbol as ThinLTO renamed it, else what a rule derives."""
        if self._rules is None:
            from btfdbg.program.symbol_rules import SymbolRules

            self._rules = SymbolRules(self._session)
            self._promoted = self._of_clang()
        found = self._promoted.by_name(name) if self._promoted is not None else ()
        return found or self._rules.by_name(name)

    def _of_clang(self) -> PromotedSymbols | None:
        """``None`` for a kernel that its banner says is not clang's: only that has such names."""
        symbols = self._session.symbols
        banner = symbols.by_name("linux_banner") if symbols is not None else ()
        if symbols is None or len(banner) != 1:
            return None
        try:
            text = self._session.prog.read(banner[0].address, min(banner[0].size, _MAX_BANNER))
        except (drgn.FaultError, ValueError):
            return None
        if b"clang version" not in text:
            return None
        from btfdbg.kallsyms.lto import PromotedSymbols

        return PromotedSymbols(symbols)


class _Symbols:
    """The kernel's symbols with the derived ones, as ``VariableTypes`` asks for them."""

    def __init__(self, session: Session) -> None:
        self.by_name = session.lookup_symbols
        self._session = session

    def at(self, address: int) -> Sym | None:
        """The symbol that covers an address, by the table that the session has now."""
        table = self._session.symbols
        return None if table is None else table.by_address(address)


class _Extra:
    """Extra BTF of the kernel and its modules, each read when it is first asked for."""

    def __init__(self, session: Session, given: tuple[Path, ...]) -> None:
        self._session = session
        self._given = given
        self._files: ExtraFiles | None = None
        self._converter: TypeConverter | None = None

    def load(self, module: str, build_id: str, base: Btf) -> ExtraBtf | None:
        """What was given for a module ("": the kernel), or is in a folder by build id."""
        from btfdbg.variables.extra import ExtraBtf, ExtraFiles

        if self._files is None:
            self._files = ExtraFiles(self._given)
        path = self._files.file_for(module, build_id)
        return None if path is None else ExtraBtf.load(path, base)

    def of_kernel(self) -> ExtraBtf | None:
        return self.load("", self._session.build_id, self._session.vmlinux)

    def convert(self, btf: Btf, type_id: int) -> drgn.Type:
        """A type of the kernel's extra BTF."""
        if self._converter is None:
            session = self._session
            self._converter = TypeConverter(session.prog, btf, session.converter)
        return self._converter.convert(type_id)


def _objects(session: Session, options: Options) -> None:
    if session.finders is None:
        return
    machine = machine_of(session.prog.platform)
    session.symbols_by_rule = _Missing(session).by_name
    extra = _Extra(session, options.btf_extra)
    if session.symbols is not None:
        symbols = _Symbols(session)
        session.variables = VariableTypes(
            session.prog,
            DumpEvidence(
                symbols,
                release=session.release,
                architecture=machine,
                btf=lambda: session.vmlinux,
                extra=extra.of_kernel,
                convert=extra.convert,
                symbol_at=symbols.at,
                code=lambda symbol: session.type_from_code(symbol),
                asks_code=lambda: session.may_read_code(),
                bears_out=lambda s, t, array: session.borne_out(s, t, array),
                accesses=lambda symbol: session.accesses(symbol),
                expect_accesses=lambda symbols: session.expect_accesses(symbols),
            ),
            on_problem=lambda e: session.note(e.step or "variables", str(e), e.hint),
        )
    module_symbols = ModuleSymbols(
        session.prog, lambda name, what: session.note("module symbols", what)
    )
    session.module_symbols = module_symbols
    session.answers.watch(lambda: module_symbols.busy)
    session.module_objects = ModuleObjects(session, module_symbols, machine, extra.load)
    find_module_symbol = module_symbols.finder()

    def find(
        prog: drgn.Program, name: str | None, address: int | None, one: bool
    ) -> list[drgn.Symbol]:
        if name in probed.SYMBOLS or name in probed.TABLES:  # the kernel's, if anybody's
            from btfdbg.kallsyms.symbols import to_drgn
            from btfdbg.program.absence import refuse_missing

            found = session.symbols_by_rule(name)
            if not found and name in probed.TABLES:
                refuse_missing(session, name)
            return [to_drgn(sym) for sym in found]
        session.ensure_modules()
        return find_module_symbol(prog, name, address, one)

    session.prog.register_symbol_finder(f"{FINDER}_modules", find, enable_index=-1)
    find_object = session.answers.of_objects(session.finders.find_object)
    session.prog.register_object_finder(FINDER, find_object, enable_index=-1)
    session.answers.forget()


def _settle_char(session: Session, module: drgn.Module) -> None:
    """Make ``prog.type("char")`` the type that the members of structures have."""
    if session.finders is None:
        return
    prog = session.prog
    known = session.finders.find_type(prog, (drgn.TypeKind.INT,), "char", None)
    if known is None or prog.type("char").is_signed == known.is_signed:
        return
    from btfdbg.program import char_type

    if not char_type.settle(prog, module, known.is_signed):
        session.note(
            "char",
            f"the kernel's char is {'signed' if known.is_signed else 'unsigned'}, and drgn had"
            " settled on the other one before: text like 'char *' names the wrong type",
            "attach before anything reads UTS_RELEASE or VMCOREINFO",
        )


def _main_module(session: Session, options: Options) -> None:
    """
    Give the kernel image's address range to drgn.

    Built-in ORC is looked for by module: without the range a stack ends after
    two frames of garbage.
    """
    prog = session.prog
    module = prog.main_module("kernel", create=True)
    if module.build_id is None and session.build_id:
        module.build_id = bytes.fromhex(session.build_id)
    try:
        _give_range(session, module)
        if options.frame_names:
            from btfdbg.program.frame_names import name_frames

            name_frames(session, module)
    finally:
        _settle_char(session, module)
        if module.debug_file_status is drgn.ModuleFileStatus.WANT:
            module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED


def _give_range(session: Session, module: drgn.Module) -> None:
    if module.address_ranges is not None:
        return
    start = session.lookup_symbols("_text") or session.lookup_symbols("_stext")
    # A kernel whose kallsyms has only functions ends, for us, with those.
    end = session.lookup_symbols("_end") or session.lookup_symbols("_etext")
    if len(start) != 1 or len(end) != 1 or start[0].address >= end[0].address:
        raise DebugInfoError(
            "the kernel's symbols _text and _end are not known: stacks are unwound without ORC",
            step="main module",
        )
    module.address_range = (start[0].address, end[0].address)
