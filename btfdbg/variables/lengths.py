"""How many elements an array has, from its symbol's extent and its contents.

Owns the judgement that array lengths get: the length that another kernel had is a hint,
never an answer. Knows types only by their size and text.

Four facts decide. The extent, less the padding that alignment explains, allows a few
lengths. The kernel's BTF has array types of some lengths only. Padding is zero, so the
last byte that is not zero belongs to the array (or to something unnamed behind it). And
most tables end in one way for all arrays of their element type: ``struct attribute *``
always with one NULL, ``struct cipher_testvec`` never with zeros; how each type's arrays
end was counted when the database was made.
"""

from __future__ import annotations

from collections.abc import Mapping

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.vardb.textdb import TrailingZeros
from btfdbg.variables.placement import Extent, SectionKind
from btfdbg.variables.policy import POLICY, Policy

_POINTER = 8
_KERNEL_HALF = 0xFFFF_8000_0000_0000
# What printf() is told to write, as lib/vsprintf.c reads it: flags, width, precision, a letter.
_CONVERSION = pattern(rb"%[-+ #0]*[\d*]*(?:\.[\d*]*)?[a-zA-Z]")


@dataclass(frozen=True, slots=True)
class ArrayEvidence:
    """
    What is known of one array symbol.

    :ivar element: text of its element's type, without const.
    :ivar element_size: bytes.
    :ivar hint: length that a kernel of the database gives it, None without one.
    :ivar stable: all kernels that have it give it the hinted length.
    :ivar other_lengths: lengths that kernels give an array of this name.
    :ivar fixed: a table whose length hardly ever changes.
    :ivar tail: all-zero elements at its end in that kernel; None for the usual number.
    :ivar lengths: lengths that arrays of such elements have in this kernel's BTF; None
        if that is not known.
    :ivar has_pointers: the elements are or have pointers.
    :ivar contents: the extent's bytes; None if they are not to be had.
    :ivar settled: older and newer kernels give it this length, or those of several series.
    :ivar surrounded: older and newer kernels agree on its type.
    :ivar filled_later: it was all zeros when the kernel started: how it ends says nothing.
    :ivar policy: what is taken for enough where nothing is proof.
    :ivar string: the contents are a string that nobody changes.
    """

    element: str
    element_size: int
    hint: int | None
    stable: bool
    other_lengths: frozenset[int]
    fixed: bool
    tail: int | None
    lengths: frozenset[int] | None
    extent: Extent
    place: SectionKind
    has_pointers: bool
    contents: bytes | None
    string: bool
    settled: bool = False
    surrounded: bool = True
    filled_later: bool = False
    policy: Policy = POLICY


def array_length(evidence: ArrayEvidence, tails: Mapping[str, TrailingZeros]) -> int | None:
    """Return the array's length, None if more than one is possible."""
    found = _judged_length(evidence, tails)
    unread = evidence.contents is None and evidence.place is SectionKind.CONST
    if unread and evidence.hint is not None and evidence.element != "char":
        # Constants that were left out of the dump: only what needs no contents counts.
        certain = evidence.surrounded or len(_possible(evidence)) == 1
        return found if certain and found == evidence.hint else None
    return None if found is None or _may_be_another(evidence, found, tails) else found


def _judged_length(evidence: ArrayEvidence, tails: Mapping[str, TrailingZeros]) -> int | None:
    contents = None if evidence.place is SectionKind.INIT else evidence.contents
    if contents is not None and not any(contents):
        contents = None
    if evidence.string and contents is not None:
        return _string_length(evidence, contents)
    possible = _possible(evidence)
    hint = evidence.hint
    if hint is not None and evidence.lengths is not None and hint not in evidence.lengths:
        hint = None
    if hint is None and evidence.hint is not None and len(possible) > 1:
        # Of several new lengths the one that fills the room, if the rest are far too short.
        shortest = min(evidence.hint, possible[-1])
        likely = [n for n in possible if 2 * n >= shortest]
        if len(likely) == 1 and _fills(evidence, likely[0]):
            possible = likely
    has_more = hint is not None and _has_more(evidence, hint, contents)
    if evidence.filled_later:
        contents = None
    if hint is not None and has_more:
        return _after_gap(evidence, hint, possible, contents, tails)
    wanted = None if contents is None else _by_contents(evidence, contents, tails)
    if evidence.element == "char" and hint is not None and evidence.place is not SectionKind.CONST:
        wanted = None  # a buffer, with something shorter in it
    tail = _tail(evidence, tails)
    open_ = any(other != hint and other in possible for other in evidence.other_lengths)
    same = wanted == hint and (evidence.has_pointers or not open_)
    table = tail == 1 or (tail == 0 and (same or evidence.place is SectionKind.CONST))
    if tail == 0 and open_ and not evidence.has_pointers:
        table = False
    if wanted is not None and tail == 0 and _has_room_for_null(evidence, wanted, possible):
        table = False
    if wanted is not None and tail == 1 and possible and wanted > possible[-1]:
        return None  # the elements end in another way than such elements do
    letters = evidence.element == "char" and len(evidence.other_lengths) > 1
    if letters and wanted is not None:
        # Letters that count something: zeros behind them may be padding as well.
        table = table and _fills(evidence, wanted)
    if table and wanted is not None and wanted in possible and _is_plausible(evidence, wanted):
        return wanted
    if len(possible) == 1 and (evidence.hint is not None or _fills(evidence, possible[0])):
        return possible[0] if _is_plausible(evidence, possible[0]) else None
    if hint is None or hint not in possible:
        return None
    if tail == 0 and evidence.has_pointers and wanted not in (None, hint) and not evidence.settled:
        return None  # its last element would be empty, where such elements are not
    if (_fills(evidence, hint) and not open_) or (tail == 1 and wanted == hint and not letters):
        return hint
    if evidence.place is SectionKind.INIT and evidence.element != "char":
        return None
    if any(_fills(evidence, n) for n in possible) and evidence.element_size > _POINTER:
        return None  # longer by one, perhaps
    if evidence.element_size == _POINTER and _has_room_for_one(evidence, hint, possible):
        return None
    if wanted is not None and evidence.place is SectionKind.CONST:
        return None  # the contents speak against it
    return hint if evidence.stable else None


def _may_be_another(
    evidence: ArrayEvidence, length: int, tails: Mapping[str, TrailingZeros]
) -> bool:
    """
    Whether another kernel's elements may be what stands at the end of an array here.

    Tables grow with time: at one end of it, where no kernel beyond agrees, zeros at the end
    may be elements that only the others have; and numbers that make a table shorter than
    any kernel's may be another table's.
    """
    contents = evidence.contents
    if evidence.surrounded or evidence.hint is None or contents is None or evidence.string:
        return False
    if evidence.filled_later:
        return False
    if evidence.place is SectionKind.INIT or not any(contents):
        return False
    tail = _tail(evidence, tails)
    if length < min((evidence.hint, *evidence.other_lengths)) and not evidence.fixed:
        # Anything that zeros follow looks like one element and the end of a table.
        is_table = tail == 1 and length > 2
        return not evidence.has_pointers and not is_table
    size = evidence.element_size
    used = -(-len(contents[: length * size].rstrip(b"\0")) // size)
    if used == length or tail == 1:
        return False
    return any(used <= n < length for n in _possible(evidence))


def _is_plausible(evidence: ArrayEvidence, length: int) -> bool:
    """Whether a table may have become so much shorter or longer than its hint."""
    hint = evidence.hint
    if hint is None or length == hint:
        return True
    if length > hint:
        return (
            evidence.has_pointers
            or length <= evidence.policy.growth * hint + evidence.policy.growth_slack
        )
    return length > 1 and (2 * length >= hint or evidence.place is not SectionKind.CONST)


def _fills(evidence: ArrayEvidence, length: int) -> bool:
    return length * evidence.element_size == evidence.extent.size


def _has_room_for_null(evidence: ArrayEvidence, length: int, possible: list[int]) -> bool:
    """Whether one more pointer, NULL, would fill the place to the byte: padding is no proof."""
    is_pointer = evidence.has_pointers and evidence.element_size == _POINTER
    return is_pointer and _has_room_for_one(evidence, length, possible)


def _has_room_for_one(evidence: ArrayEvidence, length: int, possible: list[int]) -> bool:
    """Whether one more element would fill the place, where few kernels give the length."""
    longer = length + 1
    return not evidence.settled and longer in possible and _fills(evidence, longer)


def _has_more(evidence: ArrayEvidence, hint: int, contents: bytes | None) -> bool:
    """Whether something that is no padding stands behind ``hint`` elements."""
    size = evidence.element_size
    if hint < evidence.extent.lengths(size).start:
        return True
    return contents is not None and any(contents[hint * size :])


def _possible(evidence: ArrayEvidence) -> list[int]:
    """Lengths that fill the extent, and that this kernel's BTF knows."""
    lengths = evidence.extent.lengths(evidence.element_size)
    if evidence.lengths is None:
        return list(lengths[: evidence.policy.many_lengths])
    if len(lengths) <= len(evidence.lengths):
        return [n for n in lengths if n in evidence.lengths]
    return sorted(n for n in evidence.lengths if n in lengths)


def _after_gap(
    evidence: ArrayEvidence,
    hint: int,
    possible: list[int],
    contents: bytes | None,
    tails: Mapping[str, TrailingZeros],
) -> int | None:
    """Decide between the hint, with something unnamed behind it, and a longer array."""
    size = evidence.element_size
    longer = [n for n in possible if n > hint]
    if hint * size > (evidence.extent.size or 0):
        return None
    if evidence.fixed:
        return hint
    if contents is not None and evidence.element != "char" and _tail(evidence, tails) == 1:
        return _terminated(evidence, contents)
    if not longer:
        return None if _is_followed(evidence, contents) else hint
    if (
        contents is None
        and size >= evidence.policy.large_element
        and longer[-1] <= evidence.policy.growth * hint
        and _fills(evidence, longer[-1])
    ):
        return longer[-1]
    if contents is None:
        char_in_init = evidence.place is SectionKind.INIT and evidence.element == "char"
        # As much again behind a buffer is the buffer's: the kernel was configured otherwise.
        is_half = 2 * hint * size <= (evidence.extent.size or 0)
        return hint if evidence.stable and char_in_init and not is_half else None
    grown = _alike(evidence, contents, hint, hint + 1) if evidence.has_pointers else None
    if grown is False:
        # Zeros behind writable elements are one of them: nothing unnamed is empty.
        empty = evidence.place is not SectionKind.CONST and not any(contents[hint * size :])
        if empty:
            return _only_filling(evidence, longer)
        # As long as another kernel has it nothing unnamed is left over.
        fills = any(n in evidence.other_lengths and _fills(evidence, n) for n in longer)
        return None if fills else hint
    if grown and size > _POINTER and longer[0] <= evidence.policy.growth * hint + 1:
        wanted = _by_contents(evidence, contents, tails)
        if wanted in longer and _alike(evidence, contents, hint, longer[0]):
            return wanted
        return longer[0] if len(longer) == 1 else None
    return None


def _terminated(evidence: ArrayEvidence, contents: bytes) -> int | None:
    """The first element that is all zeros ends the array, whatever comes then."""
    size = evidence.element_size
    for index in range(len(contents) // size):
        if not any(contents[index * size : (index + 1) * size]):
            known = evidence.lengths is None or index + 1 in evidence.lengths
            # Rows that another kernel's has behind it are no end: rtm_ipv4_policy has gaps.
            has_gap = any(contents[(index + 1) * size : (evidence.hint or 0) * size])
            return index + 1 if known and not has_gap else None
    return None


def _is_followed(evidence: ArrayEvidence, contents: bytes | None) -> bool:
    """Whether what stands behind the hinted elements looks like one more of them."""
    hint = evidence.hint
    return (
        contents is not None
        and hint is not None
        and evidence.element_size > _POINTER
        and _alike(evidence, contents, hint, hint + 1) is True
    )


def _only_filling(evidence: ArrayEvidence, longer: list[int]) -> int | None:
    """The one longer length, if it leaves nothing over."""
    return longer[0] if len(longer) == 1 and _fills(evidence, longer[0]) else None


def _by_contents(
    evidence: ArrayEvidence, contents: bytes, tails: Mapping[str, TrailingZeros]
) -> int | None:
    """The length that the last non-zero byte and the usual end of such arrays give."""
    tail = _tail(evidence, tails)
    used = -(-len(contents.rstrip(b"\0")) // evidence.element_size)
    if tail is None or not used:
        return None
    if evidence.hint is None and _alike(evidence, contents, 1, used) is False:
        return None
    return used + tail


def _tail(evidence: ArrayEvidence, tails: Mapping[str, TrailingZeros]) -> int | None:
    """How many all-zero elements the array ends in, as far as its kind says."""
    if evidence.tail is not None:
        return evidence.tail
    usual = tails.get(evidence.element)
    if usual is None or usual.agree < evidence.policy.usual_end * usual.total:
        return None
    return usual.zeros


def _string_length(evidence: ArrayEvidence, contents: bytes) -> int | None:
    """A constant string ends with its NUL, or is an array of characters without one."""
    end = contents.find(b"\0")
    if end < 0:
        end = len(contents)
    hint, longest = evidence.hint, evidence.extent.size or 0
    # A format is read up to its NUL; letters of a table may have none.
    is_format = _CONVERSION.search(contents, 0, end) is not None
    is_bare = hint == end and not is_format and evidence.place is SectionKind.CONST
    if hint == end + 1 <= longest or is_bare:
        return hint
    if 0 < end < longest and longest - (end + 1) < evidence.extent.slack:
        return end + 1 if not contents[end:].strip(b"\0") else None
    return None


def _alike(evidence: ArrayEvidence, contents: bytes, known: int, length: int) -> bool | None:
    """
    Whether elements behind the first ``known`` ones have pointers where those have them.

    False if one has none of them, None where there is nothing to compare.
    """
    size = evidence.element_size
    if not evidence.has_pointers or size % _POINTER or known < 1 or len(contents) < size * length:
        return None
    words = memoryview(contents[: size * length]).cast("Q")
    step = size // _POINTER
    pointers = [
        i for i in range(step) if all(words[e * step + i] >= _KERNEL_HALF for e in range(known))
    ]
    if not pointers:
        return None
    same = [
        sum(words[e * step + i] >= _KERNEL_HALF for i in pointers) for e in range(known, length)
    ]
    if not all(same):
        return False
    return True if all(2 * n >= len(pointers) for n in same) else None
