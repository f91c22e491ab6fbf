"""What the check of a dump's end says, on made stacks and on the bundled dumps."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.program.attach import attach
from btfdbg.vmcore import open_core
from corefiles import manifest
from tests.matrix.checks import frame_names
from tests.matrix.ends import end, follows

_FOLDER = Path(manifest.__file__).parent


@pytest.mark.parametrize(
    ("names", "wanted", "there"),
    [
        (["a", "b", "c"], ["a", "c"], True),
        (["a.isra.0", "b", "c.cold"], ["a", "c"], True),
        (["a", "b", "c"], ["c", "a"], False),
        (["a", "b"], [], True),
        ([], ["a"], False),
    ],
)
def test_functions_follow_each_other_with_others_between(
    names: list[str], wanted: list[str], there: bool
) -> None:
    assert follows(names, wanted) is there


@pytest.mark.parametrize("entry", manifest.bundled(), ids=lambda entry: str(entry["file"]))
def test_a_bundled_dump_ended_as_its_scenario_says(entry: dict[str, object]) -> None:
    prog, info = open_core(_FOLDER / str(entry["file"]))
    session = attach(prog, None, info)
    expect = entry["expect"]
    assert isinstance(expect, dict)
    assert end(session, expect, frame_names) == []
    wrong = {"panic_comm": "nobody", "panic_frames": ["no_such_function"], "blocked": ["nobody"]}
    assert len(end(session, wrong, frame_names)) == 3
