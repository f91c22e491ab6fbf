"""One value into one record: a class of ``kinds`` into the words of its type.

Owns the reverse of ``decode``. Adds nothing and checks only that each number fits
where it goes; what makes sense is the builder's concern, and tests need records that
make none.
Facts: include/uapi/linux/btf.h.
"""

from __future__ import annotations

from collections.abc import Callable

from btfdbg.btf import kinds
from btfdbg.btf.format import MAX_VLEN, Kind, make_info
from btfdbg.errors import BtfFormatError

_M32 = 0xFFFFFFFF


def _fits(value: int, bits: int, what: str) -> int:
    if not 0 <= value < 1 << bits:
        raise BtfFormatError(f"{what} {value} does not fit {bits} bits")
    return value


def _word(value: int, what: str) -> int:
    """Return a number as a u32, negative ones as their two's complement."""
    if not -(1 << 31) <= value <= _M32:
        raise BtfFormatError(f"{what} {value} does not fit 32 bits")
    return value & _M32


def _members(
    type_: kinds.Struct | kinds.Union, string: Callable[[str], int], kflag: bool
) -> list[int]:
    out: list[int] = []
    for m in type_.members:
        if kflag:
            offset = _fits(m.bit_offset, 24, "bit offset") | (
                _fits(m.bitfield_size, 8, "bit-field size") << 24
            )
        else:
            offset = _fits(m.bit_offset, 32, "bit offset")
        out += (string(m.name), m.type, offset)
    return out


def encode(type_: kinds.Type, string: Callable[[str], int]) -> list[int]:
    """
    Return the u32 words of a type's record.

    A STRUCT or UNION gets kind_flag if it has a bit-field.

    :param string: Returns the offset of a name, entering it where needed.
    :raises BtfFormatError: a number does not fit its field, or void, which has no record.
    """
    kflag = False
    vlen = 0
    size_or_type = 0
    tail: list[int] = []
    name = string(type_.name)
    match type_:
        case kinds.Int():
            size_or_type = type_.size
            tail = [
                _fits(type_.encoding, 4, "encoding") << 24
                | _fits(type_.offset, 8, "offset") << 16
                | _fits(type_.bits, 8, "bits")
            ]
        case kinds.Ptr() | kinds.Typedef() | kinds.Volatile() | kinds.Const() | kinds.Restrict():
            size_or_type = type_.type
        case kinds.Array():
            tail = [type_.type, type_.index_type, type_.nelems]
        case kinds.Struct() | kinds.Union():
            size_or_type, vlen = type_.size, len(type_.members)
            kflag = any(m.bitfield_size for m in type_.members)
            tail = _members(type_, string, kflag)
        case kinds.Enum():
            size_or_type, vlen, kflag = type_.size, len(type_.values), type_.signed
            for e in type_.values:
                tail += (string(e.name), _word(e.value, "value"))
        case kinds.Enum64():
            size_or_type, vlen, kflag = type_.size, len(type_.values), type_.signed
            for e in type_.values:
                if not -(1 << 63) <= e.value < 1 << 64:
                    raise BtfFormatError(f"value {e.value} does not fit 64 bits")
                tail += (string(e.name), e.value & _M32, e.value >> 32 & _M32)
        case kinds.Fwd():
            kflag = type_.is_union
        case kinds.Func():
            size_or_type, vlen = type_.type, type_.linkage
        case kinds.FuncProto():
            size_or_type, vlen = type_.type, len(type_.params)
            for p in type_.params:
                tail += (string(p.name), p.type)
        case kinds.Var():
            size_or_type, tail = type_.type, [type_.linkage]
        case kinds.Datasec():
            size_or_type, vlen = type_.size, len(type_.vars)
            for v in type_.vars:
                tail += (v.type, v.offset, v.size)
        case kinds.Float():
            size_or_type = type_.size
        case kinds.DeclTag():
            size_or_type, kflag = type_.type, type_.is_attr
            tail = [_word(type_.component_idx, "component_idx")]
        case kinds.TypeTag():
            size_or_type, kflag = type_.type, type_.is_attr
        case kinds.LocParam():
            size_or_type, vlen = type_.size, len(type_.values)
            tail = [type_.flags, *type_.values]
        case kinds.LocProto():
            vlen, tail = len(type_.params), list(type_.params)
        case kinds.Locsec():
            vlen = len(type_.entries)
            for entry in type_.entries:
                tail += (entry.func, entry.loc_proto, entry.offset)
        case kinds.Unknown():
            size_or_type, vlen, kflag = type_.size_or_type, type_.vlen, type_.kflag
            tail = list(type_.payload)
        case kinds.Void():
            raise BtfFormatError("void has no record")
    if vlen > MAX_VLEN:
        raise BtfFormatError(f"{Kind(type_.kind).name}: vlen {vlen} does not fit 24 bits")
    words = [name, make_info(_fits(type_.kind, 7, "kind"), vlen, kflag), size_or_type, *tail]
    for word in words:
        _fits(word, 32, "word")
    return words
