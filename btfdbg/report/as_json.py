"""A report as JSON, as ``report.schema.json`` beside this file describes it."""

from __future__ import annotations

from btfdbg.report.logs.lines import printable
from btfdbg.report.logs.log_report import signature_dict
from btfdbg.report.parts import Bars, Graph, Item, Line, Report, Section, Stack, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as JSON values; strings have their control characters escaped."""
    values: dict[str, Any] = {
        "format": "btfdbg report",
        "version": report.version,
        "source": report.source,
        "release": report.release,
        "verdict": report.verdict,
        "kind": report.kind,
        "signature": signature_dict(report.signature),
        "evidence": list(report.evidence),
        "doubts": list(report.doubts),
        "sections": [section_dict(section) for section in report.sections],
    }
    clean: dict[str, Any] = _escaped(values)
    return clean


def section_dict(section: Section) -> dict[str, Any]:
    """Return one section as JSON values."""
    return {
        "id": section.id,
        "title": section.title,
        "items": [_item(item) for item in section.items],
        "more": list(section.more),
        "why": section.why,
    }


def _item(item: Item) -> dict[str, Any]:
    if isinstance(item, Line):
        return {"type": "line", "text": item.text, "level": item.level}
    if isinstance(item, Table):
        return {
            "type": "table",
            "caption": item.caption,
            "head": list(item.head),
            "rows": [list(row) for row in item.rows],
            "left_out": item.left_out,
        }
    if isinstance(item, Stack):
        return {
            "type": "stack",
            "caption": item.caption,
            "frames": list(item.frames),
            "left_out": item.left_out,
            "more": item.more,
        }
    if isinstance(item, Bars):
        return {
            "type": "bars",
            "caption": item.caption,
            "unit": item.unit,
            "rows": [{"label": label, "amount": amount} for label, amount in item.rows],
        }
    assert isinstance(item, Graph)
    return {
        "type": "graph",
        "caption": item.caption,
        "nodes": [{"id": i, "label": label, "kind": kind} for i, label, kind in item.nodes],
        "edges": [{"from": a, "to": b, "label": label} for a, b, label in item.edges],
        "cycle": list(item.cycle),
    }


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return value
