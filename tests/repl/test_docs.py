"""The manual page and the completion files say what the parser says."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_manual_has_every_option() -> None:
    text = (DOCS / "btfdbg.1").read_text().replace("\\-", "-")
    for action in load("cli_parser").core_parser()._actions:
        for option in action.option_strings:
            assert option in text, option
        if action.option_strings and action.help is argparse.SUPPRESS:
            pytest.fail(f"{action.option_strings} has no help")


def test_the_manual_is_well_formed() -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(DOCS / "btfdbg.1")],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C"},
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "NAME" in done.stdout


@pytest.mark.parametrize("name", ["btfdbg.bash", "_btfdbg", "btfdbg.fish"])
def test_completion_files_are_those_of_the_parser(name: str) -> None:
    pytest.importorskip("shtab", reason="shtab (dev extra) is not installed")
    load("cli_parser")
    assert load("completions").generate()[name] == (DOCS / "completions" / name).read_text(), (
        "run python3 docs/completions.py"
    )


def test_bash_completes_subcommands_and_options() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    script = f"""
        source {DOCS / "completions" / "btfdbg.bash"}
        COMP_WORDS=(btfdbg inf); COMP_CWORD=1; COMP_LINE='btfdbg inf'; COMP_POINT=10
        $(complete -p btfdbg | sed 's/.*-F \\([^ ]*\\).*/\\1/') btfdbg inf btfdbg
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True)
    assert "info" in done.stdout.split()
