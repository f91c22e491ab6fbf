"""``btfdbg report --section``: what the prompt's ``report -s`` means, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.commands.evaluate import prepare, run_line


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_a_section_is_chosen_on_the_command_line_as_at_the_prompt(
    form: str, oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "-s", "cpus", str(oops_core), "--format", form]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "NULL pointer" in out
    titles = {"text": ("CPUS\n", "MODULES\n"), "json": ('"cpus"', '"modules"'),
              "html": ("<h2>CPUs", "<h2>Modules")}[form]  # fmt: skip
    assert titles[0] in out
    assert titles[1] not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-s", "nosuch", "CORE"], "no section nosuch; there are blocked, cpus, crash"),
        (["-s", "CORE", "CORE"], "a file with DWARF is given by --symbols FILE"),
        (["-s", "cpus", "--log", "CORE"], "the report on a log has no sections"),
    ],
)
def test_a_section_that_there_is_not_is_refused(
    words: list[str], said: str, oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(oops_core) if word == "CORE" else word for word in words]
    assert main(["report", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_the_sections_are_listed_without_a_dump(
    oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "-l"]) == 0
    listed = capsys.readouterr().out
    assert "\nblocked     Blocked tasks\n" in listed
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(session)
    assert run_line(session, "report -l")
    assert capsys.readouterr().out == listed


def test_each_format_is_an_option_of_its_own(
    oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("json", "html"):
        assert main(["report", f"--{form}", "-s", "cpus", str(oops_core)]) == 0
        short = capsys.readouterr().out
        assert main(["report", "--format", form, "-s", "cpus", str(oops_core)]) == 0
        assert capsys.readouterr().out == short != ""


def test_the_verdict_alone_is_no_section_and_may_be_asked_for(
    oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "-s", "verdict", str(oops_core)]) == 0
    alone = capsys.readouterr().out
    assert "  - Signature: NULL dereference in cf_level3 [cf_fault]\n" in alone
    assert not any(line.isupper() for line in alone.splitlines())
    assert main(["report", str(oops_core)]) == 0
    assert capsys.readouterr().out.startswith(alone.rstrip("\n") + "\n\n")
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(session)
    assert run_line(session, "report verdict")
    assert capsys.readouterr().out == alone
    assert run_line(session, "report verdict cpus")
    both = capsys.readouterr().out
    assert run_line(session, "report cpus")
    assert capsys.readouterr().out == both != alone
