"""Types in another order: any permutation, and the one that kernels use since 7.0.

Owns renumbering within one blob. Kernels from 7.0 on sort their BTF by name, anonymous
types first, so that a name is found by bisection; the strings stay as they are.
Facts: libbpf's btf__permute; tools/bpf/resolve_btfids as of Linux 7.0.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise

from btfdbg.btf.btf import Btf
from btfdbg.btf.pack import pack_like
from btfdbg.errors import BtfFormatError


def _names(btf: Btf) -> list[bytes]:
    """Return the name of each own type; an offset past the strings counts as anonymous."""
    words, end = btf.words, btf.end_str_off
    offsets = [words[pos] for pos in btf.offsets]
    return [btf.string_bytes(o) if 0 < o < end else b"" for o in offsets]


def permute(btf: Btf, id_map: Sequence[int]) -> bytes:
    """
    Return a BTF whose types are in another order.

    :param id_map: New id of each type, as for ``btf__permute``: without a base, of
        void (which stays 0) and all types; with one, of the own types.
    :raises BtfFormatError: ``id_map`` is no permutation of the own ids.
    """
    new_ids = list(id_map)
    if btf.base is None:
        if not new_ids or new_ids[0] != 0:
            raise BtfFormatError("permutation: void must stay 0")
        del new_ids[0]
    if len(new_ids) != len(btf.offsets):
        raise BtfFormatError(f"permutation of {len(new_ids)} ids, expected {len(btf.offsets)}")
    if sorted(new_ids) != list(btf.own_ids()):
        raise BtfFormatError("permutation: an id is missing, given twice or not of this BTF")
    start = btf.start_id
    order = [0] * len(new_ids)
    for index, new in enumerate(new_ids):
        order[new - start] = index
    words = array("I")
    for index in order:
        type_id = start + index
        pos = btf.offsets[index]
        record = array("I", btf.words[pos : btf.record_end(type_id)].tolist())
        for at in btf.type_ref_words(type_id):
            old = record[at - pos]
            if start <= old < btf.type_cnt:
                record[at - pos] = new_ids[old - start]
        words += record
    return pack_like(btf, words)


def sort_by_name(btf: Btf) -> bytes:
    """Return a BTF in the order of kernels from 7.0 on; equal names keep theirs."""
    names = _names(btf)
    order = sorted(range(len(names)), key=names.__getitem__)
    new_ids = [0] * len(order)
    for new, old in enumerate(order):
        new_ids[old] = btf.start_id + new
    return permute(btf, new_ids if btf.base is not None else [0, *new_ids])


def named_start_id(btf: Btf) -> int:
    """
    Return the first own id with a name if the types are sorted by name, else 0.

    As in the kernel's ``struct btf``: 0 also if no type has a name.
    """
    names = _names(btf)
    if any(a > b for a, b in pairwise(names)):
        return 0
    for type_id, name in zip(btf.own_ids(), names, strict=True):
        if name:
            return type_id
    return 0
