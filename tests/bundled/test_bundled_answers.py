"""The bundled dumps against what DWARF said of the full dumps that they were made from."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import drgn
import pytest

import btfdbg
from corefiles.oracle import answers, compare
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
IDS = [path.name for path in DUMPS]
X86 = [path for path, entry in bundled_dumps() if entry["arch"] == "amd64"]
ARM = [path for path, entry in bundled_dumps() if entry["arch"] == "arm64"]

# ``ps -a`` prints arguments, which are user memory: trimming leaves it out.
USER_MEMORY = {"ps -a"}


@cache
def truth(dump: Path) -> dict[str, Any]:
    return answers.read(answers.path_for(dump))


@cache
def program(dump: Path) -> drgn.Program:
    return btfdbg.program_from_core_dump(dump)


@pytest.mark.parametrize("dump", DUMPS, ids=IDS)
def test_every_module_had_dwarf_when_the_answers_were_recorded(dump: Path) -> None:
    debug = truth(dump)["debug"]
    assert debug["with_dwarf"] == debug["modules"] > 0


@pytest.mark.parametrize("dump", DUMPS, ids=IDS)
def test_all_types_are_equal_to_dwarf_and_none_is_missing(dump: Path) -> None:
    difference = compare.compare_types(program(dump), truth(dump))
    assert difference.total > 11_000
    assert not difference.missing
    assert not difference.different


@pytest.mark.parametrize("dump", DUMPS, ids=IDS)
def test_no_variable_has_another_type_than_in_dwarf(dump: Path) -> None:
    difference = compare.compare_variables(program(dump), truth(dump))
    assert difference.equal > 25_000
    assert not difference.different
    # Its length is that of a text that differs from build to build.
    assert set(difference.unsized) <= {"linux_banner"}
    # What has no type: variables of sections that are gone after boot, and those
    # of modules that no database knows.
    assert len(difference.missing) < difference.total / 100


@pytest.mark.parametrize("dump", X86, ids=[p.name for p in X86])
def test_all_stacks_have_the_frames_of_dwarf(dump: Path) -> None:
    difference = compare.compare_stacks(program(dump), truth(dump))
    assert difference.total > 50
    assert not difference.missing
    assert not difference.different


@pytest.mark.parametrize("dump", ARM, ids=[p.name for p in ARM])
def test_stacks_of_frame_pointers_lack_at_most_the_caller_of_an_interrupted_leaf(
    dump: Path,
) -> None:
    difference = compare.compare_stacks(program(dump), truth(dump))
    assert difference.total > 50
    assert not difference.missing
    assert all(compare.lacks_leaf_caller(d, program(dump)) for d in difference.different)


ROOT = Path(__file__).parents[2]
_OUTCOMES = """
import json, sys
from pathlib import Path
from corefiles.oracle import compare
from tests.bundled.test_bundled_answers import program, truth
dump = Path(sys.argv[1])
results = compare.compare_commands(program(dump), truth(dump))
print(json.dumps({line: (outcome.name, answer.get("error"))
                  for line, (outcome, answer) in results.items()}))
"""


@pytest.mark.parametrize("dump", DUMPS, ids=IDS)
def test_every_command_that_works_with_dwarf_works_without(dump: Path) -> None:
    # In a process of its own: what other tests of this one put in place of drgn's functions
    # adds arguments and source files to its answers.
    done = subprocess.run(
        [sys.executable, "-c", _OUTCOMES, str(dump)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, tuple[str, str | None]] = json.loads(done.stdout)
    assert len(results) > 150
    worse = {line: why for line, (outcome, why) in results.items() if outcome == "WORSE"}
    assert not worse
    different = {
        line
        for line, (outcome, _) in results.items()
        if outcome == "DIFFERENT" and line not in USER_MEMORY
    }
    if sys.version_info >= (3, 13):
        # The answers were written down with 3.11; argparse words its help anew since.
        different.discard("help ps")
    if dump in ARM:
        different = {line for line in different if not line.startswith(("bt", "foreach"))}
    assert not different
