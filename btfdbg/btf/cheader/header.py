"""``dump_c()``: a BTF as a C header.

Owns the header's frame and what follows the definitions: ``adapt`` makes the types such
that C can say them, ``definitions`` writes them, ``kfuncs`` and ``asserts`` add to them.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.adapt import adapt
from btfdbg.btf.cheader.c_layout import Types
from btfdbg.btf.cheader.columns import Columns
from btfdbg.btf.cheader.definitions import CDump
from btfdbg.btf.cheader.macros import again, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_TAIL = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""


def dump_c(
    btf: Btf,
    *,
    roots: Iterable[int] | None = None,
    assertions: bool = False,
    ms_extensions: bool = False,
    sort: bool = False,
    kfuncs: bool = False,
    remarks: list[str] | None = None,
) -> Iterator[str]:
    """
    Return a BTF as a C header, in pieces.

    :param roots: Ids to define, with all that they need; by default all types, those of
        the bases first.
    :param assertions: Append a ``_Static_assert`` for every size, and for the offset of
        every member that is no bit-field.
    :param ms_extensions: Use what a compiler understands with ``-fms-extensions`` only,
        as libbpf does.
    :param sort: Definitions by sort and name, see :mod:`btfdbg.btf.cheader.order`.
    :param kfuncs: Append prototypes of what BPF programs may call.
    :param remarks: Gets one line for each kind of thing that C could not say as it is.
    :raises BtfFormatError: a type refers to what does not exist.
    """
    columns = Columns(btf)
    adapted = adapt(columns)
    if adapted.btf is not btf:
        btf = adapted.btf
        columns = Columns(btf)
    dump = CDump(Types(columns), ms_extensions=ms_extensions)
    yield _HEAD
    for change in adapted.changes:
        yield f"/* {change.replace('*/', '* /')} */\n"
    yield from without(adapted.macros)
    ids = dump.types.c_types() if roots is None else roots
    if sort:
        from btfdbg.btf.cheader.order import c_order

        ids = c_order(btf, ids)
    yield from dump.dump_all(ids)
    if kfuncs:
        from btfdbg.btf.cheader.kfuncs import kfunc_prototypes

        yield from kfunc_prototypes(dump)
    if assertions:
        from btfdbg.btf.cheader.asserts import assertions as asserted

        yield from asserted(dump)
    if remarks is not None:
        opaque = [f"{dump.decl.tag(at)}: {what}" for at, what in dump.decl.opaque.items()]
        remarks += _remarks(adapted.changes, dump.left_out + dump.decl.unfit, opaque)
    yield from again(adapted.macros)
    yield _TAIL


def _remarks(changes: list[str], left_out: list[str], opaque: list[str]) -> Iterator[str]:
    said = ("not written as they are", changes), ("left out", left_out), ("bytes only", opaque)
    for what, lines in said:
        if lines:
            more = f" and {len(lines) - 1} more, see the comments" if len(lines) > 1 else ""
            yield f"{what} in C: {lines[0]}{more}"
