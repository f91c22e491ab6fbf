"""A C header that was kept is the one that would be made, and no other BTF's."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.btf.cheader import header
from btfdbg.btf.text import assemble
from btfdbg.cache import NO_CACHE_VARIABLE
from btfdbg.cli.btf import kept_header
from btfdbg.cli.main import main
from tests.btf.samples import EVERY_KIND, SPLIT

# Two structs whose members lie where C has none: bytes only, which is remarked.
ODD = """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 'over' size=8 vlen=2
\t'a' type_id=1 bits_offset=0
\t'b' type_id=1 bits_offset=16
[3] STRUCT 'lap' size=8 vlen=2
\t'a' type_id=1 bits_offset=0
\t'b' type_id=1 bits_offset=8
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(NO_CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(kept_header, "_LARGE", 0)
    return tmp_path / "btfdbg"


def _blob(tmp_path: Path, text: str = EVERY_KIND) -> str:
    path = tmp_path / "blob"
    path.write_bytes(bytes(assemble.parse(text).raw))
    return str(path)


def _dump(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(["btf", "dump", "-f", "c", *argv])
    return status, *capfd.readouterr()


def _entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("c-header-*")) if cache.exists() else []


@pytest.mark.parametrize("text", [EVERY_KIND, ODD])
@pytest.mark.parametrize("options", [(), ("--assertions",), ("--sort", "--kfuncs")])
def test_the_second_is_not_made(
    tmp_path: Path,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    options: tuple[str, ...],
) -> None:
    blob = _blob(tmp_path, text)
    monkeypatch.setenv(NO_CACHE_VARIABLE, "1")
    wanted = _dump(capfd, blob, *options)
    assert not _entries(cache)
    monkeypatch.delenv(NO_CACHE_VARIABLE)
    assert _dump(capfd, blob, *options) == wanted
    assert len(_entries(cache)) == 1

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("this was kept")

    monkeypatch.setattr(header, "dump_c", fails)
    assert _dump(capfd, blob, *options) == wanted  # what is remarked, too
    out = tmp_path / "out"
    assert _dump(capfd, blob, *options, "-o", str(out)) == (0, "", wanted[2])
    assert out.read_text() == wanted[1]
    if text is ODD:
        assert "bytes only" in wanted[2]


def test_each_choice_of_options_is_another_header(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    blob = _blob(tmp_path)
    choices = [(), ("--assertions",), ("--sort",), ("--kfuncs",), ("--sort", "--kfuncs")]
    first = [_dump(capfd, blob, *options) for options in choices]
    assert [_dump(capfd, blob, *options) for options in choices] == first
    assert len(_entries(cache)) == len(choices)
    assert _dump(capfd, blob, "--kfuncs", "--sort") == first[-1]
    assert len(_entries(cache)) == len(choices)


def test_one_byte_makes_another_header(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    blob = _blob(tmp_path, ODD)
    _, first, _ = _dump(capfd, blob)
    data = Path(blob).read_bytes()
    assert b"\0over\0" in data
    Path(blob).write_bytes(data.replace(b"\0over\0", b"\0oven\0"))
    _, other, _ = _dump(capfd, blob)
    assert "struct oven {" in other
    assert "struct over {" not in other
    Path(blob).write_bytes(data)
    assert _dump(capfd, blob)[1] == first


def test_other_code_makes_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = _blob(tmp_path)
    _dump(capfd, blob)
    monkeypatch.setattr(header, "_TAIL", "/* newer */\n")
    assert "newer" not in _dump(capfd, blob)[1]  # the same files
    monkeypatch.setattr(kept_header, "_makers", lambda: b"newer")
    assert "newer" in _dump(capfd, blob)[1]
    monkeypatch.setattr(kept_header, "_makers", lambda: None)  # they cannot be read
    monkeypatch.setattr(header, "_TAIL", "/* newest */\n")
    assert "newest" in _dump(capfd, blob)[1]


def test_the_code_that_counts_is_all_that_a_header_is_made_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import btfdbg.btf.cheader

    package = tmp_path / "btf"
    (package / "cheader").mkdir(parents=True)
    files = ("__init__.py", "sizes.py", "signs.txt", "cheader/__init__.py", "cheader/words.py")
    for name in files:
        (package / name).write_text("1")
    monkeypatch.setattr(btfdbg.btf.cheader, "__file__", str(package / "cheader" / "__init__.py"))
    seen = {kept_header._makers()}
    for name in files:
        (package / name).write_text("2")
        seen.add(kept_header._makers())
    assert len(seen) == 1 + len(files)
    assert None not in seen
    (package / "__init__.py").unlink()
    assert kept_header._makers() is None  # without sources nothing tells one from another


def test_what_is_damaged_or_cut_is_made_anew(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    blob = _blob(tmp_path, ODD)
    wanted = _dump(capfd, blob)
    (entry,) = _entries(cache)
    whole = entry.read_bytes()
    for data in (
        whole[:-1],
        whole[:60],
        b"",
        whole[:70] + bytes([whole[70] ^ 1]) + whole[71:],
        whole[:-5] + b"int;\n",
    ):
        entry.write_bytes(data)
        assert _dump(capfd, blob) == wanted
        assert entry.read_bytes() == whole


def test_split_and_small_btf_is_not_kept(
    tmp_path: Path,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = _blob(tmp_path)
    split = tmp_path / "split"
    base = assemble.parse(EVERY_KIND)
    split.write_bytes(bytes(assemble.parse(SPLIT, base).raw))
    assert _dump(capfd, str(split), "-B", blob)[0] == 0
    monkeypatch.setattr(kept_header, "_LARGE", Path(blob).stat().st_size + 1)
    assert _dump(capfd, blob)[0] == 0
    assert not _entries(cache)


def test_what_is_not_whole_is_not_kept(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    blob = _blob(tmp_path)
    assert main(["btf", "dump", "-f", "c", blob, "-o", str(tmp_path / "no" / "such")]) == 2
    cut = tmp_path / "cut"
    cut.write_bytes(Path(blob).read_bytes()[:-1])
    assert main(["btf", "dump", "-f", "c", str(cut)]) == 2
    capfd.readouterr()
    assert not _entries(cache)
