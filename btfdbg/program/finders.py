"""drgn's type and object finders, served from BTF.

Owns the answer to "what is called NAME?"; the types themselves come from
``convert``, the addresses from ``kallsyms``, the types of variables that BTF
does not have from ``variables``. A finder returns ``None`` when it has nothing:
an exception would stop the finders after it and reach whoever wrote
``name in prog``.

Facts: drgn 0.3 ``Program.register_type_finder()``/``register_object_finder()``.
C code asks for one kind at a time and only for the base name.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Kind, TypeId, kinds
from btfdbg.btf.enumerators import NamedValue, find_enumerators
from btfdbg.errors import BtfdbgError, RefusedError
from btfdbg.interrupts import pass_on
from btfdbg.kallsyms.choice import is_text, own_ids, unique_symbol
from btfdbg.program.convert import TypeConverter
from btfdbg.program.module_objects import wanted_for
from btfdbg.program.walks import remark
from btfdbg.variables import probed

if TYPE_CHECKING:
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session
    from btfdbg.variables import TypedVariable

logger = logging.getLogger("btfdbg")

_BTF_KINDS: dict[drgn.TypeKind, tuple[Kind, ...]] = {
    drgn.TypeKind.STRUCT: (Kind.STRUCT,),
    drgn.TypeKind.UNION: (Kind.UNION,),
    drgn.TypeKind.ENUM: (Kind.ENUM, Kind.ENUM64),
    drgn.TypeKind.TYPEDEF: (Kind.TYPEDEF,),
    drgn.TypeKind.INT: (Kind.INT,),
    drgn.TypeKind.BOOL: (Kind.INT,),
    drgn.TypeKind.FLOAT: (Kind.FLOAT,),
}

# drgn makes these itself, identically, from the platform; only plain ``char``
# needs the kernel's word (-funsigned-char since Linux kernel commit
# 3bc753c06dd0 ("kbuild: treat char as always unsigned") (in v6.2)).
_EARLY = 256
_C_KEYWORDS = frozenset(("signed", "unsigned", "short", "int", "long", "char", "_Bool", "double"))

_KERNELS = drgn.FindObjectFlags.VARIABLE | drgn.FindObjectFlags.FUNCTION
_PANIC_CPU = "panic_cpu"
_IN_SYSFS = frozenset(("bus_kset", "class_kset", "slab_kset", "sysfs_root_kn"))
_MAX_KNOWN_ENUMERATORS = 4096
_BPF = "bpf:"
_SOURCES = (".c", ".h", ".S", ".rs")


def is_source_file(filename: str) -> bool:
    """Whether a file name is that of a source file, rather than a module's name."""
    return "/" in filename or filename.endswith(_SOURCES)


def _of_one_meaning(
    found: tuple[tuple[TypeConverter, TypeId], ...],
) -> tuple[tuple[TypeConverter, TypeId], ...]:
    """
    Return the first of several types that are all laid out the same, or none.

    Modules bring copies of ``u8`` and ``pid_t`` of their own.
    """
    if len(found) < 2:
        return found
    from btfdbg.btf.fingerprint import Fingerprints

    prints: dict[int, Fingerprints] = {}
    layouts = {
        prints.setdefault(id(converter), Fingerprints(converter.btf)).layout(type_id)
        for converter, type_id in found
    }
    return found[:1] if len(layouts) == 1 else ()


class BtfFinders:
    """
    The finders of one Program.

    :param session: Must have its BTF and converter; symbols and variables may
        come later and are looked at when a name is asked for.
    """

    def __init__(self, session: Session, converter: TypeConverter) -> None:
        self.session = session
        self.vmlinux = converter
        self._known_enumerators: dict[str, tuple[NamedValue, ...]] = {}

    # Types

    def find_type(
        self,
        prog: drgn.Program,
        type_kinds: Collection[drgn.TypeKind],
        name: str,
        filename: str | None,
    ) -> drgn.Type | None:
        """
        drgn type finder.

        A ``filename`` is taken as the name of a module
        (``prog.type("struct x", "ext4")``), ``vmlinux`` as the kernel itself,
        and ``bpf:`` with a BTF's id or the name of a bpf program or map as what
        came with that. BTF knows no source files: with one
        (``"linux/sched.h"``, ``"printk.c"``) a name is found that means one thing
        in the whole kernel, and none that could be another file's.
        """
        btf_kinds: list[Kind] = []
        for kind in type_kinds:
            btf_kinds.extend(_BTF_KINDS.get(kind, ()))
        if not btf_kinds:
            return None
        words = name.split()
        if Kind.INT in btf_kinds and name != "char" and _C_KEYWORDS.issuperset(words):
            return None
        if name == "char" and filename is None and btf_kinds == list(_BTF_KINDS[drgn.TypeKind.INT]):
            early = self._early_char()
            if early is not None:
                return early
        wanted = tuple(btf_kinds)
        try:
            candidates = self._candidates(name, wanted, filename)
            if filename is not None and is_source_file(filename):
                candidates = iter(_of_one_meaning(tuple(candidates)))
            for converter, type_id in candidates:
                found = converter.convert(type_id)
                # An enum without enumerators is a declaration, which DWARF does
                # not index either; a typedef of one is a type of its own.
                whole = found.kind == drgn.TypeKind.TYPEDEF or found.is_complete()
                if found.kind in type_kinds and whole:
                    return found
        except Exception as e:  # an error must not reach whoever wrote `name in prog`
            pass_on(e)
            self._failed("types", name, e)
        return None

    def _early_char(self) -> drgn.Type | None:
        """
        The kernel's ``char`` if it stands where encoders put it: among the first types.

        Looked for there since every session asks for it, and by name it costs an index of
        all names: hundreds of strings end in it.
        """
        btf = self.vmlinux.btf
        for type_id in range(1, min(btf.type_cnt, _EARLY)):
            if btf.kind_of(TypeId(type_id)) == Kind.INT and btf.name_of(TypeId(type_id)) == "char":
                return self.vmlinux.convert(TypeId(type_id))
        return None

    def _candidates(
        self, name: str, wanted: Collection[int], filename: str | None
    ) -> Iterator[tuple[TypeConverter, TypeId]]:
        modules = self.session.module_btfs
        if filename is not None and is_source_file(filename):
            filename = None
        if filename is None or filename == "vmlinux":
            for type_id in own_ids(self.vmlinux.btf, name, wanted):
                yield self.vmlinux, type_id
            # To learn that no module has one takes reading the BTF of all.
            if filename is None and modules is not None and name not in probed.TYPES:
                for d in modules.index().types(name, wanted):
                    yield d.converter, d.type_id
        elif filename.startswith(_BPF):
            from btfdbg.program import bpf

            btfs = bpf.of(self.session)
            found = btfs.find(filename.removeprefix(_BPF))
            converter = btfs.converter(found) if found is not None else None
            if converter is not None:
                for type_id in own_ids(converter.btf, name, wanted):
                    yield converter, type_id
        elif modules is not None:
            converter = modules.converter(filename)
            if converter is not None:
                for type_id in own_ids(converter.btf, name, wanted):
                    yield converter, type_id

    # Objects

    def find_object(
        self,
        prog: drgn.Program,
        name: str,
        flags: drgn.FindObjectFlags,
        filename: str | None,
    ) -> drgn.Object | None:
        """drgn object finder: functions, variables and enumerators."""
        try:
            if filename is not None and is_source_file(filename):
                return self._object(name, flags) if self._is_unique(name) else None
            if filename is not None and filename != "vmlinux":
                objects = self.session.module_objects
                return None if objects is None else objects.find(name, flags, filename)
            return self._object(name, flags)
        except RefusedError:
            raise
        except Exception as e:  # an error must not reach whoever wrote `name in prog`
            pass_on(e)
            self._failed("objects", name, e)
            return None

    def _is_unique(self, name: str) -> bool:
        """Whether at most one symbol of the kernel and its modules has a name."""
        addresses = {s.address for s in self.session.lookup_symbols(name)}
        if self.session.module_objects is not None:
            addresses |= {s.address for s in self.session.module_objects.symbols_of(name)}
        return len(addresses) < 2

    def _failed(self, step: str, name: str, e: Exception) -> None:
        self.session.answers.doubt()
        if isinstance(e, (BtfdbgError, drgn.FaultError)):
            self.session.note(step, f"{name}: {e}")
            return
        self.session.note(step, f"{name}: {e!r}", "this is a mistake in btfdbg; please report it")
        logger.debug("%s", name, exc_info=True)

    def _object(self, name: str, flags: drgn.FindObjectFlags) -> drgn.Object | None:
        symbols = self.session.lookup_symbols(name)
        found = None
        if symbols:
            text = [s for s in symbols if is_text(s)]
            data = [s for s in symbols if not is_text(s)]
            if text and flags & drgn.FindObjectFlags.FUNCTION:
                found = self._function(name, text)
            if found is None and data and flags & drgn.FindObjectFlags.VARIABLE:
                found = self._variable(name, data)
        elif flags & drgn.FindObjectFlags.VARIABLE:
            found = self._percpu_without_symbol(name)
        if found is None and flags & drgn.FindObjectFlags.CONSTANT:
            found = self._constant(self._enumerators(name), name)
        if found is None and not symbols:
            if name == _PANIC_CPU and flags & drgn.FindObjectFlags.VARIABLE:
                from btfdbg.program.symbol_rules import panic_cpu_object

                return panic_cpu_object(self.session, name)
            found = self._in_modules(name, flags)
            if found is None and name == "THREAD_SIZE":
                from btfdbg.program import thread_size

                unsaid = thread_size.is_unsaid(self.vmlinux.btf)
                return thread_size.thread_size(self.session.prog) if unsaid else None
            if found is None and flags & drgn.FindObjectFlags.VARIABLE:
                found = self._by_value(name)
        if found is None:
            self._not_absent(name, flags, bool(symbols))
        return found

    def _by_value(self, name: str) -> drgn.Object | None:
        """A variable that is known by what it holds, where no symbol says where it is."""
        if name == "__highest_present_section_nr":
            from btfdbg.program import sections

            return sections.highest_present(self.session.prog)
        if name == "taint_flags":
            from btfdbg.program import taint_table

            return taint_table.taint_flags(self.session)
        if name in _IN_SYSFS:
            from btfdbg.program import sysfs_rules

            return sysfs_rules.value(self.session, name)
        return None

    def _not_absent(self, name: str, flags: drgn.FindObjectFlags, has_symbol: bool) -> None:
        """
        Refuse a name from whose absence drgn would conclude what is not so.

        :raises RefusedError: with the reason.
        """
        if not has_symbol:
            if flags & _KERNELS and probed.is_of_kernel(name):
                from btfdbg.program.absence import refuse_missing

                refuse_missing(self.session, name)
            return
        if not flags & drgn.FindObjectFlags.VARIABLE or self.session.variables is None:
            return
        reason = self.session.variables.refusal(name)
        if reason:
            raise RefusedError(
                f"{name} cannot be trusted here: {reason}",
                step="objects",
                hint=f"drgn would take a missing {name} for another kind of kernel; "
                "--btf-extra or a vmlinux with DWARF tells its type",
            )

    def _enumerators(self, name: str) -> tuple[NamedValue, ...]:
        """The kernel's enumerators of a name; helpers ask for the same few once per page."""
        known = self._known_enumerators.get(name)
        if known is None:
            if len(self._known_enumerators) >= _MAX_KNOWN_ENUMERATORS:
                self._known_enumerators.clear()
            doubts: list[str] = []
            known = find_enumerators(self.vmlinux.btf, name, doubts)
            for doubt in doubts:
                self.session.note("types", f"{name}: {doubt}")
            if doubts and not known and probed.is_constant(name):
                raise RefusedError(f"{name} cannot be trusted here: {doubts[0]}", step="objects")
            self._known_enumerators[name] = known
        return known

    def _in_modules(self, name: str, flags: drgn.FindObjectFlags) -> drgn.Object | None:
        """What the kernel itself has no symbol for may be a module's."""
        if not probed.is_of_modules(name):
            return None
        objects = self.session.module_objects
        if objects is not None and any(flags & wanted_for(s) for s in objects.symbols_of(name)):
            return objects.find(name, flags)  # an enumerator of that name is another module's
        modules = self.session.module_btfs
        if modules is not None and flags & drgn.FindObjectFlags.CONSTANT:
            return self._one_value(modules.index().enumerators(name), name)
        return None

    def _function(self, name: str, symbols: list[Sym]) -> drgn.Object | None:
        sym = unique_symbol(symbols)
        if sym is None:
            return None
        ids = own_ids(self.vmlinux.btf, name, (Kind.FUNC,))
        if len(ids) == 1:
            return drgn.Object(self.session.prog, self.vmlinux.convert(ids[0]), address=sym.address)
        if name in probed.FUNCTIONS:
            prog = self.session.prog
            return drgn.Object(
                prog, prog.function_type(prog.void_type(), (), False), address=sym.address
            )
        if name in probed.POINTED_AT:
            struct, member = probed.POINTED_AT[name]
            pointer = self.session.prog.type(struct).member(member).type
            return drgn.Object(self.session.prog, pointer.type, address=sym.address)
        return None

    def _variable(self, name: str, symbols: list[Sym]) -> drgn.Object | None:
        prog = self.session.prog
        sym = unique_symbol(symbols)
        if sym is not None:
            var_id = self.session.own_variable(name, sym.address)
            if var_id is not None:
                return drgn.Object(prog, self.vmlinux.convert(var_id), address=sym.address)
        if self.session.variables is None:
            return None
        found = self.session.variables.find(name)
        if found is None and sym is None:
            found = self._first_of(name)
        if found is None:
            return None
        return drgn.Object(prog, found.type, address=found.address)

    def _first_of(self, name: str) -> TypedVariable | None:
        """Of several static variables of a name one, as drgn does with DWARF; and a note."""
        variables = self.session.variables
        found = None if variables is None else variables.first_linked(name)
        if found is None or variables is None:
            return None
        from btfdbg.program.placed import told

        words = told(self.session.prog, variables.of_symbols(name))
        self.session.note(
            "objects", f"{name}: {words}", "drgn.Object(prog, TYPE, address=ADDRESS) is any of them"
        )
        self.session.answers.doubt()  # told whenever it is asked for, so that nothing is kept
        remark(self.session.prog, f"{name}: {words}")
        return found

    def _percpu_without_symbol(self, name: str) -> drgn.Object | None:
        """A per-CPU variable of a kernel whose kallsyms has no data symbols."""
        start = self.session.lookup_symbols("__per_cpu_start")
        if len(start) != 1:
            return None
        btf = self.vmlinux.btf
        var_ids = btf.types_by_name(name, (Kind.VAR,))
        if len(var_ids) != 1:
            return None
        for section_id in btf.types_by_name(".data..percpu", (Kind.DATASEC,)):
            section = btf.type_by_id(section_id)
            assert isinstance(section, kinds.Datasec)
            for var in section.vars:
                if var.type == var_ids[0]:
                    return drgn.Object(
                        self.session.prog,
                        self.vmlinux.convert(var.type),
                        address=start[0].address + var.offset,
                    )
        return None

    def _constant(self, values: Sequence[NamedValue], name: str) -> drgn.Object | None:
        return self._one_value([(self.vmlinux, v) for v in values], name)

    def _one_value(
        self, hits: Sequence[tuple[TypeConverter, NamedValue]], name: str
    ) -> drgn.Object | None:
        values = {v.value for _, v in hits}
        if len(values) != 1:
            if values and probed.is_constant(name):
                raise RefusedError(
                    f"{name} cannot be trusted here: enums of this kernel give it the values"
                    f" {', '.join(map(str, sorted(values)))}",
                    step="objects",
                )
            if values:
                logger.info("%s: enumerator with several values %s", name, sorted(values))
            return None
        converter, value = hits[0]
        return drgn.Object(self.session.prog, converter.convert(value.type_id), value.value)
