"""The address half of kallsyms: one entry per symbol, in four encodings.

Owns decoding and the check that addresses never go down, which is what the
kernel's own binary search rests on. Reads a window of 1024 entries at a time,
so that one symbol costs one or two pages of the dump. Knows nothing of names.

Facts: kernel/kallsyms.c, ``kallsyms_sym_address()``.

* ``ABSOLUTE``: ``unsigned long`` each (CONFIG_KALLSYMS_BASE_RELATIVE=n; gone in 6.11).
* ``RELATIVE``: u32, added to ``kallsyms_relative_base``.
* ``PERCPU``: s32; not negative is absolute (x86 per-CPU symbols), negative is
  ``kallsyms_relative_base - 1 - value`` (CONFIG_KALLSYMS_ABSOLUTE_PERCPU; gone in 6.15).
* ``PLACE``: s32 relative to the entry itself (since 7.0).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from enum import Enum

from btfdbg.kallsyms.ascending import distances, distances_by_place
from btfdbg.kallsyms.model import ByteOrder, Memory, try_read

WINDOW = 1024
"""Entries decoded at a time: a page of 32-bit entries."""

_MASK64 = (1 << 64) - 1
_MOST_ZEROS = 64
_Window = tuple[int, "array[int]"]
"""What to add, and entries that ascend: numbers of 4 bytes take half the room of addresses."""


class Encoding(Enum):
    """How an entry becomes an address."""

    ABSOLUTE = "absolute"
    RELATIVE = "base-relative"
    PERCPU = "base-relative, absolute per-CPU"
    PLACE = "place-relative"

    @property
    def width(self) -> int:
        """Bytes of an entry."""
        return 8 if self is Encoding.ABSOLUTE else 4


class Addresses:
    """
    Addresses by index.

    An entry is believed only if its window ascends and fits between its
    neighbours; where that fails once, what all longest ascending runs of windows
    have in common is believed, and the rest is damage.

    :ivar problems: What was found damaged, in words.
    """

    def __init__(
        self,
        read: Memory,
        table: int,
        encoding: Encoding,
        count: int,
        byteorder: ByteOrder,
        *,
        base: int = 0,
        bias: int = 0,
    ) -> None:
        """
        :param table: Where the entries are, as ``read`` understands it.
        :param base: Value of ``kallsyms_relative_base``.
        :param bias: What to add to ``table`` to get its virtual address, where
            ``read`` takes physical ones; only ``PLACE`` needs it.
        """
        self._read = read
        self._table = table
        self._encoding = encoding
        self._swap = byteorder != sys.byteorder
        self._base = base
        self._bias = bias
        # Of a kernel's 158,000 symbols a stack's command sees two thirds.
        self._windows: dict[int, _Window | None] = {}
        self._audited = False
        # What was looked for last and where it is: who has found a symbol asks for its names.
        self._last: tuple[int, int] | None = None
        # Where that was: who goes from function to function stays in a window.
        self._near = 0
        self.count = count
        self.problems: list[str] = []

    @property
    def encoding(self) -> Encoding:
        return self._encoding

    @property
    def window_count(self) -> int:
        return -(-self.count // WINDOW)

    def at(self, index: int) -> int | None:
        """
        Address of a symbol.

        :param index: 0 to ``count`` - 1.
        :return: None if that part of the table is unreadable or damaged.
        """
        number = index // WINDOW
        window = self._windows.get(number) or self._window(number)
        if window is None:
            return None
        base, entries = window
        return base + entries[index % WINDOW]

    def last_at_or_below(self, address: int) -> int:
        """
        Index of the last entry whose address is not above ``address``; -1 if none.
        """
        if self._last is not None and self._last[0] == address:
            return self._last[1]
        audited = self._audited
        found = self._search(address)
        # A search on the way of which damage was found may end elsewhere the next time.
        self._last = (address, found) if audited == self._audited else None
        return found

    def _search(self, address: int) -> int:
        near = self._windows.get(self._near)
        if near is not None and near[1][0] <= address - near[0] < near[1][-1]:
            return self._near * WINDOW + bisect_right(near[1], address - near[0]) - 1
        low, high = 0, self.window_count
        while low < high:
            middle = probe = (low + high) // 2
            # A call of _window() for each step would be half of the time.
            window = self._windows.get(probe) or self._window(probe)
            while window is None and probe + 1 < high:
                probe += 1
                window = self._window(probe)
            if window is not None and window[0] + window[1][0] <= address:
                low = probe + 1
            else:
                high = middle
        # The last window that starts at or below the address.
        number = low - 1
        while number >= 0:
            window = self._window(number)
            if window is not None:
                self._near = number
                return number * WINDOW + bisect_right(window[1], address - window[0]) - 1
            number -= 1
        return -1

    def first_equal(self, index: int) -> int:
        """Index of the first entry with the address of the one at ``index``."""
        number, place = divmod(index, WINDOW)
        window = self._windows.get(number) or self._window(number)
        if window is None:
            return index
        base, entries = window
        if place and entries[place - 1] != entries[place]:
            return index
        address = base + entries[place]
        # 5.10 has 8,636 empty strings (__kstrtabns_) at one address.
        place = bisect_left(entries, entries[place], 0, place)
        while not place and number:
            window = self._windows.get(number - 1) or self._window(number - 1)
            if window is None or window[0] + window[1][-1] != address:
                break
            number -= 1
            place = bisect_left(window[1], address - window[0])
        return number * WINDOW + place

    def next_above(self, index: int) -> int | None:
        """
        Address of the next entry that differs from the one at ``index``.

        :return: None at the end of the table and before a damaged part.
        """
        number, place = index // WINDOW, index % WINDOW + 1
        window = self._windows.get(number) or self._window(number)
        if window is None:
            return None
        base, entries = window
        if place < len(entries) and entries[place - 1] != entries[place]:
            return base + entries[place]
        address = base + entries[place - 1]
        while window is not None:
            base, entries = window
            place = bisect_right(entries, address - base)
            if place < len(entries):
                return base + entries[place]
            number += 1
            window = self._window(number) if number < self.window_count else None
        return None

    def all_with_next(self) -> tuple[list[int | None], list[int | None]]:
        """What :meth:`at` and :meth:`next_above` say of every index; reads all of it."""
        found: list[int | None] = []
        for number in range(self.window_count):
            window = self._window(number)
            if window is None:
                found += [None] * min(WINDOW, self.count - number * WINDOW)
            else:
                base, entries = window
                found += [base + entry for entry in entries]
        following: list[int | None] = [None] * len(found)
        after: int | None = None
        above: int | None = None
        for index in range(len(found) - 1, -1, -1):
            address = found[index]
            if address != after:
                above = after
            following[index] = above
            after = address
        return found, following

    def ascends(self) -> bool:
        """Whether all of the table can be read and never goes down; reads all of it."""
        if not self._audited:
            self._audit()
        return not self.problems

    def first_kernel_index(self) -> int:
        """Index of the first entry that is not an absolute per-CPU one (``PERCPU`` only)."""
        if self._encoding is not Encoding.PERCPU:
            return 0
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            address = self.at(middle)
            if address is not None and address < 1 << 31:
                low = middle + 1
            else:
                high = middle
        return low

    def _window(self, number: int) -> _Window | None:
        try:
            return self._windows[number]
        except KeyError:
            pass
        window, edges = self._with_edges(number)
        if window is None or not _fits(window, *edges):
            self._audit()
            return self._windows[number]
        self._windows[number] = window
        return window

    def _decode(self, number: int) -> _Window | None:
        """A window as it stands there; None if it cannot be read, or goes down."""
        first = number * WINDOW
        raw = self._raw(first, min(WINDOW, self.count - first))
        return None if raw is None else self._decoded(number, raw)

    def _decoded(self, number: int, raw: array[int]) -> _Window | None:
        first = number * WINDOW
        window = self._at_once(first, raw)
        if window is not None:
            return window
        # Zeros are the usual damage, and decode to something that may ascend. Only
        # the first symbols can have them: _text, or the start of the per-CPU area.
        if raw.count(0) > (0 if number else _MOST_ZEROS):
            return None
        addresses = self._addresses_of(first, raw)
        return (0, array("Q", addresses)) if _ascends(addresses) else None

    def _at_once(self, first: int, raw: array[int]) -> _Window | None:
        """A window without a look at each entry; None if it has to be looked at."""
        if self._encoding is Encoding.ABSOLUTE:
            return None
        if self._encoding is Encoding.PLACE:
            placed = distances_by_place(raw)
            if placed is None:
                return None
            base, entries = placed
            base += self._table + 4 * first + self._bias
        else:
            told = distances(raw)
            if told is None:
                return None
            is_negative, entries = told
            if is_negative and self._encoding is Encoding.RELATIVE:
                return None
            is_absolute = self._encoding is Encoding.PERCPU and not is_negative
            base = 0 if is_absolute else self._base
        if base + entries[0] < 0 or base + entries[-1] > _MASK64:
            return None
        return base, entries

    def _entries(self, first: int, count: int) -> list[int] | None:
        raw = self._raw(first, count)
        return None if raw is None else self._addresses_of(first, raw)

    def _raw(self, first: int, count: int) -> array[int] | None:
        width = self._encoding.width
        place = self._table + first * width
        data = try_read(self._read, place, count * width)
        if data is None:
            return None
        signed = self._encoding in (Encoding.PERCPU, Encoding.PLACE)
        raw = array("Q" if width == 8 else "i" if signed else "I")
        raw.frombytes(data)
        if self._swap:
            raw.byteswap()
        return raw

    def _addresses_of(self, first: int, raw: array[int]) -> list[int]:
        base = self._base
        if self._encoding is Encoding.ABSOLUTE:
            return raw.tolist()
        if self._encoding is Encoding.RELATIVE:
            return [(base + value) & _MASK64 for value in raw]
        if self._encoding is Encoding.PERCPU:
            return [value if value >= 0 else (base - 1 - value) & _MASK64 for value in raw]
        start = self._table + 4 * first + self._bias
        places = range(start, start + 4 * len(raw), 4)
        return [(place + value) & _MASK64 for place, value in zip(places, raw, strict=True)]

    def _with_edges(self, number: int) -> tuple[_Window | None, tuple[int | None, int | None]]:
        """A window, and the addresses before and behind it; those that cannot be read are None."""
        first = number * WINDOW
        count = min(WINDOW, self.count - first)
        before, behind = int(number > 0), int(number + 1 < self.window_count)
        # One read: each goes by way of the dump's page tables.
        raw = self._raw(first - before, before + count + behind)
        if raw is not None:
            edges = [raw[:1] if before else None, raw[-1:] if behind else None]
            told = zip(edges, (first - 1, first + count), strict=True)
            low, high = (None if e is None else self._addresses_of(at, e)[0] for e, at in told)
            return self._decoded(number, raw[before : before + count]), (low, high)
        one = [self._entries(first - 1, 1) if before else None]
        one.append(self._entries(first + count, 1) if behind else None)
        low, high = (None if entries is None else entries[0] for entries in one)
        return self._decode(number), (low, high)

    def _audit(self) -> None:
        """Read everything; keep the windows that no other contradicts."""
        if self._audited:
            return
        self._last = None
        total = self.window_count
        kept: dict[int, _Window] = {}
        for number in range(total):
            window = self._decode(number)
            if window is not None:
                kept[number] = window
        chain = _longest_ascending([(n, b + e[0], b + e[-1]) for n, (b, e) in kept.items()])
        self._windows = dict.fromkeys(range(total))
        for number in chain:
            self._windows[number] = kept[number]
        self._audited = True
        lost = total - len(chain)
        if lost:
            self.problems.append(
                f"kallsyms addresses: {lost} of {total} pieces of {WINDOW} symbols are "
                "unreadable or not in ascending order"
            )


def _fits(window: _Window, before: int | None, behind: int | None) -> bool:
    """Whether neither neighbour's edge contradicts a window."""
    base, entries = window
    if before is not None and before > base + entries[0]:
        return False
    return behind is None or behind >= base + entries[-1]


def _ascends(window: list[int]) -> bool:
    # Half of the time of comparing each with the next one: a list that is in order is sorted fast.
    return window == sorted(window)


def _longest_ascending(intervals: list[tuple[int, int, int]]) -> list[int]:
    """
    What all longest chains have in common in which nothing goes down.

    Where two intervals contradict each other and nothing tells which is right,
    neither is in it.

    :param intervals: (number, first, last), in the order of the table.
    :return: Their numbers, ascending.
    """
    upto = _chain_lengths([(first, last) for _, first, last in intervals])
    after = _chain_lengths([(-last, -first) for _, first, last in reversed(intervals)])[::-1]
    longest = max(upto, default=0)
    at_level: dict[int, list[int]] = {}
    for (number, _, _), before, behind in zip(intervals, upto, after, strict=True):
        if before + behind - 1 == longest:
            at_level.setdefault(before, []).append(number)
    return sorted(numbers[0] for numbers in at_level.values() if len(numbers) == 1)


def _chain_lengths(intervals: list[tuple[int, int]]) -> list[int]:
    """Length of the longest ascending chain that ends with each interval."""
    ends: list[int] = []  # ends[k]: lowest end of any chain of k + 1 intervals
    lengths: list[int] = []
    for first, last in intervals:
        length = bisect_right(ends, first)
        lengths.append(length + 1)
        if length == len(ends):
            ends.append(last)
        else:
            ends[length] = min(ends[length], last)
    return lengths
