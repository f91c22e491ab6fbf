"""How long ago: jiffies as seconds.

Owns telling HZ, which no type and no symbol says: the kernel's two clocks, jiffies and
monotonic time, have run side by side since it booted.

Facts: ``include/linux/jiffies.h`` (INITIAL_JIFFIES is -300 * HZ as 32 bits, so that a wrap
shows early), ``kernel/Kconfig.hz`` and ``arch/arm/Kconfig`` (the values that HZ can have).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from btfdbg.report.look import Look

_VALUES = (100, 200, 250, 300, 500, 1000)
_EARLY = 300  # seconds from boot to the first wrap of 32 bits
_APART = 2.0  # seconds that the clocks may differ by


class Clock:
    """A dump's jiffies."""

    def __init__(self, look: Look) -> None:
        self._look = look

    @functools.cached_property
    def jiffies(self) -> int | None:
        """The count when the kernel stopped."""
        try:
            return int(self._look.prog["jiffies_64"])
        except UNREADABLE:
            return None

    @functools.cached_property
    def hz(self) -> int | None:
        """Ticks in a second; ``None`` if the clocks leave more than one value open."""
        from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

        try:
            uptime = int(ktime_get_coarse_ns(self._look.prog)) / 1e9
        except UNREADABLE:
            return None
        return None if self.jiffies is None else hz_of(self.jiffies, uptime)

    def since(self, stamp: int) -> float | None:
        """
        Return the seconds since a stamp in jiffies.

        :return: ``None`` if HZ is not known, or the stamp is in the future.
        """
        if self.jiffies is None or not self.hz:
            return None
        ticks = (self.jiffies - stamp) & ((1 << 64) - 1)
        return ticks / self.hz if ticks <= self.jiffies else None


def hz_of(jiffies: int, uptime: float) -> int | None:
    """
    Tell HZ by both clocks.

    :param jiffies: ``jiffies_64``.
    :param uptime: Seconds of monotonic time.

    >>> hz_of((1 << 32) - 250 * 260, 40.0)
    250
    """
    fits = [
        value
        for value in _VALUES
        if abs(jiffies - ((1 << 32) - _EARLY * value) - uptime * value) <= _APART * value
    ]
    return fits[0] if len(fits) == 1 else None
