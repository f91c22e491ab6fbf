"""No command ends in a traceback with a drgn in which one of the table's names is another.

Not in CI (marker ``renamed``): one process for each row. Figures: ``pytest -m renamed -s``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.patches.table import ROWS, Row, Use

_ROOT = Path(__file__).parents[2]
# What is read in C is renamed nowhere: a variable of the environment that drgn does not read
# any more has no effect, and nothing else is to be seen.
_IN_PYTHON = ("DRGN_DISABLE_PLUGINS",)


def targets() -> list[tuple[str, str]]:
    """What can be renamed, once each."""
    found: dict[tuple[str, str], Row] = {}
    for row in ROWS:
        if row.use is Use.PUT_OFF:
            continue  # drgn's own prompt cannot do without its public package of helpers
        if row.use is not Use.ENVIRONMENT or row.name in _IN_PYTHON:
            found.setdefault((row.module, row.name), row)
    return list(found)


def run(module: str, name: str, core: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.patches.renamed_child", module, name, str(core)],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


@pytest.mark.renamed
@pytest.mark.parametrize(("module", "name"), targets(), ids=lambda part: str(part))
def test_a_renamed_target_costs_what_it_gives_and_nothing_else(
    module: str, name: str, oops_core: Path
) -> None:
    found = run(module, name, oops_core)
    assert "Traceback" not in found.stderr + found.stdout, found.stderr[-3000:]
    assert found.returncode == 0, found.stderr[-3000:]
    print(f"{module}.{name}: {found.stdout.splitlines()[-1]}", file=sys.stderr)
    if module != "os.environ":
        assert "is not the one that btfdbg knows" in found.stderr
