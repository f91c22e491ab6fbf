"""Make ``btfdbg/btf/enum_signs.txt``: enumerators whose sign BTF of recent encoders tells.

    python -m corefiles.enum_signs FOLDER... > btfdbg/btf/enum_signs.txt

A FOLDER has ``vmlinux`` and, below it, modules. Of each enum of at most 4 bytes with values
of 2^31 or more (or below 0), the first four such enumerators go in, "-" or "+" before them.
What has one sign in one kernel and the other in another is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.errors import BtfdbgError
from btfdbg.images import load_btf

_PER_ENUM = 4

_HEAD = """\
# Enumerators with the top bit of their 32 bits set, as kernels' BTF has them that tells
# signs: "-" of a signed enum, "+" of an unsigned one; name; value in hexadecimal.
# Made by: python -m corefiles.enum_signs
"""


def btfs_of(folder: Path) -> Iterator[Btf]:
    """Yield the BTF of a folder's kernel and of its modules, as far as it can be read."""
    kernel = load_btf(folder / "vmlinux")
    yield kernel
    for path in sorted(folder.rglob("*.ko*")):
        try:
            yield load_btf(path, kernel)
        except BtfdbgError:
            continue


def signs_of(btf: Btf) -> Iterator[tuple[str, int, bool]]:
    """Yield name, low 32 bits and sign of the enumerators worth knowing."""
    for type_id, kind in zip(btf.own_ids(), btf.own_kinds(), strict=True):
        if kind != Kind.ENUM:
            continue
        enum = btf.type_by_id(type_id)
        assert isinstance(enum, kinds.Enum)
        if enum.size <= 4:
            top = [v for v in enum.values if not 0 <= v.value < 1 << 31]
            for value in top[:_PER_ENUM]:
                yield value.name, value.value & 0xFFFFFFFF, enum.signed


def main(folders: list[str]) -> None:
    found: dict[tuple[str, int], set[bool]] = {}
    for folder in folders:
        for btf in btfs_of(Path(folder)):
            if btf.writes_enum_signs:
                for name, value, signed in signs_of(btf):
                    found.setdefault((name, value), set()).add(signed)
    print(_HEAD, end="")
    for (name, value), signs in sorted(found.items()):
        if len(signs) == 1:
            print("-" if True in signs else "+", name, f"{value:x}")


if __name__ == "__main__":
    main(sys.argv[1:])
