"""Where messages of btfdbg and drgn go, and how they look there.

Apart from ``cli``, because ``logging`` takes 5 ms to import and the BTF toolkit says
what it has to say by errors.
"""

from __future__ import annotations

import logging
import sys


class SafeFormatter(logging.Formatter):
    """Shows control characters escaped: a message may quote the dump."""

    def format(self, record: logging.LogRecord) -> str:
        from btfdbg.commands.text import escape

        return escape(super().format(record))


def set_level(level: str) -> None:
    """Route btfdbg's and drgn's log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    number = logging.CRITICAL + 1 if level == "none" else getattr(logging, level.upper())
    for name in ("drgn", "btfdbg"):
        logging.getLogger(name).setLevel(number)
