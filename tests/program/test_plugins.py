"""drgn looks for plugins only where there is one, and then loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from btfdbg.program import plugins
from btfdbg.program.plugins import installed, skip_own_plugins


@pytest.fixture(autouse=True)
def _only_pythons_own_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' imports bring finders of their own, which only Python can ask."""
    own = [f for f in sys.meta_path if not hasattr(f, "find_distributions")]
    monkeypatch.setattr(sys, "meta_path", [*own, PathFinder])


def _package(site: Path, name: str, entry_points: str | None) -> None:
    folder = site / f"{name}-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    if entry_points is not None:
        (folder / "entry_points.txt").write_text(entry_points)


def test_plugins_are_found_as_pythons_own_machinery_finds_them(tmp_path: Path) -> None:
    from importlib.metadata import DistributionFinder, MetadataPathFinder

    _package(tmp_path, "none", None)
    _package(tmp_path, "other", "[console_scripts]\nx = y:z\n[drgn.plugin]\nno = no\n")
    _package(
        tmp_path,
        "two",
        "[console_scripts]\na=b\n\n[drgn.plugins]\n# c = d\none = m\n two=m2 [x]\n"
        "[z]\nq=drgn.plugins\n",
    )
    expected = {
        point.name
        for found in MetadataPathFinder.find_distributions(
            DistributionFinder.Context(path=[str(tmp_path)])
        )
        for point in found.entry_points
        if point.group == "drgn.plugins"
    }
    assert installed([str(tmp_path), str(tmp_path / "missing")]) == expected == {"one", "two"}


def test_folders_that_did_not_change_are_not_looked_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[list[str]] = []
    original = plugins._look

    def look(folders: list[str]) -> list[bytes] | None:
        looked.append(folders)
        return original(folders)

    def add(name: str) -> None:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[drgn.plugins]\n{name} = {name}\n[z]\nq = r\n")

    monkeypatch.setattr(plugins, "_look", look)
    monkeypatch.setattr(plugins, "_known", [])
    folders = [str(tmp_path), str(tmp_path / "missing")]
    add("one")
    # What was changed a moment ago may change once more under the same time.
    assert [installed(folders) for _ in range(2)] == [{"one"}] * 2
    assert len(looked) == 2
    os.utime(tmp_path, (1, 1))
    assert [installed(folders) for _ in range(3)] == [{"one"}] * 3
    assert len(looked) == 3
    assert installed(folders, b"another.group") == set()
    assert installed(folders, b"z") == {"q"}
    assert len(looked) == 3
    add("two")
    assert installed(folders) == {"one", "two"}
    os.utime(tmp_path, (2, 2))
    assert [installed(folders) for _ in range(2)] == [{"one", "two"}] * 2
    assert installed(folders[:1]) == {"one", "two"}
    assert len(looked) == 6


def test_where_only_python_can_tell_it_is_asked(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"")
    assert installed([str(archive)]) is None
    (tmp_path / "x.egg").mkdir()
    assert installed([str(tmp_path)]) is None


@pytest.mark.parametrize(
    ("names", "before", "after"),
    [
        ("[drgn.plugins]\nbtfdbg = b\ncrash_commands = c\n", None, "*"),
        ("[drgn.plugins]\nmine = b\n", None, "btfdbg,builtin_commands,crash_commands"),
        ("[drgn.plugins]\nmine = b\n", "x*", "x*,btfdbg,builtin_commands,crash_commands"),
        ("[drgn.plugins]\nmine = b\n", "*", "*"),
    ],
)
def test_drgn_is_told_to_skip_what_is_not_needed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: str,
    before: str | None,
    after: str,
) -> None:
    _package(tmp_path, "p", names)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    if before is None:
        monkeypatch.delenv("DRGN_DISABLE_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("DRGN_DISABLE_PLUGINS", before)
    skip_own_plugins()
    assert os.environ["DRGN_DISABLE_PLUGINS"] == after


@pytest.mark.parametrize("before", [None, "mine"])
def test_main_leaves_its_callers_environment(
    x86_core: Path,
    before: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is opened in the same process afterwards loads the plugins that it is to load."""
    from btfdbg.cli.main import main

    for name in ("DRGN_DISABLE_PLUGINS", "BTFDBG_NO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv("DRGN_DISABLE_PLUGINS", before)
    printed = "import os; print(os.environ['BTFDBG_NO_CACHE'])"
    assert main(["--no-cache", str(x86_core), "-e", printed]) == 0
    assert "1" in capsys.readouterr().out.split()
    assert os.environ.get("DRGN_DISABLE_PLUGINS") == before
    assert "BTFDBG_NO_CACHE" not in os.environ


def test_a_users_plugin_runs_when_a_dump_is_opened(tmp_path: Path, x86_core: Path) -> None:
    _package(tmp_path, "mine", "[drgn.plugins]\nmine = mine_plugin\n")
    (tmp_path / "mine_plugin.py").write_text(
        "def drgn_prog_set(prog):\n    print('plugin sees', prog['UTS_RELEASE'].string_())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("DRGN_DISABLE_PLUGINS", None)
    result = subprocess.run(
        [sys.executable, "-m", "btfdbg.cli.main", str(x86_core), "-e", "pass"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("plugin sees b'6.")
