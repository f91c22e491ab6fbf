"""Tables of the kernel's own that are damaged: drgn says so by errors that are no faults."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from drgn.helpers import ValidationError

import btfdbg
from btfdbg.commands import failure
from btfdbg.report.as_text import as_text
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.whole import report

DUMP = Path(__file__).resolve().parents[2] / "corefiles" / "6.12-amd64-null.vmcore"


def test_a_report_does_without_stacks_where_the_orc_header_is_zeros() -> None:
    prog = btfdbg.program_from_core_dump(DUMP)
    header = prog.symbol("__start_orc_header").address
    prog.add_memory_segment(header, 20, lambda address, count, offset, physical: bytes(count))
    said = as_text(report(btfdbg.session(prog)))
    assert "Its stack cannot be unwound." in said
    assert said.startswith("NULL dereference in cf_level3")


@pytest.mark.parametrize(
    "error", [drgn.BadDataError("unrecognized .orc_header"), ValidationError("prev 0x0")]
)
def test_what_is_damaged_is_one_of_the_ends_of_a_question(error: Exception) -> None:
    with pytest.raises(UNREADABLE):
        raise error


def test_damaged_data_are_called_so() -> None:
    error = drgn.BadDataError("unrecognized .orc_header")
    assert failure.describe(error) == "damaged data: unrecognized .orc_header"
