"""The kernel's largest structs and the bytes they waste, from any file with BTF.

    python examples/struct_sizes.py vmlinux
    python examples/struct_sizes.py /boot/vmlinuz-6.12.0 20

Needs no dump and no drgn: ``btfdbg.btf`` is a library of its own.
"""

from __future__ import annotations

import sys

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.errors import BtfNotFoundError
from btfdbg.images import load_btf

BITS = 8


def wasted(btf: Btf, t: kinds.Struct) -> int:
    """Bytes of a struct that no member covers."""
    end = holes = 0
    for m in t.members:
        holes += max(0, m.bit_offset - end)
        try:
            size = m.bitfield_size or btf.resolve_size(m.type) * BITS
        except BtfNotFoundError:
            size = 0
        end = max(end, m.bit_offset + size)
    return (holes + max(0, t.size * BITS - end)) // BITS


def main() -> None:
    """Print one line per struct."""
    btf = load_btf(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    structs = [
        t
        for i in btf.ids()
        if btf.kind_of(i) == Kind.STRUCT and isinstance(t := btf.type_by_id(i), kinds.Struct)
    ]
    for t in sorted(structs, key=lambda t: t.size, reverse=True)[:count]:
        print(f"{t.size:>10} bytes {wasted(btf, t):>8} wasted  struct {t.name or '(anonymous)'}")


if __name__ == "__main__":
    main()
