"""Run a command of drgn's with another Program than the one that it is asked about.

Owns the wrapping of the command and the way on to the real Program. For which commands,
and which of a Program's answers are others, is the callers'.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import drgn


class StandIn:
    """A Program of which a subclass answers some questions itself."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prog, name)


def install(command: str, make: Callable[[drgn.Program, argparse.Namespace], Any]) -> None:
    """
    Wrap one of drgn's crash commands; once, after they were imported.

    :param make: Gives what stands in for a Program, or ``None`` to leave it. Is not asked
        for the drgn code of the command (``--drgn``).
    """
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    found: Any = CRASH_COMMAND_NAMESPACE._commands[command]
    original = found._argparse_func

    @functools.wraps(original)
    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        other = None if getattr(args, "drgn", False) else make(prog, args)
        return original(prog if other is None else other, name, args, **kwargs)

    found._argparse_func = run
