"""Fixtures: a Session per architecture, and folders of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.program.session import Session
from tests.repl.support import ARCHITECTURES, session_of


@pytest.fixture(params=ARCHITECTURES)
def session(request: pytest.FixtureRequest) -> Session:
    return session_of(request.param)


@pytest.fixture(autouse=True)
def xdg(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(home / variable.lower()))
    (home / "home").mkdir()
    return home
