"""How long a test waits for a process: by the CPU that it takes, never by the clock.

A machine with many other things to do gives a process little time, and that is no failure
of the process. So it is given up when it took more CPU than it may, or when it did nothing
and was not even waiting for a processor, look after look.

Facts: proc(5), /proc/PID/stat: state is field 3, utime and stime fields 14 and 15 in ticks;
setrlimit(2), RLIMIT_CPU: SIGXCPU to the process itself, not to its children together.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable

CPU_SECONDS = 120
_TICK = os.sysconf("SC_CLK_TCK")


def limited(
    before: Callable[[], None] | None = None, seconds: int = CPU_SECONDS
) -> Callable[[], None]:
    """A ``preexec_fn`` that lets a process take so many seconds of CPU."""

    def start() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if before is not None:
            before()

    return start


class Patience:
    """
    Patience with one process from now on.

    :param cpu: Seconds of CPU that it may take.
    :param idle: Looks in a row at which it may be found asleep with nothing done since.
    """

    def __init__(self, pid: int, cpu: float, idle: int) -> None:
        self._pid = pid
        self._cpu = cpu
        self._most_idle = idle
        self._idle = 0
        self._started = self._last = self._look()[1]

    def _look(self) -> tuple[str, float]:
        try:
            with open(f"/proc/{self._pid}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            return "X", 0.0
        return fields[0], (int(fields[11]) + int(fields[12])) / _TICK

    def lasts(self) -> bool:
        """Look at the process once more; whether to go on waiting for it."""
        state, used = self._look()
        if state in ("S", "D", "T", "Z", "X") and used == self._last:
            self._idle += 1
        else:
            self._idle = 0
        self._last = used
        return self._idle < self._most_idle and used - self._started <= self._cpu
