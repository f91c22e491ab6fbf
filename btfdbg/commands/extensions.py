"""A user's own commands, and which of them were loaded.

Owns the folder's and the entry point group's names; ``program.extensions`` loads.
"""

from __future__ import annotations

from btfdbg.program import extensions

FOLDER = "commands"
GROUP = "btfdbg.commands"

_loaded: list[str] = []


def loaded() -> tuple[str, ...]:
    """The files and entry points whose commands were loaded."""
    return tuple(_loaded)


def are_there() -> bool:
    """Whether there is anything to load, which may have a name of one of our commands."""
    return extensions.are_there(FOLDER, GROUP)


def load() -> list[str]:
    """Load the user's commands; return the names of what was loaded."""
    _loaded[:] = extensions.load(FOLDER, GROUP)
    return list(_loaded)
