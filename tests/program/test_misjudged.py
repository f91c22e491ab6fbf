"""A dump whose writer left out slab pages says so; holes of other kinds it does not blame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.mm import virt_to_pfn
from drgn.helpers.linux.pid import find_task

import btfdbg
from btfdbg.program import misjudged
from btfdbg.program.misjudged import is_kernels, note_misjudged
from btfdbg.program.session import Session
from btfdbg.vmcore.explain import Explanation, Reason
from btfdbg.vmcore.identify import Format
from corefiles.manifest import BUNDLED

DUMPS = sorted(BUNDLED.parent.glob("*.vmcore"))
FAULT = drgn.FaultError("could not read memory from kdump: Excluded page", 0xFFFF888000000000)


def of_others(prog: drgn.Program) -> int:
    """A page frame that no slab has."""
    for pfn in range(1 << 20):
        try:
            if not is_kernels(prog, pfn):
                return pfn
        except drgn.FaultError:
            pass
    raise AssertionError("all pages are of slabs")


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def session(request: pytest.FixtureRequest) -> Session:
    path: Path = request.param
    return btfdbg.session(btfdbg.program_from_core_dump(path))


def test_pages_of_slabs_are_told_from_others(session: Session) -> None:
    prog = session.prog
    assert is_kernels(prog, virt_to_pfn(find_task(prog, 1)).value_())
    assert not is_kernels(prog, of_others(prog))


@pytest.mark.parametrize(
    ("reason", "slab", "noted"),
    [
        (Reason.EXCLUDED, True, True),
        (Reason.EXCLUDED, False, False),
        (Reason.TRUNCATED, True, False),
        (Reason.CORRUPT, True, False),
    ],
)
def test_only_a_slab_page_that_was_left_out_is_noted(
    session: Session,
    reason: Reason,
    slab: bool,
    noted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prog = session.prog
    pfn = virt_to_pfn(find_task(prog, 1)).value_() if slab else of_others(prog)
    why = Explanation(reason, FAULT.address, "", page=pfn)
    monkeypatch.setattr(misjudged, "explain_address", lambda *_: why)
    before = list(session.notes)
    note_misjudged(session, FAULT)
    note_misjudged(session, FAULT)
    added = [str(note) for note in session.notes if note not in before]
    assert len(added) == noted
    assert all("makedumpfile" in text for text in added)
    note_misjudged(session, ValueError("no read"))
    assert len(session.notes) == len(before) + noted


def test_a_format_that_nothing_filters_is_not_judged(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pfn = virt_to_pfn(find_task(session.prog, 1)).value_()
    why = Explanation(Reason.EXCLUDED, FAULT.address, "", page=pfn)
    monkeypatch.setattr(misjudged, "explain_address", lambda *_: why)
    assert session.dump is not None
    monkeypatch.setattr(session, "dump", replace(session.dump, format=Format.LIME))
    before = list(session.notes)
    note_misjudged(session, FAULT)
    assert session.notes == before
