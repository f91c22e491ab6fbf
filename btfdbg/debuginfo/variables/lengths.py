"""How many elements an array has, from its symbol's extent and its contents.

Owns the judgement that array lengths get: the length that another kernel had is a hint,
never an answer. Knows types only by their size and text.

Three facts decide. The extent, less the padding that alignment explains, allows a few
lengths. Padding is zero, so the last byte that is not zero belongs to the array. And
most tables end in one way for all arrays of their element type: ``struct attribute *``
always with one NULL, ``struct cipher_testvec`` never with zeros; how each type's arrays
end was counted when the database was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from btfdbg.debuginfo.variables.evidence import Extent, Place
from btfdbg.debuginfo.variables.textdb import Tail

_POINTER = 8
_KERNEL_HALF = 0xFFFF_8000_0000_0000
_MIN_TABLES = 4


@dataclass(frozen=True, slots=True)
class ArrayEvidence:
    """
    What is known of one array symbol.

    :ivar element: text of its element's type, without const.
    :ivar element_size: bytes.
    :ivar hint: length that a kernel of the database gives it, None without one.
    :ivar contents: the extent's bytes; None if they are not to be had.
    """

    element: str
    element_size: int
    hint: int | None
    extent: Extent
    place: Place
    contents: bytes | None


def array_length(evidence: ArrayEvidence, tails: Mapping[str, Tail]) -> int | None:
    """Return the array's length, None if more than one is possible."""
    extent, size = evidence.extent, evidence.element_size
    possible = extent.lengths(size)
    contents = evidence.contents
    if evidence.place is Place.INIT or extent.size is None:
        contents = None
    if evidence.element == "char" and contents is not None and evidence.place is Place.CONST:
        return _string_length(evidence, contents)
    hint = evidence.hint
    if evidence.place is Place.CONST and hint is not None and hint < possible.start:
        # More room than before: a longer array, or unnamed constants behind it.
        grown = None if contents is None else _alike(contents, size, hint, hint + 1)
        if not grown:
            return None if grown is None else hint
    if contents is not None and evidence.place is not Place.CONST:
        used = -(-len(contents.rstrip(b"\0")) // size)
        possible = range(max(possible.start, used), possible.stop)
    if not possible:
        return None
    expected = _by_tail(evidence, contents, possible, tails)
    if expected is not None:
        return expected
    if hint is not None and hint in possible:
        return hint
    if len(possible) != 1:
        return None
    only = possible[0]
    if evidence.place is Place.CONST and (hint is None or only > hint):
        # Its elements must not look like something else.
        if contents is None or _alike(contents, size, hint or 1, only) is False:
            return None
    return only


def _by_tail(
    evidence: ArrayEvidence, contents: bytes | None, possible: range, tails: Mapping[str, Tail]
) -> int | None:
    """Length by the way in which all tables of this type end."""
    tail = tails.get(evidence.element)
    if contents is None or tail is None or tail.total < _MIN_TABLES:
        return None
    share = tail.agree / tail.total
    if share < (0.98 if evidence.hint in possible else 0.9):
        return None
    if evidence.place is not Place.CONST and tail.zeros != 1:
        # A table in writable memory has changed since it was made; its terminator has not.
        return None
    size = evidence.element_size
    used = -(-len(contents.rstrip(b"\0")) // size)
    length = used + tail.zeros
    if not used or length not in possible:
        return None
    hint = evidence.hint
    if evidence.place is Place.CONST and hint not in possible and (hint is None or hint < length):
        if _alike(contents, size, hint or 1, used) is False:
            return None
    return length


def _string_length(evidence: ArrayEvidence, contents: bytes) -> int | None:
    """A constant string ends with its NUL, or is an array of characters without one."""
    end = contents.find(b"\0")
    if end < 0:
        end = len(contents)
    hint = evidence.hint
    if hint is not None and hint in (end, end + 1):
        return hint
    longest = evidence.extent.size or 0
    if 0 < end < longest and longest - (end + 1) < evidence.extent.slack:
        return end + 1 if not contents[end:].strip(b"\0") else None
    return None


def _alike(contents: bytes, size: int, known: int, length: int) -> bool | None:
    """
    Whether elements behind the first ``known`` ones have pointers where those have them.

    None where there are no pointers to compare.
    """
    if size % _POINTER or known < 1 or len(contents) < size * length:
        return None
    words = memoryview(contents[: size * length]).cast("Q")
    step = size // _POINTER
    pointers = [
        i for i in range(step) if all(words[e * step + i] >= _KERNEL_HALF for e in range(known))
    ]
    if not pointers:
        return None
    return all(words[e * step + i] >= _KERNEL_HALF for e in range(known, length) for i in pointers)
