"""Whether split BTF and a base belong together.

Owns the evidence against it. A module's BTF names its base nowhere: it goes on counting
where the base's ids and strings end, and on another base every number below leads to
something, mostly to names that begin inside of words.

Of Debian's modules none contradicts its own kernel by any of these rules; on another
kernel the rule about strings alone finds all that have more than a few types.
Facts: libbpf's btf_dedup and strset write whole strings, whose tails nothing refers to;
btf_func_check in kernel/bpf/btf.c.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.fields import SIZE_OR_TYPE
from btfdbg.btf.layouts import FUNC, FUNC_PROTO, LAYOUTS, STRUCT, TYPE_WORDS, UNION, kind_name
from btfdbg.btf.records import own_roles
from btfdbg.btf.roles import names_in
from btfdbg.errors import BtfError, BtfNotFoundError


def contradiction(btf: Btf, *, members: bool = False) -> str:
    """
    Tell what speaks against a split BTF belonging to its base.

    :param members: Ask for members that fit their structs, too: for a judgement on BTF
        that is known to be sound but for its base.
    :return: The first contradiction in words; empty if there is none, or no base.

    >>> contradiction(Btf.parse(module, vmlinux_of_another_kernel))
    'its string offset 0x3a1c is in the middle of "kmem_cache_node" of the base'
    """
    if btf.base is None:
        return ""
    try:
        return of_strings(btf) or of_functions(btf) or (_of_members(btf) if members else "")
    except BtfError as error:
        return str(error)


def string_offsets(btf: Btf) -> set[int]:
    """Return all string offsets that the own types refer to."""
    roles = own_roles(btf)
    if roles is not None:
        return set(names_in(btf.words, roles))
    words, kinds = btf.words, btf.own_kinds()
    used = set(map(words.__getitem__, btf.offsets))
    for index, kind in enumerate(kinds):  # a kind is not known: its name may be all
        row = LAYOUTS.get(kind)
        if row is not None and row.elem_str_words:
            first = btf.offsets[index] + TYPE_WORDS + row.info_words
            end = btf.record_end(btf.start_id + index)
            for at in row.elem_str_words:
                used.update(words[first + at : end : row.elem_words])
    return used


def of_strings(btf: Btf) -> str:
    """Return where a name of a split BTF begins inside of a string of its base, in words."""
    if btf.base is None:
        return ""
    used = string_offsets(btf)
    own = [offset for offset in used if offset >= btf.start_str_off]
    if own and max(own) >= btf.end_str_off:
        return f"its string offset {max(own):#x} is past the end of its strings"
    if not own and len(btf.strings) > 1:
        return "it uses none of its own strings; it is not split, or from something smaller"
    for level in btf.chain()[:-1]:
        data, start = level.strings.data, level.start_str_off
        for offset in used:
            at = offset - start
            if 0 < at < len(data) and data[at - 1]:
                word = data[data.rfind(b"\0", 0, at) + 1 : data.find(b"\0", at)]
                name = word.decode("utf-8", "replace")
                return f'its string offset {offset:#x} is in the middle of "{name}" of the base'
    return ""


def of_functions(btf: Btf) -> str:
    """Return which own function has no prototype, in words."""
    for type_id, pos in btf.own_of_kind(FUNC):
        proto = btf.words[pos + SIZE_OR_TYPE]
        kind = btf.kind_of(proto) if proto < btf.type_cnt else -1
        if kind != FUNC_PROTO:
            what = "nothing" if kind < 0 else kind_name(kind)
            return f"the prototype of function {btf.name_of(type_id)} is {what} in it"
    return ""


def _of_members(btf: Btf) -> str:
    from btfdbg.btf import kinds

    for type_id, kind in zip(btf.own_ids(), btf.own_kinds(), strict=True):
        if kind not in (STRUCT, UNION):
            continue
        type_ = btf.type_by_id(type_id)
        assert isinstance(type_, kinds.Struct | kinds.Union)
        for member in type_.members:
            what = f"member {member.name or '(anon)'} of {type_.name or type_id}"
            try:
                bits = member.bitfield_size or 8 * btf.resolve_size(member.type)
            except BtfNotFoundError:
                return f"{what} is of a type without size"
            if member.bit_offset + bits > 8 * type_.size:
                return f"{what} does not fit into it"
    return ""
