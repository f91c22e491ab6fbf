"""The figures on a folder of logs with known titles, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.report import corpus

FOLDER = os.environ.get("BTFDBG_OOPS_LOGS", "")

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(not FOLDER, reason="BTFDBG_OOPS_LOGS names no folder of logs"),
]


@pytest.fixture(scope="module")
def cases() -> list[corpus.Case]:
    """All logs of the folder, judged."""
    return [corpus.read(path) for path in sorted(Path(FOLDER).glob("*.log"))]


def test_production_kinds_reach_the_figures(cases: list[corpus.Case]) -> None:
    figures = corpus.figures([case for case in cases if corpus.PRODUCTION.match(case.title)])
    assert figures.kind >= 0.97
    assert figures.function >= 0.95
    assert figures.joined >= 0.92
    assert figures.wrong_in_10_000 <= 2


def test_other_kinds_reach_the_figures(cases: list[corpus.Case]) -> None:
    figures = corpus.figures([case for case in cases if not corpus.PRODUCTION.match(case.title)])
    assert figures.function >= 0.85


def test_a_log_costs_little(cases: list[corpus.Case]) -> None:
    assert sum(case.seconds for case in cases) / len(cases) < 0.015
