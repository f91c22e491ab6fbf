"""Sorted headers, and prototypes of kfuncs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.cheader.kfuncs import kfuncs
from btfdbg.btf.cheader.order import c_order
from btfdbg.btf.text import assemble
from btfdbg.cli.main import main
from btfdbg.errors import BtfError

from .graphs import permuted

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
TYPES = INT + (
    "[2] STRUCT 'b' size=8 vlen=1\n\t'p' type_id=3 bits_offset=0\n"
    "[3] PTR '(anon)' type_id=4\n"
    "[4] STRUCT 'a' size=4 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    "[5] TYPEDEF 'number' type_id=1\n"
    "[6] ENUM 'z' encoding=UNSIGNED size=4 vlen=1\n\t'Z' val=0\n"
    "[7] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'SECOND' val=0\n"
    "[8] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'FIRST' val=0\n"
    "[9] TYPEDEF 'c' type_id=4\n"
    "[10] FUNC_PROTO '(anon)' ret_type_id=3 vlen=1\n\t'n' type_id=5\n"
    "[11] TYPEDEF 'fn' type_id=10\n"
)
KFUNCS = TYPES + (
    "[12] FUNC 'get' type_id=10 linkage=static\n"
    "[13] DECL_TAG 'bpf_kfunc' type_id=12 component_idx=-1\n"
    "[14] FUNC 'other' type_id=10 linkage=static\n"
    "[15] FUNC 'cast' type_id=16 linkage=static\n"
    "[16] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n\t'o' type_id=3\n"
    "[17] DECL_TAG 'bpf_fastcall' type_id=15 component_idx=-1\n"
    "[18] DECL_TAG 'bpf_kfunc' type_id=15 component_idx=-1\n"
    "[19] DECL_TAG 'bpf_kfunc' type_id=14 component_idx=0\n"
)


def header(text: str, **options: bool) -> str:
    return "".join(dump_c(assemble.parse(text), **options))  # type: ignore[arg-type] # all bool


def test_types_are_sorted_by_sort_and_name_and_what_they_need_comes_first() -> None:
    btf = assemble.parse(TYPES)
    assert c_order(btf, btf.ids()) == [8, 7, 6, 1, 5, 4, 9, 2, 11, 10, 3]
    text = header(TYPES, sort=True)
    order = ("FIRST", "SECOND", "enum z {", "number;", "struct a {", "a c;", "struct b {")
    places = [text.index(what) for what in order]
    assert places == sorted(places)


def test_sorted_headers_of_one_kernel_are_the_same_in_any_order_of_ids() -> None:
    btf = assemble.parse(TYPES)
    turned = permuted(btf, list(btf.own_ids())[::-1])
    assert "".join(dump_c(turned, sort=True)) == header(TYPES, sort=True)
    assert "".join(dump_c(turned)) != header(TYPES)


@pytest.mark.parametrize(
    "text",
    [
        "[1] TYPEDEF 't' type_id=1\n",
        "[1] PTR '(anon)' type_id=1\n",
        "[1] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=2\n",
        "[1] CONST '(anon)' type_id=0\n",
        "[1] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=0\n",
        "[1] DECL_TAG 'd' type_id=0 component_idx=-1\n",
    ],
)
def test_any_type_has_a_place(text: str) -> None:
    assert c_order(assemble.parse(text), [1]) == [1]


def test_a_reference_to_nothing_is_an_error() -> None:
    with pytest.raises(BtfError):
        c_order(assemble.parse("[1] TYPEDEF 't' type_id=9\n"), [1])


def test_kfuncs_are_functions_with_the_tag() -> None:
    assert kfuncs(assemble.parse(KFUNCS)) == {12: False, 15: True}


def test_kfuncs_have_prototypes_at_the_end() -> None:
    text = header(KFUNCS, kfuncs=True)
    assert "extern struct a *get(number n) __weak __ksym;\n" in text
    assert "extern __bpf_fastcall void cast(struct a *o) __weak __ksym;\n" in text
    assert "other" not in text
    assert text.index("struct a {") < text.index("extern ")
    assert "__ksym" not in header(KFUNCS)
    assert header(TYPES, kfuncs=True) == header(TYPES)


def test_a_modules_kfunc_of_the_kernels_name_and_types_is_written_once() -> None:
    base = assemble.parse(KFUNCS)
    split = assemble.parse(
        "[20] FUNC 'get' type_id=10 linkage=static\n"
        "[21] DECL_TAG 'bpf_kfunc' type_id=20 component_idx=-1\n"
        "[22] FUNC 'mine' type_id=10 linkage=static\n"
        "[23] DECL_TAG 'bpf_kfunc' type_id=22 component_idx=-1\n",
        base,
    )
    text = "".join(dump_c(split, kfuncs=True))
    assert text.count(" *get(") == 1
    assert "extern struct a *mine(number n)" in text


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_both_compile(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    (tmp_path / "h.h").write_text(header(KFUNCS, sort=True, kfuncs=True, assertions=True))
    argv = [compiler, "-std=gnu11", "-w", "-fsyntax-only", "-x", "c", str(tmp_path / "h.h")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_offers_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b").write_bytes(assemble.parse(KFUNCS).raw)
    assert main(["btf", "dump", "-f", "c", "--sort", "--kfuncs", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out == header(KFUNCS, sort=True, kfuncs=True)


def test_a_kfunc_that_c_cannot_say_is_a_comment() -> None:
    text = (
        "[1] FUNC_PROTO '(anon)' ret_type_id=2 vlen=0\n[2] CONST '(anon)' type_id=3\n"
        "[3] VOLATILE '(anon)' type_id=2\n[4] FUNC 'f' type_id=1 linkage=static\n"
        "[5] DECL_TAG 'bpf_kfunc' type_id=4 component_idx=-1\n"
    )
    btf = assemble.parse(text)
    assert isinstance(btf, Btf)
    out = header(text, kfuncs=True)
    assert "/* f: type " in out
    assert "extern" not in out
