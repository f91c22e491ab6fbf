"""Tables whose type the compiler wrote down beside the check of their index.

Owns reading such a record, and which of them are of a variable. With CONFIG_UBSAN_BOUNDS GCC
compares the index of a table with its length, and passes ``__ubsan_handle_out_of_bounds`` what
was wrong: the file, the line, the table's type as text. Not which table it is: that is told by
the code, which adds an index to the table's address, or goes through it element by element, and
by the room, which is that of the table.

Facts: lib/ubsan.h: ``struct out_of_bounds_data`` (location, array_type, index_type),
``struct source_location`` (file_name, line, column), ``struct type_descriptor`` (type_kind,
type_info, type_name); gcc/ubsan.cc, ubsan_type_descriptor(): ``'cf_kind *[4]'``, without
``struct`` and qualifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from btfdbg.btf import Btf, Kind
from btfdbg.frames.enclosing import size_of
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.variables.placement import Extent, SizeFit
from btfdbg.variables.ubsan import FILE, MAX_LINE

HANDLER = "__ubsan_handle_out_of_bounds"
_WORD = 8
_LOCATION = 16
_TYPE_NAME = 4
_RECORDS = (Kind.STRUCT, Kind.UNION)
_FITS = (SizeFit.EXACT, SizeFit.PADDED)
_MAX_TEXT = 128
_MIN_TEXT = 16
_TABLE = pattern(rb"'([A-Za-z_]\w*) (\*?)\[([1-9]\d{0,6})\]'\0")

Read = Callable[[int, int], "bytes | None"]


@dataclass(frozen=True, slots=True)
class Bound:
    """
    A table's type, as a check of its index has it.

    :ivar element: The name of the elements' type, without ``struct``.
    :ivar is_pointer: Whether the elements are pointers to that.
    :ivar length: Elements.
    :ivar where: The file's last component, and the line of the check.
    """

    element: str
    is_pointer: bool
    length: int
    where: str


def bound_at(record: int, read: Read) -> Bound | None:
    """
    What a record says that is passed to :data:`HANDLER`.

    :param record: Its address.
    :param read: Memory, None if any byte of it cannot be read.
    :return: None if it is no such record, or one of a table of tables or of nameless structs.
    """
    data = read(record, _LOCATION + 2 * _WORD)
    if data is None:
        return None
    file, line = _number(data, 0, 8), _number(data, 8, 4)
    name = FILE.match(_text(file, read))
    table = _TABLE.match(_text(_number(data, _LOCATION, _WORD) + _TYPE_NAME, read))
    if name is None or table is None or not 0 < line < MAX_LINE:
        return None
    where = f"{name[0][:-1].decode('ascii').rpartition('/')[2]}:{line}"
    return Bound(table[1].decode("ascii"), bool(table[2]), int(table[3]), where)


def first_element(
    bounds: Iterable[Bound],
    btf: Btf,
    extent: Extent,
    pointers_to: Callable[[frozenset[int]], frozenset[int]],
) -> tuple[frozenset[int], list[str]]:
    """
    What a variable begins with that is one of some tables.

    :param bounds: Of the functions that add an index to its address; other tables' as well.
    :param extent: The variable's room, which a table has to take up.
    :param pointers_to: Gives BTF ids of pointers to one of some types.
    :return: BTF ids of the first element's type, and what says so; none if no table of structs,
        unions or pointers to such takes up the room, or several that are not the same.
    """
    found: dict[tuple[str, bool, int], frozenset[int]] = {}
    said = []
    for bound in bounds:
        ids = frozenset(int(i) for i in btf.types_by_name(bound.element, _RECORDS))
        sizes = {size_of(btf, type_id) for type_id in ids}
        if bound.is_pointer:
            ids, sizes = pointers_to(ids), {_WORD}
        size = sizes.pop() if len(sizes) == 1 else None
        if ids and size and extent.fit(size * bound.length) in _FITS:
            found[bound.element, bound.is_pointer, bound.length] = ids
            said.append(f"check an index at {bound.where}")
    if len(found) != 1:
        return frozenset(), []
    return found.popitem()[1], said


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _text(address: int, read: Read) -> bytes:
    return read(address, _MAX_TEXT) or read(address, _MIN_TEXT) or b""
