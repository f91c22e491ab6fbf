"""``minimize()``: as little of a kernel's BTF as a BPF object's relocations need.

Owns what is kept. Per relocation, of every type that it can mean: the members that the
access passes through (in otherwise emptied structs of unchanged size), the types of
these members up to the first pointer, an enum as a whole; for questions about a type
as a whole, what it refers to as well.

Kernel and modules are minimised together. As the loader does, a type is looked for in
the kernel first, and in the modules only if the kernel has none of its name. Each
module keeps its own types, on top of the one minimal kernel: two modules that lay out a
struct of one name differently have two, and neither's member offsets can be taken for
the other's. :func:`flatten` makes one BTF of it for loaders that know no split BTF.

Facts: bpftool's gen min_core_btf, which knows no modules and fails at tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo
from btfdbg.btf.core_relo import (
    ENUM_KINDS,
    TYPE_KINDS,
    Step,
    candidates,
    describe_access,
    essential_name,
    flavours_of,
    match_access,
    parse_access,
    types_compatible,
    types_match,
)
from btfdbg.btf.format import COMPOSITES, Kind, info_kflag, info_kind, make_info
from btfdbg.btf.records import Records
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass, field

_MAX_DEPTH = 64


@dataclass(slots=True)
class _Kept:
    """What is kept of a BTF and its base: ids, and members by composite."""

    types: set[int] = field(default_factory=set)
    members: dict[int, set[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Minimal:
    """
    Result of :func:`minimize`.

    :ivar kernel: The minimal kernel BTF.
    :ivar modules: The minimal module BTFs on top of it, in the order given.
    :ivar unmatched: Relocations that no type of kernel or modules answers. That may be
        meant: a program asks for what other kernels have.
    :ivar unmatched_names: What each of these is of, as C has it.
    """

    kernel: Btf
    modules: tuple[Btf, ...]
    unmatched: tuple[CoreRelo, ...]
    unmatched_names: tuple[str, ...] = ()


def minimize(
    kernel: Btf, objects: Iterable[tuple[Btf, BtfExt]], modules: Sequence[Btf] = ()
) -> Minimal:
    """
    Keep of a kernel's BTF what BPF objects need.

    :param objects: .BTF and .BTF.ext of each object.
    :param modules: BTF split on top of ``kernel``.
    :raises BtfError: a module has another base, or an access fits not even its own types.
    :raises BtfFormatError: a record refers to what does not exist.
    """
    if any(module.base is not kernel for module in modules):
        raise BtfError("cannot minimize: a module is not split on top of this kernel")
    kept = [_Kept() for _ in (kernel, *modules)]
    targets = [(target, flavours_of(target)) for target in (kernel, *modules)]
    unmatched: list[CoreRelo] = []
    names: list[str] = []
    for local, ext in objects:
        for relo in ext.core_relos:
            if relo.kind == CoreKind.TYPE_ID_LOCAL:
                continue
            if not _keep(local, relo, targets, kept):
                unmatched.append(relo)
                names.append(describe_access(local, relo))
    for of_module in kept[1:]:
        _to_kernel(of_module, kept[0], kernel.type_cnt)
    small, ids = _build(kernel, None, kept[0], {})
    out = [
        _build(module, small, of_module, ids)[0]
        for module, of_module in zip(modules, kept[1:], strict=True)
    ]
    return Minimal(small, tuple(out), tuple(unmatched), tuple(names))


def _to_kernel(of_module: _Kept, of_kernel: _Kept, limit: int) -> None:
    """Have the kernel keep what a module's accesses pass through."""
    of_kernel.types |= {t for t in of_module.types if t < limit}
    for type_id, members in of_module.members.items():
        if type_id < limit:
            of_kernel.members.setdefault(type_id, set()).update(members)


_Target: TypeAlias = "tuple[Btf, dict[str, list[int]]]"
# What a relocation asks for: the steps of an access, or the name of an enumerator.
_Asked: TypeAlias = "list[Step] | str | None"


def _keep(local: Btf, relo: CoreRelo, targets: Sequence[_Target], kept: Sequence[_Kept]) -> bool:
    """Keep what answers a relocation; return whether anything does."""
    asked = _asked(local, relo)
    found = False
    for number, ((target, flavours), of_target) in enumerate(zip(targets, kept, strict=True)):
        matching = candidates(local, relo, target, flavours)
        for type_id in matching:
            if _keep_candidate(local, relo, asked, target, type_id, of_target):
                found = True
        if not number and matching:
            break  # the loader then looks into no module
    return found


def _asked(local: Btf, relo: CoreRelo) -> _Asked:
    """
    Return what a relocation asks for of its type, ``None`` for all of it.

    :raises BtfError: the object's own type does not have that.
    """
    if relo.kind in TYPE_KINDS:
        if relo.access != "0":
            what = "expected '0', for the type as a whole"
            raise BtfError(f"access {relo.access!r} of type {relo.type_id}: {what}")
        return None
    if relo.kind not in ENUM_KINDS:
        return parse_access(local, relo)
    enum = local.type_by_id(local.skip_mods_and_typedefs(relo.type_id))
    if not isinstance(enum, kinds.Enum | kinds.Enum64):
        raise BtfError(f"relocation of an enumerator of type {relo.type_id}, which is no enum")
    number = int(relo.access) if re.fullmatch("[0-9]{1,9}", relo.access) else -1
    if not 0 <= number < len(enum.values):
        raise BtfError(f"enum {enum.name} has no enumerator {relo.access!r}")
    return essential_name(enum.values[number].name)


def _keep_candidate(
    local: Btf, relo: CoreRelo, asked: _Asked, target: Btf, type_id: int, kept: _Kept
) -> bool:
    if isinstance(asked, str):
        # Both may be typedefs: candidates() compares the kinds that are asked for.
        found = target.type_by_id(target.skip_mods_and_typedefs(type_id))
        if not isinstance(found, kinds.Enum | kinds.Enum64):
            return False
        if all(essential_name(value.name) != asked for value in found.values):
            return False
        _mark(target, type_id, kept, False)
        return True
    if asked is None:
        if relo.kind == CoreKind.TYPE_MATCHES:
            if not types_match(local, relo.type_id, target, type_id):
                return False
            _mark_match(target, type_id, kept)
        elif types_compatible(local, relo.type_id, target, type_id):
            _mark(target, type_id, kept, True)
        else:
            return False
        return True
    path = match_access(local, asked, target, type_id)
    if path is None:
        return False
    for composite, member in path.members:
        kept.types.add(composite)
        refs = target.iter_type_refs(composite)
        _keep_member(target, composite, member, refs[member], kept)
        if member + 1 < len(refs) and _is_empty_array(target, refs[member]):
            # The loader takes it for a flexible array if nothing follows.
            _keep_member(target, composite, member + 1, refs[member + 1], kept)
    for at in path.types:
        _mark(target, at, kept, False)
    return True


def _keep_member(target: Btf, composite: int, number: int, type_id: int, kept: _Kept) -> None:
    kept.members.setdefault(composite, set()).add(number)
    _mark(target, type_id, kept, False)


def _is_empty_array(target: Btf, type_id: int) -> bool:
    at = target.skip_mods_and_typedefs(type_id)
    return target.kind_of(at) == Kind.ARRAY and not target.record(at)[5]


def _mark(target: Btf, type_id: int, kept: _Kept, pointers: bool) -> None:
    """Keep a type and what it consists of; ``pointers``: what it points to as well."""
    stack = [type_id]
    seen: set[int] = set()
    while stack:
        at = stack.pop()
        if not at or at in seen:
            continue
        seen.add(at)
        kept.types.add(at)
        kind = target.kind_of(at)
        if kind in COMPOSITES or (kind == Kind.PTR and not pointers):
            continue
        stack += target.iter_type_refs(at)


def _mark_match(target: Btf, type_id: int, kept: _Kept) -> None:
    """Keep a type with all that a comparison of it as a whole looks at."""
    stack = [(type_id, False)]
    seen: set[tuple[int, bool]] = set()
    while stack:
        at, behind = stack.pop()
        if not at or (at, behind) in seen:
            continue
        seen.add((at, behind))
        kept.types.add(at)
        kind = target.kind_of(at)
        if kind in COMPOSITES:
            if behind:
                continue
            kept.members.setdefault(at, set()).update(range(len(target.iter_type_refs(at))))
        stack += [(ref, behind or kind == Kind.PTR) for ref in target.iter_type_refs(at)]


def _build(
    source: Btf, base: Btf | None, kept: _Kept, base_ids: dict[int, int]
) -> tuple[Btf, dict[int, int]]:
    """Return the BTF of the types kept, and what became of their ids."""
    own = [t for t in source.own_ids() if t in kept.types]
    start = 1 if base is None else base.type_cnt
    ids = dict(base_ids)
    ids.update({old: start + number for number, old in enumerate(own)})
    records = Records(base, source)
    mapped = _OrVoid(ids)
    strings = records.string_map(source)
    for type_id in own:
        words = source.record(type_id)
        if info_kind(words[1]) not in COMPOSITES:
            records.copy(source, type_id, mapped)
            continue
        members = sorted(kept.members.get(type_id, ()))
        kflag = info_kflag(words[1]) and any(words[5 + 3 * m] >> 24 for m in members)
        info = make_info(info_kind(words[1]), len(members), kflag)
        out = [strings[words[0]], info, words[2]]
        for member in members:
            name, ref, offset = words[3 + 3 * member : 6 + 3 * member].tolist()
            out += [strings[name], mapped[ref], offset]
        records.append(out)
    return records.to_btf(), ids


class _OrVoid:
    """Ids of the types kept; void for all others."""

    def __init__(self, ids: dict[int, int]) -> None:
        self._ids = ids

    def __getitem__(self, index: int, /) -> int:
        return self._ids.get(index, 0)


def flatten(kernel: Btf, modules: Sequence[Btf]) -> Btf:
    """
    Return one BTF without a base: the kernel's types, then each module's.

    Types of one name that modules lay out differently stay two types. Not every
    loader takes that well, but none can mix them up.
    """
    records = Records(None, kernel)
    identity = list(range(kernel.type_cnt))
    for type_id in kernel.own_ids():
        records.copy(kernel, type_id, identity)
    for module in modules:
        shift = records.type_cnt - module.start_id
        ids = identity + [type_id + shift for type_id in module.own_ids()]
        for type_id in module.own_ids():
            records.copy(module, type_id, ids)
    return records.to_btf()
