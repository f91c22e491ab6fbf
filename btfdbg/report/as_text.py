"""A report as text for a terminal: the verdict, its evidence, the sections.

Owns layout. Control characters out of the dump are escaped here, for every line.
"""

from __future__ import annotations

from btfdbg.report.counts import counted
from btfdbg.report.logs.lines import printable
from btfdbg.report.parts import Bars, Graph, Item, Line, Report, Section, Stack, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BAR = 30
_CELL = 60


def as_text(report: Report) -> str:
    """Return the whole report, without a newline at its end."""
    return "\n".join(printable(line) for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield report.verdict
    yield ""
    yield from (f"  - {sentence}" for sentence in report.evidence)
    yield f"  - Signature: {report.signature.title}"
    for doubt in report.doubts:
        yield f"  ! {doubt}"
    for section in report.sections:
        yield ""
        yield from section_lines(section)


def section_lines(section: Section) -> Iterator[str]:
    """Yield a section's lines, not escaped yet."""
    yield section.title.upper()
    for item in section.items:
        yield from (f"  {line}" if line else "" for line in _item(item))
    if section.why:
        yield f"  ! {section.why}"
    if section.more:
        yield f"  more: {', '.join(section.more)}"


def _item(item: Item) -> Iterator[str]:
    if isinstance(item, Line):
        yield f"! {item.text}" if item.level == "bad" else item.text
    elif isinstance(item, Table):
        yield from _table(item)
    elif isinstance(item, Stack):
        if item.caption:
            yield f"{item.caption}:"
        yield from (f"  {frame}" for frame in item.frames)
        if item.left_out:
            yield f"  … {counted(item.left_out, 'more frames')}: {item.more}"
    elif isinstance(item, Bars):
        yield from _bars(item)
    elif isinstance(item, Graph):
        names = {key: label for key, label, _ in item.nodes}
        yield f"{item.caption}:"
        yield from (f"  {names[a]} {what} {names[b]}" for a, b, what in item.edges)


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"{table.caption}:"
    rows = [tuple(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
            for row in table.rows]  # fmt: skip
    head = [table.head] if any(table.head) else []
    columns = range(len(table.head))
    widths = [min(max((len(row[i]) for row in (*head, *rows)), default=0), _CELL) for i in columns]
    right = [
        all(isinstance(row[i], (int, float)) for row in table.rows) and bool(table.rows)
        for i in columns
    ]
    for row in (*head, *rows):
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        yield f"  {'  '.join(cells).rstrip()}"
    if table.left_out:
        yield f"  … {table.left_out:,} more"


def _bars(bars: Bars) -> Iterator[str]:
    yield f"{bars.caption}:"
    most = max((amount for _, amount in bars.rows), default=0)
    width = max((len(label) for label, _ in bars.rows), default=0)
    for label, amount in bars.rows:
        bar = "█" * max(round(_BAR * amount / most), 1) if most and amount else ""
        number, _, unit = counted(amount, bars.unit).partition(" ")
        yield f"  {label.ljust(width)}  {number:>9} {unit.ljust(len(bars.unit))}  {bar}".rstrip()
