"""The interactive prompt. The only place that knows prompt_toolkit.

``prompt`` is the terminal, with ``keys``, ``highlight``, ``history``, ``toolbar``, ``themes``
and ``config``; ``complete`` is a package of pure functions and can be used without a terminal;
``jupyter`` shows the same in a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from btfdbg.program.session import Session

__all__ = ["interact"]


def interact(session: Session, *, quiet: bool = False, color: str = "auto") -> int:
    """Run the prompt until end of file; return the exit status."""
    from btfdbg.repl import prompt

    return prompt.interact(session, quiet=quiet, color=color)
