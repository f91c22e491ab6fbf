"""``--json`` for drgn's own table commands.

drgn's commands print their tables through one function, ``print_table()``, and
give it the values, not the text. While a command runs with ``--json`` that
function is ours. What was printed beside the tables is kept as text, so nothing
is dropped: one table alone is an array of objects, anything else an array of
sections, ``{"text": […], "rows": […]}``.

Facts: drgn 0.3 ``helpers/common/format.py``: the first row holds the headings,
a ``CellFormat`` wraps a value with its format.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import drgn

from btfdbg.commands.text import escape
from btfdbg.patches.install import reach


class TablesAsJson(io.StringIO):
    """Takes the place of stdout and of ``print_table`` for one command."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[dict[str, Any]] = []

    def print_table(self, rows: Sequence[Sequence[Any]], **kwargs: Any) -> None:
        """Stands in for drgn's function of that name."""
        text = self._take_text()
        section: dict[str, Any] = {"text": text, "rows": _objects(rows)}
        self.sections.append(section)

    def _take_text(self) -> list[str]:
        text = [escape(line) for line in self.getvalue().splitlines() if line.strip()]
        self.seek(0)
        self.truncate()
        return text

    def as_json(self) -> str:
        """What the command gave."""
        text = self._take_text()
        if text:
            self.sections.append({"text": text, "rows": []})
        if len(self.sections) == 1 and not self.sections[0]["text"]:
            return json.dumps(self.sections[0]["rows"], indent=2)
        return json.dumps(self.sections, indent=2)


def _objects(rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    if not rows:
        return []
    head = [str(_plain(cell)).strip() for cell in rows[0]]
    keys = [name or f"column {i + 1}" for i, name in enumerate(head)]
    found = []
    for row in rows[1:]:
        extra = [f"column {i + 1}" for i in range(len(keys), len(row))]
        found.append({k: _plain(v) for k, v in zip([*keys, *extra], row, strict=False)})
    return found


def _plain(value: Any) -> Any:
    # CellFormat has no public way back to its value.
    if reach("drgn.helpers.common.format", "CellFormat._value") is not None:
        value = getattr(value, "_value", value)
    if isinstance(value, drgn.Object):
        try:
            value = value.value_()
        except (drgn.FaultError, TypeError, ValueError):
            return escape(str(value))
    if isinstance(value, bytes):
        return escape(value.decode("utf-8", "surrogateescape"))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return escape(str(value))


@contextlib.contextmanager
def tables_as_json() -> Iterator[TablesAsJson]:
    """Collect what drgn's commands print; print it as JSON at the end."""
    taker = TablesAsJson()
    patched: list[tuple[Any, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("drgn.commands.") and hasattr(module, "print_table"):
            patched.append((module, module.print_table))
            module.print_table = taker.print_table  # type: ignore[attr-defined] # for a while
    before = sys.stdout
    sys.stdout = taker
    try:
        yield taker
    finally:
        sys.stdout = before
        for module, function in patched:
            module.print_table = function
    print(taker.as_json())
