"""Members by path and by offset.

Owns the walk into structs: names along a path, anonymous members entered. Answers
are in bits, because bit-fields have no byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from btfdbg.btf import kinds
from btfdbg.btf.format import COMPOSITES, Kind, TypeId, kind_name
from btfdbg.btf.layouts import MAX_CHAIN
from btfdbg.errors import BtfFormatError, BtfNotFoundError
from btfdbg.lazy_dataclass import replace
from btfdbg.lazy_pattern import pattern

if TYPE_CHECKING:
    from btfdbg.btf.btf import Btf

# Members looked at before a type counts as endless: anonymous members that each hold two
# more double at every level. The largest struct of a kernel has a few hundred.
_MAX_MEMBERS = 1 << 17
_STEP = pattern(r"\.?([^.\[\]\s]+)|\[(\d{1,18})\]")
_KEYWORDS = {"struct": Kind.STRUCT, "union": Kind.UNION, "typedef": Kind.TYPEDEF}


def _candidates(btf: Btf, name: str) -> tuple[TypeId, ...]:
    """
    Return the composites, or failing that the typedefs, that a name may mean.

    ``NAME#N`` is the Nth of them, from 1, by id.
    """
    name, mark, choice = name.partition("#")
    found = _named(btf, name)
    if not mark:
        return found
    if not choice.isdecimal() or not 0 < int(choice[:9]) <= len(found):
        raise BtfNotFoundError(f"no {name}#{choice}: there are {len(found)} of that name")
    return (found[int(choice[:9]) - 1],)


def _named(btf: Btf, name: str) -> tuple[TypeId, ...]:
    keyword, _, rest = name.strip().partition(" ")
    if keyword in _KEYWORDS and rest:
        found = btf.types_by_name(rest.strip(), _KEYWORDS[keyword])
    else:
        found = btf.types_by_name(name, COMPOSITES) or btf.types_by_name(name, Kind.TYPEDEF)
    if not found:
        raise BtfNotFoundError(f"no struct, union or typedef named {name!r}")
    return found


def _split(path: str) -> list[str | int]:
    if path.isidentifier():
        return [path]
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise BtfNotFoundError(f"{path!r} is not a member path")
        steps.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    if not steps:
        raise BtfNotFoundError("empty member path")
    return steps


def offset_of(btf: Btf, type_: str | int, path: str) -> int:
    """See :meth:`btfdbg.btf.Btf.offset_of`."""
    steps = _split(path)
    if isinstance(type_, int):
        return _walk_path(btf, type_, steps)[0]
    answers: dict[int, TypeId] = {}
    missing: BtfNotFoundError | None = None
    for type_id in _candidates(btf, type_):
        try:
            answers.setdefault(_walk_path(btf, type_id, steps)[0], type_id)
        except BtfNotFoundError as error:
            missing = error
    if len(answers) > 1:
        numbers = {type_id: n for n, type_id in enumerate(_candidates(btf, type_), start=1)}
        raise BtfNotFoundError(
            f"{type_}.{path} is ambiguous: "
            + ", ".join(
                f"bit {bit} in {type_}#{numbers[type_id]} ({btf.resolve_size(type_id)} bytes)"
                for bit, type_id in answers.items()
            )
        )
    if not answers:
        assert missing is not None  # there is at least one candidate
        raise missing
    return next(iter(answers))


def _walk_path(btf: Btf, type_id: int, steps: list[str | int]) -> tuple[int, TypeId]:
    offset = 0
    at = btf.skip_mods_and_typedefs(type_id)
    for step in steps:
        if isinstance(step, int):
            array = btf.type_by_id(at)
            if not isinstance(array, kinds.Array):
                raise BtfNotFoundError(f"type {at} ({kind_name(btf.kind_of(at))}) is no array")
            offset += 8 * step * btf.resolve_size(array.type)
            target = array.type
        else:
            member = find_member(btf, at, step)
            offset += member.bit_offset
            target = member.type
        at = btf.skip_mods_and_typedefs(target)
    return offset, at


def find_member(btf: Btf, type_id: int, name: str) -> kinds.Member:
    """
    Return a member by its name, anonymous members entered.

    :return: The member, its offset counted from ``type_id``.
    :raises BtfNotFoundError: ``type_id`` is no composite or has no such member.
    """
    for member in iter_members(btf, type_id):
        if member.name == name:
            return member
    label = btf.name_of(type_id) or "(anon)"
    raise BtfNotFoundError(
        f"type {type_id} ({kind_name(btf.kind_of(type_id))} {label}) has no member {name!r}"
    )


def iter_members(btf: Btf, type_id: int) -> Iterator[kinds.Member]:
    """
    Yield the members of a composite in order, anonymous composites replaced by theirs.

    Offsets count from ``type_id``. Anonymous bit-field padding is left out.

    :raises BtfFormatError: the type contains itself, or unfolds to too many members.
    """
    seen = 0
    stack: list[tuple[TypeId, Iterator[kinds.Member], int]] = []

    def enter(target: int, base: int) -> bool:
        at = btf.skip_mods_and_typedefs(target)
        if any(at == outer for outer, _, _ in stack) or len(stack) > MAX_CHAIN:
            raise BtfFormatError(f"type {at} contains itself", type_id=at)
        composite = btf.type_by_id(at)
        if not isinstance(composite, (kinds.Struct, kinds.Union)):
            return False
        stack.append((at, iter(composite.members), base))
        return True

    enter(type_id, 0)
    while stack:
        _, members, base = stack[-1]
        member = next(members, None)
        seen += 1
        if seen > _MAX_MEMBERS:
            raise BtfFormatError(
                f"type {type_id} unfolds to over {_MAX_MEMBERS} members", type_id=type_id
            )
        if member is None:
            stack.pop()
        elif member.name:
            yield replace(member, bit_offset=base + member.bit_offset) if base else member
        else:
            enter(member.type, base + member.bit_offset)


def member_at(btf: Btf, type_id: int, bit_offset: int) -> kinds.Member:
    """See :meth:`btfdbg.btf.Btf.member_at`."""
    for member in iter_members(btf, type_id):
        if member.bit_offset > bit_offset:
            continue
        bits = member.bitfield_size or 8 * btf.resolve_size(member.type)
        if bit_offset < member.bit_offset + bits:
            return member
    at = btf.skip_mods_and_typedefs(type_id)
    raise BtfNotFoundError(
        f"no member of type {at} ({kind_name(btf.kind_of(at))}) covers bit {bit_offset}"
    )
