"""btfdbg: debug any Linux kernel crash dump with nothing but the dump.

Lazy on purpose: ``import btfdbg.btf`` must not load drgn, so the names below
are resolved on first use.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's: that module takes 5 ms to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from btfdbg.program.attach import attach
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import Session, session

__version__ = "0.1.0"

__all__ = ["Session", "__version__", "attach", "program_from_core_dump", "session"]

_HOME = {
    "attach": "btfdbg.program.attach",
    "program_from_core_dump": "btfdbg.program.open",
    "session": "btfdbg.program.session",
    "Session": "btfdbg.program.session",
}

# Methods of a Session whose code may use more than the Session's package may, by the module
# that has each as a function of the Session.
SESSION_METHODS = {
    "arguments": "btfdbg.frames.arguments",
    "source_file": "btfdbg.frames.sources",
    "type_from_code": "btfdbg.frames.globals",
    "borne_out": "btfdbg.frames.borne_out",
    "accesses": "btfdbg.frames.accesses",
    "expect_accesses": "btfdbg.frames.accesses",
}


def __dir__() -> list[str]:
    # Packages are there once they are imported; what only this file needs is nobody's business.
    own = {"TYPE_CHECKING", "annotations", "SESSION_METHODS", "_HOME"}
    return sorted({*globals(), *__all__} - own)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
