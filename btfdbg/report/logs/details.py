"""What only reports of one kind say: work queues what runs, hardware whether it was corrected.

Owns those lines. Whose report they are text.py says.

Facts: kernel/workqueue.c (``wq_watchdog_timer_fn()``, ``show_pwq()``, ``pr_cont_worker_id()``);
drivers/edac/mce_amd.c, arch/x86/kernel/cpu/mce/dev-mcelog.c, drivers/firmware/efi/cper.c.
"""

from __future__ import annotations

from btfdbg.report.event import Frame
from btfdbg.report.logs.expression import Expression

# A pool is called by its CPUs, node, flags and nice value.
_STUCK = Expression(r".*\bpool (?:\d+: )?(?P<pool>cpus=.*?) stuck for")
_QUEUE = Expression(r"\s*pwq \d+: (?P<pool>cpus=.*?) active=")
_IN_FLIGHT = Expression(r"\s*in-flight: (?P<works>.*)")
_WORK = Expression(
    r"\s*\d+(?:\(RESCUER\))?:(?P<fn>[A-Za-z_][\w.]*)(?: \[(?P<mod>[\w-]+)\])?(?: for \d+s)?\s*$"
)
_CORRECTED = (
    *("Machine check events logged", "Corrected error", "corrected by h/w", "|CE|"),
    "severity: corrected",
)
_GRAVE = (
    *("Uncorrected", "Machine Check Exception", "Deferred", "|UC|"),
    *("severity: fatal", "severity: recoverable"),
)


class StuckPool:
    """
    What runs in the pool of a work queue that does not get on.

    >>> pool = StuckPool("BUG: workqueue lockup - pool cpus=1 nice=0 stuck for 31s!")
    >>> pool.take("  pwq 6: cpus=1 nice=0 active=1 refcnt=2")
    True
    >>> pool.take("    in-flight: 12:demo_work [demo]"), pool.work().name
    (True, 'demo_work')
    """

    def __init__(self, message: str) -> None:
        stuck = _STUCK.match(message)
        self._stuck = "" if stuck is None else stuck["pool"]
        self._pool = ""  # that the lines are about
        self._works: set[tuple[str, str]] = set()

    def take(self, text: str) -> bool:
        """Take what a line says; return False if it says nothing of work queues."""
        queue = _QUEUE.match(text)
        if queue is not None:
            self._pool = queue["pool"]
            return True
        running = _IN_FLIGHT.match(text)
        if running is None:
            return False
        if self._stuck and self._pool == self._stuck:
            for one in running["works"].split(","):
                work = _WORK.match(one)
                self._works.add((work["fn"], work["mod"] or "") if work else ("", ""))
        return True

    def work(self) -> Frame | None:
        """Return the function of the work that runs, if it is one and tells its name."""
        if len(self._works) != 1:
            return None
        [(name, module)] = self._works
        return Frame(name, module, True, "task") if name else None


def corrected(text: str) -> bool | None:
    """
    Whether a line says that the hardware corrected an error, ``None`` if it does not say.

    >>> corrected("[Hardware Error]: Corrected error, no action required."), corrected("CPU 0")
    (True, None)
    """
    if any(word in text for word in _GRAVE):
        return False
    return True if any(word in text for word in _CORRECTED) else None
