"""What triage shows on a terminal while it reads: a table of the groups so far.

Owns the drawing, with rich where it is installed and as a plain counter otherwise. All
text of a dump goes in as plain text: no markup in a name is obeyed.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

from btfdbg.report.counts import counted
from btfdbg.report.logs.lines import printable
from btfdbg.report.triage.groups import group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.live import Live
    from rich.table import Table

    from btfdbg.report.triage.crash import Crash

_ROWS = 12
_SHARE = 20  # drawing takes at most one part in so many of the time
_PAUSE = 0.2  # seconds between two drawings, at least


class LiveTable:
    """
    A context manager that shows progress on stderr, if that is a terminal.

    :param total: Files to read.
    :param quiet: Show nothing.

    It starts no thread: processes fork while it is there.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._total = total
        self._show = total > 0 and not quiet and sys.stderr.isatty()
        self._live: Live | None = None
        self._next = 0.0

    def __enter__(self) -> LiveTable:
        if self._show and find_spec("rich") is not None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._show:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def update(self, crashes: Sequence[Crash], done: int, failed: int) -> None:
        """
        Show where it stands.

        :param crashes: All that are known by now.
        :param done: Files read.
        :param failed: Of these, files that gave no crash.
        """
        start = time.monotonic()
        if not self._show or start < self._next:
            return
        if self._live is None:
            print(f"\r{done}/{self._total}", end="", file=sys.stderr, flush=True)
        else:
            self._live.update(_table(crashes, done, self._total, failed), refresh=True)
        took = time.monotonic() - start
        self._next = start + max(_PAUSE, _SHARE * took)


def _table(crashes: Sequence[Crash], done: int, total: int, failed: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    groups = group(crashes)
    caption = f"{done} of {total} read"
    if failed:
        caption += f", {failed} of them not readable"
    if len(groups) > _ROWS:
        caption += f"; {counted(len(groups) - _ROWS, 'more groups')}"
    table = Table(box=None, caption=caption, caption_justify="left", pad_edge=False)
    table.add_column("crashes", justify="right")
    table.add_column("what", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("hosts", justify="right")
    table.add_column("kernels", justify="right")
    for one in groups[:_ROWS]:
        table.add_row(
            str(one.count),
            Text(printable(one.title)),
            str(len(one.hosts)),
            str(len(one.releases)),
        )
    return table
