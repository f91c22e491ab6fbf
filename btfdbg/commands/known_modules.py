"""drgn's ``mod`` shows the modules that the session has, without walking their list again.

Owns what ``mod`` iterates over. drgn enumerates the kernel's modules in C and allocates
whatever sizes stand there; the session has looked at those before, went around what is
damaged and restored what was left out (``debuginfo.modules``). The list of a running
kernel is walked again, as it changes.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from typing import Any

import drgn

from btfdbg.debuginfo.session import find_session


def install() -> None:
    """Let ``mod`` take its modules from the session; once, after drgn's commands were imported."""
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    command: Any = CRASH_COMMAND_NAMESPACE._commands["mod"]
    original = command._argparse_func

    @functools.wraps(original)
    def mod(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        if not getattr(args, "drgn", False) and _knows_all(prog):
            return original(_Known(prog), name, args, **kwargs)
        return original(prog, name, args, **kwargs)

    command._argparse_func = mod


def _knows_all(prog: drgn.Program) -> bool:
    session = find_session(prog)
    if session is None or prog.flags & drgn.ProgramFlags.IS_LIVE:
        return False
    session.ensure_modules()
    return bool(session.loaded)


class _Known:
    """A Program whose loaded modules are those that the session has."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self._session = find_session(prog)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prog, name)

    def loaded_modules(self) -> Iterator[tuple[drgn.Module, bool]]:
        assert self._session is not None  # it was asked for before
        return ((module, False) for module in self._session.loaded)
