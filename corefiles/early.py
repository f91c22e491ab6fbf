"""
Dumps of guests that are stopped in early boot, before the kernel wrote VMCOREINFO.

Owns: stopping a guest as soon as its console says some words. Such a guest prints no
facts, so its dumps have no manifest entry: what they must be is stated by the test.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import collect
from .build import Builder, work_folder
from .guest import Guest
from .run import BuildError
from .scenarios import SCENARIOS
from .wish import Wish

# VMCOREINFO is written in a subsys_initcall; this is said in an earlier one.
WORDS = "Hierarchical SRCU"
# What makes the console speak before its driver is there.
_EARLY = {"amd64": "earlyprintk=serial,ttyS0"}
_STEP = 0.005


def build(builder: Builder, wish: Wish, words: str, out: Path) -> list[Path]:
    """
    Stop a guest in early boot and dump it in every wished way that QEMU has.

    :raises BuildError: the words did not come.
    """
    with stopped(builder, wish, words, out) as guest:
        return list(collect.from_monitor(wish, guest, out, builder.say).values())


@contextmanager
def stopped(builder: Builder, wish: Wish, words: str, out: Path) -> Iterator[Guest]:
    """
    A guest that stands still in early boot.

    :param words: Regular expression; the guest is stopped once its console has it.
    :raises BuildError: the words did not come.
    """
    early = _EARLY.get(wish.arch, "earlycon")
    wish = dataclasses.replace(wish, append=f"{early} {wish.append}")
    with work_folder(out) as work:
        prepared = builder.prepare(wish, builder.kernel(wish), SCENARIOS["snapshot"], (), work)
        with builder.alone(), prepared.guest as guest:
            guest.qmp("query-status")
            end = time.monotonic() + wish.timeout
            while re.search(words, guest.console()) is None:
                if time.monotonic() > end:
                    raise BuildError(f"guest: {words!r} did not come")
                time.sleep(_STEP)
            guest.qmp("stop")
            yield guest
