"""VMCOREINFO text: what is in it comes out, and garbage comes to nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from btfdbg.vmcore.vmcoreinfo import MAX_BYTES, VmcoreInfo

TEXT = b"""OSRELEASE=6.12.107+deb13-cloud-amd64
BUILD-ID=3fa5b2c1d4e6f708192a3b4c5d6e7f8091a2b3c4
PAGESIZE=4096
SYMBOL(init_uts_ns)=ffffffff99c218a0
OFFSET(list_head.next)=0
SIZE(page)=64
LENGTH(zone.free_area)=11
NUMBER(phys_base)=-16777216
NUMBER(TCR_EL1_T1SZ)=0x10
KERNELOFFSET=17000000
CRASHTIME=1795000000
"""


def test_every_kind_of_line_is_read() -> None:
    info = VmcoreInfo.parse(TEXT)
    assert info.release == "6.12.107+deb13-cloud-amd64"
    assert info.build_id.startswith("3fa5")
    assert info.page_size == 4096
    assert info.kernel_offset == 0x17000000
    assert info.symbols == {"init_uts_ns": 0xFFFFFFFF99C218A0}
    assert info.offsets == {"list_head.next": 0}
    assert info.sizes == {"page": 64}
    assert info.lengths == {"zone.free_area": 11}
    assert info.numbers == {"phys_base": -16777216, "TCR_EL1_T1SZ": 16}
    assert info.values["CRASHTIME"] == "1795000000"


def test_nothing_behind_a_nul_is_read() -> None:
    info = VmcoreInfo.parse(b"OSRELEASE=a\n\0SYMBOL(x)=10\n")
    assert info.raw == b"OSRELEASE=a\n"
    assert not info.symbols


def test_values_that_are_no_numbers_are_left_out() -> None:
    info = VmcoreInfo.parse(
        b"SYMBOL(a)=nothing\nSYMBOL(b)=11112222333344445\nSYMBOL(c)=\nNUMBER(d)=1.5\n"
        b"SIZE(e)=99999999999999999999999\nSYMBOL(f)=-1\nSYMBOL(ok)=0xAB\n"
    )
    assert info.symbols == {"ok": 0xAB}
    assert not info.numbers
    assert not info.sizes


def test_the_first_of_two_equal_keys_holds() -> None:
    info = VmcoreInfo.parse(b"SYMBOL(a)=1\nSYMBOL(a)=2\nOSRELEASE=x\nOSRELEASE=y\n")
    assert info.symbols["a"] == 1
    assert info.release == "x"


def test_a_page_size_that_is_none_is_0() -> None:
    for text in (b"PAGESIZE=4095\n", b"PAGESIZE=0\n", b"PAGESIZE=-4096\n", b"PAGESIZE=x\n", b""):
        assert VmcoreInfo.parse(text).page_size == 0
    assert VmcoreInfo.parse(b"PAGESIZE=65536\n").page_size == 65536


def test_a_build_id_with_other_characters_is_none() -> None:
    assert VmcoreInfo.parse(b"BUILD-ID=../../etc\n").build_id == ""


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    info = VmcoreInfo.parse(data)
    assert len(info.raw) <= len(data)


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_.[]", min_size=1, max_size=20),
        st.integers(0, (1 << 64) - 1),
    )
)
def test_symbols_written_as_the_kernel_does_are_read_back(symbols: dict[str, int]) -> None:
    text = "".join(f"SYMBOL({name})={address:x}\n" for name, address in symbols.items())
    assert VmcoreInfo.parse(text.encode()).symbols == symbols


def test_what_is_longer_than_the_kernel_can_write_is_cut() -> None:
    assert len(VmcoreInfo.parse(b"A=B\n" * MAX_BYTES).raw) == MAX_BYTES
