"""The list of modules that is made here is drgn's, value by value; or drgn makes it.

``BTFDBG_MODULE_LISTS=CORE:CORE`` asks of these dumps what is asked of the bundled ones.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import drgn
import pytest

from btfdbg.program import module_list, modules
from btfdbg.program.attach import register
from btfdbg.program.module_list import create, read_list
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
DUMPS = [Path(p) for p in os.environ.get("BTFDBG_MODULE_LISTS", "").split(":") if p] or sorted(
    COREFILES.glob("*.vmcore")
)


@pytest.fixture(params=DUMPS, ids=[path.name for path in DUMPS])
def core(request: pytest.FixtureRequest) -> Path:
    return Path(str(request.param))


def _session(core: Path) -> Session:
    """A Session that has made no module yet."""
    prog, info = open_core(core)
    return register(prog, None, info)


def _all(made: list[drgn.Module]) -> list[Any]:
    return [
        (
            m.name,
            getattr(m, "address", None),
            tuple(m.address_ranges or ()),
            m.build_id,
            list(getattr(m, "section_addresses", {}).items()),
            m.object.value_(),
            m.object.type_.type_name(),
            m.debug_file_status,
            m.loaded_file_status,
        )
        for m in made
    ]


def _of_drgn(core: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Session, list[Any]]:
    session = _session(core)
    with monkeypatch.context() as patch:
        patch.setattr(modules, "_read_modules", lambda session: 0)
        session.ensure_modules()
    return session, _all(session.loaded)


def test_it_is_drgns(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, wanted = _of_drgn(core, monkeypatch)
    assert len(wanted) >= 10
    session = _session(core)
    # As if it were no kdump file, of which drgn reads letters for next to nothing.
    dump = session.dump
    assert dump is not None
    session.dump = replace(dump, format=dump.format.ELF)
    session.ensure_modules()
    assert _all(session.loaded) == wanted
    assert not session.notes
    # drgn finds them when it makes the list itself, and adds none.
    again = list(session.prog.loaded_modules())
    assert not any(new for _, new in again)
    assert _all([m for m, _ in again if isinstance(m, drgn.RelocatableModule)]) == wanted
    for address in (ranges[0][0] + 64 for _, _, ranges, *_ in wanted):
        ours, theirs = session.prog.module(address), truth.prog.module(address)
        assert (ours.name, ours.build_id) == (theirs.name, theirs.build_id)


def test_stacks_through_modules_are_the_same(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drgn.helpers.linux.pid import for_each_task

    truth, _ = _of_drgn(core, monkeypatch)
    session = _session(core)
    session.modules_created = True
    found = read_list(session.prog)
    assert found
    for one in found:
        made = create(session.prog, one)
        made.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
    for ours, theirs in zip(for_each_task(session.prog), for_each_task(truth.prog), strict=True):
        try:
            wanted = str(truth.prog.stack_trace(theirs))
        except (ValueError, LookupError, drgn.FaultError) as error:
            with pytest.raises(type(error)):
                session.prog.stack_trace(ours)
            continue
        assert str(session.prog.stack_trace(ours)) == wanted


class _Memory:
    """A Program of which the reads go through a function."""

    def __init__(self, prog: drgn.Program, read: Any) -> None:
        self._prog = prog
        self.read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prog, name)

    def __getitem__(self, name: str) -> drgn.Object:
        return self._prog[name]


def test_a_read_that_fails_leaves_it_to_drgn(core: Path) -> None:
    session = _session(core)
    session.modules_created = True
    prog = session.prog
    count = 0

    def read(address: int, size: int) -> bytes:
        nonlocal count
        count += 1
        if count == failing:
            raise drgn.FaultError("not in the dump", address)
        return prog.read(address, size)

    failing = 0
    whole = read_list(_Memory(prog, read))  # type: ignore[arg-type]
    assert whole is not None
    assert count < 12 * len(whole)  # where drgn reads each letter
    for failing in range(1, count + 1):  # noqa: B007 - read() looks at it
        count = 0
        assert read_list(_Memory(prog, read)) is None  # type: ignore[arg-type]


def test_bytes_that_are_wrong_never_raise(core: Path) -> None:
    session = _session(core)
    session.modules_created = True
    prog, rng = session.prog, random.Random(3)
    refused = 0

    def read(address: int, size: int) -> bytes:
        nonlocal left
        data = prog.read(address, size)
        left -= 1
        if left:
            return data
        changed = bytearray(data)
        for _ in range(rng.choice((1, 8, 64))):
            changed[rng.randrange(size)] = rng.randrange(256)
        return bytes(changed)

    for _ in range(60):
        left = rng.randrange(1, 200)
        refused += read_list(_Memory(prog, read)) is None  # type: ignore[arg-type]
    assert refused > 5


def test_a_list_in_a_circle_is_drgns_to_tell(core: Path) -> None:
    session = _session(core)
    session.modules_created = True
    prog = session.prog
    first = read_list(prog)
    assert first is not None
    link = drgn.offsetof(prog.type("struct module"), "list")
    last, second = first[-1].at, first[1].at + link

    def read(address: int, size: int) -> bytes:
        data = prog.read(address, size)
        if address == last:
            return data[:link] + second.to_bytes(8, "little") + data[link + 8 :]
        return data

    assert read_list(_Memory(prog, read)) is None  # type: ignore[arg-type]
    assert module_list._MAX_MODULES >= len(first)
