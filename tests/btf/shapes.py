"""Bytes as types: BTF of every kind out of any bytes, which always parses.

A fuzzer that changes bytes of a blob mostly makes one that is refused at once. Here a
byte stands for a kind, a name, an id or a number out of few that are worth trying, so
that every input is types that refer to each other, in all the ways in which they should
not, too: cycles, ids of nothing, sizes that do not fit.

    bytes := kind, name+vlen+kflag, one byte per word that follows
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from btfdbg.btf import Btf
from btfdbg.btf.format import LAYOUTS, Kind, make_info

#: Few enough that types are often named alike; two that are no identifiers.
NAMES: Final = (b"", b"", b"a", b"b", b"c", b"s", b"int", b"t!")
_STRINGS: Final = b"\0" + b"".join(name + b"\0" for name in NAMES[2:])
_OFFSETS: Final = tuple(_STRINGS.index(b"\0" + name + b"\0") + 1 if name else 0 for name in NAMES)
_K = Kind
#: What the low five bits of a byte stand for.
_KINDS: Final = (
    _K.INT, _K.PTR, _K.ARRAY, _K.STRUCT, _K.UNION, _K.ENUM, _K.FWD, _K.TYPEDEF,
    _K.VOLATILE, _K.CONST, _K.RESTRICT, _K.FUNC, _K.FUNC_PROTO, _K.VAR, _K.DATASEC, _K.FLOAT,
    _K.DECL_TAG, _K.TYPE_TAG, _K.ENUM64, _K.STRUCT, _K.STRUCT, _K.PTR, _K.PTR, _K.UNION,
    _K.TYPEDEF, _K.FWD, _K.STRUCT, _K.ENUM, _K.FUNC_PROTO, _K.LOC_PARAM, _K.LOC_PROTO, _K.LOCSEC,
)  # fmt: skip
_SIZES: Final = (4, 4, 8, 1, 2, 16, 0, 3, 12, 32, 5, 64, 0xFFFFFFFF, 0x10000000, 24, 40)
_BITS: Final = (0, 32, 64, 0, 8, 16, 1, 3, 31, 33, 96, 128, 63, 40, 0xFFFFFF, 7)
_NUMBERS: Final = (0, 1, 2, 3, 4, 8, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 100, 7, 16, 5, 6, 9, 31)
_INTS: Final = (
    0x01000020, 0x20, 0x40, 0x02000008, 0x08, 0x04000008, 0x10, 0x01000040,
    0x80, 0x1F, 0x0F000020, 0x00080008, 0xFF000000, 0x01000008, 0x0104001C, 0x03000020,
)  # fmt: skip


def _value(field: str, byte: int, kflag: bool, ids: int) -> int:
    """Return the word that a byte stands for in a field of that name."""
    match field:
        case "name_off":
            return _OFFSETS[byte & 7]
        case "type" | "index_type" | "func" | "loc_proto" | "loc_param":
            return ids if byte == 255 else byte % ids  # one that is not there, or any
        case "size":
            return _SIZES[byte & 15]
        case "int_data":
            return _INTS[byte & 15]
        case "offset":
            bits = _BITS[byte & 15]
            return bits | _BITS[byte >> 4] % 256 << 24 if kflag and bits < 1 << 24 else bits
    return _NUMBERS[byte & 15]


class _Record(NamedTuple):
    kind: int
    odd: bool  # flags and names where they should not be
    shape: int
    vlen: int
    fields: tuple[str, ...]
    values: bytes


def _records(data: bytes) -> Iterator[_Record]:
    """Yield what bytes stand for, ids and sizes still as bytes."""
    at = 0
    while at + 2 < len(data):
        kind, shape, odd = _KINDS[data[at] & 31], data[at + 1], data[at] >> 5 == 7
        layout = LAYOUTS[kind]
        vlen = shape >> 3 & 3 if layout.elem or kind == Kind.FUNC or odd else 0
        fields = (layout.third, *layout.info, *layout.elem * vlen)
        values = data[at + 2 : at + 2 + len(fields)].ljust(len(fields), b"\0")
        yield _Record(kind, odd, shape, vlen, fields, values)
        at += 2 + len(fields)


def _words(records: list[_Record], ids: int) -> Iterator[int]:
    """Yield the words of all types; ``ids`` is one past the last."""
    for kind, odd, shape, vlen, fields, values in records:
        kflag = shape >> 5 & 1 == 1
        if kind not in (_K.STRUCT, _K.UNION, _K.ENUM, _K.FWD, _K.ENUM64, _K.TYPE_TAG) and not odd:
            kflag = kflag and kind == Kind.DECL_TAG
        unnamed = (_K.PTR, _K.ARRAY, _K.CONST, _K.VOLATILE, _K.RESTRICT, _K.FUNC_PROTO)
        yield 0 if kind in unnamed and not odd else _OFFSETS[shape & 7]
        yield make_info(kind, vlen, kflag)
        yield 0 if fields[0] == "unused" and not odd else _value(fields[0], values[0], kflag, ids)
        for field, byte in zip(fields[1:], values[1:], strict=True):
            yield _value(field, byte, kflag, ids)


def shape(data: bytes, base: Btf | None = None) -> Btf:
    """Return the types that bytes stand for, on top of a base or not."""
    records = list(_records(data))
    words = list(_words(records, len(records) + (1 if base is None else base.type_cnt)))
    types = struct.pack(f"<{len(words)}I", *words)
    if base is None:
        strings = _STRINGS
    else:
        # Own strings come after the base's; those that are the same are found by content.
        strings = _STRINGS[1:]
        shift = base.end_str_off - 1
        types = _moved(words, shift)
    head = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return Btf.parse(head + types + strings, base)


def _moved(words: list[int], shift: int) -> bytes:
    """Return words with all string offsets but 0 moved up."""
    at = 0
    out = list(words)
    while at < len(words):
        kind = words[at + 1] >> 24 & 0x7F
        vlen = words[at + 1] & 0xFFFFFF
        layout = LAYOUTS[kind]
        first = at + 3 + layout.info_words
        places = [at]
        for elem in range(first, first + vlen * layout.elem_words, layout.elem_words or 1):
            places += [elem + word for word in layout.elem_str_words]
        for place in places:
            out[place] += shift if out[place] else 0
        at += layout.words(vlen)
    return struct.pack(f"<{len(out)}I", *out)


def random_shape(rng: random.Random, base: Btf | None = None, types: int = 8) -> Btf:
    """Return random types of every kind; ``types`` is about how many."""
    return shape(rng.randbytes(rng.randrange(3, 5 * types)), base)
