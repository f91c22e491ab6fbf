"""Symbol files: KASLR is taken from VMCOREINFO, and another kernel's file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms import load_file
from btfdbg.kallsyms.sources import from_vmcoreinfo, parse_map
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

TEXT = 0xFFFFFFFF81000000


def system_map(base: int = TEXT, percpu: bool = True) -> bytes:
    lines = []
    if percpu:
        lines += ["0000000000000000 D __per_cpu_start", "0000000000001000 D runqueues"]
        lines += ["0000000000002000 D __per_cpu_end"]
    lines += [f"{base:016x} T _stext", f"{base:016x} T _text"]
    lines += [f"{base + 16 * i:016x} t function_{i}" for i in range(1, 2000)]
    lines += [f"{base + 0x100000:016x} D init_uts_ns", f"{base + 0x100200:016x} D node_states"]
    lines += [f"{base + 0x200000:016x} B _end"]
    return ("\n".join(lines) + "\n").encode()


def info(shift: int = 0, **more: int) -> VmcoreInfo:
    symbols = {"_stext": TEXT + shift, "init_uts_ns": TEXT + 0x100000 + shift} | more
    text = "".join(f"SYMBOL({name})={address:x}\n" for name, address in symbols.items())
    return VmcoreInfo.parse(text.encode())


def test_system_map_is_moved_by_kaslr() -> None:
    table = parse_map(system_map(), "System.map", info(0x1A000000))
    assert table.source == "System.map, moved by +0x1a000000"
    assert table.by_name("function_7")[0].address == TEXT + 112 + 0x1A000000
    assert table.by_name("init_uts_ns")[0].size == 0x200
    (percpu,) = table.by_name("runqueues")
    assert (percpu.address, percpu.percpu) == (0x1000, True)
    assert table.by_address(0x1000) is None
    assert table.by_address(0) is None
    sym = table.by_address(TEXT + 0x1A000000 + 115)
    assert sym is not None
    assert sym.name == "function_7"


def test_the_kernel_may_lie_below_where_it_was_linked() -> None:
    table = parse_map(system_map(), "m", info(-0x4000000))
    assert table.source == "m, moved by -0x4000000"
    assert table.by_name("_end")[0].address == TEXT + 0x200000 - 0x4000000


def test_proc_kallsyms_is_not_moved_and_its_modules_are_left_out() -> None:
    text = system_map(TEXT + 0x1A000000) + b"ffffffffc0000000 t init_module\t[dummy]\n"
    table = parse_map(text, "kallsyms", info(0x1A000000))
    assert table.source == "kallsyms"
    assert table.by_name("init_module") == ()
    assert table.by_name("_stext")[0].address == TEXT + 0x1A000000


def test_a_list_keeps_what_the_image_has_behind_its_end_and_no_module() -> None:
    end = TEXT + 0x100_0000
    behind = [(end, "__brk_limit"), (end + 0x20_0000, "__init_scratch_begin")]
    behind.append((end + 0x60_0000, "__init_scratch_end"))
    rows = [(TEXT, "_text"), *((TEXT + 16 * n, f"f{n}") for n in range(1, 1200)), (end, "_end")]
    rows += [*behind, (end + 0x60_0001, "of_a_module")]

    def names(rows: list[tuple[int, str]]) -> set[str]:
        text = "".join(f"{address:x} (D) {name}\n" for address, name in rows)
        return set(parse_map(text.encode(), "sym -l").names())

    assert names(rows) == {name for _, name in rows} - {"of_a_module"}
    # Too far away to be the linker script's.
    rows[-2] = end + 0x1000_0000, "__init_scratch_end"
    assert not {"__init_scratch_begin", "__init_scratch_end", "of_a_module"} & names(rows)


def test_kerneloffset_is_enough_where_no_symbol_is_known() -> None:
    table = parse_map(system_map(), "m", VmcoreInfo.parse(b"KERNELOFFSET=1000000\n"))
    assert table.by_name("_stext")[0].address == TEXT + 0x1000000


def test_without_vmcoreinfo_the_file_is_taken_as_it_is() -> None:
    assert parse_map(system_map(), "m").by_name("_stext")[0].address == TEXT


def test_a_map_of_another_kernel_is_refused() -> None:
    with pytest.raises(DebugInfoError) as error:
        parse_map(system_map(), "m", info(0, init_uts_ns=TEXT + 0x100040, node_states=TEXT))
    assert "of another kernel" in str(error.value)
    assert error.value.step == "kallsyms"


def test_zero_addresses_are_explained() -> None:
    text = b"".join(b"0000000000000000 T f%d\n" % i for i in range(2000))
    with pytest.raises(DebugInfoError) as error:
        parse_map(text, "kallsyms", info())
    assert "all addresses are 0" in str(error.value)
    assert "root" in error.value.hint


def test_debians_stub_is_explained() -> None:
    stub = b"ffffffffffffffff B The real System.map is in the linux-image-6.12-dbg package\n"
    with pytest.raises(DebugInfoError) as error:
        parse_map(stub, "/boot/System.map")
    assert "-dbg package" in error.value.hint


def test_a_missing_file_and_a_folder_are_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DebugInfoError) as error:
            load_file(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_bytes(system_map())
    table = load_file(path, info())
    assert table.source == str(path)
    assert table.count == 2007
    assert {s.source for s in table} == {"file"}
    assert next(iter(table.names())) == "__per_cpu_start"


def test_lines_that_are_no_symbols_are_counted() -> None:
    table = parse_map(system_map() + b"hello\n\xff\xfe\n", "m")
    assert table.problems == ("m: 2 lines are no symbols",)


@given(st.binary(max_size=500))
def test_garbage_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(DebugInfoError):
        parse_map(data, "m", info())


def test_vmcoreinfo_is_a_table_of_its_own() -> None:
    table = from_vmcoreinfo(info())
    (sym,) = table.by_name("_stext")
    assert (sym.address, sym.size, sym.type_letter, sym.source) == (TEXT, 0, "?", "VMCOREINFO")
    found = table.by_address(TEXT)
    assert found is not None
    assert found.name == "_stext"
    assert table.by_address(TEXT + 1) is None
