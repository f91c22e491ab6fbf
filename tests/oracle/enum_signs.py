"""Compare the enums and one-byte integers of an old kernel's BTF with its DWARF.

    python -m tests.oracle.enum_signs VMLINUX PAHOLE_BTF

VMLINUX has .BTF and DWARF. What drgn reads from DWARF is the truth for integers and for
enums of a name; PAHOLE_BTF, ``pahole --btf_encode_detached`` of 1.24 or newer from the same
DWARF, is it for enums that drgn cannot name, or that share a name.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TypeAlias

import drgn

from btfdbg.btf import Btf, kinds
from btfdbg.btf.encoder import enum_meaning
from btfdbg.images import load_btf
from btfdbg.program.convert import TypeConverter

_Enum: TypeAlias = kinds.Enum | kinds.Enum64
# Whether signed, and the values; by name and the enumerators' names.
_Truth: TypeAlias = dict[tuple[str, tuple[str, ...]], set[tuple[bool, tuple[int, ...]]]]


def _truth(btf: Btf) -> _Truth:
    found: _Truth = {}
    for type_id in btf.own_ids():
        t = btf.type_by_id(type_id)
        if isinstance(t, _Enum):
            values = tuple(v.value for v in t.values)
            found.setdefault(_key(t), set()).add((min(values, default=0) < 0, values))
    return found


def _key(t: _Enum) -> tuple[str, tuple[str, ...]]:
    return t.name, tuple(v.name for v in t.values)


def _same_as_dwarf(dwarf: drgn.Program, name: str, ours: drgn.Type) -> bool:
    try:
        true = dwarf.type(f"enum {name}")
    except LookupError:
        return False
    return bool(
        drgn.sizeof(ours) == drgn.sizeof(true)
        and ours.type.is_signed == true.type.is_signed
        and ours.enumerators == true.enumerators
    )


def _verdict(dwarf: drgn.Program, truth: _Truth, btf: Btf, t: _Enum, ours: drgn.Type) -> str:
    if enum_meaning(btf, t).doubt:
        return "marked unknown"
    if t.name and _same_as_dwarf(dwarf, t.name, ours):
        return "equal to DWARF"
    have = tuple(e.value for e in ours.enumerators or ())
    if (ours.type.is_signed, have) in truth.get(_key(t), ()):
        return "equal to PAHOLE_BTF"
    return "WRONG"


def main(vmlinux: str, pahole_btf: str) -> int:
    """Print what differs or is not known, then the counts."""
    platform = drgn.Platform(drgn.Architecture.X86_64)
    dwarf = drgn.Program(platform)
    dwarf.extra_module("kernel", create=True).try_file(vmlinux, force=True)
    btf = load_btf(vmlinux)
    converter = TypeConverter(drgn.Program(platform), btf)
    truth = _truth(load_btf(pahole_btf))
    counts: Counter[str] = Counter()
    for type_id in btf.own_ids():
        t = btf.type_by_id(type_id)
        if isinstance(t, kinds.Int) and t.size == 1 and t.bits == 8:
            int_, true = converter.convert(type_id), dwarf.type(t.name)
            same = (int_.kind, int_.size) == (true.kind, true.size) and (
                int_.kind != drgn.TypeKind.INT or int_.is_signed == true.is_signed
            )
            counts["1-byte integer: " + ("equal to DWARF" if same else "WRONG")] += 1
        if isinstance(t, _Enum) and t.values:
            verdict = _verdict(dwarf, truth, btf, t, converter.convert(type_id))
            counts[("enum of 8 bytes: " if t.size == 8 else "enum: ") + verdict] += 1
            if not verdict.startswith("equal"):
                high = [f"{v.name}={v.value:#x}" for v in t.values if v.value >= 1 << 31]
                print(f"{verdict}: enum {t.name or '(anon)'} of {t.size} bytes", *high[:4])
    for key, count in sorted(counts.items()):
        print(f"{count:6} {key}")
    return int(any("WRONG" in key for key in counts))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
