"""Types that C has no words for, said in ones that it has, before a header is written.

Owns the changes: names that are no C identifiers or are keywords, base types of other
languages, enums without values that are used by value, enums whose sign the encoder left
out. Ids stay; what has to be added stands at the end. A kernel's own BTF needs none of it
and is only looked through.

Facts: Rust and C++ names as rustc and clang write them into DWARF; llvm writes
``__SANITIZED_FAKE_INT__`` for ``long double`` and the like (BTFDebug.cpp).
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_names import KEYWORDS, is_boolean, require_bounded_names
from btfdbg.btf.fields import INFO, SIZE_OR_TYPE, array_words
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
    info_vlen,
)

# Names of the integers that C has, in any order of their words.
_INT_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "__int128"})
_FLOATS = frozenset({"float", "double", "long double"})
# Types of array indexes that compilers invent; no declaration names them.
_INDEXES = frozenset({"ssizetype", "sizetype", "bitsizetype", "__ARRAY_SIZE_TYPE__", ""})
# Types of arm64's that gcc knows and other compilers need typedefs for, see ``definitions``.
_LEFT = frozenset({"__Poly8_t", "__Poly16_t", "__Poly64_t", "__Poly128_t"})
# What names are made of, and the end of one.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_\0"
_NAMED_IN_C = frozenset({STRUCT, UNION, ENUM, ENUM64, TYPEDEF, FWD, FUNC_PROTO})
_ENUMS = ((ENUM, False), (ENUM, True), (ENUM64, False), (ENUM64, True))


class Adapted:
    """
    A BTF that C can say.

    :ivar btf: The types; the very object that was given if nothing had to be changed.
    :ivar changes: One line each for what was changed, as comments have it.
    """

    def __init__(self, btf: Btf, changes: list[str]) -> None:
        self.btf = btf
        self.changes = changes


def adapt(btf: Btf) -> Adapted:
    """
    Return BTF of the same ids that has C's names and types only.

    :raises BtfFormatError: a type refers to what does not exist.

    >>> adapt(rust).changes[0]
    'struct MaybeUninit<u8> is MaybeUninit_u8_ here'
    """
    ints = _foreign_ints(btf)
    forwards: set[int] = set()
    signs: dict[int, str] = {}
    if _has_enums(btf):
        forwards, signs = _enums(btf)
    if not ints and not forwards and not signs and not _uses(btf, _bad_offsets(btf)):
        return Adapted(btf, [])
    from btfdbg.btf.cheader.adapter import Adapter

    return Adapted(*Adapter(btf, ints, forwards, signs).run())


# What there is to change.


def _bad_offsets(btf: Btf) -> bytearray:
    """Return, by string offset, 1 where what stands there is no name in C."""
    out = bytearray(btf.end_str_off)
    keywords = {word.encode() for word in KEYWORDS}
    for level in btf.chain():
        data, start = level.strings.data, level.start_str_off
        if data.translate(None, _PLAIN):
            _mark_odd(data, start, out)
        for digit in b"0123456789":
            at = data.find(bytes((0, digit)))
            while at >= 0:
                out[start + at + 1] = 1
                at = data.find(bytes((0, digit)), at + 2)
        if data[:1].isdigit():
            out[start] = 1
        for word in keywords.intersection(data.split(b"\0")):
            for offset in level.strings.offsets_of(word):
                out[start + offset] = 1
    return out


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


def _uses(btf: Btf, bad: bytearray) -> bool:
    """Return whether a name in C, of a type or of what is in it, is one of these."""
    is_bad = bad.__getitem__
    for level in btf.chain():
        words, offsets = level.words, level.offsets
        for index, kind in enumerate(level.own_kinds()):
            if kind not in _NAMED_IN_C:
                continue
            names = [words[offsets[index]]]
            row = LAYOUTS[kind]
            if row.elem_words:
                end = level.record_end(level.start_id + index)
                names += words[offsets[index] + TYPE_WORDS : end : row.elem_words]
            try:
                if any(map(is_bad, names)) and not is_boolean(level, level.start_id + index):
                    return True
            except IndexError:
                return False  # a name that does not exist: the dump says so
    return False


def _has_enums(btf: Btf) -> bool:
    return any(not level.kinds_in_use().isdisjoint(_ENUMS) for level in btf.chain())


def _enums(btf: Btf) -> tuple[set[int], dict[int, str]]:
    """Return enums without values that are used by value, and those whose sign was lost."""
    without = {
        type_id
        for level in btf.chain()
        for type_id, at, kind in zip(level.own_ids(), level.offsets, level.own_kinds(), strict=True)
        if kind in (ENUM, ENUM64) and not info_vlen(level.words[at + 1])
    }
    forwards = _valued_forwards(btf, without) if without else set()
    if btf.writes_enum_signs:
        return forwards, {}
    from btfdbg.btf.cheader.adapter import lost_signs

    require_bounded_names(btf)
    return forwards, lost_signs(btf)


def _valued_forwards(btf: Btf, wanted: set[int]) -> set[int]:
    """Return which of these enums without values something has by value."""
    # What leads to one of them, and to which.
    leads: dict[int, int] = {type_id: type_id for type_id in wanted}
    above = [
        (type_id, level.words[at + SIZE_OR_TYPE])
        for level in btf.chain()
        for type_id, at, kind in zip(level.own_ids(), level.offsets, level.own_kinds(), strict=True)
        if kind in TRANSPARENT
    ]
    for _ in range(MAX_CHAIN):
        new = {
            type_id: leads[target]
            for type_id, target in above
            if target in leads and type_id not in leads
        }
        if not new:
            break
        leads.update(new)
    found: set[int] = set()
    for level in btf.chain():
        for at, kind in zip(level.offsets, level.own_kinds(), strict=True):
            if kind in COMPOSITES:
                first, count = at + TYPE_WORDS, info_vlen(level.words[at + INFO])
                targets = level.words[first + 1 : first + 3 * count : 3]
                if not leads.keys().isdisjoint(targets):
                    found.update(leads[target] for target in targets if target in leads)
            elif kind == ARRAY:
                element = array_words(level.words, at)[0]
                if element in leads:
                    found.add(leads[element])
    return found


def _foreign_ints(btf: Btf) -> list[int]:
    """Return the INTs and FLOATs whose name is not C's."""
    out = []
    for level in btf.chain():
        for type_id, kind in zip(level.own_ids(), level.own_kinds(), strict=True):
            if kind in (INT, FLOAT):
                name = level.name_of(type_id)
                c = name in _FLOATS or name == "_Bool" or _INT_WORDS.issuperset(name.split())
                if not c and name not in _INDEXES and name not in _LEFT:
                    out.append(type_id)
    return out
