"""``diff()``: what changed between the types of two kernels.

Owns the pairing of types by kind and name, and the words for a difference. A change is
*breaking* if code built for the first cannot work with the second: something it uses is
gone, has moved, or is another type. New types, new members that moved nothing, and
members that only have another name are no such changes.

What is compared is what a name's declaration says: layout, members and their types by
name. That a struct behind a pointer changed is that struct's change, reported once.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.text import Field, Texts
from btfdbg.btf.comparable import Comparable, key_kind
from btfdbg.btf.format import IntEncoding, info_kflag, kind_name
from btfdbg.btf.layouts import (
    DATASEC,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC,
    FWD,
    INT,
    STRUCT,
    TYPEDEF,
    UNION,
    VAR,
)
from btfdbg.lazy_dataclass import dataclass, field

_COMPARED = (INT, FLOAT, STRUCT, UNION, ENUM, FWD, TYPEDEF, FUNC, VAR)
_ENUMS = frozenset({ENUM, ENUM64})
_WANTED = frozenset({*_COMPARED, *_ENUMS})


@dataclass(frozen=True, slots=True)
class Detail:
    """
    One difference within a type.

    :ivar what: ``size``, ``member added``, ``member moved``, ...
    :ivar name: The member or enumerator, or empty.
    :ivar old: What it was, ``new``: what it is; empty if there was or is none.
    """

    what: str
    name: str
    old: str
    new: str
    breaking: bool

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        if self.old and self.new:
            return f"{self.what}{name}: {self.old} -> {self.new}"
        value = self.old or self.new
        return f"{self.what}{name}: {value}" if value else f"{self.what}{name}"


@dataclass(frozen=True, slots=True)
class Change:
    """
    A type that is not in both the same.

    :ivar kind: uapi name of its kind in lower case.
    :ivar status: ``added``, ``removed`` or ``changed``.
    """

    kind: str
    name: str
    status: str
    details: tuple[Detail, ...] = field(default=())

    @property
    def breaking(self) -> bool:
        if self.status == "changed":
            return any(detail.breaking for detail in self.details)
        return self.status == "removed"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON would have it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "breaking": self.breaking,
            "details": [
                {
                    "what": d.what,
                    "name": d.name,
                    "old": d.old,
                    "new": d.new,
                    "breaking": d.breaking,
                }
                for d in self.details
            ],
        }


class _Side:
    """One of the two, with its types by kind and name."""

    def __init__(self, btf: Btf, names: str | None, comparable: Comparable) -> None:
        self.btf = btf
        self.comparable = comparable
        self.texts = Texts(btf)
        self.types: dict[tuple[int, str], list[int]] = {}
        kind_of = self.texts.types.kind
        wanted = None if names is None else fnmatch.translate(names)
        import re

        match = None if wanted is None else re.compile(wanted).match
        for type_id in btf.ids():
            if kind_of[type_id] not in _WANTED:
                continue
            name = btf.name_of(type_id)
            kind = key_kind(kind_of[type_id], name)
            if name and (match is None or match(name)):
                self.types.setdefault((kind, name), []).append(type_id)

    def is_doubtful(self, key: tuple[int, str]) -> bool:
        """Return whether only the low 32 bits of an enum's values are known."""
        return key[0] == ENUM and any(
            self.comparable.is_doubtful(self.btf, self._enum(t)) for t in self.types.get(key, ())
        )

    def summary(self, type_id: int, cut: bool) -> tuple[object, ...]:
        """Return all that :func:`_details` compares; equal exactly if nothing changed."""
        kind = self.texts.types.kind[type_id]
        record = self.btf.record(type_id)
        if kind in (STRUCT, UNION):
            return (
                record[2],
                tuple(
                    (f.name, f.bit_offset, f.bits, f.size, self.comparable.text(f.text))
                    for f in self.texts.fields(type_id)
                ),
            )
        if kind in _ENUMS:
            return (record[2], tuple(self.values(type_id, cut).items()))
        if kind in (INT, FLOAT):
            return (record[2], self.encoding(type_id))
        if kind == FWD:
            return (info_kflag(record[1]),)
        return (self.comparable.text(self.target(type_id)),)

    def _enum(self, type_id: int) -> kinds.Enum | kinds.Enum64:
        type_ = self.btf.type_by_id(type_id)
        assert isinstance(type_, kinds.Enum | kinds.Enum64)
        return type_

    def values(self, type_id: int, cut: bool) -> dict[str, int]:
        """Return an enum's values; of ``cut`` ones, what 32 bits hold."""
        return self.comparable.enum_values(self.btf, self._enum(type_id), cut)

    def encoding(self, type_id: int) -> tuple[int, int, int] | None:
        """Return what an INT is but its size; ``None`` of floating types."""
        type_ = self.btf.type_by_id(type_id)
        if not isinstance(type_, kinds.Int) or key_kind(INT, type_.name) == FLOAT:
            return None
        return self.comparable.encoding(type_)

    def target(self, type_id: int) -> str:
        return self.texts.type(self.btf.record(type_id)[2], "")


def diff(a: Btf, b: Btf, *, names: str | None = None) -> list[Change]:
    """
    Compare two BTFs' named types, bases included.

    :param names: Only types whose name matches this glob pattern.
    :return: Changes, by kind and name.
    """
    return diff_with_remarks(a, b, names=names)[0]


def diff_with_remarks(
    a: Btf, b: Btf, *, names: str | None = None
) -> tuple[list[Change], list[str]]:
    """
    Compare as :func:`diff` does, and say what could not be compared.

    :return: Changes, and one line each for what one encoder wrote and the other did not.
    """
    comparable = Comparable.of(a, b)
    left, right = _Side(a, names, comparable), _Side(b, names, comparable)
    all_keys = left.types.keys() | right.types.keys()
    has_kind = [{kind for kind, _ in side.types} for side in (left, right)]
    out: list[Change] = []
    left_out: Counter[tuple[int, str]] = Counter()
    for key in sorted(all_keys):
        one_sided = key not in left.types or key not in right.types
        both_have = all(key[0] in present for present in has_kind)
        if one_sided and comparable.leaves_out(*key, all_keys, both_have):
            left_out[key[0], "A" if key in left.types else "B"] += 1
        else:
            out += _compare(key, left, right)
    remarks = [
        f"{count} {kind_name(kind).lower()}s that only {side} has are not compared: "
        "the encoders differ in which they write"
        for (kind, side), count in sorted(left_out.items())
        if kind != FWD
    ]
    return out, remarks


def _compare(key: tuple[int, str], left: _Side, right: _Side) -> Iterator[Change]:
    kind, name = kind_name(key[0]).lower(), key[1]
    cut = left.is_doubtful(key) or right.is_doubtful(key)
    old = {left.summary(t, cut): t for t in left.types.get(key, ())}
    new = {right.summary(t, cut): t for t in right.types.get(key, ())}
    gone = [t for s, t in old.items() if s not in new]
    come = [t for s, t in new.items() if s not in old]
    # Several types of one name are paired in order, as far as that goes.
    for a, b in zip(gone, come, strict=False):
        yield Change(kind, name, "changed", tuple(_details(left, a, right, b, cut)))
    if key[0] == FUNC and not left.comparable.same_age:
        return  # of several functions of a name, one encoder writes all and another one
    for _ in gone[len(come) :]:
        yield Change(kind, name, "removed")
    for _ in come[len(gone) :]:
        yield Change(kind, name, "added")


def _details(left: _Side, a: int, right: _Side, b: int, cut: bool) -> Iterator[Detail]:
    kind = left.texts.types.kind[a]
    if kind in (STRUCT, UNION, *_ENUMS, INT, FLOAT):
        old, new = left.btf.record(a)[2], right.btf.record(b)[2]
        if old != new:
            yield Detail("size", "", str(old), str(new), True)
    if kind in (STRUCT, UNION):
        fields = left.texts.fields(a), right.texts.fields(b)
        yield from _members(*fields, left.comparable.text)
    elif kind in _ENUMS:
        yield from _values(left.values(a, cut), right.values(b, cut))
    elif kind in (INT, FLOAT):
        before, now = left.encoding(a), right.encoding(b)
        if before != now:
            yield Detail("encoding", "", _encoding(before), _encoding(now), True)
    else:
        yield Detail("type", "", left.target(a), right.target(b), kind != TYPEDEF)


def _encoding(parts: tuple[int, int, int] | None) -> str:
    if parts is None:
        return "floating"
    bits, offset, encoding = parts
    flags = [flag.name.lower() for flag in IntEncoding if flag and encoding & flag and flag.name]
    return " ".join((f"{bits} bits", *([f"from {offset}"] if offset else ()), *flags))


def _at(member: Field) -> str:
    if member.bits or member.bit_offset % 8:
        return f"bit {member.bit_offset}"
    return f"{member.bit_offset // 8}"


def _members(
    old: Iterable[Field], new: Iterable[Field], compared: Callable[[str], str]
) -> Iterator[Detail]:
    # Unnamed bit-fields and the like have no identity but their place.
    before = {f.name or f"@{f.bit_offset}": f for f in old}
    after = {f.name or f"@{f.bit_offset}": f for f in new}
    gone = {n: f for n, f in before.items() if n not in after}
    come = {n: f for n, f in after.items() if n not in before}
    places = {(f.bit_offset, f.bits, compared(f.text)): n for n, f in come.items()}
    for name, member in gone.items():
        other = places.get((member.bit_offset, member.bits, compared(member.text)))
        if other in come:
            assert other is not None
            del come[other]
            yield Detail("member renamed", "", name, other, False)
        else:
            yield Detail("member removed", name, f"{member.text} at {_at(member)}", "", True)
    for name, member in before.items():
        if name not in after:
            continue
        now = after[name]
        if member.bit_offset != now.bit_offset:
            yield Detail("member moved", name, _at(member), _at(now), True)
        if member.bits != now.bits:
            yield Detail("bit-field width", name, str(member.bits), str(now.bits), True)
        if compared(member.text) != compared(now.text):
            yield Detail("member type", name, member.text, now.text, True)
        elif member.size != now.size:
            yield Detail("member size", name, str(member.size), str(now.size), True)
    for name, member in come.items():
        yield Detail("member added", name, "", f"{member.text} at {_at(member)}", False)


def _values(old: dict[str, int], new: dict[str, int]) -> Iterator[Detail]:
    for name, value in old.items():
        if name not in new:
            yield Detail("enumerator removed", name, str(value), "", True)
        elif new[name] != value:
            yield Detail("enumerator value", name, str(value), str(new[name]), True)
    for name, value in new.items():
        if name not in old:
            yield Detail("enumerator added", name, "", str(value), False)


assert DATASEC not in _COMPARED  # sections are where variables happen to lie
