"""A base that is not a split BTF's own: every verb that takes one refuses it in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.base_match import contradiction, of_functions, of_strings
from btfdbg.btf.builder import Builder
from btfdbg.btf.text.rawtext import dump
from btfdbg.cli.main import main


def base(*names: str) -> Btf:
    b = Builder()
    for name in names:
        b.add(kinds.Int(name, 4, 32, 0, 0))
    b.add(kinds.FuncProto(TypeId(1), ()))
    return Btf.parse(b.build())


def module(below: Btf) -> Btf:
    b = Builder(base=below)
    b.add(kinds.Struct("own", 4, (kinds.Member("beta", TypeId(2), 0),)))
    b.add(kinds.Func("own_function", TypeId(4), 1))
    return Btf.parse(b.build(), below)


RIGHT = base("alpha", "beta", "gamma")
MODULE = module(RIGHT)
# As many types, and strings of the same length in all: only the boundaries differ.
WRONG_STRINGS = base("al", "phabeta", "gamma")


def on(below: Btf) -> Btf:
    return Btf.parse(bytes(MODULE.raw), below)


def test_its_own_base_is_not_contradicted() -> None:
    assert contradiction(MODULE, members=True) == ""
    assert contradiction(RIGHT) == ""


def test_a_name_that_begins_inside_of_a_string_is_told() -> None:
    assert 'is in the middle of "phabeta" of the base' in contradiction(on(WRONG_STRINGS))


def test_a_function_without_prototype_is_told() -> None:
    b = Builder()
    for name in ("alpha", "beta", "gamma", "delta"):
        b.add(kinds.Int(name, 4, 32, 0, 0))
    other = Btf.parse(b.build())
    split = Builder(base=other)
    split.add(kinds.Typedef("own", TypeId(1)))
    words = split.add(kinds.Func("f", TypeId(4), 0))
    assert words == 6
    found = Btf.parse(split.build(), other)
    assert of_strings(found) == ""
    assert of_functions(found) == "the prototype of function f is INT in it"


def test_what_is_not_split_at_all_is_told() -> None:
    assert "not split" in contradiction(Btf.parse(bytes(RIGHT.raw), RIGHT))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "right").write_bytes(RIGHT.raw)
    (tmp_path / "wrong").write_bytes(WRONG_STRINGS.raw)
    (tmp_path / "module").write_bytes(MODULE.raw)
    return tmp_path


VERBS = {
    "dump": ["dump", "module", "-B", "BASE"],
    "dump c": ["dump", "module", "-B", "BASE", "-f", "c"],
    "check": ["check", "module", "-B", "BASE", "-l", "basic"],
    "convert": ["convert", "module", "-B", "BASE", "-o", "out"],
    "dedup": ["dedup", "module", "-B", "BASE", "-o", "out"],
    "distill": ["distill", "module", "-B", "BASE", "-o", "out", "--output-base", "small"],
    "relocate": ["relocate", "module", "-B", "BASE", "-t", "right", "-o", "out", "--rebase"],
    "merge": ["merge", "module", "module", "-B", "BASE", "-o", "out"],
    "diff": ["diff", "module", "module", "-B", "BASE"],
    "diff b": ["diff", "module", "module", "-B", "right", "--base-b", "BASE"],
    "find": ["find", "module", "own", "-B", "BASE"],
    "holes": ["holes", "module", "own", "-B", "BASE"],
    "offset": ["offset", "module", "own", "beta", "-B", "BASE"],
    "fingerprint": ["fingerprint", "module", "-B", "BASE"],
    "isf": ["isf", "module", "-B", "BASE", "-o", "out"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_refuses_the_wrong_base_in_one_line_unless_forced(
    verb: str, files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    argv = ["btf", *VERBS[verb]]
    assert main([w.replace("BASE", "wrong") for w in argv]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "module: the base given is not its own" in err
    assert "--force" in err
    main([*(w.replace("BASE", "wrong") for w in argv), "--force"])
    assert "not its own" not in capfd.readouterr().err
    if verb != "relocate":  # whose right base is no other one
        assert main([w.replace("BASE", "right") for w in argv]) in (0, 1)
        assert "not its own" not in capfd.readouterr().err


def test_assemble_refuses_functions_that_lose_their_prototypes(
    files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    Path("text").write_text("".join(dump(MODULE)))
    short = base("alpha", "beta", "gamma", "delta")
    Path("other").write_bytes(Btf.parse(short.raw).raw)
    text = Path("text").read_text().replace("[5]", "[6]").replace("[6] FUNC", "[7] FUNC")
    Path("text").write_text(text)
    assert main(["btf", "assemble", "text", "-B", "other", "-o", "out"]) == 2
    assert "not its own" in capfd.readouterr().err
    assert main(["btf", "assemble", "text", "-B", "other", "-o", "out", "--force"]) == 0
