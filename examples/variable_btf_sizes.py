"""What it costs a kernel's BTF to know every global variable: a table of sizes.

    python examples/variable_btf_sizes.py vmlinux-6.12 vmlinux-7.2

Each vmlinux needs DWARF and .BTF (``python -m corefiles debug`` fetches Debian's).
The columns are those of the kernel series that proposed it in 2022: no variables but
per-CPU ones (what kernels ship), variables built in, and variables in a file or module
of their own next to an unchanged base, which is what ``btfdbg btf encode-vars`` writes.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from btfdbg.btf import Btf, Kind
from btfdbg.images import load_btf
from btfdbg.varextract.dwarfvars import more_rows
from btfdbg.varextract.elfsyms import read_symbols
from btfdbg.varextract.encode import encode
from btfdbg.varextract.extract import extract, release_of

HEADER = "HBBIIIII"
FILTERS = (("debug", False), ("all", False), ("all", True))


def sections(btf: Btf) -> tuple[bytes, bytes]:
    """The types and the strings of a BTF, as they lie in it."""
    order = "<" if btf.byteorder == "little" else ">"
    raw = bytes(btf.raw)
    *_, start, type_off, type_len, str_off, str_len = struct.unpack_from(order + HEADER, raw)
    return raw[start + type_off :][:type_len], raw[start + str_off :][:str_len]


def built_in(base: Btf, extra: Btf) -> Btf:
    """One BTF of both: split BTF goes on where its base ends, so one follows the other."""
    order = "<" if base.byteorder == "little" else ">"
    types, strings = (a + b for a, b in zip(sections(base), sections(extra), strict=True))
    size = struct.calcsize(order + HEADER)
    header = struct.pack(
        order + HEADER, 0xEB9F, 1, 0, size, 0, len(types), len(types), len(strings)
    )
    return Btf.parse(header + types + strings)


def main() -> None:
    """Print one row per kernel and filter."""
    print("| kernel | variables | | none | built in | base + detached |")
    print("|---|---|---|---|---|---|")
    for path in map(Path, sys.argv[1:]):
        base = load_btf(str(path))
        image, symbols = extract(path), read_symbols(path)
        own = sum(base.kind_of(i) == Kind.VAR for i in base.ids())
        more = more_rows(path, image, symbols, statics=True)
        for profile, statics in FILTERS:
            rows = [row for row in more if statics or "." not in row.name]
            done = encode(image, symbols, base, profile=profile, more=rows)
            both = built_in(base, Btf.parse(done.btf, base))
            name = f"{profile}, statics of functions" if statics else profile
            print(
                f"| {release_of(path)} | {done.variables:,} (BTF had {own:,}) | {name} "
                f"| {len(base.raw):,} | {len(both.raw):,} "
                f"| {len(base.raw):,} + {len(done.btf):,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
