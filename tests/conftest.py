"""Dumps for tests: the bundled ones, always there; more from the folder in BTFDBG_DUMPS."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from corefiles.manifest import BUNDLED, bundled
from tests.slow import function_of, slow_tests

# In CI the same examples every time: what it reports, anybody can repeat. New
# examples are looked for wherever the tests run otherwise. No example is judged by the
# clock: a machine with much to do takes long for any.
settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("anew", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "anew")

# A shell that starts the tests in the background has SIGINT ignored, which every
# process below inherits; what Ctrl-C does is tested all the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def bundled_dumps() -> list[tuple[Path, dict[str, Any]]]:
    """The bundled dumps with their manifest entries."""
    return [(BUNDLED.parent / e["file"], e) for e in bundled()]


def _first(arch: str, how: str = "") -> Path:
    for path, entry in bundled_dumps():
        if entry["arch"] == arch and how in entry["how"] and path.exists():
            return path
    folder = os.environ.get("BTFDBG_DUMPS")
    if folder:
        return Path(folder) / f"6.12-{arch}-sysrq-qemu-elf.vmcore"
    pytest.skip(f"no {arch} dump is bundled, and BTFDBG_DUMPS is not set")


@pytest.fixture(scope="session")
def x86_core() -> Path:
    """A dump of an x86-64 kernel."""
    return _first("amd64")


@pytest.fixture(scope="session")
def oops_core() -> Path:
    """A dump of an x86-64 kernel that a module of ours crashed."""
    for path, entry in bundled_dumps():
        if entry["arch"] == "amd64" and entry["scenario"] == "null-deref":
            return path
    pytest.skip("no dump with a module's oops is bundled")


@pytest.fixture(scope="session")
def arm_core() -> Path:
    """A dump of an arm64 kernel."""
    return _first("arm64")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither read nor write the home folder of whoever runs the tests."""
    home = tmp_path_factory.getbasetemp() / "home"
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--cpu-times FILE`` writes what each test took, the hungriest last."""
    parser.addoption("--cpu-times", metavar="FILE", help="CPU seconds of each test, children too")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the fast loop leaves out."""
    slow = slow_tests()
    for item in items:
        if function_of(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)


_CPU: dict[str, float] = {}


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count the CPU of a test with its fixtures, whatever else the machine does meanwhile."""
    before = _cpu()
    try:
        return (yield)
    finally:
        _CPU[item.nodeid] = _cpu() - before


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was counted; with ``-n`` each worker counts its own."""
    path = session.config.getoption("--cpu-times")
    if path is None:
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    with open(f"{path}{worker and '.'}{worker}", "w", encoding="utf-8") as f:
        f.writelines(
            f"{seconds:8.2f} {name}\n" for name, seconds in sorted(_CPU.items(), key=lambda x: x[1])
        )
