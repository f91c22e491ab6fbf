"""What crash is told beside an exported vmlinux."""

from __future__ import annotations

import pytest

from btfdbg.handover.vmlinux.crash import phys_offset, unnamed
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

BUILT_FOR_52 = {
    "PAGESIZE": "4096",
    "NUMBER(VA_BITS)": "52",
    "NUMBER(TCR_EL1_T1SZ)": "0x10",
    "NUMBER(PHYS_OFFSET)": "0xfff0d29f00000000",
}


def info(lines: dict[str, str]) -> VmcoreInfo:
    return VmcoreInfo.parse("".join(f"{k}={v}\n" for k, v in lines.items()).encode())


def test_a_kernel_of_52_bits_on_a_processor_of_48_has_its_offset_moved() -> None:
    """As crash 9.0.2 opens a guest of Debian's 6.12 on a Cortex-A72."""
    assert phys_offset(info(BUILT_FOR_52)) == 0xFFFF_D29F_0000_0000


@pytest.mark.parametrize(
    "lines",
    [
        {"NUMBER(TCR_EL1_T1SZ)": "0xc"},
        {"NUMBER(TCR_EL1_T1SZ)": "0x8"},
        {"NUMBER(TCR_EL1_T1SZ)": "-1"},
        {"NUMBER(VA_BITS)": "48"},
        {"NUMBER(VA_BITS)": "4096"},
        {"PAGESIZE": "65536"},
        {"PAGESIZE": ""},
        *({name: "?"} for name in BUILT_FOR_52),
    ],
)
def test_nothing_is_said_where_vmcoreinfo_serves_or_is_odd(lines: dict[str, str]) -> None:
    assert phys_offset(info(BUILT_FOR_52 | lines)) is None


def test_symbols_that_crash_wants_are_named() -> None:
    assert unnamed({"_text", "_end", "__init_end", "linux_banner", "runqueues"}) == ()
    assert unnamed({"_text", "_end", "__init_end"}) == ("linux_banner", "runqueues")
