"""``btfdbg btf`` dump, assemble, check, convert and embed, as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.text.assemble import assemble
from btfdbg.cli.btf.verbs import VERBS
from btfdbg.cli.main import main
from btfdbg.images.elf import sections
from tests.btf.samples import EVERY_KIND, INT, SPLIT
from tests.images.elves import elf


@pytest.fixture
def base(tmp_path: Path) -> str:
    path = tmp_path / "vmlinux.btf"
    path.write_bytes(assemble(EVERY_KIND))
    return str(path)


@pytest.fixture
def module(tmp_path: Path, base: str) -> str:
    path = tmp_path / "mod.ko"
    path.write_bytes(elf({".text": b"x", ".BTF": assemble(SPLIT, Btf.parse(assemble(EVERY_KIND)))}))
    return str(path)


def test_every_verb_has_a_module_with_arguments_and_run() -> None:
    from importlib import import_module

    for verb in VERBS:
        module = import_module(f"btfdbg.cli.btf.{verb.replace('-', '_')}")
        assert callable(module.add_arguments)
        assert callable(module.run)


def test_dump_prints_the_raw_notation(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["btf", "dump", base]) == 0
    assert capsys.readouterr().out == EVERY_KIND


def test_dump_of_a_module_takes_its_base(
    base: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["btf", "dump", "--base", base, module]) == 0
    assert capsys.readouterr().out == SPLIT
    assert main(["btf", "dump", module]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_dump_keeps_the_bytes_of_names(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "odd.btf"
    path.write_bytes(assemble(INT).replace(b"int", b"\xff\xc3n"))
    assert main(["btf", "dump", str(path)]) == 0
    assert b"INT '\xff\xc3n' size" in capfdbinary.readouterr().out


@pytest.mark.parametrize("form", ["raw", "raw --exact", "json"])
def test_dump_and_assemble_are_the_reverse_of_each_other(
    tmp_path: Path, base: str, module: str, form: str
) -> None:
    text, out = str(tmp_path / "text"), str(tmp_path / "out.btf")
    assert main(["btf", "dump", "-f", *form.split(), "-o", text, base]) == 0
    assert main(["btf", "assemble", text, "-o", out]) == 0
    assert Path(out).read_bytes() == Path(base).read_bytes()
    assert main(["btf", "dump", "-f", *form.split(), "-o", text, "-B", base, module]) == 0
    assert main(["btf", "assemble", text, "-B", base, "-o", out]) == 0
    assert Path(out).read_bytes() == sections(Path(module).read_bytes(), (".BTF",))[".BTF"]


@pytest.mark.parametrize(
    "argv",
    [
        ["dump", "missing"],
        ["assemble", "missing", "-o", "x"],
        ["check", "missing"],
        ["convert", "missing", "-o", "x"],
        ["embed", "missing", "-o", "x"],
    ],
)
def test_missing_file_is_one_line_and_status_2(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["btf", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "missing" in err
    assert not Path("x").exists()


def test_assemble_names_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text"
    path.write_text(INT + "nonsense\n")
    out = tmp_path / "out"
    assert main(["btf", "assemble", str(path), "-o", str(out)]) == 2
    assert f"{path}: line 2" in capsys.readouterr().err
    assert not out.exists()


def test_output_that_cannot_be_written_is_one_line_and_status_2(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["btf", "dump", base, "-o", str(tmp_path / "no" / "such")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_check_lists_problems_and_says_so_in_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.btf"
    path.write_bytes(assemble(INT + "[2] FLOAT 'f' size=3\n[3] PTR 'p' type_id=9\n"))
    assert main(["btf", "check", str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "type 2 (FLOAT) at 0x28: Invalid type_size: 3",
        "type 3 (PTR) at 0x34: Invalid name: b'p', expected none",
    ]
    assert main(["btf", "check", "--level", "basic", "--json", str(path)]) == 1
    (problem,) = json.loads(capsys.readouterr().out)
    assert problem["rule"] == "Invalid type_id"
    assert problem["type_id"] == 3


def test_check_of_sound_btf_prints_nothing(
    base: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["btf", "check", "--level", "basic", base]) == 0
    assert main(["btf", "check", "--base", base, module]) == 0
    assert capsys.readouterr().out == ""


def test_check_of_what_cannot_be_parsed_names_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.btf"
    path.write_bytes(assemble(INT)[:-1])
    assert main(["btf", "check", str(path)]) == 1
    assert "Total section length too long" in capsys.readouterr().out


def test_convert_combines(base: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["--byteorder", "big", "--sort", "--layout", "--for-kernel", "5.15"]
    assert main(["btf", "convert", base, "-o", str(out), *argv]) == 0
    btf = Btf.parse(out.read_bytes())
    assert btf.byteorder == "big"
    assert btf.layout
    assert [btf.name_of(i) for i in btf.ids()] == sorted(btf.name_of(i) for i in btf.ids())
    assert main(["btf", "convert", str(out), "-o", str(out), "--no-layout", "--header", "24"]) == 0
    assert Btf.parse(out.read_bytes()).header.hdr_len == 24


def test_embed_puts_btf_into_a_copy(base: str, module: str, tmp_path: Path) -> None:
    out = tmp_path / "new.ko"
    argv = ["--btf", base, "--distilled-base", base]
    assert main(["btf", "embed", module, *argv, "-o", str(out)]) == 0
    found = sections(out.read_bytes(), (".BTF", ".BTF.base", ".text"))
    raw = Path(base).read_bytes()
    assert found == {".BTF": raw, ".BTF.base": raw, ".text": b"x"}
    assert main(["btf", "embed", str(out), "--no-distilled-base", "-o", str(out)]) == 0
    assert sections(out.read_bytes(), (".BTF.base",)) == {".BTF.base": b""}
