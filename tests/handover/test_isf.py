"""``btfdbg isf``: what volatility3 needs is in the table, and its schema allows all of it."""

from __future__ import annotations

import bz2
import gc
import gzip
import json
import lzma
from base64 import b64decode
from pathlib import Path

import pytest

from btfdbg.btf.text import assemble
from btfdbg.cli.main import main
from btfdbg.errors import DebugInfoError
from btfdbg.handover import isf
from btfdbg.handover.kernel import banner
from btfdbg.handover.symbols import kernel_offset, own_tables
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.lazy_dataclass import replace
from btfdbg.program.answers import Answers
from btfdbg.program.session import Session
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo


def test_addresses_are_those_of_vmlinux(few: Session) -> None:
    table, _ = isf.table_of(few)
    symbols = table["symbols"]
    # Where x86-64 kernels are linked (CONFIG_PHYSICAL_START).
    assert symbols["_text"]["address"] == 0xFFFFFFFF81000000
    assert few.lookup_symbols("_text")[0].address - kernel_offset(few) == 0xFFFFFFFF81000000
    # An offset into each CPU's area, which KASLR does not move.
    assert symbols["__per_cpu_start"]["address"] == 0
    assert 0 < symbols["__per_cpu_end"]["address"] < 1 << 32


def test_variables_have_their_types_and_the_rest_is_void(few: Session) -> None:
    table, written = isf.table_of(few)
    symbols = table["symbols"]
    assert symbols["init_task"]["type"] == {"kind": "struct", "name": "task_struct"}
    assert symbols["modules"]["type"] == {"kind": "struct", "name": "list_head"}
    assert symbols["linux_banner"]["type"]["kind"] == "array"
    assert symbols["runqueues"]["type"] == {"kind": "struct", "name": "rq"}
    assert symbols["schedule"]["type"] == {"kind": "base", "name": "void"}
    assert symbols["saved_command_line"]["type"]["kind"] == "pointer"
    assert written.symbols == len(symbols)
    assert written.typed == sum(s["type"].get("name") != "void" for s in symbols.values())


def test_the_banner_is_the_dumps_own(few: Session) -> None:
    table, _ = isf.table_of(few)
    data = b64decode(table["symbols"]["linux_banner"]["constant_data"])
    assert data.startswith(f"Linux version {few.release} ".encode())
    assert data.endswith(b"\n\0")
    assert data == banner(few)


def test_kallsyms_own_tables_are_where_memory_proves_them(whole: Session) -> None:
    found = {t.name: t for t in own_tables(whole)}
    assert {
        "kallsyms_num_syms",
        "kallsyms_names",
        "kallsyms_markers",
        "kallsyms_token_table",
        "kallsyms_token_index",
        "kallsyms_offsets",
        "kallsyms_relative_base",
    } <= found.keys()
    symbols = whole.vmcoreinfo.symbols
    for name, own in found.items():
        if name in symbols:  # the kernel itself says where some of them are
            assert own.address == symbols[name], name
    count = int.from_bytes(whole.prog.read(found["kallsyms_num_syms"].address, 4), "little")
    assert whole.symbols is not None
    assert count == whole.symbols.count


@pytest.mark.parametrize("end", ["json", "json.xz", "json.gz", "json.bz2"])
def test_a_table_is_written_as_its_name_says(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"x.{end}"
    isf.write({"symbols": {"a": 1}}, str(path))
    data = path.read_bytes()
    unpack = {"xz": lzma.decompress, "gz": gzip.decompress, "bz2": bz2.decompress}
    data = unpack.get(end.rpartition(".")[2], bytes)(data)
    assert json.loads(data) == {"symbols": {"a": 1}}


def test_a_dump_that_does_not_say_how_far_it_was_moved_gives_no_table(
    few: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = few.vmcoreinfo.raw.split(b"\n")
    info = b"\n".join(line for line in lines if not line.startswith(b"KERNELOFFSET"))
    monkeypatch.setattr(few, "vmcoreinfo", VmcoreInfo.parse(info))
    with pytest.raises(DebugInfoError, match="KERNELOFFSET"):
        isf.table_of(few)


def test_what_a_table_lacks_is_said(
    few: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = isf.Written(symbols=5, typed=2, shared=1, tables=0, banner=False, untyped=3, damaged=2)
    monkeypatch.setattr("btfdbg.cli.main.open_session", lambda args: few)
    monkeypatch.setattr(isf, "table_of", lambda session: ({"symbols": {}}, said))
    assert main(["isf", "core", "-o", str(tmp_path / "x.json")]) == 0
    output = capsys.readouterr()
    lacking = output.out.splitlines()[1]
    assert lacking.startswith("lacking: 3 data symbols")
    assert "2 types are damaged" in lacking
    assert "kallsyms' own tables" in lacking
    assert "linux_banner" in output.err
    assert json.loads((tmp_path / "x.json").read_text()) == {"symbols": {}}


def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "core").write_bytes(b"nothing")
    assert main(["isf", str(tmp_path / "core"), "-o", str(tmp_path / "out.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(DebugInfoError, match="no/such"):
        isf.write({}, "/no/such/folder/x.json")


def test_a_process_that_goes_on_collects_its_garbage_as_before(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(b"nothing")
    assert main(["isf", str(tmp_path / "core"), "-o", str(tmp_path / "out.json")]) == 2
    assert gc.isenabled()


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:The metaschema:DeprecationWarning")
def test_volatilitys_own_schema_allows_the_table(few: Session) -> None:
    schemas = pytest.importorskip("volatility3.schemas")
    jsonschema = pytest.importorskip("jsonschema")
    table, _ = isf.table_of(few)
    # Without jsonschema, valid() says yes to anything.
    assert schemas.validate(table, use_cache=False)
    # It raises what jsonschema does: valid() catches errors of the schema itself only (2.28.2).
    table.update(user_types={}, enums={}, symbols={})
    table["metadata"]["linux"]["types"][0]["kind"] = "btf"
    with pytest.raises(jsonschema.ValidationError, match="btf"):
        schemas.validate(table, use_cache=False)


def test_a_table_may_name_the_producer_that_volatility_asks_for(few: Session) -> None:
    table, _ = isf.table_of(few)
    assert table["metadata"]["producer"]["name"] == "btfdbg"
    isf.name_dwarf2json(table)
    producer = table["metadata"]["producer"]
    assert producer["name"] == "dwarf2json"
    # As volatility3 compares them.
    version = tuple(map(int, producer["version"].split(".")))
    assert version >= (0, 8, 0)  # linux.hidden_modules
    # Of less, volatility warns that a kernel with Rust may have wrong types; ours is of C alone.
    assert version >= (0, 9, 0)
    assert producer["instead_of"].startswith("btfdbg ")


@pytest.mark.parametrize(("core", "known"), [(0, True), (1, False)])
def test_the_core_timekeeper_has_the_name_that_c_code_says(core: int, known: bool) -> None:
    btf = assemble.parse(
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT 'tk_data' size=4 vlen=1\n\t'timekeeper' type_id=1 bits_offset=0\n"
        "[3] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=1\n"
        "[4] ENUM 'timekeeper_ids' encoding=UNSIGNED size=4 vlen=1\n"
        f"\t'TIMEKEEPER_CORE' val={core}\n"
    )
    addresses, types = {"timekeeper_data": 4096}, {"timekeeper_data": 3}
    isf._name_core_timekeeper(btf, addresses, types)
    assert addresses.get("tk_core") == (4096 if known else None)
    assert types.get("tk_core") == (2 if known else None)
    old = {"tk_core": 8, "timekeeper_data": 4096}
    isf._name_core_timekeeper(btf, old, types)
    assert old["tk_core"] == 8


TABLE, END = "__start___tracepoints_ptrs", "__stop___tracepoints_ptrs"


@pytest.mark.parametrize("away", [0, 4])
def test_a_table_of_the_linker_script_has_the_type_that_c_code_declares(
    whole: Session, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    assert whole.symbols is not None
    (start,), (end,) = whole.symbols.by_name(TABLE), whole.symbols.by_name(END)
    names = (whole.symbols.by_name(name)[0] for name in ("_text", "__per_cpu_start"))
    table = ListedTable(
        [*names, start, replace(end, address=end.address + away)], "a few", complete=False
    )
    monkeypatch.setattr(whole, "symbols", table)
    monkeypatch.setattr(whole, "answers", Answers())
    type_ = isf.table_of(whole)[0]["symbols"][TABLE]["type"]
    if away:  # something else is between
        assert type_ == {"kind": "base", "name": "void"}
    else:
        assert type_["kind"] == "array"
        assert type_["subtype"] == {"kind": "base", "name": "int"}
