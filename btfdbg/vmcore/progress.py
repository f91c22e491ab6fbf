"""A progress bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_DELAY = 0.5
_INTERVAL = 0.1
_WIDTH = 30
_LEAST = 10  # columns of the bar, for which the label is cut


class Progress:
    """
    ``label [#####     ] 45% 1.2 GB/s`` on stderr, if stderr is a terminal; of other
    things than bytes, ``label [#####     ] 45% 9/20 commands``.

    Appears only when the work has lasted half a second; wiped when done.
    """

    def __init__(
        self, label: str, total: int, out: TextIO | None = None, *, unit: str = ""
    ) -> None:
        """
        :param total: Bytes to do, or things of another unit.
        :param out: Where to; stderr by default.
        :param unit: Their name in the plural; bytes if empty.
        """
        self._unit = unit
        self._label = label
        self._total = max(total, 1)
        self._out = out if out is not None else sys.stderr
        self._shown = False
        self._start = time.monotonic()
        self._next = self._start + _DELAY
        self._active = self._out is not None and self._out.isatty()

    def __call__(self, done: int) -> None:
        """Say how much is done."""
        if not self._active:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        self._shown = True
        share = min(done / self._total, 1.0)
        if self._unit:
            how_much = f"{done}/{self._total} {self._unit}"
        else:
            how_much = f"{done / (now - self._start) / 1e9:.1f} GB/s"
        self._out.write("\r" + self._line(share, f"{share:4.0%} {how_much}"))
        self._out.flush()

    def _line(self, share: float, amount: str) -> str:
        """One line of the terminal: what is wider is broken, and a broken line is not wiped."""
        import shutil

        columns = max(shutil.get_terminal_size((80, 24)).columns - 1, 1)
        label = self._label
        room = columns - len(" [] ") - len(amount)
        if len(label) + _LEAST > room:
            label = label[: max(room - _LEAST - 1, 0)] + "…"
        width = max(min(_WIDTH, room - len(label)), 0)
        filled = round(share * width)
        return f"{label} [{'#' * filled}{' ' * (width - filled)}] {amount}"[:columns]

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Take the bar off the screen, for output that comes in between."""
        if self._shown:
            self._shown = False
            self._out.write("\r\x1b[K")
            self._out.flush()
