"""A name that the dump has, but not as an object: what it is, and why it has no type.

Owns what a prompt says instead of "there is no such name": each symbol of the name with its
place and the verdict on its type, the copies that a compiler made of a function, enumerators
that cannot be believed. The verdict is ``variables``'; nothing here makes a type.

Facts: gdb reads a symbol without debug information as the type that it is cast to; gcc
renames changed copies of a function (``.constprop``, ``.isra``, ``.part``, ``.cold``), clang
what LTO makes global (``.llvm.HASH``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Kind
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.errors import BtfdbgError
from btfdbg.kallsyms import CombinedTable
from btfdbg.kallsyms.choice import is_text, own_ids
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.program import changed
from btfdbg.program.placed import pointer_to
from btfdbg.variables.provenance import Rejection

if TYPE_CHECKING:
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session
    from btfdbg.variables import VariableTypes

_MAX_NAME = 512
_MAX_SHOWN = 4
_MAX_TYPES = 2
_MAX_TYPE_TEXT = 80
_CASTS = {1: "(unsigned char)", 2: "(unsigned short)", 4: "(int)", 8: "(void *)"}
_TYPE_KINDS = {
    Kind.STRUCT: "struct ",
    Kind.UNION: "union ",
    Kind.ENUM: "enum ",
    Kind.ENUM64: "enum ",
    Kind.TYPEDEF: "",
}
_NAME = pattern(r"[A-Za-z_][\w.$]*")
_CHANGED = tuple(
    f".{first}{second}"
    for first in (
        *(f"{what}.{n}" for what in ("constprop", "isra", "part", "lto_priv") for n in range(4)),
        "cold",
    )
    for second in ("", ".isra.0", ".constprop.0", ".part.0", ".cold")
)

_WHY = {
    Rejection.UNKNOWN: "no kernel that btfdbg knows has a variable of that name there",
    Rejection.MISSING: "this BTF lacks the type that it has elsewhere",
    Rejection.LENGTH: "nothing here proves the array's length",
    Rejection.SIZE: "the type that it has elsewhere does not fit the place",
    Rejection.GAP: "the type that it has elsewhere leaves more room than alignment explains",
    Rejection.CONTENTS: "what stands there contradicts the type that it has elsewhere",
    Rejection.AMBIGUOUS: "kernels differ, and more than one of their types fits",
    Rejection.DOUBT: "variables of such names are of several types",
    Rejection.CODE: "the kernel's code reads and writes it otherwise than the type that it has "
    "elsewhere",
    Rejection.SHRUNK: "code reads and writes one byte of it: clang may keep a variable of two "
    "values as a byte that says which, not as its value",
}
_POLICY = "its evidence is weaker than the policy asks for"
_NO_BTF = "the dump has no BTF of this kernel that can be read (info says why)"
_NO_PROTOTYPE = "BTF has no prototype of it"


@dataclass(frozen=True, slots=True)
class Named:
    """
    One symbol of a name.

    :ivar size: Bytes to the next symbol, an upper bound; of a module its own.
    :ivar module: "" for the kernel itself.
    :ivar percpu: The address is that of the template of a per-CPU variable.
    :ivar type: Its type's name, "" if it is not known.
    :ivar why: Why it is not, "" if it is.
    :ivar elsewhere: Types that other kernels have under that name, nearest first.
    :ivar used: Bytes of it that code uses as a number, 0 if it is not known to use fewer.
    """

    name: str
    address: int
    size: int
    module: str
    percpu: bool
    is_code: bool
    type: str = ""
    why: str = ""
    elsewhere: tuple[str, ...] = ()
    used: int = 0

    def place(self) -> str:
        """Address, size and owner in words."""
        size = f", {self.size} bytes" if self.size and not self.is_code else ""
        owner = f" in module {self.module}" if self.module else ""
        return f"at {self.address:#x}{size}{owner}"


def symbols_named(session: Session, name: str) -> tuple[Named, ...]:
    """
    Return every symbol of a name, of the kernel and of the loaded modules, by address.

    >>> [named.why for named in symbols_named(session, "cf_victim")]
    ['no kernel that btfdbg knows has a variable of that name there']
    """
    found: dict[int, Named] = {}
    for sym in session.lookup_symbols(name):
        found.setdefault(sym.address, _of_kernel(session, sym))
    objects = session.module_objects
    if objects is not None:
        for sym in objects.symbols_of(name):
            judge = None if is_text(sym) else objects.variables_of(sym)
            found.setdefault(sym.address, _named(sym, objects.type_of(sym), judge))
    return tuple(found[address] for address in sorted(found))


def _of_kernel(session: Session, sym: Sym) -> Named:
    converter = session.converter
    if is_text(sym):
        type_ = None
        if converter is not None:
            ids = own_ids(converter.btf, sym.name, (Kind.FUNC,))
            type_ = converter.convert(ids[0]) if len(ids) == 1 else None
        return _named(sym, type_, None)
    var_id = None if converter is None else session.own_variable(sym.name, sym.address)
    if converter is not None and var_id is not None:
        return _named(sym, converter.convert(var_id), None)
    judge = session.variables
    typed = None if judge is None else judge.of_symbol(sym)
    # Without a single type nothing was judged.
    unjudged = _NO_BTF if converter is None else _POLICY
    return _named(sym, None if typed is None else typed.type, judge, unjudged)


def _named(
    sym: Sym, type_: drgn.Type | None, judge: VariableTypes | None, unjudged: str = _POLICY
) -> Named:
    module = sym.module
    why = ""
    elsewhere: tuple[str, ...] = ()
    used = 0
    if type_ is None and is_text(sym):
        why = _NO_PROTOTYPE
    elif type_ is None:
        cause = None if judge is None else judge.cause_of(sym)
        why = unjudged if cause is None else _WHY[cause]
        elsewhere = () if judge is None else judge.elsewhere(sym.name)
        used = 1 if cause is Rejection.SHRUNK else 0
    name = "" if type_ is None else type_.type_name()
    return Named(
        sym.name,
        sym.address,
        sym.size,
        module,
        sym.percpu,
        is_text(sym),
        name,
        why,
        elsewhere,
        used,
    )


def explain(session: Session, name: str) -> str:
    """
    Return in one line why a name that is there is no object, and what to try.

    :param name: Or a kind of type and a name, of which there is no such type.
    :return: "" if nothing of that name is in the dump.
    """
    kind, _, of_type = name.partition(" ")
    bare = of_type or name
    if len(name) > _MAX_NAME or not _NAME.fullmatch(bare):
        return ""
    try:
        if of_type:
            return _instead_of_type(session, kind, bare)
        code = changed.changed(session, name)
        if code is not None:
            return f"{code.sentence()}; try whatis {name}, dis {name}"
        return (
            _of_symbols(symbols_named(session, name), name)
            or _of_enumerators(session, name)
            or _of_copies(session, name)
            or _without_data_symbols(session, name)  # rcu_state is a structure as well
            or _of_types(session, name)
        )
    except (BtfdbgError, drgn.FaultError):
        return ""  # what is damaged is told where it is read


def _of_symbols(found: Sequence[Named], name: str) -> str:
    if not found:
        return ""
    if len(found) == 1:
        return _of_one(found[0])
    told = [f"{n.type or 'type not known'} {n.place()}" for n in found[:_MAX_SHOWN]]
    if len(found) > _MAX_SHOWN:
        told.append(f"{len(found) - _MAX_SHOWN} more")
    choice = next((n for n in found if n.type and not n.is_code), None)
    hint = ""
    if choice is not None:
        hint = f"; choose one: p *({pointer_to(choice.type)}){choice.address:#x}"
    elif known := [t for t in found[0].elsewhere if len(t) <= _MAX_TYPE_TEXT][:_MAX_TYPES]:
        read = f"p *({pointer_to(known[0])}){found[0].address:#x}"
        hint = f"; other kernels have {', '.join(known)}; as the first: {read}"
    return f"{len(found)} symbols are named {name}: {', '.join(told)}{hint}"


def _of_one(named: Named) -> str:
    name = named.name
    if named.is_code:
        return f"{name} is a function {named.place()}, {named.why}; try sym {name}, x/8i {name}"
    if named.type:
        return f"{name} is a variable of the kernel, {named.type}; try p {name}, prog[{name!r}]"
    elsewhere = ""
    if named.elsewhere:
        types = [t for t in named.elsewhere if len(t) <= _MAX_TYPE_TEXT][:_MAX_TYPES]
        elsewhere = f" ({', '.join(types)})" if types else ""
    where = "per-CPU variable, template " if named.percpu else ""
    return (
        f"{name} is there ({where}{named.place()}), its type is not known: "
        f"{named.why}{elsewhere}; try {_try(named)}"
    )


def _try(named: Named) -> str:
    name = f"{named.name}:0" if named.percpu else named.name
    read = f"rd {name} {max(1, min(-(-named.size // 8), 8))}"
    cast = _CASTS.get(named.used or named.size)
    if named.percpu:
        return read
    return f"p {cast}{name}, {read}" if cast else f"p (TYPE){name}, {read}"


def _of_enumerators(session: Session, name: str) -> str:
    if not session.has_btf:
        return ""
    doubts: list[str] = []
    values = sorted({v.value for v in find_enumerators(session.vmlinux, name, doubts)})
    if doubts and len(values) < 2:
        return f"{name} is an enumerator, its value is not known: {doubts[0]}"
    if len(values) > 1:
        told = ", ".join(map(str, values[:_MAX_SHOWN]))
        return f"{name} is an enumerator of several enums, with the values {told}"
    return ""


def _without_data_symbols(session: Session, name: str) -> str:
    """A variable that other kernels have, of a kernel whose kallsyms lists functions only."""
    if not isinstance(session.symbols, CombinedTable) or session.variables is None:
        return ""
    types = [t for t in session.variables.elsewhere(name) if len(t) <= _MAX_TYPE_TEXT]
    if not types:
        return ""
    return (
        f"{name} ({types[0]} elsewhere) has no address here: this kernel's kallsyms has no data "
        "symbols (CONFIG_KALLSYMS_ALL=n); --kallsyms FILE takes its System.map"
    )


def copies(session: Session, name: str) -> tuple[str, ...]:
    """
    Return what a compiler made of a function that is not there by its own name.

    >>> copies(session, "cf_level3")
    ('cf_level3.constprop.0',)
    """
    if session.symbols is None or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        return ()
    # Asked for one by one: going through all names takes a third of a second.
    found = [n for end in _CHANGED if session.symbols.by_name(n := name + end)]
    objects = session.module_objects
    if not found and objects is not None:
        found = [n for end in _CHANGED if objects.symbols.by_name(n := name + end)]
    return tuple(found)


def _of_copies(session: Session, name: str) -> str:
    found = copies(session, name)
    if not found:
        return ""
    told = ", ".join(found[:_MAX_SHOWN])
    return f"{name} is there only as the compiler changed it: {told}; try sym {found[0]}"


def _spelling(session: Session, name: str) -> str:
    """How a type of the kernel's BTF is asked for, "" if there is none of that name."""
    if not session.has_btf:
        return ""
    ids = own_ids(session.vmlinux, name, tuple(_TYPE_KINDS))
    return _TYPE_KINDS[Kind(session.vmlinux.kind_of(ids[0]))] + name if ids else ""


def _of_types(session: Session, name: str) -> str:
    spelling = _spelling(session, name)
    return f"{name} is a type and no variable; try whatis {spelling}" if spelling else ""


def _instead_of_type(session: Session, kind: str, name: str) -> str:
    spelling = _spelling(session, name)
    if spelling and spelling != f"{kind} {name}":
        return f"there is {spelling}"
    if session.has_btf and own_ids(session.vmlinux, name, (Kind.FWD,)):
        return f"{name} is declared, and its members are in no BTF of this dump"
    found = symbols_named(session, name)
    if not found:
        return ""
    what = "function" if found[0].is_code else "variable"
    return f"{name} is a {what} {found[0].place()}; try whatis {name}"
