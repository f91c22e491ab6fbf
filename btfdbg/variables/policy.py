"""Where judging a type has no proof: what is taken for enough, and why.

Owns the numbers. Every threshold of this package that is a judgement, and no fact of a
format or of an ABI, is a row of :class:`Policy` with its reason. They were chosen by
``btfdbg vars check VMLINUX --leave-out SERIES``, which counts what each costs.
"""

from __future__ import annotations

import enum

from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.provenance import Source


class Tier(enum.IntEnum):
    """In which order proposals are asked; the first tier in which one holds decides."""

    SAME_KERNEL = 0
    OTHER_KERNEL = 1
    CURATED = 5
    MACRO = 10
    SIZED = 11
    FAMILY = 20
    PARAMETER = 30


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The thresholds; the defaults are those that were measured.

    :ivar minimum: types from evidence that is trusted less are not given.
    :ivar family_share: share of a name pattern's members that have to agree on a type. Below
        it a family's exceptions outnumber what is missing otherwise.
    :ivar family_majority: a family in which fewer agree ends the search: a wider pattern has
        this family's members, too.
    :ivar plain_family: members that a family of pointers or numbers needs: zeros, or an address,
        fit every pointer, and nothing shows that a number is signed.
    :ivar usual_end: share of a type's arrays that have to end alike before that end counts.
    :ivar lasting_series: kernel series over which a type that did not change is not expected
        to have changed in the one at hand.
    :ivar small_record: bytes up to which a structure counts as a number: ``atomic_t``.
    :ivar largest_gap: bytes behind a variable that are another variable, whatever its type.
    :ivar record: bytes up to which a structure is held against what code does with it: locks,
        heads of lists and trees, counters.
    :ivar word: bytes up to which a type has no shape that BTF or contents could contradict.
    :ivar growth: factor by which a table may have grown from one series to another.
    :ivar growth_slack: elements that a short table may have grown by besides.
    :ivar large_element: bytes from which on elements are not taken for padding.
    :ivar many_lengths: possible lengths beyond which none is looked for among them.
    :ivar object_file: bytes of alignment at which the next object file's variables may begin.
    :ivar contents_limit: bytes of a variable that are read to judge it.
    :ivar compared_elements: elements of an array whose contents are held against the type.
    """

    minimum: Source = Source.RULE
    family_share: float = 0.985
    family_majority: float = 0.5
    plain_family: int = 10
    usual_end: float = 0.97
    lasting_series: int = 3
    small_record: int = 4
    largest_gap: int = 1 << 16
    record: int = 64
    word: int = 8
    growth: int = 2
    growth_slack: int = 8
    large_element: int = 64
    many_lengths: int = 64
    object_file: int = 32
    contents_limit: int = 1 << 16
    compared_elements: int = 16


POLICY = Policy()
