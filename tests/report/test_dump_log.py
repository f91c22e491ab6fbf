"""What names a panic and what taints a kernel are what drgn's helpers give."""

from __future__ import annotations

import random

import pytest
from drgn.helpers.linux.panic import _panic_message
from drgn.helpers.linux.panic import panic_message as drgns
from drgn.helpers.linux.panic import tainted as drgns_tainted

from btfdbg.report.dump_log import best_panic, panic_message
from btfdbg.report.taints import tainted
from tests.repl.support import ARCHITECTURES, session_of

_PIECES = (
    b"Kernel panic - not syncing: x", b"Kernel panic", b"BUG: kernel NULL pointer dereference, a",
    b"BUG: unable to handle page fault", b"BUG: something else", b"Unable to handle kernel paging",
    b"kernel BUG at a.c:1!", b"Kernel BUG at b.c:2!", b"Oops: 0002 [#1]", b"Oops", b" - ",
    b"", b"[1]",
)  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_of_a_dump_it_is_drgns(architecture: str) -> None:
    prog = session_of(architecture).prog
    assert panic_message(prog) == drgns(prog) is not None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_letters_of_taints_are_drgns(architecture: str) -> None:
    prog = session_of(architecture).prog
    assert tainted(prog) == drgns_tainted(prog) != ""


def test_of_any_text_it_is_drgns() -> None:
    made = random.Random(20)
    seen = set()
    for _ in range(3000):
        lines = (
            b"".join(made.choices(_PIECES, k=made.randrange(1, 4)))
            for _ in range(made.randrange(1, 5))
        )
        text = b"\n".join(lines)
        assert best_panic(text) == _panic_message(text), text
        seen.add(best_panic(text))
    assert len(seen) > 100


def test_a_message_that_quotes_a_better_one_is_not_that_one() -> None:
    text = b"Oops: after Kernel panic - what?\nkernel BUG at a.c:1!\n"
    assert best_panic(text) == b"kernel BUG at a.c:1!"
