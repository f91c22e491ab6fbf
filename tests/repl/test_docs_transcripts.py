"""What README and docs/ show of a session is what a bundled dump answers."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.lazy_dataclass import dataclass
from btfdbg.repl.prompt import Repl

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "btfdbg> "
_PIPED = re.compile(r"^btfdbg vmcore -x '([^']+)'(?: \| (jq .+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shown:
    """
    A command as a page shows it.

    :ivar line: A command line of the shell, or what is typed at the prompt.
    :ivar lines: What is shown below it; ``...`` stands for lines that are left out.
    :ivar at: The dump whose prompt it is; empty for the shell's.
    """

    page: str
    line: str
    lines: tuple[str, ...]
    at: str = ""


def _transcripts(page: Path) -> list[Shown]:
    shown = []
    for block in _FENCE.findall(page.read_text("utf-8")):
        at = ""
        for part in re.split(rf"^(?=\$ |{_PROMPT})", block, flags=re.MULTILINE):
            line, *lines = part.rstrip("\n").split("\n")
            if line.startswith("$ btfdbg "):
                words = shlex.split(line[2:])
                at = words[1] if len(words) == 2 and words[1].startswith("corefiles/") else ""
                shown.append(Shown(page.name, line[2:], tuple(lines), at))
            elif line.startswith(_PROMPT) and at:
                shown.append(Shown(page.name, line.removeprefix(_PROMPT), tuple(lines), at))
    return shown


ALL = [shown for page in PAGES for shown in _transcripts(page)]


def _is_shown(lines: tuple[str, ...], said: str) -> None:
    """Each line is said, in this order; where ``...`` stands others may be between."""
    left = said.splitlines()
    skips = False
    for line in lines:
        if line.strip() == "...":
            skips = True
            continue
        assert line in left
        where = left.index(line)
        assert skips or where == 0, left[:where]
        left = left[where + 1 :]
        skips = False


def test_there_are_transcripts() -> None:
    assert {shown.page for shown in ALL} >= {"README.md", "btf.md"}
    assert len(ALL) >= 6


@pytest.mark.parametrize("shown", ALL, ids=[f"{s.page}: {s.line}" for s in ALL])
def test_a_transcript_is_what_the_tool_says(
    shown: Shown, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    words = shlex.split(shown.line) if not shown.at else []
    if shown.at:
        session = btfdbg.session(btfdbg.program_from_core_dump(shown.at))
        prepare(session)
        if shown.line.startswith("btfdbg "):
            Repl(session)._banner()
        else:
            assert run_line(session, shown.line)
    else:
        assert main(words[1:]) in (0, 1)  # diff says so where there are differences
    _is_shown(shown.lines, capsys.readouterr().out)


PIPES = [(page.name, *m) for page in PAGES for m in _PIPED.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize(("page", "line", "pipe"), PIPES, ids=[f"{p}: {x}" for p, x, _ in PIPES])
def test_what_a_page_pipes_into_jq_has_the_names_that_it_asks_for(
    page: str, line: str, pipe: str, oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(oops_core), "-q", "-x", re.sub(r"\b226\b", "1", line)]) == 0
    out = capsys.readouterr().out
    if not pipe:
        for row in out.splitlines():
            json.loads(row)
        return
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    done = subprocess.run(shlex.split(pipe), input=out, capture_output=True, text=True, check=True)
    assert "swapper/0 " in done.stdout
    assert "null" not in done.stdout.split()


def test_jq_is_shown() -> None:
    assert any(pipe for _, _, pipe in PIPES)
