"""A report's stacks end where their memory does, as the prompt's do."""

from __future__ import annotations

from pathlib import Path

from drgn.helpers.linux.panic import panic_task

from btfdbg.report.look import Look
from tests.program.damaged import Dump


def test_no_frame_is_made_up_behind_a_missing_page(oops_core: Path) -> None:
    dump = Dump(oops_core)
    whole = dump.twin.prog.stack_trace(panic_task(dump.twin.prog))
    dump.lose(whole[0].sp & ~0xFFF, 4096)
    look = Look(dump.attach())
    task = panic_task(look.prog)
    assert len(look.prog.stack_trace(task)) > 1  # drgn goes on by rbp
    assert [call.name for call in look.stack(task)] == ["cf_level3.constprop.0"]
    assert look.doubts.said == ["stacks whose next page is not in the dump end there"]


def test_a_whole_stack_is_not_doubted(oops_core: Path) -> None:
    look = Look(Dump(oops_core).attach())
    assert len(look.stack(panic_task(look.prog))) > 3
    assert look.doubts.said == []
