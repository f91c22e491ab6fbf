"""Names of Rust functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.report.blame.names import canonical
from btfdbg.report.blame.rust import demangle

PATHS = [
    (
        "_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref",
        "<rust_binder::process::Process>::update_ref",
    ),
    ("_RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt", "core::panicking::panic_fmt"),
    (
        "_RNvXs_NtCs1234_6kernel5printNtB4_9FormatterNtNtCs9_4core3fmt5Write9write_str",
        "<kernel::print::Formatter as core::fmt::Write>::write_str",
    ),
    ("_RNCNvCs1234_7example4main0", "example::main::{closure#0}"),
    ("_RINvCs1234_7example3foohE", "example::foo"),
    ("_RNvMCs1234_7exampleRINtB2_3BoxhE3get", "<&example::Box>::get"),
]


@pytest.mark.parametrize(("mangled", "path"), PATHS)
def test_path_of_a_mangled_name(mangled: str, path: str) -> None:
    assert demangle(mangled) == path


def test_builds_of_one_crate_share_a_name() -> None:
    one, other = "_RNvCsAAAA_6kernel4work", "_RNvCs9Zb1_6kernel4work.llvm.1234"
    assert canonical(one) == canonical(other) == "kernel::work"


@pytest.mark.parametrize(
    "name", ["_R", "_RNv", "_Rnothing", "_RNvB_4loop", "_RB_", "_RNvC9999999x", "foo"]
)
def test_what_is_not_mangled_stays(name: str) -> None:
    assert demangle(name) == name


@given(st.text(alphabet="NvMXYICBsRETAKL_0123456789abhoE", max_size=60))
def test_no_name_raises(text: str) -> None:
    assert demangle("_R" + text)
