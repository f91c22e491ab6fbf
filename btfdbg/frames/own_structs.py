"""What an access may have been to, where nothing says what its pointer points to.

Owns the search of a module's own structs for members at an offset. It is a list of what
would fit, said as such, and no answer: two structs of one module often have a number at the
same place.

Facts: a module's split BTF holds the types that its base lacks, its own structs among them.
"""

from __future__ import annotations

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.errors import BtfError

MAX_SHOWN = 3
_MAX_TYPES = 4096
_MAX_OFFSET = 1 << 16


def fitting_members(btf: Btf, offset: int, size: int) -> tuple[str, ...]:
    """
    The members of a BTF's own structs that begin at an offset and have a size.

    :param btf: A module's; only what it describes itself is looked through.
    :param offset: Bytes from the struct's start.
    :param size: Bytes.
    :return: ``STRUCT.MEMBER`` of each; empty if there are more than :data:`MAX_SHOWN`, since
        many candidates say nothing.

    >>> fitting_members(session.modules["cf_fault"], 0x10, 4)
    ('cf_widget.number', 'cf_order.users')
    """
    if not 0 <= offset < _MAX_OFFSET or size <= 0:
        return ()
    found = []
    for type_id in btf.own_ids()[:_MAX_TYPES]:
        if btf.kind_of(type_id) != Kind.STRUCT:
            continue
        try:
            name = btf.name_of(type_id)
            member = btf.member_at(type_id, 8 * offset) if name else None
            if member is None or not _fits(btf, member, offset, size):
                continue
        except BtfError:  # no such member, or a damaged type
            continue
        found.append(f"{name}.{member.name}")
        if len(found) > MAX_SHOWN:
            return ()
    return tuple(found)


def _fits(btf: Btf, member: kinds.Member, offset: int, size: int) -> bool:
    if member.bitfield_size or not member.name or member.bit_offset != 8 * offset:
        return False
    return btf.resolve_size(member.type) == size
