"""Dumps with a known scenario: their logs give the title that fits, and one for each scenario."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from btfdbg.report.triage.crash_of import crash_of_dump

COREFILES = Path(__file__).parents[2] / "corefiles"
BUNDLED = {
    "6.1-amd64-hung": "hung task in mnt_want_write",
    "6.12-amd64-null": "NULL dereference in cf_level3 [cf_fault]",
    "6.12-arm64-deadlock": "deadlock in cf_ab [cf_fault]",
}
LAB = os.environ.get("BTFDBG_LAB_DUMPS", "")
# Kinds of the manifests that have another name here.
OURS = {"panic-by-hand": "sysrq"}


@pytest.mark.parametrize(("name", "title"), BUNDLED.items())
def test_title_of_a_bundled_dump(name: str, title: str) -> None:
    core = COREFILES / f"{name}.vmcore"
    if not core.exists():
        pytest.skip("no bundled dump")
    crash = crash_of_dump(str(core))
    assert crash.signature.title == title
    assert crash.identity
    assert crash.host == "corefile"


@pytest.mark.matrix
@pytest.mark.skipif(not LAB, reason="BTFDBG_LAB_DUMPS names no folder of dumps with manifests")
def test_scenario_has_one_title_on_all_kernels_and_no_other_truth_has_it() -> None:
    titles: dict[str, set[str]] = defaultdict(set)
    truths: dict[str, set[str]] = defaultdict(set)
    for manifest in sorted(Path(LAB).glob("*.vmcore.json")):
        about = json.loads(manifest.read_text())
        expect = about.get("expect") or {}
        core = Path(str(manifest).removesuffix(".json"))
        if "kind" not in expect or not core.exists():
            continue
        crash = crash_of_dump(str(core))
        kind = expect["kind"]
        assert crash.kind == OURS.get(kind, kind), core.name
        guilty = expect.get("guilty") or {}
        if crash.signature.function is not None and guilty.get("module"):
            assert crash.signature.module == guilty["module"], core.name
        titles[about["scenario"]].add(crash.signature.title)
        # Several scenarios end in a panic by hand, of which the title is one.
        truths[crash.signature.title].add(json.dumps([kind, guilty], sort_keys=True))
    assert titles
    assert all(len(found) == 1 for found in titles.values()), titles
    assert all(len(found) == 1 for found in truths.values()), truths
