"""The user's own files: history, configuration, start file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.program.extensions import config_dir, own_file, state_dir
from btfdbg.repl import config
from btfdbg.repl.history import SharedHistory, decode, encode
from btfdbg.repl.keys import KEYS, indentation


def test_history_comes_back_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "a" / "history"
    history = SharedHistory(path)
    for line in ("one", "two\nlines", "drei → ü"):
        history.store_string(line)
    assert list(SharedHistory(path).load_history_strings()) == ["drei → ü", "two\nlines", "one"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@given(st.text(max_size=300))
def test_an_entry_survives_the_file_or_is_not_kept(entry: str) -> None:
    line = encode(entry)
    if line is not None:
        assert list(decode(line)) == [entry]


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_history(data: bytes) -> None:
    for entry in decode(data):
        assert encode(entry) is not None


@pytest.mark.parametrize("entry", ["", "   ", "  secret", "x" * 5000, "\x1b[2J", "a\x00"])
def test_what_nobody_typed_is_not_kept(entry: str) -> None:
    assert encode(entry) is None


def test_a_history_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    history = SharedHistory(file / "history")
    history.store_string("one")
    assert list(history.load_history_strings()) == []


def test_a_link_in_place_of_the_history_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "history"
    link.symlink_to(victim)
    SharedHistory(link).store_string("one")
    assert victim.read_text() == "precious"


def test_a_history_that_grew_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from btfdbg.repl import history

    monkeypatch.setattr(history, "_MAX_FILE", 2000)
    monkeypatch.setattr(history, "_MAX_READ", 1000)
    path = tmp_path / "history"
    for i in range(400):
        SharedHistory(path).store_string(f"line {i}")
    assert next(iter(SharedHistory(path).load_history_strings())) == "line 399"
    assert path.stat().st_size <= 1000


def test_two_sessions_write_one_history(tmp_path: Path) -> None:
    path = tmp_path / "history"

    def write(name: str) -> None:
        for i in range(200):
            SharedHistory(path).store_string(f"{name} {i}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(SharedHistory(path).load_history_strings())) == 400


def write(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load(path)


def test_options_are_taken_and_wrong_ones_named(tmp_path: Path) -> None:
    found = write(
        tmp_path, 'editing_mode = "vi"\npager = false\nnope = 1\ntheme = 3\nprompt = "\\u001b"\n'
    )
    assert found.editing_mode == "vi"
    assert not found.pager
    assert found.theme == "default"
    assert found.prompt == "btfdbg> "
    assert [p.partition("toml: ")[2] for p in found.problems] == [
        "unknown option 'nope'", "theme: str was expected", "prompt: control characters",
    ]  # fmt: skip


def test_a_choice_that_is_none_is_named(tmp_path: Path) -> None:
    found = write(tmp_path, 'editing_mode = "ed"\n')
    assert found.editing_mode == "emacs"
    assert "emacs, vi" in found.problems[0]


@pytest.mark.parametrize("text", ["[[[", "a = ", "= 1", "\x00", "a = {" * 1000])
def test_a_damaged_file_is_one_problem(text: str, tmp_path: Path) -> None:
    found = write(tmp_path, text)
    assert len(found.problems) == 1
    assert found.editing_mode == "emacs"


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none") == config.Config()


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('editing_mode = "vi"')
    path.chmod(0o666)
    assert not own_file(path)
    assert config.load(path).editing_mode == "emacs"


def test_python_3_10_reads_the_same_options() -> None:
    text = "# comment\nediting_mode = \"vi\"\npager = false\ntheme = 'none'\n\n"
    assert config.parse_simple(text) == {"editing_mode": "vi", "pager": False, "theme": "none"}
    assert config.parse_simple('prompt = "\\u001b\\"x"') == {"prompt": '\x1b"x'}
    assert config.parse_simple(r"prompt = 'a\n'") == {"prompt": r"a\n"}
    for bad in ("a", "a b = 1", "a = [1]", 'a = "\\x"', "a = 'b'c'", 'a = "b"c"'):
        with pytest.raises(ValueError, match="line 1"):
            config.parse_simple(bad)


def test_folders_follow_xdg_and_relative_ones_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/x/config")
    assert config_dir() == Path("/x/config/btfdbg")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_dir() == Path(os.path.expanduser("~/.local/state/btfdbg"))


@pytest.mark.parametrize(
    ("text", "indent"),
    [
        ("x", ""),
        ("for a in b:", "    "),
        ("if x:\n    y", "    "),
        ("if x:\n    if y:  # z", " " * 8),
    ],
)
def test_the_next_line_is_indented(text: str, indent: str) -> None:
    assert indentation(text) == indent


def test_help_on_keys_fits_into_a_terminal() -> None:
    assert max(map(len, KEYS.splitlines())) < 80
