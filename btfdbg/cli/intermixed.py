"""Operands behind options: ``vars list CORE --c-decls 'a*'``.

argparse gives all operands of one parser their places at the first it meets: what follows an
option is "unrecognized" if the last operand may be absent (CPython issue 59317). Its
``parse_known_intermixed_args()`` does not; subparsers are asked by another name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from btfdbg.cli.brief import Brief


class Intermixed(Brief):
    """A parser, of a subcommand too, that takes operands wherever they stand."""

    _is_inside = False

    def parse_known_args(  # type: ignore[override] # the overloads only differ by namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See :class:`argparse.ArgumentParser`."""
        if self._is_inside or self._subparsers is not None:  # those are asked in their place
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            known, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False
        if unknown:  # said here, since the parser above has another name and another --help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown
