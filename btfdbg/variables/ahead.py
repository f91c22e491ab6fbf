"""Memory read in large pieces, for those who go through most of it in its order.

Owns the pieces. What a piece does not have whole is read as it is asked for, so that the
answers are the same, errors included.
"""

from __future__ import annotations

from collections.abc import Callable

from drgn import FaultError

_PIECE = 1 << 16
"""Bytes; 13,000 variables of a kernel lie in some 200 such pieces."""


class Ahead:
    """
    :param read: memory; raises :class:`drgn.FaultError` if any of it cannot be read.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._start = -_PIECE
        self._piece = b""

    def read(self, address: int, size: int) -> bytes:
        """
        Read memory.

        :raises drgn.FaultError: any of it cannot be read.
        """
        at = address - self._start
        if not 0 <= at < _PIECE:
            at = address % _PIECE
            self._start = address - at
            try:
                self._piece = self._read(self._start, _PIECE)
            except (FaultError, ValueError):
                self._piece = b""
        if at + size <= len(self._piece):
            return self._piece[at : at + size]
        return self._read(address, size)
