"""A dump to damage, for tests: pages lost, pointers overwritten, beside its undamaged twin."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import drgn

from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from btfdbg.vmcore.read_failures import unread


@cache
def _undamaged(path: Path) -> Session:
    prog, info = open_core(path)
    return attach(prog, None, info)


class Dump:
    """A dump to damage before btfdbg sees it, and its undamaged twin to find things with."""

    def __init__(self, path: Path) -> None:
        self.twin = _undamaged(path)
        self.prog, self.info = open_core(path)

    def address(self, name: str) -> int:
        return self.twin.lookup_symbols(name)[0].address

    def put(self, address: int, data: bytes) -> None:
        self.prog.add_memory_segment(
            address, len(data), lambda a, n, offset, physical: data[offset : offset + n]
        )

    def lose(self, address: int, size: int) -> None:
        def fault(a: int, n: int, offset: int, physical: bool) -> bytes:
            unread(self.prog).note(a, physical)
            raise drgn.FaultError("page excluded", a)

        self.prog.add_memory_segment(address, size, fault)

    def attach(self) -> Session:
        return attach(self.prog, None, self.info)

    def point(self, address: int, target: int) -> None:
        """Overwrite a pointer."""
        self.put(address, target.to_bytes(8, "little"))
