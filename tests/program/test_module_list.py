"""The list of modules that is made here is drgn's, value by value; or drgn makes it.

``BTFDBG_MODULE_LISTS=CORE:CORE`` asks of these dumps what is asked of the bundled ones.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import drgn
import pytest

from btfdbg.program import modules
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
    """
    A Program of which the reads go through a function.

    :ivar count: Reads up to now.
    """

    def __init__(self, prog: drgn.Program, change: Callable[[int, int, bytes], bytes]) -> None:
        self._prog = prog
        self._change = change
        self.count = 0

    def read(self, address: int, size: int) -> bytes:
        self.count += 1
        return self._change(self.count, address, self._prog.read(address, size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prog, name)

    def __getitem__(self, name: str) -> drgn.Object:
        return self._prog[name]


def _list(session: Session, change: Callable[[int, int, bytes], bytes]) -> tuple[Any, int]:
    """The list with other memory, and how many reads there were."""
    session.modules_created = True
    prog: Any = _Memory(session.prog, change)
    return read_list(prog), prog.count


def test_a_read_that_fails_leaves_it_to_drgn(core: Path) -> None:
    session = _session(core)
    whole, count = _list(session, lambda number, address, data: data)
    assert whole is not None
    assert count < 12 * len(whole)  # where drgn reads each letter
    failing = 0

    def fail(number: int, address: int, data: bytes) -> bytes:
        if number == failing:
            raise drgn.FaultError("not in the dump", address)
        return data

    for failing in range(1, count + 1):  # noqa: B007 - fail() looks at it
        assert _list(session, fail)[0] is None


def test_bytes_that_are_wrong_never_raise(core: Path) -> None:
    session, rng = _session(core), random.Random(3)
    refused = wrong = 0

    def change(number: int, address: int, data: bytes) -> bytes:
        if number != wrong:
            return data
        changed = bytearray(data)
        for _ in range(rng.choice((1, 8, 64))):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(changed)

    for _ in range(60):
        wrong = rng.randrange(1, 200)
        refused += _list(session, change)[0] is None
    assert refused > 5


def test_a_list_in_a_circle_is_drgns_to_tell(core: Path) -> None:
    session = _session(core)
    first, _ = _list(session, lambda number, address, data: data)
    link = drgn.offsetof(session.prog.type("struct module"), "list")
    last: int = first[-1].at
    second: int = first[1].at + link

    def circle(number: int, address: int, data: bytes) -> bytes:
        if address == last:
            return data[:link] + second.to_bytes(8, "little") + data[link + 8 :]
        return data

    assert _list(session, circle)[0] is None


def test_modules_that_lie_over_each_other_are_drgns_to_tell(core: Path) -> None:
    session = _session(core)
    first, _ = _list(session, lambda number, address, data: data)
    base: int = first[1].ranges[0][0]
    moved = first[0].ranges[0][0].to_bytes(8, "little")

    def move(number: int, address: int, data: bytes) -> bytes:
        if address == first[1].at:
            return data.replace(base.to_bytes(8, "little"), moved)
        return data

    assert _list(session, move)[0] is None
