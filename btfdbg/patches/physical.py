"""``rd -p`` reads physical memory.

Owns what ``rd`` reads with ``-p``: drgn 0.3 takes the option, refuses symbols with it, prints
``physical=True`` in its ``--drgn`` code, and reads virtual memory all the same.

Facts: drgn ``commands/_crash/_rd.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import drgn
from drgn import FaultError

from btfdbg.errors import DebugInfoError
from btfdbg.patches.program_proxy import ProgramProxy
from btfdbg.program.session import find_session
from btfdbg.vmcore.explain import explain_physical
from btfdbg.vmcore.read_failures import unread


class _Physical(ProgramProxy):
    """A Program whose memory is physical memory."""

    def __init__(self, prog: drgn.Program, only_code: bool) -> None:
        super().__init__(prog)
        self._only_code = only_code

    def read(self, address: int, size: int, physical: bool = True) -> bytes:
        """
        Physical memory.

        :raises DebugInfoError: it is not in the dump. No ``FaultError``: of that drgn's ``rd``
            concludes that the address may be one of a process.
        """
        try:
            data: bytes = self._prog.read(address, size, physical=True)
            return data
        except FaultError as e:
            if self._only_code:
                return bytes(size)  # it looks only whether there is any
            session = find_session(self._prog)
            unread(self._prog).note(e.address, True)
            why = explain_physical(None if session is None else session.dump, e.address)
            raise DebugInfoError(why.text, step="rd") from None


def rd(original: Callable[..., Any]) -> Callable[..., Any]:
    """``rd``, with ``-p`` on physical memory."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        if getattr(args, "physical", False) and find_session(prog) is not None:
            other: Any = _Physical(prog, bool(getattr(args, "drgn", False)))
            return original(other, name, args, **kwargs)
        return original(prog, name, args, **kwargs)

    return run
