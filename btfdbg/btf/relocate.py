"""``relocate()``: put split BTF on top of another base than the one it was made for.

Owns the matching of a distilled base's types (see ``distill``) with those of a real
one, and the rewriting of the split. All or nothing: if one type does not match, the
error lists every one that does not, with the reason and with what there was.

The rules of ``compat="strict"``, where libbpf's differ on purpose:

==============  ====================================================================
INT             INT of equal name, size and encoding; equal bits where there are several
FLOAT           FLOAT of equal name and size
ENUM            ENUM or ENUM64 of equal name and size
STRUCT, UNION   the same kind, of equal name. Of several, the one of equal size; of one
                only, any size unless the split embeds it. With none, and only referred
                to by pointers, a FWD of that kind.
FWD             a FWD of the same kind; with none, the STRUCT or UNION it declares
==============  ====================================================================

Two equally good candidates are no match. ``compat="libbpf"`` follows libbpf 1.8, which
maps a struct to a union or enum of its name and size, matches a FWD with structs without
and unions with bit-fields, and finds a FWD next to its definition ambiguous.

Facts: tools/lib/bpf/btf_relocate.c, which the kernel runs on modules too.
"""

from __future__ import annotations

from btfdbg.btf import layouts
from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import COMPOSITES, TRANSPARENT, info_kflag, info_kind, kind_name
from btfdbg.btf.nametable import ids_by_names, ids_of_kinds, offsets_of
from btfdbg.btf.records import own_copied, packed_like
from btfdbg.btf.strings import decode_name
from btfdbg.errors import BtfError, BtfRelocateError
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

_BASE_KINDS = frozenset(
    {layouts.INT, layouts.FLOAT, layouts.ENUM, layouts.STRUCT, layouts.UNION, layouts.FWD}
)
_ENUMS = frozenset({layouts.ENUM, layouts.ENUM64})
# What any of these can be matched with.
_CANDIDATES = _BASE_KINDS | _ENUMS
# Candidates that an error names one by one.
_LISTED = 8


def relocate(split: Btf, new_base: Btf, compat: Literal["strict", "libbpf"] = "strict") -> Btf:
    """
    Return split BTF moved from a distilled base onto another base.

    :param split: Split BTF whose base is a distilled one.
    :param new_base: What it goes on top of; may itself be split.
    :param compat: ``"libbpf"`` decides each match as libbpf 1.8 does.
    :return: The same own types in the same order, on top of ``new_base``.
    :raises BtfRelocateError: a type of the distilled base has no match, or more than one.
    :raises BtfError: ``split`` has no base, or one that is not distilled; or it already
        is on top of ``new_base``.
    :raises BtfFormatError: a record refers to what does not exist.
    """
    base = split.base
    if base is None:
        raise BtfError("cannot relocate: the BTF is not split")
    if base is new_base:
        raise BtfError("cannot relocate: the BTF is on top of this base already")
    _check_distilled(base)
    matcher = Matcher(base, base.ids(), embedded_by(split, base), new_base)
    matches = matcher.match_as_libbpf() if compat == "libbpf" else matcher.match()
    shift = new_base.type_cnt - base.type_cnt
    ids = [0, *(matches[t] for t in base.ids())]
    ids += [type_id + shift for type_id in split.own_ids()]
    return _moved(split, new_base, ids)


def _moved(split: Btf, new_base: Btf, ids: list[int]) -> Btf:
    """Return the split rewritten; its own string section stays what it is."""
    start, end = split.start_str_off, split.end_str_off
    shift = new_base.end_str_off - start
    added = bytearray(split.strings.data)
    extra: dict[bytes, int] = {}
    # Where the new base holds the names of what was matched, and then whatever else is asked for.
    table = {
        split.string_bytes(split.record(old)[0]): [new_base.record(new)[0]]
        for old, new in enumerate(ids[1 : split.start_id], 1)
    }

    bases = list(split.chain()[:-1])

    class Strings(dict[int, int]):
        def __missing__(self, offset: int) -> int:
            if start <= offset < end:
                new = offset + shift
            elif data := split.string_bytes(offset):
                if data not in table and bases:
                    for level in bases:
                        rest = set(level.strings.data.split(b"\0"))
                        table.update(offsets_of(new_base, rest - table.keys()))
                    bases.clear()
                if data in table:
                    new = table[data][0]
                else:  # a member that shares its name with a type that only the old base has
                    new = extra.setdefault(data, new_base.end_str_off + len(added))
                    if new == new_base.end_str_off + len(added):
                        added.extend(data + b"\0")
            else:
                new = 0
            self[offset] = new
            return new

    words = own_copied(split, Strings({0: 0}), ids)
    return Btf.parse(packed_like(split, words, bytes(added)), new_base)


def _check_distilled(base: Btf) -> None:
    for type_id in base.ids():
        kind = base.kind_of(type_id)
        if kind not in _BASE_KINDS or not base.name_of(type_id):
            what = kind_name(kind) if kind not in _BASE_KINDS else f"anonymous {kind_name(kind)}"
            raise BtfError(
                f"cannot relocate: type {type_id} of the base is {what}, "
                "which no distilled base holds"
            )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A type by what it is recognised by. ``size`` is the third word, whatever it means."""

    type_id: int
    kind: int
    kflag: bool
    size: int
    data: int

    def __str__(self) -> str:
        kind = kind_name(self.kind)
        if self.kind == layouts.FWD:
            kind += " union" if self.kflag else " struct"
        elif self.kind not in TRANSPARENT and self.kind not in (layouts.FUNC, layouts.VAR):
            kind += f" of {self.size} bytes"
        if self.kind == layouts.INT:
            kind += f", encoding {self.data >> 24 & 15}"
        return f"{kind} (type {self.type_id})"


def _candidate(btf: Btf, type_id: int) -> _Candidate:
    words = btf.record(type_id)
    kind = info_kind(words[1])
    data = words[3] if kind == layouts.INT else 0
    return _Candidate(type_id, kind, info_kflag(words[1]), words[2], data)


class Matcher:
    """
    Finds types of one base in another.

    :param base: What the types are taken from: a distilled base, or any other.
    :param wanted: Ids of named types of it.
    :param embedded: Those of them whose size must not change.
    :param target: Where they are looked for.
    """

    def __init__(self, base: Btf, wanted: Iterable[int], embedded: set[int], target: Btf) -> None:
        self.base = base
        self.wanted = list(wanted)
        self.embedded = embedded
        self._names = {self._name(type_id) for type_id in self.wanted}
        self._target = target
        self._take(ids_of_kinds(target, self._names, _CANDIDATES))

    def _take(self, ids: dict[bytes, list[int]]) -> None:
        target = self._target
        self.found = {
            name: [_candidate(target, type_id) for type_id in found] for name, found in ids.items()
        }

    def _name(self, type_id: int) -> bytes:
        return self.base.string_bytes(self.base.record(type_id)[0])

    def match(self) -> dict[int, int]:
        """
        Return the target's type of each one wanted, by the strict rules.

        :raises BtfRelocateError: not every one has a match.
        """
        return self._all(self._fitting)

    def match_as_libbpf(self) -> dict[int, int]:
        """Return the target's type of each one wanted, by libbpf's rules; errors as above."""
        return self._all(self._fitting_as_libbpf)

    def _all(self, fitting: Callable[[int], tuple[list[_Candidate], str]]) -> dict[int, int]:
        out: dict[int, int] = {}
        failed: list[int] = []
        for type_id in self.wanted:
            fits, _ = fitting(type_id)
            if len(fits) == 1:
                out[type_id] = fits[0].type_id
            else:
                failed.append(type_id)
        if failed:
            # Who is told of the error is told of types of other kinds, too.
            self._take(ids_by_names(self._target, self._names))
            reasons = []
            for type_id in failed:
                fits, reason = fitting(type_id)
                reasons.append((type_id, _several(fits) if fits else reason))
            raise self._error(reasons)
        return out

    def _fitting(self, type_id: int) -> tuple[list[_Candidate], str]:
        """Return the best matches of a type, and what is wrong if there is none."""
        wanted = _candidate(self.base, type_id)
        named = self.found.get(self._name(type_id), [])
        if wanted.kind == layouts.INT:
            sized = [c for c in named if c.kind == layouts.INT and c.size == wanted.size]
            fits = [c for c in sized if c.data >> 24 == wanted.data >> 24]
            exact = [c for c in fits if c.data == wanted.data]
            return exact or fits, "another encoding" if sized else _other(named, layouts.INT)
        if wanted.kind == layouts.FLOAT or wanted.kind in _ENUMS:
            kinds = _ENUMS if wanted.kind in _ENUMS else {wanted.kind}
            fits = [c for c in named if c.kind in kinds and c.size == wanted.size]
            return fits, _other(named, *kinds)
        if wanted.kind == layouts.FWD:
            fits = [c for c in named if c.kind == layouts.FWD and c.kflag == wanted.kflag]
            kind = layouts.UNION if wanted.kflag else layouts.STRUCT
            return fits or [c for c in named if c.kind == kind], _other(named, kind)
        same = [c for c in named if c.kind == wanted.kind]
        embedded = type_id in self.embedded
        if same:
            sized = [c for c in same if c.size == wanted.size]
            if len(same) == 1 and not embedded:
                return same, ""
            return sized, "another size" + (", and it is embedded" if embedded else "")
        forward = [
            c for c in named if c.kind == layouts.FWD and c.kflag == (wanted.kind == layouts.UNION)
        ]
        if forward and embedded:
            return [], "only declared, and it is embedded"
        return forward, _other(named, wanted.kind)

    def _fitting_as_libbpf(self, type_id: int) -> tuple[list[_Candidate], str]:
        wanted = _candidate(self.base, type_id)
        named = self.found.get(self._name(type_id), [])
        composites = sum(c.kind in COMPOSITES for c in named)
        fits: list[_Candidate] = []
        for found in named:
            # It forgets that a type is embedded once that has a match.
            embedded = type_id in self.embedded and not fits
            sized = embedded or _sized(found, composites)
            alike = found.size == wanted.size or not sized
            if alike and self._fits_as_libbpf(wanted, found):
                fits.append(found)
        return fits, _other(named)

    def _fits_as_libbpf(self, wanted: _Candidate, found: _Candidate) -> bool:
        if found.kind not in _CANDIDATES:
            return False
        match wanted.kind:
            case layouts.INT:
                return found.kind == layouts.INT and found.data >> 24 & 15 == wanted.data >> 24 & 15
            case layouts.FLOAT:
                return found.kind == layouts.FLOAT
            case layouts.ENUM:
                return found.kind in _ENUMS
            case layouts.FWD:
                if found.kind == layouts.FWD:
                    return found.kflag == wanted.kflag
                # The definition's own kind_flag ("has bit-fields") taken for the FWD's.
                return found.kind in COMPOSITES and found.kflag == (found.kind == layouts.UNION)
        return True

    def _error(self, failures: Iterable[tuple[int, str]]) -> BtfRelocateError:
        from btfdbg.btf.text.notation import escape

        mismatches = []
        first = ""
        candidates: list[str] = []
        for type_id, reason in failures:
            name = decode_name(self._name(type_id))
            found = self.found.get(self._name(type_id), [])
            listed = "; ".join(map(str, found[:_LISTED])) or "nothing"
            if len(found) > _LISTED:
                listed += f" and {len(found) - _LISTED} more"
            wanted = str(_candidate(self.base, type_id)).rpartition(" (type")[0]
            embedded = ", embedded" if type_id in self.embedded else ""
            mismatches.append(
                f"{escape(name)}: {reason}: needs {wanted}{embedded}; base has {listed}"
            )
            if len(mismatches) == 1:
                first, candidates = name, [str(c) for c in found]
        count = f", and {len(mismatches) - 1} more" if len(mismatches) > 1 else ""
        return BtfRelocateError(
            f"cannot relocate: {mismatches[0]}{count}",
            name=first,
            candidates=candidates,
            mismatches=mismatches,
        )


def _sized(found: _Candidate, composites: int) -> bool:
    """Return whether libbpf looks for a type of the target by its size too."""
    if found.kind in COMPOSITES:
        return composites > 1
    return found.kind != layouts.FWD


def _several(fits: list[_Candidate]) -> str:
    return "ambiguous, " + " and ".join(str(c) for c in fits[:_LISTED]) + " all fit"


def _other(named: list[_Candidate], *kinds: int) -> str:
    if not named:
        return "missing"
    if kinds and any(c.kind in kinds for c in named):
        return "another size"
    return "nothing that fits" if not kinds else "another kind"


def embedded_by(split: Btf, base: Btf) -> set[int]:
    """Return the structs and unions of a base that own ones of a split hold by value."""
    start = base.type_cnt
    out: set[int] = set()
    through = TRANSPARENT | {layouts.ARRAY}
    seen: set[int] = set()
    for type_id in split.own_ids():
        if split.kind_of(type_id) not in COMPOSITES:
            continue
        for target in split.iter_type_refs(type_id):
            at = int(target)
            # A chain seen before led somewhere already, or runs in a circle.
            while at not in seen and 0 < at < split.type_cnt:
                seen.add(at)
                kind = split.kind_of(at)
                if kind in COMPOSITES:
                    if at < start:
                        out.add(at)
                    break
                if kind not in through:
                    break
                at = split.iter_type_refs(at)[0]
    return out
