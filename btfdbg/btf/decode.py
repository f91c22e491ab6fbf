"""One record into one value: the words of a type into its class of ``kinds``.

Owns the meaning of each kind's words. Checks here what libbpf checks when it
loads: that names and ids the record refers to exist, and that a FUNC's type is a
FUNC_PROTO. It is done when a type is asked for, because checking all of a kernel
takes a hundred times as long as finding where its records are.

Facts: include/uapi/linux/btf.h; libbpf's btf_validate_type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from btfdbg.btf import kinds
from btfdbg.btf.fields import array_words, enum_values, int_fields, member_words, param_words
from btfdbg.btf.format import Kind, TypeId, info_kflag, info_kind, info_vlen, kind_name
from btfdbg.errors import BtfFormatError

if TYPE_CHECKING:
    from btfdbg.btf.btf import Btf

VOID = kinds.Void()


class _Record:
    """What every decoder needs of a record."""

    __slots__ = ("btf", "info", "pos", "type_id")

    def __init__(self, btf: Btf, type_id: int, pos: int, info: int) -> None:
        self.btf = btf
        self.type_id = type_id
        self.pos = pos
        self.info = info

    def name(self) -> str:
        return self.string(self.btf.words[self.pos])

    def string(self, offset: int) -> str:
        try:
            return self.btf.string(offset)
        except BtfFormatError:
            raise self.btf.record_error(
                self.type_id,
                f"string offset {offset:#x}, strings end at {self.btf.end_str_off:#x}",
            ) from None

    def size_or_type(self) -> int:
        return self.btf.words[self.pos + 2]

    def word(self) -> int:
        return self.btf.words[self.pos + 3]

    def elements(self) -> Sequence[int]:
        """Return the words after the third, to the record's end."""
        btf = self.btf
        end = btf.record_end(self.type_id)
        return btf.words[self.pos + 3 : end].tolist()

    def ref(self, target: int) -> TypeId:
        if target >= self.btf.type_cnt:
            raise self.btf.record_error(
                self.type_id,
                f"refers to type {target}, last type is {self.btf.type_cnt - 1}",
            )
        return TypeId(target)

    def refs(self, targets: Sequence[int]) -> None:
        if targets:
            self.ref(max(targets))


def _int(r: _Record) -> kinds.Int:
    bits, offset, encoding = int_fields(r.word())
    return kinds.Int(r.name(), r.size_or_type(), bits, offset, encoding)


def _array(r: _Record) -> kinds.Array:
    elem, index, nelems = array_words(r.btf.words, r.pos)
    return kinds.Array(r.ref(elem), r.ref(index), nelems)


def _members(r: _Record) -> tuple[kinds.Member, ...]:
    names, types, offsets, sizes = member_words(r.btf.words, r.pos)
    r.refs(types)
    string = r.string
    Member = kinds.Member
    return tuple(
        [
            Member(string(name), TypeId(type_), offset, size)
            for name, type_, offset, size in zip(
                names, types, offsets, sizes or repeat(0, len(names)), strict=True
            )
        ]
    )


def _struct(r: _Record) -> kinds.Struct:
    return kinds.Struct(r.name(), r.size_or_type(), _members(r))


def _union(r: _Record) -> kinds.Union:
    return kinds.Union(r.name(), r.size_or_type(), _members(r))


def _enum(r: _Record) -> kinds.Enum:
    words = r.elements()
    signed = info_kflag(r.info)
    values = enum_values(words[1::2], signed)
    return kinds.Enum(
        r.name(),
        r.size_or_type(),
        signed,
        tuple([kinds.Enumerator(r.string(n), v) for n, v in zip(words[::2], values, strict=True)]),
    )


def _enum64(r: _Record) -> kinds.Enum64:
    words = r.elements()
    signed = info_kflag(r.info)
    values = [lo | hi << 32 for lo, hi in zip(words[1::3], words[2::3], strict=True)]
    if signed:
        values = [v - (v >> 63 << 64) for v in values]
    return kinds.Enum64(
        r.name(),
        r.size_or_type(),
        signed,
        tuple([kinds.Enumerator(r.string(n), v) for n, v in zip(words[::3], values, strict=True)]),
    )


def _fwd(r: _Record) -> kinds.Fwd:
    return kinds.Fwd(r.name(), info_kflag(r.info))


def _typedef(r: _Record) -> kinds.Typedef:
    return kinds.Typedef(r.name(), r.ref(r.size_or_type()))


def _ptr(r: _Record) -> kinds.Ptr:
    return kinds.Ptr(r.ref(r.size_or_type()))


def _volatile(r: _Record) -> kinds.Volatile:
    return kinds.Volatile(r.ref(r.size_or_type()))


def _const(r: _Record) -> kinds.Const:
    return kinds.Const(r.ref(r.size_or_type()))


def _restrict(r: _Record) -> kinds.Restrict:
    return kinds.Restrict(r.ref(r.size_or_type()))


def _func(r: _Record) -> kinds.Func:
    proto = r.ref(r.size_or_type())
    if r.btf.kind_of(proto) != Kind.FUNC_PROTO:
        raise r.btf.record_error(
            r.type_id,
            f"type {proto} is {kind_name(r.btf.kind_of(proto))}, expected FUNC_PROTO",
        )
    return kinds.Func(r.name(), proto, info_vlen(r.info))


def _func_proto(r: _Record) -> kinds.FuncProto:
    names, types = param_words(r.btf.words, r.pos)
    r.refs(types)
    return kinds.FuncProto(
        r.ref(r.size_or_type()),
        tuple([kinds.Param(r.string(n), TypeId(t)) for n, t in zip(names, types, strict=True)]),
    )


def _var(r: _Record) -> kinds.Var:
    return kinds.Var(r.name(), r.ref(r.size_or_type()), r.word())


def _datasec(r: _Record) -> kinds.Datasec:
    words = r.elements()
    r.refs(words[::3])
    return kinds.Datasec(
        r.name(),
        r.size_or_type(),
        tuple(
            [
                kinds.VarSecinfo(TypeId(t), offset, size)
                for t, offset, size in zip(words[::3], words[1::3], words[2::3], strict=True)
            ]
        ),
    )


def _float(r: _Record) -> kinds.Float:
    return kinds.Float(r.name(), r.size_or_type())


def _decl_tag(r: _Record) -> kinds.DeclTag:
    index = r.word()
    return kinds.DeclTag(
        r.name(), r.ref(r.size_or_type()), index - (index >> 31 << 32), info_kflag(r.info)
    )


def _type_tag(r: _Record) -> kinds.TypeTag:
    return kinds.TypeTag(r.name(), r.ref(r.size_or_type()), info_kflag(r.info))


def _loc_param(r: _Record) -> kinds.LocParam:
    flags, *values = r.elements()
    return kinds.LocParam(r.size_or_type(), flags, tuple(values))


def _loc_proto(r: _Record) -> kinds.LocProto:
    params = r.elements()
    r.refs(params)
    return kinds.LocProto(tuple([TypeId(p) for p in params]))


def _locsec(r: _Record) -> kinds.Locsec:
    words = r.elements()
    r.refs(words[::3])
    r.refs(words[1::3])
    return kinds.Locsec(
        r.name(),
        tuple(
            [
                kinds.LocsecEntry(TypeId(func), TypeId(proto), offset)
                for func, proto, offset in zip(words[::3], words[1::3], words[2::3], strict=True)
            ]
        ),
    )


DECODERS: dict[int, Callable[[_Record], kinds.Type]] = {
    Kind.INT: _int,
    Kind.PTR: _ptr,
    Kind.ARRAY: _array,
    Kind.STRUCT: _struct,
    Kind.UNION: _union,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _typedef,
    Kind.VOLATILE: _volatile,
    Kind.CONST: _const,
    Kind.RESTRICT: _restrict,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.DATASEC: _datasec,
    Kind.FLOAT: _float,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _type_tag,
    Kind.ENUM64: _enum64,
    Kind.LOC_PARAM: _loc_param,
    Kind.LOC_PROTO: _loc_proto,
    Kind.LOCSEC: _locsec,
}


def decode(btf: Btf, type_id: int) -> kinds.Type:
    """
    Decode one of a Btf's own types.

    :raises BtfFormatError: the record refers to something that does not exist.
    """
    pos = btf.offsets[type_id - btf.start_id]
    info = btf.words[pos + 1]
    record = _Record(btf, type_id, pos, info)
    decoder = DECODERS.get(info_kind(info))
    if decoder is not None:
        return decoder(record)
    return kinds.Unknown(
        info_kind(info),
        record.name(),
        info_vlen(info),
        info_kflag(info),
        record.size_or_type(),
        tuple(record.elements()),
    )
