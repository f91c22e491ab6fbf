"""ELF files and kernel images made by hand."""

from __future__ import annotations

import struct

from btfdbg.btf import Builder
from btfdbg.images.elf import SHT_NOBITS, SHT_PROGBITS


def elf(
    sections: dict[str, bytes],
    *,
    bits: int = 64,
    order: str = "<",
    flags: dict[str, int] | None = None,
    nobits: tuple[str, ...] = (),
    type_: int = 1,
) -> bytes:
    """Return a relocatable ELF file of these sections, names last."""
    word = "Q" if bits == 64 else "I"
    header = struct.Struct(order + "16s2HI3" + word + "I6H")
    entry = struct.Struct(order + ("2I4Q2I2Q" if bits == 64 else "10I"))
    names = b"\0"
    body = bytearray()
    rows = [entry.pack(*[0] * 10)]
    for name, data in [*sections.items(), (".shstrtab", b"")]:
        at = len(names)
        names += name.encode() + b"\0"
        data = names if name == ".shstrtab" else data
        kind = 3 if name == ".shstrtab" else SHT_NOBITS if name in nobits else SHT_PROGBITS
        rows.append(
            entry.pack(
                at, kind, (flags or {}).get(name, 0), 0, header.size + len(body), len(data),
                0, 0, 1, 0,
            )
        )  # fmt: skip
        body += data
    ident = bytes([0x7F, *b"ELF", 2 if bits == 64 else 1, 1 if order == "<" else 2, 1])
    table = header.size + len(body)
    return (
        header.pack(
            ident.ljust(16, b"\0"), type_, 62, 1, 0, 0, table, 0, header.size, 0, 0, entry.size,
            len(rows), len(rows) - 1,
        )
        + bytes(body)
        + b"".join(rows)
    )  # fmt: skip


def kernel_btf(byteorder: str = "little", types: int = 1200) -> bytes:
    """Return BTF of as many types as make a kernel."""
    builder = Builder(byteorder="big" if byteorder == "big" else "little")
    for i in range(types):
        builder.add_struct(f"s{i}", i)
    return builder.build()
