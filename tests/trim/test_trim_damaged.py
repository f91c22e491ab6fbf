"""Tables of the kernel's own that are damaged: a dump is trimmed without what they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers import ValidationError

import btfdbg
from btfdbg.trim import needs
from btfdbg.trim.stacks import stacks_of

DUMP = Path(__file__).resolve().parents[2] / "corefiles" / "6.12-amd64-null.vmcore"


def test_tasks_are_counted_where_the_orc_header_is_zeros() -> None:
    prog = btfdbg.program_from_core_dump(DUMP)
    header = prog.symbol("__start_orc_header").address
    prog.add_memory_segment(header, 20, lambda address, count, offset, physical: bytes(count))
    found = stacks_of(prog)
    assert found.count > 50
    assert not found.counters


@pytest.mark.parametrize(
    "error", [drgn.BadDataError("unrecognized .orc_header"), ValidationError("prev 0x0")]
)
def test_what_is_damaged_is_named_and_the_rest_is_touched(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    touched = []

    def damaged(recorder: Any, session: Any) -> None:
        raise error

    rest = ("rest", lambda recorder, session: touched.append("rest"))
    monkeypatch.setattr(needs, "NEEDS", (("damaged", damaged), rest))
    none: Any = None
    assert needs.touch_all(none, none) == [f"damaged: {error}"]
    assert touched == ["rest"]
