"""Types that C has no words for, said in ones that it has, before a header is written.

Owns the changes: names that are no C identifiers or are keywords, base types of other
languages, enums without values that are used by value, enums whose sign the encoder left
out. Ids stay; what has to be added stands at the end. A kernel's own BTF needs none of it
and is only looked through.

Facts: Rust and C++ names as rustc and clang write them into DWARF; llvm writes
``__SANITIZED_FAKE_INT__`` for ``long double`` and the like (BTFDebug.cpp).
"""

from __future__ import annotations

from array import array
from itertools import chain, compress, repeat
from operator import add

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_names import KEYWORDS, is_boolean, require_bounded_names
from btfdbg.btf.cheader.macros import KNOWN, macros_in
from btfdbg.btf.fields import INFO, SIZE_OR_TYPE, array_words, int_fields
from btfdbg.btf.layouts import (
    ARRAY,
    COMPOSITES,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    LAYOUTS,
    MAX_CHAIN,
    STRUCT,
    TRANSPARENT,
    TYPE_WORDS,
    TYPEDEF,
    UNION,
    info_kind,
    info_vlen,
)
from btfdbg.btf.roles import gather

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Names of the integers that C has, in any order of their words, and the bytes of those that
# are of one size wherever Linux or BPF runs.
_INT_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "__int128"})
_INT_SIZES = {"char": 1, "short": 2, "__int128": 16}
_FLOATS = frozenset({"float", "double", "long double"})
# Types of array indexes that compilers invent; no declaration names them.
_INDEXES = frozenset({"ssizetype", "sizetype", "bitsizetype", "__ARRAY_SIZE_TYPE__", ""})
# Types of arm64's that gcc knows and other compilers need typedefs for, see ``definitions``.
_LEFT = frozenset({"__Poly8_t", "__Poly16_t", "__Poly64_t", "__Poly128_t"})
# What names are made of, and the end of one.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_\0"
# Digits to one of them.
_AS_0 = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_NAMED_IN_C = frozenset({STRUCT, UNION, ENUM, ENUM64, TYPEDEF, FWD, FUNC_PROTO})
_ENUMS = ((ENUM, False), (ENUM, True), (ENUM64, False), (ENUM64, True))


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


def adapt(btf: Btf) -> Adapted:
    """
    Return BTF of the same ids that has C's names and types only.

    :raises BtfFormatError: a type refers to what does not exist.

    >>> adapt(rust).changes[0]
    'struct MaybeUninit<u8> is MaybeUninit_u8_ here'
    """
    levels = [_Level(level) for level in btf.chain()]
    ints = _foreign_ints(levels)
    forwards: set[int] = set()
    signs: dict[int, str] = {}
    if _has_enums(btf):
        forwards, signs = _enums(btf, levels)
    bad, macros = _bad_offsets(btf)
    if not ints and not forwards and not signs and not _has_odd_names(levels, bad):
        return Adapted(btf, [], macros)
    from btfdbg.btf.cheader.adapter import Adapter

    return Adapted(*Adapter(btf, ints, forwards, signs).run(), macros)


# What there is to change.


class _Level:
    """
    Own types of a BTF by kind, in columns.

    :ivar words: Its words, as an array: slices of it take half the time of a view's.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.words = array("I", btf.words.tobytes())
        self._bounds = [*btf.offsets, len(self.words)]
        self._places: dict[int, tuple[list[int], list[int], list[int]]] = {}

    def places(self, kind: int) -> tuple[list[int], list[int], list[int]]:
        """Return ids of the types of a kind, and the words where their records start and end."""
        known = self._places.get(kind)
        if known is None:
            btf, bounds = self.btf, self._bounds
            own = list(btf.own_of_kind(kind))
            ids, starts = [type_id for type_id, _ in own], [at for _, at in own]
            shift = 1 - btf.start_id
            known = self._places[kind] = ids, starts, [bounds[i + shift] for i in ids]
        return known

    def elements(self, kind: int, at: int) -> Iterator[int]:
        """Return one word of each element of the types of a kind, one after the other."""
        _, starts, ends = self.places(kind)
        first = map(add, starts, repeat(TYPE_WORDS + at))
        parts = map(slice, first, ends, repeat(LAYOUTS[kind].elem_words))
        return chain.from_iterable(map(self.words.__getitem__, parts))


def _bad_offsets(btf: Btf) -> tuple[bytearray, list[str]]:
    """Return, by string offset, 1 where what stands there is no name in C; names of macros."""
    out = bytearray(btf.end_str_off)
    macros: set[str] = set()
    keywords = {word.encode() for word in KEYWORDS}
    watched = keywords | KNOWN
    for level in btf.chain():
        data, start = level.strings.data, level.start_str_off
        if data.translate(None, _PLAIN):
            _mark_odd(data, start, out)
        zeros = data.translate(_AS_0)
        at = zeros.find(b"\x000")
        while at >= 0:
            out[start + at + 1] = 1
            at = zeros.find(b"\x000", at + 2)
        if data[:1].isdigit():
            out[start] = 1
        found = watched.intersection(data.split(b"\0"))
        macros |= macros_in(data, found)
        for word in keywords & found:
            for offset in level.strings.offsets_of(word):
                out[start + offset] = 1
    return out, sorted(macros)


def _mark_odd(data: bytes, start: int, out: bytearray) -> None:
    """
    Mark strings with a character that names do not have, up to the last such.

    A tail after that is a name. Each string is looked at once, however much is odd in it.
    """
    import re  # takes longer to import than most headers to write

    odd, last_odd = re.compile(rb"[^A-Za-z0-9_\0]"), re.compile(rb".*([^A-Za-z0-9_])", re.DOTALL)
    at = 0
    while (match := odd.search(data, at)) is not None:
        first = data.rfind(b"\0", 0, match.start()) + 1
        at = data.find(b"\0", match.start())
        last = last_odd.search(data, first, at)
        end = last.start(1) + 1 if last is not None else at
        out[start + first : start + end] = b"\1" * (end - first)


def _has_odd_names(levels: list[_Level], bad: bytearray) -> bool:
    """Return whether a type that C names, or what is in it, has a name that C cannot have."""
    for own in levels:
        names = {kind: _names_of(own, kind) for kind in _NAMED_IN_C}
        if any(max(used, default=0) >= len(bad) for used in names.values()):
            return _is_odd_before_missing(own, bad)
        is_bad = bad.__getitem__
        if any(_are_odd(own, kind, set(filter(is_bad, names[kind]))) for kind in names):
            return True
    return False


def _is_odd_before_missing(own: _Level, bad: bytearray) -> bool:
    """
    Return whether such a type comes before the first with a name that does not exist.

    Then what adapts it says which that is; else the dump says so, should it come across it.
    """
    for type_id in sorted(t for kind in _NAMED_IN_C for t in own.places(kind)[0]):
        words = own.btf.record(type_id)
        step = LAYOUTS[own.btf.kind_of(type_id)].elem_words
        names = [words[0], *(words[TYPE_WORDS::step] if step else ())]
        try:
            if any(map(bad.__getitem__, names)) and not is_boolean(own.btf, type_id):
                return True
        except IndexError:
            break
    return False


def _names_of(own: _Level, kind: int) -> set[int]:
    """Return the string offsets of the names of types of a kind, and of what is in them."""
    names = set(gather(own.btf.words, own.places(kind)[1]))
    if LAYOUTS[kind].elem_words:
        names.update(own.elements(kind, 0))
    return names


def _are_odd(own: _Level, kind: int, odd: set[int]) -> bool:
    """Return whether other types of a kind than ``bool`` and its values have such names."""
    if not odd:
        return False
    if kind not in (TYPEDEF, ENUM):
        return True
    ids, starts, ends = own.places(kind)
    for type_id, start, end in zip(ids, starts, ends, strict=True):
        if not odd.isdisjoint((own.words[start], *own.words[start + TYPE_WORDS : end : 2])) and (
            not is_boolean(own.btf, type_id)
        ):
            return True
    return False


def _has_enums(btf: Btf) -> bool:
    return any(not level.kinds_in_use().isdisjoint(_ENUMS) for level in btf.chain())


def _enums(btf: Btf, levels: list[_Level]) -> tuple[set[int], dict[int, str]]:
    """Return enums without values that are used by value, and those whose sign was lost."""
    without = {
        type_id
        for own in levels
        for kind in (ENUM, ENUM64)
        for type_id, at in zip(*own.places(kind)[:2], strict=True)
        if not info_vlen(own.words[at + INFO])
    }
    forwards = _valued_forwards(levels, without) if without else set()
    if btf.writes_enum_signs:
        return forwards, {}
    from btfdbg.btf.cheader.adapter import lost_signs

    require_bounded_names(btf)
    return forwards, lost_signs(btf)


def _valued_forwards(levels: list[_Level], wanted: set[int]) -> set[int]:
    """Return which of these enums without values something has by value."""
    # What leads to one of them, and to which.
    leads: dict[int, int] = {type_id: type_id for type_id in wanted}
    above: list[int] = []
    targets: list[int] = []
    for own in levels:
        for kind in TRANSPARENT:
            ids, starts, _ = own.places(kind)
            above += ids
            targets += gather(own.btf.words[SIZE_OR_TYPE:], starts)
    for _ in range(MAX_CHAIN):
        hits = compress(zip(above, targets, strict=True), map(leads.__contains__, targets))
        new = {type_id: leads[target] for type_id, target in hits if type_id not in leads}
        if not new:
            break
        leads.update(new)
    found: set[int] = set()
    for own in levels:
        held = {array_words(own.btf.words, at)[0] for at in own.places(ARRAY)[1]}
        for kind in COMPOSITES:
            held.update(own.elements(kind, 1))
        found.update(leads[target] for target in leads.keys() & held)
    return found


def _foreign_ints(levels: list[_Level]) -> list[int]:
    """Return the INTs and FLOATs whose name is not C's."""
    out = []
    for own in levels:
        for type_id in sorted(own.places(INT)[0] + own.places(FLOAT)[0]):
            name = own.btf.name_of(type_id)
            c = name in _FLOATS or name == "_Bool" or _is_c_int(own.btf, type_id, name.split())
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
