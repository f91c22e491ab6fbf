"""drgn's ``mod`` shows the modules that the session has, without walking their list again.

Owns what ``mod`` iterates over. drgn enumerates the kernel's modules in C and allocates
whatever sizes stand there; the session has looked at those before, went around what is
damaged and restored what was left out (``program.modules``). The list of a running
kernel is walked again, as it changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import drgn

from btfdbg.patches.program_proxy import ProgramProxy, with_proxy
from btfdbg.program.session import find_session


def _known(prog: drgn.Program, args: argparse.Namespace) -> _Known | None:
    session = find_session(prog)
    if session is None or prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    session.ensure_modules()
    return _Known(prog, session.loaded) if session.loaded else None


class _Known(ProgramProxy):
    """A Program whose loaded modules are those that the session has."""

    def __init__(self, prog: drgn.Program, loaded: list[drgn.Module]) -> None:
        super().__init__(prog)
        self._loaded = loaded

    def loaded_modules(self) -> Iterator[tuple[drgn.Module, bool]]:
        return ((module, False) for module in self._loaded)


mod = with_proxy(_known)
