"""``holes()``: where a struct's memory goes, as pahole shows it.

Owns the reckoning of holes, padding and cache lines. Numbers and notation are pahole's,
so that both can be compared and read alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_layout import WorkBudget
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.layouts import STRUCT
from btfdbg.lazy_dataclass import dataclass

_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Row:
    """
    A member, and the hole before it.

    :ivar text: Its declaration; of a type that is defined in place, what follows the brace.
    :ivar bit_offset: Bits from the start of the outermost type.
    :ivar hole: Bytes not used before it; ``bit_hole``: bits, beside bit-fields.
    :ivar inner: What a type that is defined in place holds.
    """

    text: str
    bit_offset: int
    bits: int
    size: int
    hole: int
    bit_hole: int
    inner: Holes | None = None


@dataclass(frozen=True, slots=True)
class Holes:
    """
    A STRUCT or UNION.

    :ivar padding: Bytes after the last member; ``bit_padding``: bits, after a bit-field.
    :ivar paddings: Padding of each member that is a struct and has some.
    """

    type_id: int
    head: str
    size: int
    rows: tuple[Row, ...]
    padding: int
    bit_padding: int
    paddings: tuple[int, ...] = ()

    @property
    def wasted(self) -> int:
        """Bytes in its own holes and padding, bits not counted."""
        return sum(row.hole for row in self.rows) + self.padding


def holes(
    texts: Texts,
    type_id: int,
    base: int = 0,
    depth: int = 0,
    steps: WorkBudget | None = None,
    around: frozenset[int] = frozenset(),
) -> Holes:
    """
    Reckon a struct's or union's holes.

    :param texts: Made of the BTF once, for any number of types.
    :param base: Bit at which it starts in the outermost type.
    :param around: Types that this one stands in, none of which it can hold again.
    :raises BtfFormatError: it is absurdly large written out.
    """
    steps = steps or WorkBudget(20_000 + len(texts.types.record[type_id]))
    types = texts.types
    around |= {type_id}
    record = types.record[type_id]
    kflag = record[1] > 0x7FFFFFFF
    struct = types.kind[type_id] == STRUCT
    rows: list[Row] = []
    end = 0  # bit up to which members reach
    unit = 8
    paddings: list[int] = []
    for name_off, member, offset in zip(record[3::3], record[4::3], record[5::3], strict=True):
        steps.take(type_id)
        bits = 0
        if kflag:
            bits, offset = offset >> 24, offset & 0xFFFFFF
        size = types.size_of(member)
        gap = offset - end if struct and offset > end else 0
        # What is left of a bit-field's own type is a bit hole, what then is missing bytes.
        bit_hole = min(gap, -end % unit)
        hole, more = divmod(gap - bit_hole, 8)
        name = texts.names[name_off]
        inner = None
        placed = texts.placed(member) if depth < _MAX_DEPTH else 0
        if placed and placed not in around:
            inner = holes(texts, placed, base + offset, depth + 1, steps, around)
            text = texts.around(member, name)
        else:
            text = texts.type(member, name)
        rows.append(Row(text, base + offset, bits, size, hole, bit_hole + more, inner))
        end = max(end, offset + (bits or 8 * size))
        unit = 8 * max(size, 1) if bits else 8
        composite = texts.composite_of(member)
        if composite and types.kind[composite] == STRUCT and depth < _MAX_DEPTH:
            below = inner or holes(texts, composite, 0, _MAX_DEPTH, steps, around)
            if below.padding:
                paddings.append(below.padding)
    size = record[2]
    rest = max(8 * size - end, 0) if struct else 0
    bit_padding = min(rest, -end % unit)
    padding, more = divmod(rest - bit_padding, 8)
    head = texts.tag(type_id)
    return Holes(type_id, head, size, tuple(rows), padding, bit_padding + more, tuple(paddings))


def as_text(found: Holes, cacheline: int = 64) -> Iterator[str]:
    """
    Return lines much as pahole prints them.

    :param cacheline: Bytes of a cache line.
    """
    yield f"{found.head} {{"
    yield from _Printer(cacheline).rows(found, 1)
    yield ""
    lines = -(-found.size // cacheline)
    yield f"\t/* size: {found.size}, cachelines: {lines}, members: {len(found.rows)} */"
    sums = [row.hole for row in found.rows if row.hole]
    bit_sums = [row.bit_hole for row in found.rows if row.bit_hole]
    if sums or bit_sums:
        members = sum(row.size for row in found.rows if not row.bits)
        text = f"\t/* sum members: {members}"
        if sums:
            text += f", holes: {len(sums)}, sum holes: {sum(sums)}"
        yield text + " */"
    bits = sum(row.bits for row in found.rows)
    if bits and (sums or bit_sums):
        text = f"\t/* sum bitfield members: {bits} bits"
        if bit_sums:
            text += f", bit holes: {len(bit_sums)}, sum bit holes: {sum(bit_sums)} bits"
        else:
            text += f" ({bits // 8} bytes)"
        yield text + " */"
    if found.padding:
        yield f"\t/* padding: {found.padding} */"
    if found.paddings:
        count, total = len(found.paddings), sum(found.paddings)
        yield f"\t/* paddings: {count}, sum paddings: {total} */"
    if found.bit_padding:
        yield f"\t/* bit_padding: {found.bit_padding} bits */"
    if found.size % cacheline:
        yield f"\t/* last cacheline: {found.size % cacheline} bytes */"
    yield "};"


class _Printer:
    """Rows of a struct and of what is in it; remembers which cache line it is in."""

    def __init__(self, cacheline: int) -> None:
        self.cacheline = cacheline
        self.line = 1

    def rows(self, found: Holes, level: int) -> Iterator[str]:
        tabs = "\t" * level
        width = min(max((len(row.text) for row in found.rows if not row.inner), default=0) + 1, 60)
        for row in found.rows:
            gaps = []
            if row.bit_hole:
                gaps.append(f"{row.bit_hole} bit{_s(row.bit_hole)}")
            if row.hole:
                gaps.append(f"{row.hole} byte{_s(row.hole)}")
            for gap in gaps:
                yield f"\n{tabs}/* XXX {gap} hole, try to pack */"
            if gaps:
                yield ""
            start = row.bit_offset // 8
            yield from self._cachelines(start, tabs)
            if row.inner is not None:
                yield f"{tabs}{row.inner.head} {{"
                yield from self.rows(row.inner, level + 1)
            text = row.text + (f":{row.bits}" if row.bits else "") + ";"
            place = f"{start}"
            if row.bits:
                place = f"{start}:{row.bit_offset % 8:2}"
            yield f"{tabs}{text:<{width}} /* {place:>8} {row.size:>5} */"

    def _cachelines(self, start: int, tabs: str) -> Iterator[str]:
        at = start // self.cacheline
        if at >= self.line:
            self.line = at + 1
            edge = at * self.cacheline
            ago = f" was {start - edge} bytes ago" if start > edge else ""
            yield f"{tabs}/* --- cacheline {at} boundary ({edge} bytes){ago} --- */"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def of_btf(btf: Btf, type_id: int) -> Holes:
    """Reckon one struct's holes."""
    return holes(Texts(btf), type_id)
