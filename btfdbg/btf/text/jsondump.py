"""BTF as JSON, out and in: the raw notation with braces.

Owns the schema, which is bpftool's (``{"types": [{"id", "kind", "name", ...}]}``) plus
what it takes to read it back: ``header`` on top, and in a type the suffixes of the raw
notation as further keys (``kflag``, ``vlen``, ``int_data``, ``unused``, ``name_off``).
An anonymous name is ``"(anon)"``, as bpftool's; other names are escaped as in raw text.

Each type is translated to and from its raw lines, so that there is one notation to
get right, and both are lossless together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from btfdbg.btf.btf import Btf
from btfdbg.btf.text.assemble import LABEL, NAMED_ROW, TYPE_LINE, Attrs, assemble
from btfdbg.btf.text.rawtext import dump
from btfdbg.errors import BtfFormatError

#: Key that holds the rows of a kind.
_ROWS: Final = {
    "STRUCT": "members",
    "UNION": "members",
    "ENUM": "values",
    "ENUM64": "values",
    "FUNC_PROTO": "params",
    "DATASEC": "vars",
    "LOC_PARAM": "values",
    "LOC_PROTO": "params",
    "LOCSEC": "entries",
}
_NAMED: Final = frozenset({"STRUCT", "UNION", "ENUM", "ENUM64", "FUNC_PROTO"})
_CHUNK: Final = 2048


def _put(out: dict[str, Any], quoted: str | None, offset: str | None, rest: str) -> None:
    """Enter name and attributes of a line."""
    if quoted is not None:
        out["name"] = quoted
    if offset is not None:
        out["name_off"] = int(offset, 16)
    for key, text in Attrs(rest).values.items():
        number = text.removesuffix("ULL").removesuffix("LL")
        try:
            out[key] = int(number, 0)
        except ValueError:
            out[key] = text


def _type(lines: list[str]) -> dict[str, Any]:
    """Return the JSON object of a type, given its raw lines."""
    match = TYPE_LINE.fullmatch(lines[0])
    assert match is not None  # we wrote it ourselves
    kind = match[2]
    out: dict[str, Any] = {"id": int(match[1]), "kind": kind}
    _put(out, match[3], match[4], match[5])
    rows: list[Any] = []
    for line in lines[1:]:
        row: dict[str, Any] = {}
        if kind in _NAMED:
            named = NAMED_ROW.fullmatch(line)
            assert named is not None  # as above
            _put(row, named[1], named[2], named[3])
        else:
            _put(row, None, None, LABEL.sub("", line))
        rows.append(row)
    if rows or kind in _ROWS:
        out[_ROWS.get(kind, "words")] = rows
    return out


def _types(btf: Btf) -> Iterator[dict[str, Any]]:
    for chunk in dump(btf):
        lines: list[str] = []
        for line in chunk.split("\n"):
            if line[:1] == "\t":
                lines.append(line)
                continue
            if lines:
                yield _type(lines)
            lines = [line]


def dump_json(btf: Btf) -> Iterator[str]:
    """
    Yield the own types of a BTF as one JSON document, in chunks.

    Names keep undecodable bytes as lone surrogates, written as escapes.
    """
    header = {
        "byteorder": btf.byteorder,
        "version": btf.header.version,
        "flags": btf.header.flags,
        "hdr_len": btf.header.hdr_len,
        "start_id": btf.start_id,
        "layout": bool(btf.layout),
    }
    yield f'{{"header": {json.dumps(header)},\n"types": ['
    out: list[str] = []
    comma = "\n"
    for type_ in _types(btf):
        out.append(comma + json.dumps(type_))
        comma = ",\n"
        if len(out) >= _CHUNK:
            yield "".join(out)
            out.clear()
    yield "".join(out) + "\n]}\n"


def _quoted(out: dict[str, Any]) -> str:
    name = out.pop("name", None)
    offset = out.pop("name_off", None)
    text = f"'{name}'" if isinstance(name, str) else ""
    if isinstance(offset, int):
        text += f"@{offset:#x}"
    if "\n" in text or not text:
        raise BtfFormatError(f"name {name!r}: expected a string, escaped as in raw text")
    return text


def _attributes(values: dict[str, Any]) -> str:
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, str)) or " " in str(value):
            raise BtfFormatError(f"{key}: {value!r} is neither number nor word")
    return "".join([f" {key}={value}" for key, value in values.items()])


def _lines(type_: Any) -> Iterator[str]:
    """Yield the raw lines of a type's JSON object."""
    if not isinstance(type_, dict):
        raise BtfFormatError("expected an object")
    values = dict(type_)
    kind = values.pop("kind", None)
    rows = values.pop(_ROWS.get(str(kind), "words"), [])
    if not isinstance(rows, list):
        raise BtfFormatError("expected a list of rows")
    yield f"[{values.pop('id', None)}] {kind} {_quoted(values)}{_attributes(values)}"
    for row in rows:
        if not isinstance(row, dict):
            raise BtfFormatError("expected a row to be an object")
        row = dict(row)
        name = _quoted(row) if kind in _NAMED else ""
        yield f"\t{name}{_attributes(row)}"


def load_json(text: str, base: Btf | None = None) -> bytes:
    """
    Return the BTF that a JSON document describes.

    :param text: Output of :func:`dump_json`, or of ``bpftool -j btf dump``.
    :param base: What its ids and names go on from.
    :raises BtfFormatError: it is no JSON, or not of this schema.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BtfFormatError(f"not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("types"), list):
        raise BtfFormatError('expected an object with a list "types"')
    lines: list[str] = []
    header = document.get("header", {})
    if not isinstance(header, dict):
        raise BtfFormatError('expected "header" to be an object')
    known = {k: header[k] for k in ("byteorder", "version", "flags", "hdr_len") if k in header}
    if known:
        lines.append(f".header{_attributes(known)}")
    if header.get("layout") is True:
        lines.append(".layout")
    for number, type_ in enumerate(document["types"]):
        try:
            lines += _lines(type_)
        except BtfFormatError as error:
            raise BtfFormatError(f"types[{number}]: {error}") from None
    return assemble("\n".join(lines), base)
