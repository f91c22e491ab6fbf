"""Which of the table's kernels say most about this one.

Owns the order of nearness. Knows no functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from btfdbg.frames.sources.table import Candidate
from btfdbg.vardb.textdb import Kernel, series_of, series_version


class Nearness:
    """
    The table's kernels in tiers, the nearest first.

    A kernel of the same series and machine comes first, then the same series, then the
    other series by their distance, those of the same machine first.
    """

    def __init__(self, kernels: Sequence[Kernel], release: str, machine: str) -> None:
        self._own_series = series_of(release)
        versions = sorted({k.version for k in kernels} | {series_version(release)})
        here = versions.index(series_version(release))
        tiers: dict[tuple[int, bool], int] = {}
        for number, kernel in enumerate(kernels):
            distance = abs(versions.index(kernel.version) - here)
            key = (2 * distance, kernel.machine != machine)
            tiers[key] = tiers.get(key, 0) | 1 << number
        self._tiers = [mask for _, mask in sorted(tiers.items())]
        self.is_known = any((k.release, k.machine) == (release, machine) for k in kernels)
        self.same_series = sum(
            1 << n for n, k in enumerate(kernels) if k.series == self._own_series
        )

    def nearest(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The candidates of the nearest kernels that have any."""
        found = list(candidates)
        if len(found) < 2:
            return found
        for tier in self._tiers:
            here = [c for c in found if not c.kernels or c.kernels & tier]
            if here:
                return here
        return found
