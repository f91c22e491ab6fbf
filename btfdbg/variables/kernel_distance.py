"""How near the kernels of a database are to the one at hand.

Owns the order in which other kernels' types are worth asking: the same release, then series by
series, this machine first.
"""

from __future__ import annotations

from collections.abc import Sequence

from btfdbg.vardb.textdb import Kernel, series_version


class KernelDistance:
    """How near each kernel of a database is to one release."""

    def __init__(self, kernels: Sequence[Kernel], release: str, machine: str) -> None:
        me = Kernel.of(release, machine)
        mine = series_version(release)
        self._order: list[tuple[int, ...]] = []
        # What was found out of sets of kernels: thousands of types are of a few hundred sets.
        self._nearest: dict[int, tuple[tuple[int, ...], str]] = {}
        self._surrounding: dict[int, bool] = {}
        self._series: dict[int, frozenset[tuple[int, int]]] = {}
        # Other images were not relocated when they were read, nor were modules.
        self._seen = sum(1 << i for i, k in enumerate(kernels) if k.machine == "x86_64")
        self.releases = [kernel.release for kernel in kernels]
        self._mine = mine
        self._machine = sum(1 << i for i, k in enumerate(kernels) if k.machine == machine)
        self._versions = [kernel.version for kernel in kernels]
        series = sorted({kernel.version for kernel in kernels} | {mine})
        for kernel in kernels:
            distance = abs(series.index(kernel.version) - series.index(mine))
            self._order.append(
                (
                    kernel.release != release,
                    2 * distance + (kernel.machine != machine),
                    kernel.flavour != me.flavour,
                )
            )

    def nearest(self, mask: int) -> tuple[tuple[int, ...], str]:
        """Return the rank of the nearest kernel of a set, and its release."""
        found = self._nearest.get(mask)
        if found is None:
            found = self._nearest[mask] = self._find_nearest(mask)
        return found

    def _find_nearest(self, mask: int) -> tuple[tuple[int, ...], str]:
        best: tuple[int, ...] = (9,)
        release = ""
        index = 0
        while mask:
            if mask & 1 and self._order[index] < best:
                best, release = self._order[index], self.releases[index]
            mask >>= 1
            index += 1
        return best, release

    def surrounds(self, mask: int) -> bool:
        """Whether kernels of a set are both older and newer than this one, or of its series."""
        found = self._surrounding.get(mask)
        if found is None:
            versions = [v for i, v in enumerate(self._versions) if mask >> i & 1]
            found = bool(versions) and min(versions) <= self._mine <= max(versions)
            self._surrounding[mask] = found
        return found

    def precedes(self, mask: int) -> bool:
        """Whether this kernel is older than every kernel of a set."""
        series = self.series(mask)
        return bool(series) and self._mine < min(series)

    def series(self, mask: int) -> frozenset[tuple[int, int]]:
        """The series that the kernels of a set are of."""
        found = self._series.get(mask)
        if found is None:
            found = frozenset(v for i, v in enumerate(self._versions) if mask >> i & 1)
            self._series[mask] = found
        return found

    def on_this_machine(self, mask: int) -> int:
        """The kernels of a set that are for this machine; all of them if none is."""
        return mask & self._machine or mask

    @property
    def knows_this_machine(self) -> bool:
        """Whether any kernel is for this machine."""
        return bool(self._machine)

    def is_of_this_machine(self, mask: int) -> bool:
        """Whether a kernel of a set is for this machine."""
        return bool(mask & self._machine)

    def saw_contents(self, mask: int) -> bool:
        """Whether a kernel of a set had contents to be seen."""
        return bool(mask & self._seen)
