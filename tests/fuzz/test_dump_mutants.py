"""Two hundred mutants of the bundled dumps: no traceback, no hang, no wrong answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corefiles.manifest import BUNDLED
from tests.fuzz.smalldump import elf_of, flatten

_ROOT = Path(__file__).parents[2]
_EACH = 50
# As kdump, flattened and as ELF: other code reads the pages.
_BASES = (
    ("6.12-amd64-null", "kdump"),
    ("6.12-amd64-null", "flat"),
    ("6.1-amd64-hung", "elf"),
    ("6.12-arm64-deadlock", "elf"),
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "form"), _BASES, ids=lambda v: v)
def test_mutants_are_diagnosed_and_untouched_answers_stay_the_same(
    name: str, form: str, tmp_path: Path
) -> None:
    base = BUNDLED.parent / f"{name}.vmcore"
    if not base.exists():
        pytest.skip(f"{base.name} is not bundled")
    if form == "elf":
        elf = tmp_path / f"{name}.elf"
        elf_of(base, elf)
        base = elf
    elif form == "flat":
        base = Path(shutil.copy(base, tmp_path / f"{name}.flat"))
        flatten(base)
    log = tmp_path / "log"
    # A process of its own: the mutants are forked, and pytest's has threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "dumps", base, "--log", log, "--seed", "ci",
         "--count", str(_EACH), "--chunk", str(_EACH), "--nice", "0"],
        cwd=_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = map(json.loads, log.read_text().splitlines())
    assert record["count"] == _EACH
    assert record["defects"] == []
    # A fuzzer whose mutants nobody notices, or that no dump survives, tests nothing.
    assert record["changed"] > _EACH // 4
    assert record["unusable"] < _EACH // 2
    assert record["checked"] > _EACH
