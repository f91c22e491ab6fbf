"""What a file that we made says of itself: its producer and its note.

Owns both forms, so that nobody takes the file for a compiler's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from btfdbg import __version__
from btfdbg.handover.vmlinux import elf
from btfdbg.handover.vmlinux.sections import Missing
from btfdbg.vmcore.elfcore import Note

if TYPE_CHECKING:
    from btfdbg.program.session import Session

NOTE_NAME = "btfdbg"
NOTE_MISSING = 1
"""Type of our note: JSON about the file."""


def producer(session: Session) -> str:
    """What the file says of itself."""
    return (
        f"btfdbg {__version__}: made from a dump of {session.release or 'a kernel'},"
        " not by a compiler; types from BTF, symbols from kallsyms, types of variables from"
        " btfdbg's database; no line numbers, inlined functions or local variables"
    )


def add_note(
    out: elf.Writer, session: Session, missing: Sequence[Missing], more: Mapping[str, object]
) -> None:
    """Add the note .note.btfdbg: who made the file, of what, and what it lacks."""
    said = {
        "producer": producer(session),
        "release": session.release,
        **more,
        "missing": [
            {"section": m.section, "address": m.address, "size": m.size, "why": m.why}
            for m in missing
        ],
    }
    data = Note(NOTE_NAME, NOTE_MISSING, json.dumps(said).encode()).packed(out.prefix)
    out.add(".note.btfdbg", data, type_=elf.Type.NOTE, align=4)
