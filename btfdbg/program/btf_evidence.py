"""Is a BTF this kernel's? Held against the sizes and offsets in VMCOREINFO.

Owns the comparison. The lines ``SIZE(struct)`` and ``OFFSET(struct.member)`` were computed
by the compiler that built the kernel that died, so BTF of another one contradicts them
sooner or later: in most cases at ``SIZE(pglist_data)``.

Facts: ``kernel/vmcore_info.c`` (``kernel/crash_core.c`` before v6.9),
``VMCOREINFO_STRUCT_SIZE()`` and ``VMCOREINFO_OFFSET()``; bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.btf import Btf, Kind
from btfdbg.errors import BtfError
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

_BITS = 8


def contradiction(btf: Btf, info: VmcoreInfo) -> str:
    """
    Tell what speaks against a BTF being of the kernel that a VMCOREINFO describes.

    :return: The first contradiction in words; empty if there is none.
    """
    return next(_contradictions(btf, info), "")


def _contradictions(btf: Btf, info: VmcoreInfo) -> Iterator[str]:
    for name, expected in info.sizes.items():
        try:
            ids = btf.types_by_name(name, (Kind.STRUCT,))
            sizes = {btf.resolve_size(type_id) for type_id in ids}
        except BtfError:
            continue
        if sizes and expected not in sizes:
            found = ", ".join(str(size) for size in sorted(sizes))
            yield f"struct {name} has {expected} bytes by VMCOREINFO, {found} by this BTF"
    for path, expected in info.offsets.items():
        struct, _, member = path.partition(".")
        # Of two structs of one name nothing says which is meant.
        if len(btf.types_by_name(struct, (Kind.STRUCT,))) != 1:
            continue
        try:
            offset = btf.offset_of(struct, member)
        except BtfError:
            continue  # an older name of a member, or one within a macro
        if offset != expected * _BITS:
            yield f"{path} is at {expected} by VMCOREINFO, at {offset // _BITS} by this BTF"
