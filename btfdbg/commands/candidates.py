"""Names that exist in a dump, for "did you mean" and for completion without an index.

Owns where each kind of name comes from. Types come from BTF bytes, symbols from
the kernel's table, members from drgn's types; nothing is remembered here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator

import drgn

from btfdbg.btf import Btf, Kind
from btfdbg.btf.names import named_types
from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session

NAMED_KINDS = frozenset(
    (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF, Kind.INT, Kind.FLOAT)
)

_MAX_LIKE = 40_000  # names that begin or end alike
_CALLS = ("__x64_", "__arm64_", "__s390x_", "__riscv_")
_MAX_SLIPS = 64  # look-ups for names that a slip of the finger apart, some 0.2 ms each
_MAX_DEPTH = 16  # anonymous members within anonymous members


def candidates(session: Session, command_names: Iterable[str] = ()) -> Callable[[str], list[str]]:
    """A ``failure.Names`` for a Session."""

    def names(kind: str) -> list[str]:
        try:
            return _names(session, kind, command_names)
        except (BtfdbgError, drgn.FaultError, LookupError, SyntaxError):
            # Suggestions are a courtesy; what is wrong here is told elsewhere. The
            # name of an anonymous type, "struct <anonymous>", is no name.
            return []

    return names


def _names(session: Session, kind: str, command_names: Iterable[str]) -> list[str]:
    if kind.startswith("slip "):
        table = session.symbols
        near = slips(kind.removeprefix("slip "))
        return [] if table is None else [name for name in near if table.by_name(name)]
    if kind.startswith("symbol "):
        return list(_symbols_like(session, kind.removeprefix("symbol ")))
    if kind == "type":
        return [name for name, _ in type_names(session.vmlinux)] if session.has_btf else []
    if kind == "name":
        from btfdbg.commands.state import state_of

        return [*state_of(session.prog).globals, *vars(builtins)]
    if kind == "command":
        return list(command_names)
    if kind.startswith("member "):
        type_ = session.prog.type(kind.removeprefix("member "))
        return [name for name, _, _ in members(type_)]
    return []


def slips(name: str) -> list[str]:
    """
    What was meant if a finger slipped once: two letters swapped, one too many or not doubled.

    For a search by exact name where a comparison with all names costs too much.
    """
    swapped = [name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)]
    doubled = [name[: i + 1] + name[i:] for i in range(len(name))]
    fewer = [name[:i] + name[i + 1 :] for i in range(len(name))]
    # What a system call is called since v4.17.
    called = [prefix + name for prefix in _CALLS] if name.startswith("sys_") else []
    near = dict.fromkeys((*called, *swapped, *doubled, *fewer))
    near.pop(name, None)
    return list(near)[:_MAX_SLIPS]


def _symbols_like(session: Session, name: str) -> Iterator[str]:
    """
    Symbols whose first two or last two letters are those of a name, in any case.

    Underscores at the start do not count as letters, but have to be as many.
    """
    known = session.all_names()
    if known is None or not name.isascii() or "\n" in name:
        return
    text, lower = known.text, known.text.lower()
    start = name[: len(name) - len(name.lstrip("_")) + 2].lower()
    for needle, inside in ((f"\n{start}", 1), (f"{name[-2:].lower()}\n", 0)):
        at = lower.find(needle)
        for _ in range(_MAX_LIKE):
            if at < 0:
                break
            end = lower.index("\n", at + inside)
            yield text[lower.rfind("\n", 0, at + inside) + 1 : end]
            at = lower.find(needle, end)


def type_names(btf: Btf) -> Iterator[tuple[str, int]]:
    """(name, kind) of BTF's named types, in the order of their ids; names repeat."""
    return named_types(btf, NAMED_KINDS)


def underlying(type_: drgn.Type) -> drgn.Type:
    """The type behind typedefs."""
    for _ in range(_MAX_DEPTH):
        if type_.kind is not drgn.TypeKind.TYPEDEF:
            break
        type_ = type_.type
    return type_


def struct_of(type_: drgn.Type) -> drgn.Type | None:
    """The struct, union or class that a type is or points to, as ``.`` in drgn sees it."""
    type_ = underlying(type_)
    if type_.kind is drgn.TypeKind.POINTER:
        type_ = underlying(type_.type)
    if type_.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.CLASS):
        return type_
    return None


def members(type_: drgn.Type) -> Iterator[tuple[str, drgn.TypeMember, int]]:
    """
    Members that can be named on a type: (name, member, bit offset from its start).

    Members of anonymous structs and unions are entered, as in C.
    """
    found = struct_of(type_)
    if found is not None and found.is_complete():
        yield from _members(found, 0, 0)


def _members(
    type_: drgn.Type, start: int, depth: int
) -> Iterator[tuple[str, drgn.TypeMember, int]]:
    for member in type_.members or ():
        offset = start + member.bit_offset
        if member.name:
            yield member.name, member, offset
        elif depth < _MAX_DEPTH:
            inner = struct_of(member.type)
            if inner is not None and inner.is_complete():
                yield from _members(inner, offset, depth + 1)
