"""Commands that are imported by themselves print what they print among all others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.commands.prompt import ALONE
from tests.conftest import bundled_dumps

DUMP = next(str(path) for path, _ in bundled_dumps() if "6.12-amd64" in path.name)
_ALONE = """
import sys
from btfdbg.cli import main
status = main.main([sys.argv[1], "-x", sys.argv[2]])
others = [n for n in sys.modules if n.startswith(("btfdbg.commands.prompt.", "drgn.commands."))]
print(sorted(set(others)), file=sys.stderr)
sys.exit(status)
"""
_AMONG_ALL = """
import sys
from btfdbg.commands import namespace
namespace.load_commands()
from btfdbg.cli import main
sys.exit(main.main([sys.argv[1], "-x", sys.argv[2]]))
"""


def _run(code: str, line: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", code, DUMP, line]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("line", [*ALONE, "report --list", "ctx --drgn"])
def test_a_command_alone_prints_what_it_prints_among_all(line: str) -> None:
    alone, among = _run(_ALONE, line), _run(_AMONG_ALL, line)
    assert alone.returncode == among.returncode
    assert alone.stdout == among.stdout
    assert alone.stdout or alone.returncode
    imported = alone.stderr.splitlines()[-1]
    assert f"btfdbg.commands.prompt.{ALONE[line.split()[0]]}" in imported
    assert "whatis" not in imported
    assert "_crash" not in imported


def test_a_users_command_of_that_name_is_still_the_one_that_runs(
    xdg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "btfdbg" / "commands"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("print('loaded')\n")
    assert "loaded" in _run(_ALONE, "info").stdout
