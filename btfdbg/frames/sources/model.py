"""What the lookup of a source file gives, and what it asks of a dump.

Owns values and protocols only.
"""

from __future__ import annotations

from typing import Protocol

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SourceFile:
    """
    Where code is from.

    :ivar file: path in the kernel's tree, ``fs/ext4/inode.c``; for a module built elsewhere
        what its compiler was told. A name to show: it is never opened as a path.
    :ivar line: only if the dump itself gives it exactly (a WARN or BUG at that address).
    :ivar evidence: what says so, in words.
    """

    file: str
    line: int | None
    evidence: str

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def subsystem(self) -> str:
        """
        The folder that a file belongs to, of at most three parts.

        >>> SourceFile("drivers/net/ethernet/intel/e1000e/netdev.c", None, "").subsystem
        'drivers/net/ethernet'
        """
        return "/".join(self.file.split("/")[:-1][:3])


class Function(Protocol):
    """A symbol; btfdbg.kallsyms.Sym is one."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...


class Functions(Protocol):
    """The functions of the kernel image or of one module, by their addresses."""

    def at(self, address: int) -> Function | None:
        """The function that holds an address."""

    def named(self, name: str) -> list[Function]:
        """All functions of that name."""

    def before(self, function: Function) -> Function | None:
        """The function that lies before one."""

    def behind(self, function: Function) -> Function | None:
        """The function that lies behind one."""


def is_weak(function: Function) -> bool:
    """Whether a symbol's letter (that of ``nm``) is known, and that of a weak function."""
    return getattr(function, "type_letter", "") in ("W", "w")


def is_local(function: Function) -> bool:
    """Whether a symbol's letter is known, and that of a local function."""
    return getattr(function, "type_letter", "") == "t"
