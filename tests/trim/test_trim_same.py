"""The same dump gives the same small dump, whatever earlier runs have kept in the cache."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import btfdbg
from btfdbg.cache import NO_CACHE_VARIABLE, Cache
from btfdbg.program.attach import Options, attach
from btfdbg.trim.recorder import Recorder, uncached
from btfdbg.trim.trim import record, trim
from btfdbg.vmcore.open import open_core

_POINTERS = re.compile(rb"SYMBOL\(kallsyms_\w+\)=\w+\n")


@pytest.fixture(autouse=True)
def xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(NO_CACHE_VARIABLE, raising=False)
    return tmp_path


def _as_before_6_0(core: Path) -> bytes:
    """VMCOREINFO without the places of kallsyms: they have to be searched."""
    prog, _ = open_core(core)
    text: bytes = prog["VMCOREINFO"].string_()
    assert _POINTERS.search(text)
    return _POINTERS.sub(b"", text)


def _look(session: btfdbg.Session) -> None:
    session.prog.stack_trace(session.prog.crashed_thread().object)


def test_a_small_dump_does_not_depend_on_the_cache(
    oops_core: Path, tmp_path: Path, xdg: Path
) -> None:
    given = _as_before_6_0(oops_core)
    made = []
    for number in range(2):
        out = tmp_path / f"{number}.vmcore"
        trim(oops_core, out, _look, vmcoreinfo=given)
        made.append(out.read_bytes())
        # Now the cache knows this kernel.
        session = attach(open_core(oops_core, vmcoreinfo=given)[0])
        _look(session)
        assert any(xdg.rglob("*")) or number
    assert made[0] == made[1]


def test_recording_does_not_depend_on_the_cache(oops_core: Path) -> None:
    cold = record(oops_core, _look)
    attach(open_core(oops_core)[0])
    assert record(oops_core, _look) == cold


def test_what_is_only_looked_through_is_not_recorded(oops_core: Path) -> None:
    given = _as_before_6_0(oops_core)
    recorded = []
    for searched in (False, True):
        recorder = Recorder(oops_core, vmcoreinfo=given)
        with uncached():
            attach(
                recorder.prog, Options(search=recorder.look if searched else None), recorder.info
            )
        recorded.append(recorder.pfns)
    assert recorded[1] < recorded[0]


def test_nothing_is_kept_while_it_is_recorded(xdg: Path) -> None:
    with uncached():
        assert Cache.default().folder is None
    assert Cache.default().folder is not None
