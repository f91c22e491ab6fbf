"""The verbs of ``btfdbg btf`` that transform and compare, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.text import assemble, rawtext
from btfdbg.cli.main import main

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
BASE = (
    INT
    + "[2] STRUCT 's' size=8 vlen=2\n\t'a' type_id=1 bits_offset=0\n"
    + ("\t'b' type_id=1 bits_offset=32\n")
)
SPLIT = "[3] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n" + (
    "[4] PTR '(anon)' type_id=2\n[5] PTR '(anon)' type_id=2\n[6] CONST '(anon)' type_id=3\n"
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    base = assemble.parse(BASE)
    (tmp_path / "base").write_bytes(base.raw)
    (tmp_path / "split").write_bytes(assemble.parse(SPLIT, base).raw)
    return tmp_path


def run(*args: object) -> int:
    return main(["btf", *map(str, args)])


def read(path: Path, base: Path | None = None) -> str:
    below = Btf.parse(base.read_bytes()) if base is not None else None
    return rawtext.dumps(Btf.parse(path.read_bytes(), below))


def test_dedup_writes_what_is_left(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "out"
    assert run("dedup", files / "split", "--base", files / "base", "-o", out, "-v") == 0
    assert read(out, files / "base") == (
        "[3] PTR '(anon)' type_id=2\n[4] CONST '(anon)' type_id=1\n"
    )
    assert "4 -> 2 types" in capsys.readouterr().err


def test_an_output_must_be_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dedup", files / "base") == 2
    assert "give -o OUT or --into KO" in capsys.readouterr().err


def test_distil_and_relocate(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, moved, back = files / "small", files / "moved", files / "back"
    args = ("distill", files / "split", "-B", files / "base", "-o", moved, "--output-base", small)
    assert run(*args) == 0
    assert read(small) == "[1] STRUCT 's' size=8 vlen=0\n"
    assert run("relocate", moved, "-B", small, "-t", files / "base", "-o", back) == 0
    assert read(back, files / "base") == SPLIT
    other = files / "other"
    other.write_bytes(assemble.parse("[1] UNION 's' size=8 vlen=0\n").raw)
    (files / "back").unlink()
    assert run("relocate", moved, "-B", small, "-t", other, "-o", back) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("s: another kind: needs STRUCT of 8 bytes")
    assert "1 types do not match" in printed.err
    assert not back.exists()
    assert run("relocate", moved, "-B", small, "-t", other, "-o", back, "--compat", "libbpf") == 0


def test_rebase_needs_no_distilled_base(files: Path) -> None:
    other, back = files / "other", files / "back"
    other.write_bytes(
        assemble.parse("[1] STRUCT 's' size=16 vlen=0\n" + INT.replace("1]", "2]")).raw
    )
    args = ("relocate", files / "split", "-B", files / "base", "-t", other, "-o", back, "--rebase")
    assert run(*args) == 0
    assert "PTR '(anon)' type_id=1" in read(back, other)


def test_merge_puts_splits_together(files: Path) -> None:
    out = files / "out"
    assert run("merge", files / "split", files / "split", "-B", files / "base", "-o", out) == 0
    assert len(Btf.parse(out.read_bytes(), assemble.parse(BASE)).offsets) == 2


def test_diff_exits_as_diff_does(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = files / "other"
    other.write_bytes(assemble.parse(BASE.replace("'b'", "'c'")).raw)
    assert run("diff", files / "base", files / "base") == 0
    assert capsys.readouterr().out == ""
    assert run("diff", files / "base", other) == 1
    assert capsys.readouterr().out == "~ struct s\n      member renamed: b -> c\n"
    assert run("diff", files / "base", other, "--kabi") == 0
    assert run("diff", files / "base", files / "missing") == 2


def test_diff_as_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = files / "other"
    other.write_bytes(assemble.parse(INT).raw)
    assert run("diff", files / "base", other, "--json") == 1
    assert json.loads(capsys.readouterr().out) == [
        {"kind": "struct", "name": "s", "status": "removed", "breaking": True, "details": []}
    ]


def test_find_prints_types_and_members(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("find", files / "base", "s") == 0
    assert capsys.readouterr().out == "[2] STRUCT 's' size=8\n"
    assert run("find", files / "base", "--member", "b") == 0
    assert capsys.readouterr().out == "[2] STRUCT 's' b at 4\n"
    assert run("find", files / "base", "x*", "-k", "struct") == 1
    assert run("find", files / "base", "s", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"id": 2, "kind": "struct", "name": "s", "size": 8, "members": []}


def test_offset_prints_bytes_or_bits(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("offset", files / "base", "s", "b") == 0
    assert run("offset", files / "base", "s", "b", "--bits") == 0
    assert capsys.readouterr().out == "4\n32\n"
    assert run("offset", files / "base", "s", "none") == 2


def test_holes_and_fingerprints(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("holes", files / "base", "struct s") == 0
    assert "/* size: 8, cachelines: 1, members: 2 */" in capsys.readouterr().out
    assert run("holes", files / "base", "none") == 2
    assert run("holes", files / "base") == 0
    assert capsys.readouterr().out == ""
    assert run("fingerprint", files / "base") == 0
    assert capsys.readouterr().out.endswith(" struct s\n")
    assert run("fingerprint", files / "base", "none") == 2


def system_map(start: int, extra: str = "") -> str:
    """A System.map that is long enough to be a kernel's."""
    lines = [f"{start:016x} T _text"]
    lines += [f"{start + 16 * i:016x} t f{i}" for i in range(1, 1200)]
    return "\n".join(lines) + "\n" + extra


def test_isf_takes_a_symbol_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = files / "System.map"
    path.write_text(system_map(0xFFFFFFFF81000000))
    assert run("isf", files / "base", "--symbols", path) == 0
    output = capsys.readouterr()
    table = json.loads(output.out)
    assert table["symbols"]["_text"] == {
        "address": 0xFFFFFFFF81000000, "type": {"kind": "base", "name": "void"},
    }  # fmt: skip
    assert table["user_types"]["s"]["size"] == 8
    assert table["metadata"]["linux"]["symbols"][0]["kind"] == "system-map"
    assert output.err == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense\n", "not the map of a kernel"),
        ("ffffffffffffffff B The real System.map is in the -dbg package\n", "is a stub"),
        (system_map(0).replace("T", "t"), ""),
        ("\n".join(f"0000000000000000 T f{i}" for i in range(2000)), "all addresses are 0"),
    ],
)
def test_isf_says_what_is_wrong_with_a_symbol_file(
    files: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (files / "System.map").write_text(text)
    status = run("isf", files / "base", "--symbols", files / "System.map")
    error = capsys.readouterr().err
    assert status == (2 if says else 0)
    assert says in error
    assert error.count("\n") <= 1


def test_isf_says_that_addresses_are_of_a_running_kernel(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files / "kallsyms"
    path.write_text(system_map(0xFFFFFFFF9D600000, "ffffffffc0000000 t x\t[mod]\n"))
    assert run("isf", files / "base", "--symbols", path) == 0
    output = capsys.readouterr()
    assert "running kernel" in output.err
    assert "--kernel-offset" in output.err
    assert "x" not in json.loads(output.out)["symbols"]
    assert run("isf", files / "base", "--symbols", path, "--kernel-offset", "0x1c600000") == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert json.loads(output.out)["symbols"]["_text"]["address"] == 0xFFFFFFFF81000000


def test_minimize_needs_a_bpf_object(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("minimize", files / "base", "--object", files / "base", "-o", files / "out")
    assert run(*args) == 2
    assert capsys.readouterr().err.count("\n") == 1
