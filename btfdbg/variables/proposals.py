"""A type that a symbol may have, and all that the database has of one name.

Owns the values. ``propose`` makes them, ``type_checker`` says whether one holds, ``choose``
which one is taken.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.database import Candidate
from btfdbg.variables.provenance import Source


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    A type that a symbol may have.

    :ivar tier: proposals of a smaller tier are asked first; within a tier, two that fit
        contradict each other.
    :ivar seen: whether the contents of an array were seen when it was extracted: then no
        mark of its end means the usual one.
    :ivar is_elsewhere: it is of a variable of another module.
    :ivar support: of what a family says, how many of it are of the type.
    """

    type: str
    source: Source
    tier: tuple[int, ...]
    note: str = ""
    seen: bool = True
    is_elsewhere: bool = False
    support: int = 0


@dataclass(frozen=True, slots=True)
class KnownName:
    """
    What the database has of a name, in the order in which it is tried.

    :ivar lengths: that kernels give an array of the name.
    :ivar tails: how such arrays end, by element.
    :ivar lasting: older and newer kernels agree on the type, or those of several series.
    :ivar surrounded: older and newer kernels agree on the type.
    :ivar settled: they agree on its marks as well.
    """

    candidates: tuple[Candidate, ...]
    proposals: tuple[Proposal, ...]
    lengths: frozenset[int]
    tails: dict[str, int]
    lasting: bool
    surrounded: bool
    settled: bool
