"""Types that C has no words for, said in ones that it has, before a header is written.

Owns the changes: names that are no C identifiers or are keywords, base types of other
languages, enums without values that are used by value, enums whose sign the encoder left
out. Ids stay; what has to be added stands at the end. A kernel's own BTF needs none of it
and is only looked through.

Facts: Rust and C++ names as rustc and clang write them into DWARF; llvm writes
``__SANITIZED_FAKE_INT__`` for ``long double`` and the like (BTFDebug.cpp).
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import compress, pairwise
from operator import itemgetter

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_names import KEYWORDS, is_boolean, require_bounded_names
from btfdbg.btf.cheader.columns import (
    IS_ARRAY,
    IS_COMPOSITE,
    IS_ENUM32,
    IS_ENUM64,
    NAMED_IN_C,
    Columns,
    mask_of,
)
from btfdbg.btf.cheader.macros import KNOWN, macros_in
from btfdbg.btf.fields import INFO, SIZE_OR_TYPE, int_fields
from btfdbg.btf.layouts import (
    ENUM,
    ENUM64,
    FLOAT,
    INT,
    LAYOUTS,
    STRUCT,
    TYPE_WORDS,
    TYPEDEF,
    info_kind,
)

# Names of the integers that C has, in any order of their words, and the bytes of those that
# are of one size wherever Linux or BPF runs.
_INT_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "__int128"})
_INT_SIZES = {"char": 1, "short": 2, "__int128": 16}
_FLOATS = frozenset({"float", "double", "long double"})
# Types of array indexes that compilers invent; no declaration names them.
_INDEXES = frozenset({"ssizetype", "sizetype", "bitsizetype", "__ARRAY_SIZE_TYPE__", ""})
# Types of arm64's that gcc knows and other compilers need typedefs for, see ``definitions``.
_LEFT = frozenset({"__Poly8_t", "__Poly16_t", "__Poly64_t", "__Poly128_t"})
# Bytes of strings by what they are: the end of one, a digit, any else that names are made of.
_END, _ODD, _DIGIT, _PLAIN = range(4)
_CLASS = bytes(
    _END
    if byte == 0
    else _DIGIT
    if 48 <= byte < 58
    else _PLAIN
    if byte == 95 or 65 <= byte < 91 or 97 <= byte < 123
    else _ODD
    for byte in range(256)
)
_FIRST_DIGIT = bytes((_END, _DIGIT))
_ENUMS = ((ENUM, False), (ENUM, True), (ENUM64, False), (ENUM64, True))
_IS_NUMBER = mask_of((INT, FLOAT))


class Adapted:
    """
    A BTF that C can say.

    :ivar btf: The types; the very object that was given if nothing had to be changed.
    :ivar changes: One line each for what was changed, as comments have it.
    :ivar macros: Names that stay though some compiler defines them as macros, sorted.
    """

    def __init__(self, btf: Btf, changes: list[str], macros: list[str]) -> None:
        self.btf = btf
        self.changes = changes
        self.macros = macros


def adapt(columns: Columns) -> Adapted:
    """
    Return BTF of the same ids that has C's names and types only.

    :raises BtfFormatError: a type refers to what does not exist.

    >>> adapt(Columns(rust)).changes[0]
    'struct MaybeUninit<u8> is MaybeUninit_u8_ here'
    """
    btf = columns.btf
    ints = _foreign_ints(columns)
    forwards: set[int] = set()
    signs: dict[int, str] = {}
    if _has_enums(btf):
        forwards, signs = _enums(columns)
    bad, macros = _bad_offsets(btf)
    if not ints and not forwards and not signs and not _has_odd_names(columns, bad):
        return Adapted(btf, [], macros)
    from btfdbg.btf.cheader.adapter import Adapter

    return Adapted(*Adapter(btf, ints, forwards, signs).run(), macros)


# What there is to change.


def _bad_offsets(btf: Btf) -> tuple[bytearray, list[str]]:
    """Return, by string offset, 1 where what stands there is no name in C; names of macros."""
    out = bytearray(btf.end_str_off)
    macros: set[str] = set()
    keywords = {word.encode() for word in KEYWORDS}
    watched = keywords | KNOWN
    for level in btf.chain():
        data, start = level.strings.data, level.start_str_off
        classes = data.translate(_CLASS)
        _mark_odd(classes, start, out)
        at = classes.find(_FIRST_DIGIT)
        while at >= 0:
            out[start + at + 1] = 1
            at = classes.find(_FIRST_DIGIT, at + 2)
        if classes[:1] == _FIRST_DIGIT[1:]:
            out[start] = 1
        found = watched.intersection(data.split(b"\0"))
        macros |= macros_in(data, found)
        for word in keywords & found:
            for offset in level.strings.offsets_of(word):
                out[start + offset] = 1
    return out, sorted(macros)


def _mark_odd(classes: bytes, start: int, out: bytearray) -> None:
    """
    Mark strings with a character that names do not have, up to the last such.

    A tail after that is a name. Each string is looked at once, however much is odd in it.
    """
    at = classes.find(_ODD)
    while at >= 0:
        first = classes.rfind(_END, 0, at) + 1
        at = classes.find(_END, at)
        end = classes.rfind(_ODD, first, at) + 1
        out[start + first : start + end] = b"\1" * (end - first)
        at = classes.find(_ODD, at)


def _has_odd_names(columns: Columns, bad: bytearray) -> bool:
    """Return whether a type that C names, or what is in it, has a name that C cannot have."""
    is_bad = bad.__getitem__
    for level in columns.btf.chain():
        odd: list[set[int]] = []
        try:
            for mask, kind in NAMED_IN_C:
                found: set[int] = set()
                for names in columns.names_of(mask, kind, level):
                    # Twice offset 0, at which no name is: of one or none there is no tuple.
                    if any(itemgetter(0, 0, *names)(bad)):
                        found.update(compress(names, map(is_bad, names)))
                odd.append(found)
        except IndexError:
            return _is_odd_before_missing(columns, level, bad)
        for (mask, kind), found in zip(NAMED_IN_C, odd, strict=True):
            if found and _are_odd(columns, mask, kind, found, level):
                return True
    return False


def _is_odd_before_missing(columns: Columns, level: Btf, bad: bytearray) -> bool:
    """
    Return whether such a type comes before the first with a name that does not exist.

    Then what adapts it says which that is; else the dump says so, should it come across it.
    """
    for type_id in sorted(t for mask, _ in NAMED_IN_C for t in columns.ids_of(mask, level)):
        words = level.record(type_id)
        step = LAYOUTS[level.kind_of(type_id)].elem_words
        names = [words[0], *(words[TYPE_WORDS::step] if step else ())]
        try:
            if any(map(bad.__getitem__, names)) and not is_boolean(level, type_id):
                return True
        except IndexError:
            break
    return False


def _are_odd(columns: Columns, mask: bytes, kind: int, odd: set[int], level: Btf) -> bool:
    """Return whether other types of a kind than ``bool`` and its values have such names."""
    if kind not in (TYPEDEF, ENUM):
        return True
    ids = columns.ids_of(mask, level)
    marked = set(compress(ids, map(odd.__contains__, columns.word(ids, 0))))
    if kind == ENUM:
        enums = columns.elements(mask, kind, level)
        places = [at for at, offset in enumerate(enums.column(0)) if offset in odd]
        marked.update(enums.ids[bisect_right(enums.bounds, at) - 1] for at in places)
    return not all(is_boolean(level, type_id) for type_id in marked)


def _has_enums(btf: Btf) -> bool:
    return any(not level.kinds_in_use().isdisjoint(_ENUMS) for level in btf.chain())


def _enums(columns: Columns) -> tuple[set[int], dict[int, str]]:
    """Return enums without values that are used by value, and those whose sign was lost."""
    btf = columns.btf
    without: set[int] = set()
    for level in btf.chain():
        for mask, kind in ((IS_ENUM32, ENUM), (IS_ENUM64, ENUM64)):
            enums = columns.elements(mask, kind, level)
            without.update(
                type_id
                for type_id, (first, end) in zip(enums.ids, pairwise(enums.bounds), strict=True)
                if first == end
            )
    forwards = _valued_forwards(columns, without) if without else set()
    if btf.writes_enum_signs:
        return forwards, {}
    from btfdbg.btf.cheader.adapter import lost_signs

    require_bounded_names(btf)
    return forwards, lost_signs(btf)


def _valued_forwards(columns: Columns, wanted: set[int]) -> set[int]:
    """Return which of these enums without values something has by value."""
    leads = columns.leading_to(wanted, through_arrays=False)
    held = set(filter(leads.__contains__, columns.references(IS_ARRAY, TYPE_WORDS)[1]))
    for level in columns.btf.chain():
        members = columns.elements(IS_COMPOSITE, STRUCT, level).column(1)
        held.update(filter(leads.__contains__, members))
    return {leads[target] for target in leads.keys() & held}


def _foreign_ints(columns: Columns) -> list[int]:
    """Return the INTs and FLOATs whose name is not C's."""
    btf = columns.btf
    out = []
    for type_id in columns.ids_of(_IS_NUMBER):
        name = btf.name_of(type_id)
        c = name in _FLOATS or name == "_Bool" or _is_c_int(btf, type_id, name.split())
        if not c and name not in _INDEXES and name not in _LEFT:
            out.append(type_id)
    return out


def _is_c_int(btf: Btf, type_id: int, words: list[str]) -> bool:
    """Return whether C has an integer of these words and of its size: Rust's ``char`` has 4."""
    if not _INT_WORDS.issuperset(words):
        return False
    record = btf.record(type_id)
    size = record[SIZE_OR_TYPE]
    if info_kind(record[INFO]) != INT or int_fields(record[TYPE_WORDS])[0] != 8 * size:
        return True  # of old encoders, a bit-field's
    if words.count("long") == 2:
        return size == 8
    sizes = {_INT_SIZES[word] for word in words if word in _INT_SIZES}
    return size in (sizes or ({4, 8} if "long" in words else {4}))
