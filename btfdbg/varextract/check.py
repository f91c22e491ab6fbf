"""How right the types given to variables are, with DWARF as the truth.

Owns the comparison and its counts. Knows nothing of how types are found.

Compared are the data symbols that have a unique name and a variable in DWARF: type and
length must be the same, spelled out (:func:`.convert.describe`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.cdecl import (
    QUALIFIERS,
    Array,
    CDeclError,
    CType,
    Pointer,
    format_type,
    parse_type,
    unqualified,
)
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.varextract.extract import Row
from btfdbg.variables.convert import describe
from btfdbg.variables.provenance import Rejection, Source, TypedVariable
from btfdbg.variables.structural_index import StructuralIndex


@dataclass(frozen=True, slots=True)
class Wrong:
    """
    A variable whose type is not the one that DWARF has.

    :ivar is_spelling: it is the same type by another name (``unsigned short`` for ``u_short``):
        every value is right.
    """

    name: str
    truth: str
    given: str
    source: str
    note: str
    is_spelling: bool = False


@dataclass(slots=True)
class Report:
    """
    Counts over all variables compared.

    :ivar right: by source, in words.
    :ivar open: right but for the length of an array, which is not given.
    :ivar untyped: the rows of variables without a type.
    :ivar causes: of those, by what keeps them from having one.
    """

    total: int = 0
    right: Counter[str] = field(default_factory=Counter)
    open: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    untyped: list[Row] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Yield the report's lines, shares of the total in percent."""
        wrong = Counter(w.source for w in self.wrong)
        yield f"{self.total} variables"
        yield f"{'source':45} {'right':>8} {'wrong':>8}"
        for source in sorted(set(self.right) | set(wrong)):
            yield f"{source:45} {self.right[source]:8} {wrong[source]:8}"
        yield self._share("right", sum(self.right.values()))
        yield self._share("open", self.open)
        yield self._share("wrong", len(self.wrong))
        spellings = sum(w.is_spelling for w in self.wrong)
        if spellings:
            yield f"  {'of them by its name only':30} {spellings:8}"
        yield self._share("untyped", len(self.untyped))
        for cause, count in self.causes.most_common():
            yield f"  {cause:30} {count:8} {100 * count / max(self.total, 1):8.3f} %"

    def _share(self, what: str, count: int) -> str:
        return f"{what:8} {count:8} {100 * count / max(self.total, 1):8.3f} %"


def completes(given: str, declared: str) -> bool:
    """Whether one type is the other, which leaves a length open."""
    try:
        whole, open_ = parse_type(given), parse_type(declared)
    except CDeclError:
        return False
    return (
        isinstance(whole, Array)
        and isinstance(open_, Array)
        and whole.length is not None
        and open_.length is None
        and whole.element == open_.element
    )


def compare(
    truth: Iterable[Row],
    is_unique: Callable[[str], bool],
    find: Callable[[str], TypedVariable | None],
    btf: Btf,
    cause: Callable[[str], Rejection | None] = lambda name: None,
) -> Report:
    """
    Compare what a lookup says with what DWARF says.

    :param truth: rows of vmlinux.
    :param is_unique: whether the kernel has exactly one symbol of a name.
    :param btf: the kernel's own BTF, whose VARs are asked before anything else.
    :param cause: why a variable has no type.
    """
    report = Report()
    shapes = StructuralIndex(btf)
    for row in truth:
        if row.shared or not is_unique(row.name):
            continue
        report.total += 1
        own = btf.types_by_name(row.name, (Kind.VAR,))
        if len(own) == 1:
            var = btf.type_by_id(own[0])
            assert isinstance(var, kinds.Var)
            if _bare(btf, var.type) in shapes.ids(parse_type(row.type)):
                report.right[str(Source.KERNEL_BTF)] += 1
            else:
                given = f"type {var.type}"
                wrong = Wrong(row.name, row.type, given, str(Source.KERNEL_BTF), "")
                report.wrong.append(wrong)
            continue
        found = find(row.name)
        if found is None:
            report.untyped.append(row)
            why = cause(row.name)
            report.causes["not said" if why is None else why.value] += 1
            continue
        try:
            given = format_type(describe(found.type))
        except CDeclError as e:
            given = f"unspeakable: {e}"
        # Code does not say by which of its names a type was declared.
        same = found.source is Source.CODE and _is_typedef_of(btf, shapes, given, row.type)
        if same or given == row.type or completes(given, row.type):
            report.right[str(found.source)] += 1
        elif completes(row.type, given):
            report.open += 1
        else:
            report.wrong.append(
                Wrong(
                    row.name,
                    row.type,
                    given,
                    str(found.source),
                    found.note,
                    is_same_by_another_name(btf, shapes, given, row.type),
                )
            )
    return report


def _is_typedef_of(btf: Btf, shapes: StructuralIndex, given: str, declared: str) -> bool:
    """Whether a type that was declared by a typedef is given by the tag of its struct."""
    try:
        one, other = shapes.ids(parse_type(given)), shapes.ids(parse_type(declared))
    except CDeclError:
        return False
    bare = [{btf.skip_mods_and_typedefs(i) for i in ids} for ids in (one, other)]
    return bool(bare[0] & bare[1]) and given.count("const") == declared.count("const")


def is_same_by_another_name(btf: Btf, shapes: StructuralIndex, one: str, other: str) -> bool:
    """
    Whether two types differ in the names of typedefs only.

    >>> is_same_by_another_name(btf, shapes, "unsigned short [256]", "u_short [256]")
    True
    """
    if one.count("const") != other.count("const"):
        return False
    try:
        found = [_resolved(btf, shapes, parse_type(text)) for text in (one, other)]
    except (CDeclError, BtfError):
        return False
    return any(_is_equal(a, b) for a in found[0] for b in found[1])


_Resolved: TypeAlias = "tuple[str, int | None, _Resolved] | int"


def _resolved(btf: Btf, shapes: StructuralIndex, tree: CType) -> set[_Resolved]:
    """What a type is without the names of typedefs: ids, and how arrays and pointers lead there."""
    bare = unqualified(tree, *QUALIFIERS)
    if isinstance(bare, Array):
        return {("[]", bare.length, r) for r in _resolved(btf, shapes, bare.element)}
    if isinstance(bare, Pointer):
        return {("*", None, r) for r in _resolved(btf, shapes, bare.target)}
    return {_without_names(btf, id_) for id_ in shapes.ids(bare)}


def _without_names(btf: Btf, type_id: int) -> _Resolved:
    bare = btf.skip_mods_and_typedefs(type_id)
    type_ = btf.type_by_id(bare)
    if isinstance(type_, kinds.Array):
        return "[]", type_.nelems, _without_names(btf, type_.type)
    if isinstance(type_, kinds.Ptr):
        return "*", None, _without_names(btf, type_.type)
    return int(bare)


def _is_equal(one: _Resolved, other: _Resolved) -> bool:
    """Whether two resolved types are the same; a length that is open is any."""
    if isinstance(one, int) or isinstance(other, int):
        return one == other
    lengths = {one[1], other[1]} - {None}
    return one[0] == other[0] and len(lengths) < 2 and _is_equal(one[2], other[2])


def _bare(btf: Btf, type_id: int) -> int:
    """An array's id without qualifiers before the array: those are its elements' anyway."""
    inner = btf.type_by_id(type_id)
    while isinstance(inner, (kinds.Const, kinds.Volatile)):
        if btf.kind_of(inner.type) == Kind.ARRAY:
            return inner.type
        inner = btf.type_by_id(inner.type)
    return type_id
