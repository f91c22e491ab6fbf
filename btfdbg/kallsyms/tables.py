"""The kernel's own kallsyms tables as a ``SymbolTable``.

Owns putting both halves together: names (``names.py``) and addresses
(``addresses.py``), and what follows from their order: extents, aliases, per-CPU
symbols. Where the tables are is decided by ``locate.py``; everything here is
read when it is asked for and no sooner.

Why extents are not cut at 64 KiB, as drgn's own helper does: a table says where
the next symbol is, so ``__per_cpu_offset`` of a kernel for 8192 CPUs keeps its
true 64 KiB. What needs cutting is only what lies behind a linker symbol that
*ends* something (``END_MARKERS``): nothing is there.

Facts: scripts/kallsyms.c (symbols are sorted by address, aliases by how well
they name the place), kernel/kallsyms.c ``get_symbol_pos()``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from btfdbg.kallsyms.addresses import Addresses, Encoding
from btfdbg.kallsyms.known import Found, Positions
from btfdbg.kallsyms.model import END_MARKERS, STOP, ByteOrder, Memory, Sym, text_of
from btfdbg.kallsyms.names import SEQ_WIDTH, Names
from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where the tables are and how they are written: all that decoding needs.

    Addresses are as the reader of the memory understands them.

    :ivar names_end: End of the names, at most 7 bytes of padding too far.
    :ivar markers: Values of ``kallsyms_markers``.
    :ivar tokens: 256 strings.
    :ivar seqs: ``kallsyms_seqs_of_names`` (since 6.2), or None.
    :ivar addresses: ``kallsyms_offsets`` or ``kallsyms_addresses``.
    :ivar base: Value of ``kallsyms_relative_base``; 0 where there is none.
    :ivar bias: Virtual address of a byte minus the address used to read it.
    """

    byteorder: ByteOrder
    num_syms: int
    names: int
    names_end: int
    markers: Sequence[int]
    token_table: int
    tokens: tuple[bytes, ...]
    seqs: int | None
    addresses: int
    encoding: Encoding
    base: int
    bias: int = 0

    def describe(self) -> str:
        """One line for ``info``."""
        index = "with" if self.seqs is not None else "without"
        return f"{self.num_syms} symbols, {self.encoding.value} addresses, {index} a name index"


class KallsymsTable:
    """
    Lazy ``SymbolTable`` over the tables in memory.

    :ivar layout: Where they are.
    :ivar source: How they were found.
    """

    def __init__(self, read: Memory, layout: Layout, source: str) -> None:
        self.layout = layout
        self.source = source
        self._names = Names(
            read,
            layout.names,
            layout.names_end,
            layout.markers,
            layout.num_syms,
            layout.tokens,
            seqs=layout.seqs,
        )
        self._addresses = Addresses(
            read,
            layout.addresses,
            layout.encoding,
            layout.num_syms,
            layout.byteorder,
            base=layout.base,
            bias=layout.bias,
        )
        self._percpu: tuple[int, int] | None = None
        self._data: tuple[int, int] | None = None
        self._hidden: int | None = None

    def remember(self, known: Positions | Found | None) -> None:
        """Look for names where they were found before, and add where new ones are found."""
        if isinstance(known, Found):
            self._names.searched = known
        else:
            self._names.positions = known

    @property
    def count(self) -> int:
        return self.layout.num_syms

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self._names.problems, *self._addresses.problems)

    def by_name(self, name: str) -> tuple[Sym, ...]:
        try:
            key = name.encode("ascii")
        except UnicodeEncodeError:
            return ()
        found = (self._sym(index) for index in self._names.find(key))
        return tuple(sym for sym in found if sym is not None)

    def by_address(self, address: int) -> Sym | None:
        if not 0 <= address < 1 << 64:
            return None
        index = self._addresses.last_at_or_below(address)
        if index < 0:
            return None
        start = self._addresses.at(index)
        if start is None or index < self.hidden_count:
            return None
        first = self._addresses.first_equal(index)
        for alias in range(first, index + 1):
            symbol = self._sym(alias)
            # Not the end of what lies before, if something begins here too.
            if symbol is not None and symbol.size:
                return symbol if address - start < symbol.size else None
        return self._sym(first) if address == start else None

    def names_at(self, address: int) -> tuple[str, ...]:
        """Names of all symbols exactly at an address; needs no index by name."""
        index = self._addresses.last_at_or_below(address)
        if index < 0 or self._addresses.at(index) != address:
            return ()
        first = self._addresses.first_equal(index)
        names = (self._names.at(alias) for alias in range(first, index + 1))
        return tuple(text_of(name[1:]) for name in names if name)

    def extent(self, name_or_sym: str | Sym) -> int:
        if isinstance(name_or_sym, Sym):
            return name_or_sym.size
        return max((sym.size for sym in self.by_name(name_or_sym)), default=0)

    def names(self) -> Iterator[str]:
        for _, name in self._names:
            yield text_of(name[1:])

    def text_names(self) -> Iterator[str]:
        """Every name whose letter says text, in the order of the table."""
        for _, name in self._names:
            if name[:1] in (b"t", b"T", b"w", b"W"):
                yield text_of(name[1:])

    def numbered(self, number: int) -> Sym | None:
        """The symbol of a number from 0 to :attr:`count`, as the names stand; None if lost."""
        return self._sym(number)

    def text_of_names(self) -> Iterator[str]:
        """Names with a newline after each, a few thousand at a time."""
        return self._names.texts()

    def source_of_names(self) -> tuple[bytes, ...] | None:
        """All that :meth:`text_of_names` is made from; ``None`` if one byte cannot be read."""
        return self._names.source()

    def __iter__(self) -> Iterator[Sym]:
        """
        Every symbol, by address.

        As :meth:`_sym` makes each, with what it looks up for one alone found for all of them
        in one pass: a third of the time.
        """
        addresses, following = self._addresses.all_with_next()
        absolute = self.layout.encoding is Encoding.PERCPU
        hidden = self.hidden_count if absolute else 0
        indexed = self._names.indexed
        low = high = data_low = data_high = -1  # not yet asked for
        seqs, starts = self.layout.seqs, self.layout.addresses
        for first, names in self._names.blocks():
            for index, name in enumerate(names, first):
                address = addresses[index]
                if not name or address is None:
                    continue
                letter, text = name[0], name[1:]
                percpu = False
                if absolute:
                    percpu = index < hidden and text != "__per_cpu_end"
                elif indexed or letter not in "tTwW":
                    if high < 0:
                        low, high = self.percpu_range
                    percpu = low <= address < high
                if letter in "tT":
                    if data_high < 0:
                        data_low, data_high = self._data_called_text
                    if data_low <= address < data_high:
                        letter = "d" if letter == "t" else "D"
                if address in (seqs, starts):
                    size = self._size(index, text, address)
                elif text in END_MARKERS or text.startswith(STOP):
                    size = 0
                else:
                    after = following[index]
                    size = 0 if after is None else after - address
                yield Sym(text, address, size, letter, percpu)

    @property
    def hidden_count(self) -> int:
        """
        How many symbols at the start are absolute per-CPU ones.

        They are offsets into the per-CPU area, from 0 on (x86 before Linux
        6.15), and no addresses of anything.
        """
        if self._hidden is None:
            hidden = self._addresses.first_kernel_index()
            if self.layout.encoding is Encoding.ABSOLUTE and self._addresses.at(0) == 0:
                start, end = self.percpu_range
                if start == 0 and 0 < end < self._addresses_top():
                    hidden = self._addresses.last_at_or_below(end) + 1
            self._hidden = hidden
        return self._hidden

    @property
    def percpu_range(self) -> tuple[int, int]:
        """``__per_cpu_start`` and ``__per_cpu_end``; (0, 0) without them."""
        if self._percpu is None:
            ends = []
            for name in (b"__per_cpu_start", b"__per_cpu_end"):
                found = self._names.find(name)
                ends.append(self._addresses.at(found[0]) if found else None)
            start, end = ends
            if start is None or end is None or start >= end:
                start = end = 0
            self._percpu = (start, end)
        return self._percpu

    @property
    def has_data(self) -> bool:
        """
        Whether the table has more than functions (CONFIG_KALLSYMS_ALL).

        Ends of sections (``__start_X``, ``__stop_X``) are in a table of functions too, data
        or not (scripts/kallsyms.c, symbol_valid()): the last symbol besides them decides.
        """
        for number in range(self.count - 1, -1, -1):
            name = self._names.at(number)
            if name is None:
                return False
            if not name[1:].startswith((b"__start_", b"__stop_")):
                # A weak object would be V.
                return name[:1] not in (b"t", b"T", b"w", b"W")
        return False

    @property
    def _data_called_text(self) -> tuple[int, int]:
        """
        Addresses whose symbols say "text" and are data.

        In x86 kernels of 7.x .data is marked executable, and nm calls all of it
        text. There the first symbol of data says so itself.
        """
        if self._data is None:
            self._data = (0, 0)
            if not self._names.indexed:
                return self._data
            ends = [self._names.find(name) for name in (b"_sdata", b"_edata")]
            if all(ends):
                low, high = (self._addresses.at(found[0]) for found in ends)
                name = self._names.at(ends[0][0])
                if low is not None and high is not None and name in (b"T_sdata", b"t_sdata"):
                    self._data = (low, high)
        return self._data

    @property
    def image_range(self) -> tuple[int, int]:
        """Lowest and highest address of a symbol, absolute per-CPU ones left out."""
        first = self._addresses.at(min(self.hidden_count, self.count - 1))
        return first or 0, self._addresses_top()

    def _addresses_top(self) -> int:
        """Address of the last symbol; an image ends in the upper half or near it."""
        return self._addresses.at(self.count - 1) or 0

    def _size(self, index: int, name: str, start: int) -> int:
        """Bytes to the next symbol, or to the end of a table whose size is known."""
        if name in END_MARKERS or name.startswith(STOP):
            return 0
        after = self._addresses.next_above(index)
        size = 0 if after is None else after - start
        layout = self.layout
        # The last of these tables is followed by strings, which have no symbols.
        if start == layout.seqs:
            return min(size, SEQ_WIDTH * layout.num_syms)
        if start == layout.addresses:
            return min(size, layout.encoding.width * layout.num_syms)
        return size

    def _sym(self, index: int, name: bytes | None = None) -> Sym | None:
        name = name or self._names.at(index)
        address = self._addresses.at(index)
        if not name or address is None:
            return None
        letter = chr(name[0])
        percpu = False
        if self.layout.encoding is Encoding.PERCPU:
            percpu = index < self.hidden_count and name[1:] != b"__per_cpu_end"
        # Without an index the range costs a pass over all names, and a function is
        # not per-CPU. (On x86 7.x the letter of all data is T, but with an index.)
        elif self._names.indexed or letter not in "tTwW":
            low, high = self.percpu_range
            percpu = low <= address < high
        if letter in "tT":
            low, high = self._data_called_text
            if low <= address < high:
                letter = "d" if letter == "t" else "D"
        text = text_of(name[1:])
        return Sym(text, address, self._size(index, text, address), letter, percpu)
