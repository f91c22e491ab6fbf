"""A report as one HTML file that needs nothing else: no network, no script.

Owns the drawing of bars and of the graph of waits (plain SVG). pages.py hands all text to
Jinja2, which escapes it: a comm may be called ``<script>``. The page is
``report.html.j2`` beside this file.
"""

from __future__ import annotations

from typing import Any

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.as_json import as_dict
from btfdbg.report.counts import counted
from btfdbg.report.pages import render
from btfdbg.report.parts import Report

_NODE_WIDTH, _NODE_HEIGHT = 214, 34
_COLUMN, _ROW, _MARGIN = 364, 64, 12
_MAX_NODES = 80
_LABEL = 25


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the drawing, in pixels."""

    x: int
    y: int
    label: str
    title: str
    kind: str


def as_html(report: Report) -> str:
    """
    Return the page.

    :raises DebugInfoError: Jinja2 is not installed.
    """
    values = as_dict(report)
    for section in values["sections"]:
        for item in section["items"]:
            if item["type"] == "graph":
                item["drawing"] = drawing(item)
            elif item["type"] == "bars":
                most = max((row["amount"] for row in item["rows"]), default=0)
                for row in item["rows"]:
                    row["shown"] = counted(row["amount"], item["unit"])
                    row["share"] = round(100 * row["amount"] / most, 2) if most else 0
    return render("report.html.j2", values)


def drawing(graph: dict[str, Any]) -> dict[str, Any]:
    """
    Place the nodes of a graph of waits in columns, each to the left of what it waits for.

    :param graph: As ``report.schema.json`` has it.
    """
    nodes = {node["id"]: node for node in graph["nodes"][:_MAX_NODES]}
    after: dict[str, list[str]] = {}
    for edge in graph["edges"]:
        if edge["from"] in nodes and edge["to"] in nodes:
            after.setdefault(edge["from"], []).append(edge["to"])
    column = dict.fromkeys(nodes, 0)
    # As many rounds as there are nodes end every chain; a circle stops moving there too.
    for _ in range(min(len(nodes), _MAX_NODES)):
        moved = False
        for source, targets in after.items():
            for target in targets:
                if column[target] < column[source] + 1 <= len(nodes) // 2 + 1:
                    if target in graph["cycle"] and source not in graph["cycle"]:
                        continue
                    if column[source] + 1 > _depth(graph, nodes):
                        continue
                    column[target] = column[source] + 1
                    moved = True
        if not moved:
            break
    rows: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for key, node in nodes.items():
        at = column[key]
        row = rows.get(at, 0)
        rows[at] = row + 1
        label = node["label"]
        short = label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"
        kind = "cycle" if key in graph["cycle"] else node["kind"]
        boxes[key] = Box(_MARGIN + at * _COLUMN, _MARGIN + row * _ROW, short, label, kind)
    arrows = [
        _arrow(boxes[edge["from"]], boxes[edge["to"]], edge["label"])
        for edge in graph["edges"]
        if edge["from"] in boxes and edge["to"] in boxes
    ]
    return {
        "width": 2 * _MARGIN + _COLUMN * max(column.values(), default=0) + _NODE_WIDTH,
        "height": 2 * _MARGIN + _ROW * (max(rows.values(), default=1) - 1) + _NODE_HEIGHT + 40,
        "boxes": list(boxes.values()),
        "arrows": arrows,
        "box_width": _NODE_WIDTH,
        "box_height": _NODE_HEIGHT,
    }


def _depth(graph: dict[str, Any], nodes: dict[str, Any]) -> int:
    """Columns that a drawing has at most: a circle is laid out once."""
    return max(2 * len(graph["cycle"]) - 1, 3) if graph["cycle"] else max(len(nodes), 1)


def _arrow(start: Box, end: Box, label: str) -> dict[str, Any]:
    """A curve from one box's side to the other's: out in the upper half, back in the lower."""
    if end.x > start.x:
        x1, x2 = start.x + _NODE_WIDTH, end.x
        y1, y2 = start.y + _NODE_HEIGHT // 3, end.y + _NODE_HEIGHT // 3
    elif start.x - end.x == _COLUMN:
        x1, x2 = start.x, end.x + _NODE_WIDTH
        y1, y2 = start.y + 2 * _NODE_HEIGHT // 3, end.y + 2 * _NODE_HEIGHT // 3
    else:
        # Back over other columns, below all that lies between.
        x1, x2 = start.x + _NODE_WIDTH // 2, end.x + _NODE_WIDTH // 2
        y1, y2 = start.y + _NODE_HEIGHT, end.y + _NODE_HEIGHT
        low = max(y1, y2) + 34
        path = f"M{x1},{y1} C{x1},{low} {x2},{low} {x2},{y2}"
        return {"path": path, "label": label, "x": (x1 + x2) // 2, "y": low - 4}
    bend = (x2 - x1) // 2
    path = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
    # Beside where it starts, so that the labels of lines that cross do not.
    at = y1 - 4 if x2 > x1 else y1 + 14
    return {"path": path, "label": label, "x": x1 + (x2 - x1) // 4, "y": at}
