"""What is written to: whole files, and nothing of anybody else's is taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from btfdbg.cli.btf.common import write_out
from btfdbg.errors import ImageError

from .support import run


def test_a_file_that_was_not_written_to_its_end_is_not_left(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"begun"
        raise OSError(28, "No space left on device")

    with pytest.raises(ImageError, match="No space left"):
        write_out(str(tmp_path / "out"), chunks())
    assert not list(tmp_path.iterdir())


def test_a_file_that_may_not_be_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"somebody's")

    def refused(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    # root may write everything, so the system's answer is put in its mouth.
    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(ImageError, match="Permission denied"):
        write_out(str(path), b"x")
    monkeypatch.undo()
    assert path.read_bytes() == b"somebody's"


def test_a_pipe_without_a_reader_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def chunks() -> Iterator[bytes]:
        yield b"begun"
        os.close(reader)
        yield bytes(1 << 20)

    with pytest.raises(ImageError, match="Broken pipe"):
        write_out(str(pipe), chunks())
    assert pipe.is_fifo()


def test_trim_does_not_put_a_file_in_the_place_of_a_device(
    oops_core: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = run("trim", oops_core, pipe, env=env)
    assert result.status == 2
    assert "no regular file" in result.err
    assert pipe.is_fifo()


def test_trim_through_a_link_writes_what_it_leads_to(
    oops_core: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "small"
    (tmp_path / "link").symlink_to(target)
    assert run("trim", oops_core, tmp_path / "link", "--only", "-x", "ps", env=env).status == 0
    assert (tmp_path / "link").is_symlink()
    assert target.stat().st_size > 1 << 20
