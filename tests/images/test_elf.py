"""ELF sections: read, replaced, added; and files that are not what they say."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.errors import ImageError
from btfdbg.images.elf import (
    SHF_ALLOC,
    SHF_COMPRESSED,
    is_core,
    is_relocatable,
    replace_sections,
    sections,
)
from tests.images.elves import elf

FORMS = [(64, "<"), (64, ">"), (32, "<"), (32, ">")]
CONTENTS = {".text": b"code" * 10, ".BTF": b"types", ".data": b"data"}


@pytest.mark.parametrize(("bits", "order"), FORMS)
def test_sections_are_read(bits: int, order: str) -> None:
    data = elf(CONTENTS, bits=bits, order=order)
    assert sections(data, (".BTF", ".BTF.base")) == {".BTF": b"types"}


@pytest.mark.parametrize(("bits", "order"), FORMS)
def test_replaced_and_added_sections_are_read_back(bits: int, order: str) -> None:
    data = elf(CONTENTS, bits=bits, order=order)
    new = replace_sections(data, {".BTF": b"longer types", ".BTF.base": b"base"})
    names = (*CONTENTS, ".BTF.base", ".shstrtab")
    found = sections(new, names)
    assert found[".BTF"] == b"longer types"
    assert found[".BTF.base"] == b"base"
    assert found[".text"] == CONTENTS[".text"]
    assert found[".data"] == CONTENTS[".data"]
    # Everything else stays where it was.
    assert data[100 : 100 + 20] == new[100 : 100 + 20]
    again = replace_sections(new, {".BTF.base": None, ".none": None})
    assert sections(again, names)[".BTF.base"] == b""


def test_replacing_alone_moves_no_table() -> None:
    data = elf(CONTENTS)
    new = replace_sections(data, {".BTF": b"x"})
    assert new[:64] == data[:64]


def test_loaded_section_keeps_its_place_and_size() -> None:
    data = elf(CONTENTS, flags={".BTF": SHF_ALLOC})
    new = replace_sections(data, {".BTF": b"TYPES"})
    assert len(new) == len(data)
    assert sections(new, (".BTF",)) == {".BTF": b"TYPES"}
    with pytest.raises(ImageError, match="loaded"):
        replace_sections(data, {".BTF": b"longer"})


def test_section_without_bytes_in_the_file_is_not_there() -> None:
    data = elf(CONTENTS, nobits=(".BTF",))
    assert sections(data, (".BTF",)) == {}
    assert sections(replace_sections(data, {".BTF": b"x"}), (".BTF",)) == {".BTF": b"x"}


def test_compressed_section_is_unpacked() -> None:
    plain = b"types" * 100
    packed = struct.pack("<IIQQ", 1, 0, len(plain), 1) + zlib.compress(plain)
    data = elf({".BTF": packed}, flags={".BTF": SHF_COMPRESSED})
    assert sections(data, (".BTF",)) == {".BTF": plain}


def test_compressed_section_that_says_too_much_is_refused() -> None:
    packed = struct.pack("<IIQQ", 1, 0, 1 << 40, 1) + zlib.compress(b"x")
    data = elf({".BTF": packed}, flags={".BTF": SHF_COMPRESSED})
    with pytest.raises(ImageError, match="unpacks to over"):
        sections(data, (".BTF",))


@pytest.mark.parametrize(("type_", "core"), [(1, False), (4, True)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_core_is_known_by_its_header(type_: int, core: bool, order: str) -> None:
    data = elf({}, type_=type_, order=order)
    assert is_core(data) == core
    assert is_relocatable(data) == (not core)
    for text in (b"\x7fELF", b""):
        assert not is_core(text)
        assert not is_relocatable(text)


GOOD = elf(CONTENTS)


def patched(at: int, what: bytes) -> bytes:
    return GOOD[:at] + what + GOOD[at + len(what) :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        GOOD[:60],
        patched(0, b"\x7fELG"),
        patched(4, b"\x07"),
        patched(5, b"\x07"),
        patched(40, struct.pack("<Q", len(GOOD))),  # e_shoff past the end
        patched(40, struct.pack("<Q", (1 << 64) - 8)),
        patched(58, struct.pack("<H", 1)),  # e_shentsize
        patched(60, struct.pack("<H", 0xFFF0)),  # e_shnum
        GOOD[:-70],
    ],
)
def test_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        sections(data, (".BTF",))
    with pytest.raises(ImageError):
        replace_sections(data, {".BTF": b"x"})


def test_section_count_in_the_first_section_is_bounded_too() -> None:
    # e_shnum 0 means: look into section 0, which says anything up to 2^64.
    (table,) = struct.unpack_from("<Q", GOOD, 40)
    data = bytearray(patched(60, b"\0\0"))
    struct.pack_into("<Q", data, table + 32, 1 << 60)
    with pytest.raises(ImageError, match="ends outside"):
        sections(bytes(data), (".BTF",))


def test_section_past_the_end_is_refused() -> None:
    (table,) = struct.unpack_from("<Q", GOOD, 40)
    data = bytearray(GOOD)
    struct.pack_into("<Q", data, table + 2 * 64 + 32, 1 << 40)
    with pytest.raises(ImageError, match="outside"):
        sections(bytes(data), (".BTF",))


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_damage_is_survived_or_refused(at: int, what: bytes) -> None:
    data = patched(at, what)[: len(GOOD)]
    for attempt in (
        lambda: sections(data, (".BTF",)),
        lambda: replace_sections(data, {".BTF": b""}),
    ):
        try:
            attempt()
        except ImageError:
            pass
