"""drgn's ``timer`` lists the timers of a base in the order in which they expire.

Owns that order. drgn walks the wheel's buckets one after the other, in which a timer that
expires in a second may stand behind one that expires in a day; crash sorts them.

Facts: ``kernel/time/timer.c`` (struct timer_base.vectors; the buckets of a base go round).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import drgn

from btfdbg.program.session import find_session

Walk = Callable[[drgn.Object], Iterable[drgn.Object]]


def by_expiry(original: Walk) -> Walk:
    """``timer_base_for_each()``, the next to expire first; those of one time stay in order."""

    def walk(base: drgn.Object) -> Iterator[drgn.Object]:
        timers = original(base)
        if find_session(base.prog_) is None:
            yield from timers
        else:
            yield from sorted(timers, key=lambda timer: int(timer.expires))

    return walk
