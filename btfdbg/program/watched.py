"""From when on it is counted which memory of a Session's dump cannot be read.

Owns the symbol that the count needs; the count itself is ``vmcore.read_failures``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.vmcore.read_failures import unread

if TYPE_CHECKING:
    from btfdbg.program.session import Session


def watch(session: Session) -> None:
    """Count from now on which memory cannot be read; cheap after the first call."""
    count = unread(session.prog)
    if not count.watched:
        count.watch(session.prog, session.dump, _pointer(session))


def _pointer(session: Session) -> int:
    found = session.lookup_symbols("saved_command_line")
    return found[0].address if len(found) == 1 else 0
