"""Lines for kernels' images whose page tables are made by hand: s390x and ppc64le."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.btf.builder import Builder
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.image_lines import WAYS, Image, has_hash_mmu

_STEXT = 0x200000
_ROOT, _NEXT, _BTF, _LAYOUT = 0x10000, 0x40000, 0x50000, 0x60000
_LINEAR = 0xC000000000000000


class Memory:
    """Physical memory of pieces; the rest is missing."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}

    def put(self, address: int, data: bytes) -> None:
        self.pieces[address] = data

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.pieces.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise drgn.FaultError("not there", address)


def image(encoding: Encoding = Encoding.PLACE, physical: int = 0, **symbols: int) -> Image:
    table: Any = SimpleNamespace(
        layout=SimpleNamespace(encoding=encoding),
        by_name=lambda name: [SimpleNamespace(address=symbols[name])] if name in symbols else [],
    )
    return Image("7.2.0", 0, table, physical)


def made(name: str, memory: Memory, of: Image) -> list[tuple[int, list[str]]]:
    return list(WAYS[name](memory, of))  # type: ignore[arg-type]


def radix(leaf: int) -> Memory:
    """ppc64le's tables: a root of 8,192 entries, and one that maps its first GiB."""
    memory = Memory()
    memory.put(_ROOT, struct.pack(">Q", 1 << 63 | _NEXT).ljust(8 << 13, b"\0"))
    memory.put(_NEXT, struct.pack(">Q", 3 << 62 | leaf).ljust(8 << 9, b"\0"))
    return memory


@pytest.mark.parametrize(
    ("code", "page_size"),
    [(("__hash_page_4K",), 4096), (("__hash_page_4K", "__hash_page_64K"), 65536)],
)
def test_ppc64le_has_its_image_where_the_radix_tables_map_it(
    code: tuple[str, ...], page_size: int
) -> None:
    of = image(Encoding.PLACE, 0, swapper_pg_dir=_ROOT, _stext=_STEXT, **dict.fromkeys(code, 1))
    ((distance, lines),) = made("ppc64le", radix(0), of)
    assert distance == _LINEAR
    assert lines == [
        f"PAGESIZE={page_size}",
        f"SYMBOL(swapper_pg_dir)={_LINEAR + _ROOT:x}",
        "NUMBER(RADIX_MMU)=1",
    ]


@pytest.mark.parametrize(
    ("memory", "code"),
    [
        (radix(1 << 40), "__hash_page_4K"),  # other memory is mapped there
        (Memory(), "__hash_page_4K"),  # the table is missing
        (radix(0), "another"),  # how large a page is nothing tells
    ],
)
def test_ppc64le_without_such_tables_has_no_lines(memory: Memory, code: str) -> None:
    of = image(Encoding.PLACE, 0, swapper_pg_dir=_ROOT, _stext=_STEXT, **{code: 1})
    assert made("ppc64le", memory, of) == []


def test_addresses_in_the_tables_of_symbols_must_agree_with_the_mapping() -> None:
    symbols = {"swapper_pg_dir": _ROOT, "_stext": _STEXT, "__hash_page_4K": 0x1000}
    virtual = {name: at + _LINEAR for name, at in symbols.items()}
    assert made("ppc64le", radix(0), image(Encoding.RELATIVE, -_LINEAR, **virtual))
    moved = {name: at + _LINEAR + 4096 for name, at in symbols.items()}
    assert not made("ppc64le", radix(0), image(Encoding.RELATIVE, -_LINEAR - 4096, **moved))


def vm_layout(offset: int, physical: int) -> tuple[bytes, bytes]:
    """BTF of ``struct vm_layout`` as of v6.10, and one of it."""
    builder = Builder(byteorder="big")
    word = builder.add_int("unsigned long", 8)
    builder.add_struct("vm_layout", 32)
    names = ("kaslr_offset", "kaslr_offset_phys", "identity_base", "identity_size")
    for i, name in enumerate(names):
        builder.add_field(name, word, 64 * i)
    return builder.build(), struct.pack(">4Q", offset, physical, 0, 1 << 30)


def segments(virtual: int, leaf: int) -> Memory:
    """s390x's tables: a region-third table, and a segment table with one large page."""
    memory = Memory()
    memory.put(_ROOT, struct.pack(">Q", _NEXT | 0x7) + struct.pack(">Q", 0x24) * 2047)
    entries = [0x20] * 2048
    entries[virtual >> 20 & 2047] = leaf | 0x400
    memory.put(_NEXT, struct.pack(">2048Q", *entries))
    return memory


def s390x(memory: Memory, offset: int, physical: int) -> Image:
    btf, layout = vm_layout(offset, physical)
    memory.put(_BTF, btf)
    memory.put(_LAYOUT, layout)
    return image(
        swapper_pg_dir=_ROOT,
        _stext=_STEXT,
        vm_layout=_LAYOUT,
        __start_BTF=_BTF,
        __stop_BTF=_BTF + len(btf),
    )


def test_s390x_has_its_image_where_the_boot_loader_put_it() -> None:
    offset, physical = 0x40000000, 0x100000
    distance = offset - physical
    memory = segments(_STEXT + distance, _STEXT)
    ((found, lines),) = made("s390x", memory, s390x(memory, offset, physical))
    assert found == distance
    assert lines == [
        "PAGESIZE=4096",
        f"SYMBOL(swapper_pg_dir)={_ROOT + distance:x}",
        "KERNELOFFSET=40000000",
        "KERNELOFFPHYS=100000",
        "IDENTITYBASE=0",
    ]


def test_s390x_whose_tables_lead_elsewhere_has_no_lines() -> None:
    offset, physical = 0x40000000, 0x100000
    memory = segments(_STEXT + offset - physical, _STEXT + 0x100000)
    assert made("s390x", memory, s390x(memory, offset, physical)) == []


def test_s390x_before_6_10_lies_at_equal_addresses() -> None:
    memory = segments(_STEXT, _STEXT)
    of = image(Encoding.RELATIVE, 0, swapper_pg_dir=_ROOT, _stext=_STEXT)
    ((distance, lines),) = made("s390x", memory, of)
    assert distance == 0
    assert lines == ["PAGESIZE=4096", f"SYMBOL(swapper_pg_dir)={_ROOT:x}"]


@pytest.mark.parametrize(
    ("features", "found"),
    [(0x01, True), (0x41, False), (0x40, False), (0, False)],  # hash, both, radix, neither
)
def test_the_hash_mmu_is_known_by_the_features_of_the_cpu(features: int, found: bool) -> None:
    builder = Builder()
    word = builder.add_int("unsigned int", 4)
    builder.add_struct("cpu_spec", 16)
    builder.add_field("pvr_mask", word, 0)
    builder.add_field("mmu_features", word, 64)
    btf = builder.build()
    memory = Memory()
    memory.put(_BTF, btf)
    memory.put(_LAYOUT, struct.pack("<Q", _LINEAR + _NEXT))
    memory.put(_NEXT, struct.pack("<4I", 0, 0, features, 0))
    symbols = {"__hash_page_4K": 1, "__start_BTF": _BTF, "__stop_BTF": _BTF + len(btf)}
    of = image(Encoding.PLACE, 0, cur_cpu_spec=_LAYOUT, **symbols)
    assert has_hash_mmu(memory, of) is found  # type: ignore[arg-type]
