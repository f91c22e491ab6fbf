"""``check`` of BPF objects: judged is what a loader gives to the kernel, not what clang left."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.loader import ElfFacts, as_loaded, unlinked
from btfdbg.btf.validate.validate import check
from btfdbg.cli.main import main
from btfdbg.images import elf, read_blobs

INT = kinds.Int("int", 4, 32, 0, 1)
CHAR = kinds.Int("char", 1, 8, 0, 1)
ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    ROOT / "tests/btf_tools/loader_case.bpf.c",
    ROOT / "corefiles/programs/cf_bpf.bpf.c",
)
_HELPERS = Path("/usr/include/bpf/bpf_helpers.h")
CLANGS = [f"clang-{v}" for v in range(14, 24) if shutil.which(f"clang-{v}")]


def loaded(btf: Btf, **facts: dict[str, int]) -> Btf:
    sections, symbols = facts.get("sections", {}), facts.get("symbols", {})
    return Btf.parse(as_loaded(btf, ElfFacts(sections, symbols)))


def section(btf: Btf, name: str) -> kinds.Datasec:
    found = btf.type_by_id(btf.find_by_name_kind(name))
    assert isinstance(found, kinds.Datasec)
    return found


def test_a_section_gets_its_size_and_its_globals_their_places_in_order() -> None:
    b = Builder()
    b.add(INT)
    for name, linkage in (("late", 1), ("static", 0), ("early", 1)):
        b.add(kinds.Var(name, TypeId(1), linkage))
    rows = [(2, 0), (3, 4), (4, 0)]
    b.add(kinds.Datasec(".data", 0, tuple(kinds.VarSecinfo(TypeId(t), o, 4) for t, o in rows)))
    btf = Btf.parse(b.build())
    assert [p.rule for p in check(btf.raw)]
    done = loaded(btf, sections={".data": 12}, symbols={"late": 8, "early": 0, "static": 99})
    data = section(done, ".data")
    assert data.size == 12
    assert [(done.name_of(v.type), v.offset) for v in data.vars] == [
        ("early", 0),
        ("static", 4),
        ("late", 8),
    ]
    assert list(check(done.raw)) == []


def test_externs_of_other_objects_are_told_from_the_kernels() -> None:
    b = Builder()
    b.add(INT)
    proto = b.add(kinds.FuncProto(TypeId(1), ()))
    kernels = (
        b.add(kinds.Var("bpf_prog_active", TypeId(1), 2)),
        b.add(kinds.Func("kfunc", proto, 2)),
    )
    b.add(kinds.Var("other_var", TypeId(1), 2))
    b.add(kinds.Func("other_fn", proto, 2))
    b.add(kinds.Func("own", proto, 1))
    b.add(kinds.Datasec(".ksyms", 0, tuple(kinds.VarSecinfo(id_, 0, 4) for id_ in kernels)))
    config = b.add(kinds.Var("CONFIG_X", TypeId(1), 2))
    b.add(kinds.Datasec(".kconfig", 0, (kinds.VarSecinfo(config, 0, 4),)))
    assert unlinked(Btf.parse(b.build())) == ["other_var", "other_fn"]


@pytest.mark.skipif(not CLANGS, reason="no clang is installed")
def test_a_part_of_an_object_is_said_to_be_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its broken rules alone (``expected 0 to -1``) do not say what to do."""
    source, part = tmp_path / "part.c", tmp_path / "part.o"
    source.write_text(
        "extern int other_fn(int); extern int other_var;"
        '__attribute__((section("socket"), used)) int f(void *c) { return other_fn(other_var); }'
    )
    subprocess.run(
        [CLANGS[0], "-target", "bpf", "-O2", "-g", "-c", str(source), "-o", str(part)], check=True
    )
    assert main(["btf", "check", str(part)]) == 1
    said = capfd.readouterr().err
    assert "and 1 more: extern, and not of the kernel" in said
    assert "bpftool gen object" in said


def test_a_section_that_is_not_in_the_file_stays_broken() -> None:
    b = Builder()
    b.add(INT)
    b.add(kinds.Var("v", TypeId(1), 1))
    b.add(kinds.Datasec(".data", 0, (kinds.VarSecinfo(TypeId(2), 0, 4),)))
    done = loaded(Btf.parse(b.build()))
    assert "size == 0" in [p.rule for p in check(done.raw)]


def test_values_of_the_configuration_are_laid_out_by_alignment() -> None:
    b = Builder()
    b.add(INT)
    b.add(CHAR)
    b.add(kinds.Var("CONFIG_A", TypeId(2), 2))
    b.add(kinds.Var("LINUX_KERNEL_VERSION", TypeId(1), 2))
    rows = (kinds.VarSecinfo(TypeId(3), 0, 1), kinds.VarSecinfo(TypeId(4), 0, 4))
    b.add(kinds.Datasec(".kconfig", 0, rows))
    done = loaded(Btf.parse(b.build()))
    kconfig = section(done, ".kconfig")
    assert (kconfig.size, [v.offset for v in kconfig.vars]) == (5, [0, 4])
    assert list(check(done.raw)) == []


@pytest.mark.parametrize("has_int", [True, False])
def test_symbols_of_the_kernel_become_ints_of_a_linkage_that_exists(has_int: bool) -> None:
    b = Builder()
    b.add(INT if has_int else CHAR)
    b.add(kinds.FuncProto(TypeId(0), (kinds.Param("", TypeId(1)),)))
    b.add(kinds.Func("bpf_rcu_read_lock", TypeId(2), 2))
    b.add(kinds.Var("init_task", TypeId(0), 2))
    rows = tuple(kinds.VarSecinfo(TypeId(t), 0, 0) for t in (3, 4))
    b.add(kinds.Datasec(".ksyms", 0, rows))
    done = loaded(Btf.parse(b.build()))
    ksyms = section(done, ".ksyms")
    assert (ksyms.size, [(v.offset, v.size) for v in ksyms.vars]) == (8, [(0, 4), (4, 4)])
    assert list(check(done.raw)) == []
    assert done.type_cnt == (7 if has_int else 8)


def test_sections_that_name_what_is_no_variable_are_left_to_the_rules() -> None:
    b = Builder()
    b.add(INT)
    for name in (".data", ".ksyms", ".kconfig"):
        rows = (kinds.VarSecinfo(TypeId(1), 0, 4), kinds.VarSecinfo(TypeId(900), 0, 4))
        b.add(kinds.Datasec(name, 0, rows))
    done = loaded(Btf.parse(b.build()), sections={".data": 8})
    assert done.type_by_id(1) == INT
    assert any(p.type_id == 2 for p in check(done.raw))


def test_sizes_that_add_up_to_more_than_a_section_are_left_to_the_rules() -> None:
    b = Builder()
    b.add(INT)
    b.add(kinds.Var("CONFIG_A", TypeId(1), 2))
    rows = tuple(kinds.VarSecinfo(TypeId(2), 0, 0xFFFFFFFF) for _ in range(3))
    b.add(kinds.Datasec(".kconfig", 0, rows))
    assert any(p.type_id == 3 for p in check(loaded(Btf.parse(b.build())).raw))


def _compiled(clang: str, source: Path, tmp_path: Path) -> Path:
    out = tmp_path / f"{source.name}.{clang}.o"
    include = "-I/usr/include/x86_64-linux-gnu"
    command = [
        clang,
        "-w",
        "-g",
        "-O2",
        "-target",
        "bpf",
        include,
        "-c",
        str(source),
        "-o",
        str(out),
    ]
    subprocess.run(command, check=True)
    return out


def _of_libbpf(path: Path) -> bytes:
    name = ctypes.util.find_library("bpf")
    if name is None:
        pytest.skip("libbpf is not installed")
    lib = ctypes.CDLL(name)
    lib.bpf_object__open.restype = ctypes.c_void_p
    lib.bpf_object__btf.restype = lib.btf__raw_data.restype = ctypes.c_void_p
    lib.bpf_object__btf.argtypes = [ctypes.c_void_p]
    lib.btf__raw_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    size = ctypes.c_uint32()
    btf = lib.bpf_object__btf(lib.bpf_object__open(bytes(path)))
    return ctypes.string_at(lib.btf__raw_data(btf, ctypes.byref(size)), size.value)


@pytest.mark.oracle
@pytest.mark.parametrize("clang", CLANGS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_what_clang_makes_is_judged_as_what_libbpf_would_load(
    clang: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "<bpf/bpf_helpers.h>" in source.read_text() and not _HELPERS.exists():
        pytest.skip("libbpf-dev is not installed")
    path = _compiled(clang, source, tmp_path)
    theirs = [(p.rule, p.type_id) for p in check(_of_libbpf(path))]
    ours = as_loaded(Btf.parse(read_blobs(path).btf), elf.facts_of_object(path.read_bytes()))
    assert [(p.rule, p.type_id) for p in check(ours)] == theirs
    assert main(["btf", "check", str(path)]) == bool(theirs)
    # clang 14 and 15 say that .rodata holds what they put into .rodata.str1.1.
    assert not theirs or clang in ("clang-14", "clang-15")
