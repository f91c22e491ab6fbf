"""Run a command of drgn's with another Program than the one that it is asked about.

Owns the wrapping of the command and the way on to the real Program. For which commands,
and which of a Program's answers are others, is decided by the caller.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import drgn

Make = Callable[[drgn.Program, argparse.Namespace], Any]
Command = Callable[..., Any]


class ProgramProxy:
    """A Program of which a subclass answers some questions itself."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prog, name)

    def __getitem__(self, name: str) -> drgn.Object:
        return self._prog[name]


def with_proxy(make: Make) -> Callable[[Command], Command]:
    """
    Make a wrapper for the function of one of drgn's commands.

    :param make: Gives what stands in for a Program, or ``None`` to leave it. It is not asked
        for the drgn code of the command (``--drgn``).
    """

    def wrap(original: Command) -> Command:
        def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
            other = None if getattr(args, "drgn", False) else make(prog, args)
            return original(prog if other is None else other, name, args, **kwargs)

        return run

    return wrap
