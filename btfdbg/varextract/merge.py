"""Extracted rows into the database's source.

Owns what is left out of it: what a kernel macro's rule gives just as well, what is made
anew for each build (unique names, notes), and a module's init data, which is gone when
a dump is taken. Knows no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from btfdbg.cdecl import (
    Array,
    CDeclError,
    format_type,
    parse_type,
    unqualified,
)
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.textdb import AnnotatedType, Kernel, TextDatabase, TrailingZeros
from btfdbg.varextract.extract import Image, Row
from btfdbg.variables import macro_names

_EVERY_BUILD = ("__UNIQUE_ID", "_note_")
_MODULE_INIT = (".init.data", ".init.rodata", ".modinfo", ".exit.data")
_MIN_TABLES = 4
_MIN_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Merged:
    """
    :ivar rows: variables found.
    :ivar kept: of these, how many went into the source.
    """

    rows: int
    kept: int


def merge(text: TextDatabase, kernel: Kernel, images: Iterable[Image]) -> Merged:
    """Put a kernel's variables into the source; what the source had of it is replaced."""
    text.add_kernel(kernel)
    total = 0
    kept: list[tuple[str, Row, str | None]] = []
    tails: dict[str, Counter[int]] = {}
    seen: set[tuple[str, str, int]] = set()
    for image in images:
        names = {row.name for row in image.rows}
        for row in image.rows:
            total += 1
            if not _is_worth_a_line(row, image.module, names.__contains__, kernel.machine):
                continue
            element = _element(row)
            if element is not None and row.tail is not None:
                key = (row.name, element, row.tail)
                if key not in seen:
                    seen.add(key)
                    tails.setdefault(element, Counter())[row.tail] += 1
            kept.append((image.module, row, element))
    _count_tails(text, tails)
    for module, row, element in kept:
        text.add(kernel, row.name, module, str(_marked(row, element, text)))
    return Merged(total, len(kept))


def _is_worth_a_line(row: Row, module: str, exists: Callable[[str], bool], machine: str) -> bool:
    if row.name.startswith(_EVERY_BUILD):
        return False
    if module and row.section.startswith(_MODULE_INIT):
        return False
    proposed = next(macro_names.propose(row.name, exists, machine), None)
    return proposed is None or AnnotatedType.parse(proposed).type != row.type


def _element(row: Row) -> str | None:
    if not row.type.endswith("]") and "[" not in row.type:
        return None
    try:
        tree = parse_type(row.type)
    except CDeclError:
        return None
    return format_type(unqualified(tree.element, "const")) if isinstance(tree, Array) else None


def _count_tails(text: TextDatabase, tails: dict[str, Counter[int]]) -> None:
    for element, counts in tails.items():
        zeros, agree = counts.most_common(1)[0]
        total = sum(counts.values())
        known = text.tails.get(element)
        usual = total >= _MIN_TABLES and agree >= _MIN_SHARE * total
        if usual and (known is None or total >= known.total):
            text.tails[element] = TrailingZeros(zeros, agree, total)


def _marked(row: Row, element: str | None, text: TextDatabase) -> AnnotatedType:
    tail = row.tail
    usual = text.tails.get(element or "")
    if element in (None, "char") or (usual is not None and usual.zeros == tail):
        tail = None
    return AnnotatedType(row.type, row.readonly, tail)
