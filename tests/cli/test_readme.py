"""What README and docs show of a session is what one gets, line for line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.repl.prompt import Repl

ROOT = Path(__file__).parents[2]
_PROMPT = "btfdbg> "


def examples() -> Iterator[tuple[str, list[str]]]:
    """Each ``$ btfdbg …`` in a block, and all that stands below it."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"^```\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, *shown = part.splitlines()
                if line.startswith("btfdbg "):
                    yield line, shown


EXAMPLES = tuple(examples())


def is_shown(lines: list[str], shown: list[str]) -> bool:
    """Whether lines are those shown, where ``...`` stands for any; an end without it is one."""
    pattern = [r"(?:.*\n)*" if x.strip() == "..." else re.escape(x) + "\n" for x in (*shown, "...")]
    return re.fullmatch("".join(pattern), "".join(f"{line}\n" for line in lines)) is not None


@pytest.fixture
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_there_are_examples() -> None:
    assert {line.split()[1] for line, _ in EXAMPLES} >= {"report", "btf"}
    assert any(_PROMPT + "bt" in shown for _, shown in EXAMPLES)


@pytest.mark.usefixtures("_in_the_checkout")
@pytest.mark.parametrize(("line", "shown"), EXAMPLES, ids=[line[:60] for line, _ in EXAMPLES])
def test_an_example_is_what_one_gets(
    line: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split()[1:]
    if len(words) > 1:
        main(words)
        assert is_shown(capsys.readouterr().out.splitlines(), shown)
        return
    session = btfdbg.session(btfdbg.program_from_core_dump(words[0]))
    prompt = Repl(session, quiet=False, color="never")
    prompt._banner()
    typed = [i for i, x in enumerate(shown) if x.startswith(_PROMPT)]
    assert capsys.readouterr().out.splitlines() == shown[: typed[0]]
    prepare(session)
    for begin, end in zip(typed, [*typed[1:], len(shown)], strict=True):
        assert run_line(session, shown[begin].removeprefix(_PROMPT))
        assert is_shown(capsys.readouterr().out.splitlines(), shown[begin + 1 : end])
