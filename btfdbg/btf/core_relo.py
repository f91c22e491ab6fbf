"""CO-RE: which types, members and enumerators of a kernel a BPF object's accesses meet.

Owns access strings and the matching of an object's types with a kernel's: by name
without its flavour (``foo___v2`` means ``foo``), members by name through anonymous ones,
and kinds that a program cannot tell apart count as equal. Computes no values: offsets
are the loader's business, here it is what must be there for it to compute them.

Facts: libbpf's relo_core.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.btfext import CoreKind, CoreRelo
from btfdbg.btf.cheader.c_layout import WorkBudget
from btfdbg.btf.format import Kind, info_vlen
from btfdbg.errors import BtfError, BtfFormatError
from btfdbg.lazy_dataclass import dataclass, field

_MAX_DEPTH = 32
_MAX_STEPS = 64
_ACCESS = re.compile(r"[0-9]{1,9}(?::[0-9]{1,9})*")
_FLAVOUR = re.compile(r"(.*[^_])___[^_]", re.DOTALL)
_FLAVOURS = re.compile(rb"[^_\0]___[^_\0]")
_ENUMS = (kinds.Enum, kinds.Enum64)
_COMPOSITES = (kinds.Struct, kinds.Union)
TYPE_KINDS = frozenset(
    {CoreKind.TYPE_ID_TARGET, CoreKind.TYPE_EXISTS, CoreKind.TYPE_SIZE, CoreKind.TYPE_MATCHES}
)
ENUM_KINDS = frozenset({CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE})


_KEYWORDS: dict[int, str] = {
    Kind.STRUCT: "struct ",
    Kind.UNION: "union ",
    Kind.ENUM: "enum ",
    Kind.ENUM64: "enum ",
}


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step of an access.

    :ivar type_id: STRUCT or UNION of the member, else the type of the element.
    :ivar index: Of the member or element.
    :ivar name: The member's, ``None`` for an element.
    """

    type_id: int
    index: int
    name: str | None


@dataclass(slots=True)
class Path:
    """
    What an access touches in a kernel.

    :ivar root: Type that it starts from.
    :ivar members: Composite and number of each member on the way, anonymous ones too.
    :ivar types: Every other type on the way.
    """

    root: int
    members: list[tuple[int, int]] = field(default_factory=list)
    types: list[int] = field(default_factory=list)


def essential_name(name: str) -> str:
    """
    Return a name without its flavour, which is what follows the last ``___``.

    Neither before nor after these three there may be a fourth underscore.
    """
    match = _FLAVOUR.match(name) if "___" in name else None
    return match[1] if match else name


def parse_access(btf: Btf, relo: CoreRelo) -> list[Step]:
    """
    Follow an access string through the object's own types.

    :raises BtfError: it does not fit them.
    """

    def bad(what: str) -> BtfError:
        return BtfError(f"access {relo.access!r} of type {relo.type_id}: {what}")

    if _ACCESS.fullmatch(relo.access) is None:
        raise bad("no list of numbers")
    indexes = [int(part) for part in relo.access.split(":")]
    if len(indexes) > _MAX_STEPS:
        raise bad(f"more than {_MAX_STEPS} steps")
    at = btf.skip_mods_and_typedefs(relo.type_id)
    btf.resolve_size(at)
    steps = [Step(at, indexes[0], None)]
    for index in indexes[1:]:
        type_ = btf.type_by_id(btf.skip_mods_and_typedefs(at))
        if isinstance(type_, _COMPOSITES):
            if index >= len(type_.members):
                raise bad(f"{type_.name or 'anonymous type'} has no member {index}")
            member = type_.members[index]
            if member.name:
                steps.append(Step(btf.skip_mods_and_typedefs(at), index, member.name))
            at = btf.skip_mods_and_typedefs(member.type)
        elif isinstance(type_, kinds.Array):
            last = steps[-1]
            holder = (last.type_id, last.index) if last.name is not None else None
            if index >= type_.nelems and not _is_flexible(btf, type_, holder):
                raise bad(f"array of {type_.nelems} elements has no element {index}")
            at = btf.skip_mods_and_typedefs(type_.type)
            steps.append(Step(at, index, None))
        else:
            raise bad(f"{type_.kind} has no elements")
    return steps


def describe_access(btf: Btf, relo: CoreRelo) -> str:
    """
    Return what an access is of, as C has it.

    >>> describe_access(local, relo)
    'struct task_struct___new.__state'
    """
    try:
        kind = btf.kind_of(relo.type_id)
        name = btf.name_of(relo.type_id) or f"type {relo.type_id}"
        keyword = _KEYWORDS.get(kind, "")
        if relo.kind in TYPE_KINDS:
            return keyword + name
        if relo.kind in ENUM_KINDS:
            enum = btf.type_by_id(btf.skip_mods_and_typedefs(relo.type_id))
            if not isinstance(enum, kinds.Enum | kinds.Enum64):
                raise BtfFormatError(f"type {relo.type_id} has no values")
            return f"{keyword}{name}.{enum.values[int(relo.access)].name}"
        text = keyword + name
        first, *steps = parse_access(btf, relo)
        if first.index:
            text += f"[{first.index}]"
        for step in steps:
            text += f"[{step.index}]" if step.name is None else f".{step.name}"
        return text
    except (BtfError, IndexError, ValueError):
        return f"access {relo.access} of type {relo.type_id}"  # damaged: by its numbers


def _is_flexible(btf: Btf, array: kinds.Array, holder: tuple[int, int] | None) -> bool:
    """Return whether an array of no elements ends a struct, and so may have any."""
    return (
        array.nelems == 0
        and holder is not None
        and holder[1] == info_vlen(btf.info_of(holder[0])) - 1
    )


def match_access(local: Btf, steps: list[Step], target: Btf, type_id: int) -> Path | None:
    """
    Find the same access in a kernel's type.

    :param type_id: Candidate of the target.
    :return: What it touches, or ``None`` if the candidate has no such member.
    """
    path = Path(type_id)
    at = type_id
    for number, step in enumerate(steps):
        at = _follow(target, at, path)
        if step.name is not None:
            found = _member(local, step, target, at, path, 0, WorkBudget())
            if found is None:
                return None
            at = found
        elif number:
            type_ = target.type_by_id(at)
            if not isinstance(type_, kinds.Array):
                return None
            named = steps[number - 1].name is not None
            holder = path.members[-1] if named else None
            if step.index >= type_.nelems and not _is_flexible(target, type_, holder):
                return None
            path.types.append(type_.index_type)
            at = type_.type
            path.types.append(at)
    _follow(target, at, path)
    return path


def _follow(target: Btf, type_id: int, path: Path) -> int:
    """Skip modifiers and typedefs, noting each."""
    end = target.skip_mods_and_typedefs(type_id)
    at = type_id
    while at != end:
        path.types.append(at)
        at = target.record(at)[2]
    path.types.append(end)
    return end


def _member(
    local: Btf, step: Step, target: Btf, type_id: int, path: Path, depth: int, steps: WorkBudget
) -> int | None:
    """Find a member by name, in anonymous members too; return its type."""
    type_ = target.type_by_id(type_id)
    if not isinstance(type_, _COMPOSITES) or depth > _MAX_DEPTH:
        return None
    local_type = local.type_by_id(step.type_id)
    assert isinstance(local_type, _COMPOSITES)  # parse_access saw to it
    for number, member in enumerate(type_.members):
        steps.take(type_id)
        if not member.name:
            inner = Path(member.type)
            at = _follow(target, member.type, inner)
            found = _member(local, step, target, at, inner, depth + 1, steps)
            if found is not None:
                path.members.append((type_id, number))
                path.members += inner.members
                path.types += inner.types
                return found
        elif member.name == step.name:
            if not fields_compatible(
                local, local_type.members[step.index].type, target, member.type
            ):
                return None
            path.members.append((type_id, number))
            return member.type
    return None


def fields_compatible(local: Btf, local_id: int, target: Btf, target_id: int) -> bool:
    """Return whether a member of one type can be read as one of another."""
    for _ in range(_MAX_DEPTH):
        a = local.type_by_id(local.skip_mods_and_typedefs(local_id))
        b = target.type_by_id(target.skip_mods_and_typedefs(target_id))
        if isinstance(a, _COMPOSITES) and isinstance(b, _COMPOSITES):
            return True
        if isinstance(a, _ENUMS) and isinstance(b, _ENUMS):
            return _same_or_anonymous(a.name, b.name)
        if type(a) is not type(b):
            return False
        match a:
            case kinds.Ptr() | kinds.Float():
                return True
            case kinds.Fwd():
                return _same_or_anonymous(a.name, b.name)
            case kinds.Int():
                assert isinstance(b, kinds.Int)
                return a.offset == 0 and b.offset == 0
            case kinds.Array():
                assert isinstance(b, kinds.Array)
                local_id, target_id = a.type, b.type
            case _:
                return False
    return False


def _same_or_anonymous(a: str, b: str) -> bool:
    a, b = essential_name(a), essential_name(b)
    return not a or not b or a == b


def types_compatible(
    local: Btf,
    local_id: int,
    target: Btf,
    target_id: int,
    depth: int = 0,
    steps: WorkBudget | None = None,
) -> bool:
    """Return whether types are the same as far as ``bpf_core_type_exists()`` looks."""
    steps = steps or WorkBudget()
    steps.take(local_id)
    for _ in range(_MAX_DEPTH):
        a = local.type_by_id(local.skip_mods_and_typedefs(local_id))
        b = target.type_by_id(target.skip_mods_and_typedefs(target_id))
        if isinstance(a, _ENUMS) and isinstance(b, _ENUMS):
            return True
        if type(a) is not type(b):
            return False
        if isinstance(a, kinds.Int) and isinstance(b, kinds.Int):
            return a.offset == 0 and b.offset == 0
        if isinstance(a, kinds.Ptr | kinds.Array):
            assert isinstance(b, kinds.Ptr | kinds.Array)
            local_id, target_id = a.type, b.type
        elif isinstance(a, kinds.FuncProto) and isinstance(b, kinds.FuncProto):
            return (
                depth < _MAX_DEPTH
                and len(a.params) == len(b.params)
                and all(
                    types_compatible(local, p.type, target, q.type, depth + 1, steps)
                    for p, q in zip(a.params, b.params, strict=True)
                )
                and types_compatible(local, a.type, target, b.type, depth + 1, steps)
            )
        else:
            return isinstance(a, kinds.Void | kinds.Struct | kinds.Union | kinds.Fwd)
    return False


def types_match(
    local: Btf,
    local_id: int,
    target: Btf,
    target_id: int,
    behind_ptr: bool = False,
    depth: int = 0,
    steps: WorkBudget | None = None,
) -> bool:
    """Return whether types are the same as far as ``bpf_core_type_matches()`` looks."""
    steps = steps or WorkBudget()
    steps.take(local_id)
    if depth > _MAX_DEPTH:
        raise BtfFormatError(f"type {local_id}: nested too deeply to be matched")

    def same(a: int, b: int, pointer: bool = behind_ptr) -> bool:
        return types_match(local, a, target, b, pointer, depth + 1, steps)

    a = local.type_by_id(local.skip_mods_and_typedefs(local_id))
    b = target.type_by_id(target.skip_mods_and_typedefs(target_id))
    if not _names_match(a.name, b.name):
        return False
    match a:
        case kinds.Fwd():
            if behind_ptr and isinstance(b, _COMPOSITES):
                return a.is_union == (b.kind == Kind.UNION)
            return isinstance(b, kinds.Fwd) and a.is_union == b.is_union
        case kinds.Enum() | kinds.Enum64():
            return (
                isinstance(b, _ENUMS)
                and a.size == b.size
                and len(a.values) <= len(b.values)
                and all(any(_names_match(v.name, w.name) for w in b.values) for v in a.values)
            )
        case kinds.Struct() | kinds.Union():
            if behind_ptr:
                if isinstance(b, kinds.Fwd):
                    return b.is_union == (a.kind == Kind.UNION)
                return a.kind == b.kind
            if not isinstance(b, _COMPOSITES) or a.kind != b.kind:
                return False
            return len(a.members) <= len(b.members) and all(
                any(_names_match(m.name, n.name) and same(m.type, n.type) for n in b.members)
                for m in a.members
            )
        case kinds.Int():
            return isinstance(b, kinds.Int) and a.size == b.size and a.signed == b.signed
        case kinds.Ptr():
            return isinstance(b, kinds.Ptr) and same(a.type, b.type, True)
        case kinds.Array():
            return isinstance(b, kinds.Array) and a.nelems == b.nelems and same(a.type, b.type)
        case kinds.FuncProto():
            return (
                isinstance(b, kinds.FuncProto)
                and len(a.params) == len(b.params)
                and all(same(p.type, q.type) for p, q in zip(a.params, b.params, strict=True))
                and same(a.type, b.type)
            )
    return a.kind == b.kind


def _names_match(local: str, target: str) -> bool:
    """Compare as the loader does: what stands after the local name counts as a flavour."""
    return target.startswith(essential_name(local))


def candidates(
    local: Btf, relo: CoreRelo, target: Btf, flavours: Mapping[str, Sequence[int]]
) -> list[int]:
    """
    Return own types of a kernel's BTF that a relocation's type can mean, by name and kind.

    :param flavours: Of the target, see :func:`flavours_of`.
    """
    name = essential_name(local.name_of(relo.type_id))
    if not name:
        return []
    kind = local.kind_of(relo.type_id)
    alike = {kind}
    if kind in (Kind.ENUM, Kind.ENUM64):
        alike = {Kind.ENUM, Kind.ENUM64}
    found = sorted([*target.own_ids_by_name(name), *flavours.get(name, ())])
    return [t for t in found if target.kind_of(t) in alike]


def flavours_of(target: Btf) -> dict[str, list[int]]:
    """
    Return the own types of a BTF that are a flavour, by the name without it.

    Kernels have none, but what stands in for one may: a test's, or one made by hand.
    """
    out: dict[str, list[int]] = {}
    if target.base is None and _FLAVOURS.search(target.strings.data) is None:
        return out
    names: dict[int, str] = {}
    for type_id in target.own_ids():
        offset = target.words[target.offsets[type_id - target.start_id]]
        if offset not in names:
            name = target.name_of(type_id)
            short = essential_name(name)
            names[offset] = short if short != name else ""
        if names[offset]:
            out.setdefault(names[offset], []).append(type_id)
    return out
