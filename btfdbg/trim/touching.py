"""The two ways in which a walk touches what it is to be recorded: whole, and as a string.

Owns what a walk may meet in a damaged dump and go on after (``SKIPPED``).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn
from drgn import BadDataError, FaultError, Object
from drgn.helpers import ValidationError

from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session
from btfdbg.trim.recorder import Recorder

Need = Callable[[Recorder, Session], None]

SKIPPED = (
    BtfdbgError,
    FaultError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    BadDataError,  # a table of the kernel's that is damaged: .orc_header
    ValidationError,  # a list whose links do not agree
)
_MAX_STRING = 4096


def whole(recorder: Recorder, pointer: Object) -> None:
    """What a pointer points to, from its first byte to its last."""
    recorder.touch(int(pointer.value_()), drgn.sizeof(pointer.type_.type))


def strings(recorder: Recorder, pointer: Object) -> None:
    """The string that a pointer points to, or its first 4 KiB."""
    address = int(pointer.value_())
    if address:
        recorder.prog.read_c_string(address, max_size=_MAX_STRING)
