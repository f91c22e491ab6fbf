"""``Builder``: BTF in the making, and its bytes.

Owns string interning and the rules that libbpf's ``btf__add_*`` enforce on each new
type. Records come from ``encode``, the blob is ``pack``'s; copying and remapping whole
BTFs goes through the layout rows.

    >>> builder = Builder()
    >>> int_ = builder.add_int("int", 4, IntEncoding.SIGNED)
    >>> list_ = builder.add_struct("list", 16)
    >>> builder.add_field("n", int_, 0)
    >>> data = builder.build()

Why ids are never checked to exist: they may be added later, as in C.
Facts: libbpf's btf.c; Documentation/bpf/btf.rst.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf, string_sections
from btfdbg.btf.encode import encode
from btfdbg.btf.format import (
    COMPOSITES,
    HEADER_LEN,
    HEADER_LEN_LAYOUT,
    MAX_VLEN,
    VERSION,
    Kind,
    Linkage,
    TypeId,
    info_kflag,
    info_kind,
    info_vlen,
    kind_name,
    make_info,
)
from btfdbg.btf.header import ByteOrder
from btfdbg.btf.pack import layout_bytes, layout_section, pack, require_known_header, swap_layout
from btfdbg.btf.string_table import StringTable
from btfdbg.errors import BtfFormatError


class Builder:
    """
    BTF in the making.

    :param base: Make split BTF on top of it.
    :param byteorder: That of the bytes; by default the base's, else little-endian.
    :param layout: Write a layout section (Linux 7.1 and newer read it).
    :param header_len: 24, or 32 as libbpf 1.8 writes even without a layout.
    :param strings: String section to start from, so that names keep their offsets.
    """

    def __init__(
        self,
        base: Btf | None = None,
        *,
        byteorder: ByteOrder | None = None,
        layout: bool = False,
        header_len: int = HEADER_LEN,
        strings: bytes = b"",
    ) -> None:
        if header_len not in (HEADER_LEN, HEADER_LEN_LAYOUT):
            raise BtfFormatError(f"header of {header_len} bytes, expected 24 or 32")
        self.base = base
        self.byteorder: ByteOrder = byteorder or (base.byteorder if base else "little")
        self.layout = layout
        self.header_len = header_len
        self.strings = StringTable(string_sections(base), strings)
        self._version = VERSION
        self._flags = 0
        # The layout section of what was taken over, which may know more kinds than we.
        self._layout: tuple[bytes, ByteOrder] | None = None
        self.start_id = 1 if base is None else base.type_cnt
        self._words: array[int] = array("I")
        self._offsets: list[int] = []

    @classmethod
    def like(cls, btf: Btf, *, types: bool = True) -> Builder:
        """
        Return a builder that goes on where a Btf ends.

        :param types: Whether its types are taken; its strings always are.
        :raises BtfFormatError: its header has fields that are not known here, which
            changes might make untrue.
        """
        require_known_header(btf)
        self = cls(
            btf.base,
            byteorder=btf.byteorder,
            layout=bool(btf.layout),
            header_len=HEADER_LEN_LAYOUT if btf.header.hdr_len >= HEADER_LEN_LAYOUT else HEADER_LEN,
            strings=btf.strings.data,
        )
        self._version, self._flags = btf.header.version, btf.header.flags
        if btf.layout:
            self._layout = layout_bytes(btf), btf.byteorder
        if types:
            self._words.frombytes(btf.words.tobytes())
            self._offsets = list(btf.offsets)
        return self

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def type_cnt(self) -> int:
        """One past the last id, void and base counted."""
        return self.start_id + len(self._offsets)

    # Records.

    def add_words(self, words: Iterable[int]) -> TypeId:
        """Append a record as it is, offsets and ids those of this BTF."""
        at = len(self._words)
        try:
            self._words.extend(words)
        except (OverflowError, TypeError) as error:
            del self._words[at:]
            raise BtfFormatError(f"record of words that are no u32: {error}") from None
        self._offsets.append(at)
        return TypeId(self.type_cnt - 1)

    def add(self, type_: kinds.Type) -> TypeId:
        """
        Append a type as it is.

        :raises BtfFormatError: a number does not fit its field.
        """
        return self.add_words(encode(type_, self.strings.add))

    def add_copy(self, source: Btf, type_id: int, ids: Mapping[int, int] | None = None) -> TypeId:
        """
        Append a copy of another BTF's type; names are re-interned.

        :param ids: New id for each old one; those not in it stay.
        """
        owner = source.owner_of(type_id)
        start = owner.offsets[type_id - owner.start_id]
        words = owner.record(type_id).tolist()
        for at in owner.str_ref_words(type_id):
            if words[at - start]:
                words[at - start] = self.strings.add(source.string_bytes(words[at - start]))
        if ids is not None:
            for at in owner.type_ref_words(type_id):
                old = words[at - start]
                words[at - start] = ids.get(old, old)
        return self.add_words(words)

    def add_btf(self, source: Btf) -> TypeId:
        """
        Append all own types of another BTF, renumbered.

        :param source: Without a base, or split on top of the very same base, whose
            ids and strings are then left alone.
        :return: Id of the first type appended.
        :raises BtfFormatError: it has another base.
        """
        if source.base is not None and source.base is not self.base:
            raise BtfFormatError("only BTF of the same base, or of none, can be added")
        first = self.type_cnt
        shift = first - source.start_id
        ids = {old: old + shift for old in source.own_ids()}
        for type_id in source.own_ids():
            self.add_copy(source, type_id, ids)
        return TypeId(first)

    # One adder per kind, with the rules of libbpf's.

    def _named(self, name: str, kind: Kind) -> str:
        if not name:
            raise BtfFormatError(f"{kind.name}: needs a name")
        return name

    def _id(self, type_id: int) -> TypeId:
        if not 0 <= type_id <= 0x7FFFFFFF:
            raise BtfFormatError(f"{type_id} is no type id")
        return TypeId(type_id)

    def add_int(
        self, name: str, size: int, encoding: int = 0, *, bits: int | None = None, offset: int = 0
    ) -> TypeId:
        """
        Append an INT.

        :param size: Bytes: 1, 2, 4, 8 or 16.
        :param encoding: 0 or one or more of :class:`format.IntEncoding`.
        """
        self._named(name, Kind.INT)
        if size not in (1, 2, 4, 8, 16):
            raise BtfFormatError(f"INT {name}: size {size}, expected 1, 2, 4, 8 or 16")
        if encoding & ~7:
            raise BtfFormatError(f"INT {name}: unknown encoding {encoding:#x}")
        return self.add(kinds.Int(name, size, 8 * size if bits is None else bits, offset, encoding))

    def add_float(self, name: str, size: int) -> TypeId:
        """Append a FLOAT of 2, 4, 8, 12 or 16 bytes."""
        self._named(name, Kind.FLOAT)
        if size not in (2, 4, 8, 12, 16):
            raise BtfFormatError(f"FLOAT {name}: size {size}, expected 2, 4, 8, 12 or 16")
        return self.add(kinds.Float(name, size))

    def add_ptr(self, type_id: int) -> TypeId:
        return self.add(kinds.Ptr(self._id(type_id)))

    def add_const(self, type_id: int) -> TypeId:
        return self.add(kinds.Const(self._id(type_id)))

    def add_volatile(self, type_id: int) -> TypeId:
        return self.add(kinds.Volatile(self._id(type_id)))

    def add_restrict(self, type_id: int) -> TypeId:
        return self.add(kinds.Restrict(self._id(type_id)))

    def add_typedef(self, name: str, type_id: int) -> TypeId:
        return self.add(kinds.Typedef(self._named(name, Kind.TYPEDEF), self._id(type_id)))

    def add_type_tag(self, value: str, type_id: int, *, is_attr: bool = False) -> TypeId:
        return self.add(
            kinds.TypeTag(self._named(value, Kind.TYPE_TAG), self._id(type_id), is_attr)
        )

    def add_decl_tag(
        self, value: str, type_id: int, component_idx: int = -1, *, is_attr: bool = False
    ) -> TypeId:
        """Append a DECL_TAG on a type, or on its member or parameter ``component_idx``."""
        self._named(value, Kind.DECL_TAG)
        if component_idx < -1:
            raise BtfFormatError(f"DECL_TAG {value}: component_idx {component_idx}")
        return self.add(kinds.DeclTag(value, self._id(type_id), component_idx, is_attr))

    def add_array(self, index_type: int, elem_type: int, nelems: int) -> TypeId:
        """Append an ARRAY; arguments in libbpf's order."""
        return self.add(kinds.Array(self._id(elem_type), self._id(index_type), nelems))

    def add_struct(self, name: str, size: int, members: Iterable[kinds.Member] = ()) -> TypeId:
        """Append a STRUCT of ``size`` bytes; more members by :meth:`add_field`."""
        return self.add(kinds.Struct(name, size, tuple(members)))

    def add_union(self, name: str, size: int, members: Iterable[kinds.Member] = ()) -> TypeId:
        return self.add(kinds.Union(name, size, tuple(members)))

    def add_field(self, name: str, type_id: int, bit_offset: int, bitfield_size: int = 0) -> None:
        """
        Append a member to the last type, a STRUCT or UNION.

        :param bit_offset: Bits from its start; a whole number of bytes unless the member
            is a bit-field; 0 in a union.
        """
        pos, info = self._last(*COMPOSITES, what="member")
        if info_kind(info) == Kind.UNION and bit_offset:
            raise BtfFormatError(f"member {name}: offset {bit_offset} in a union")
        if not 0 <= bitfield_size <= 255:
            raise BtfFormatError(f"member {name}: {bitfield_size} bits, expected at most 255")
        if not bitfield_size and bit_offset % 8:
            raise BtfFormatError(f"member {name}: offset {bit_offset} bits is inside a byte")
        if bitfield_size and info_vlen(info) and not info_kflag(info):
            offsets = self._words[pos + 5 :: 3]
            if max(offsets, default=0) > 0xFFFFFF:
                raise BtfFormatError(f"member {name}: bit-field in a struct over 2 MiB")
        kflag = info_kflag(info) or bool(bitfield_size)
        limit = 0xFFFFFF if kflag else 0xFFFFFFFF
        if not 0 <= bit_offset <= limit:
            raise BtfFormatError(f"member {name}: offset {bit_offset} bits, limit {limit}")
        self._append(
            (self.strings.add(name), self._id(type_id), bitfield_size << 24 | bit_offset), kflag
        )

    def add_enum(
        self,
        name: str,
        size: int = 4,
        values: Iterable[kinds.Enumerator] = (),
        *,
        signed: bool = False,
    ) -> TypeId:
        """Append an ENUM of 1, 2, 4 or 8 bytes; without values, a forward declaration."""
        self._enum_size(name, size)
        return self.add(kinds.Enum(name, size, signed, tuple(values)))

    def add_enum64(
        self,
        name: str,
        size: int = 8,
        values: Iterable[kinds.Enumerator] = (),
        *,
        signed: bool = False,
    ) -> TypeId:
        self._enum_size(name, size)
        return self.add(kinds.Enum64(name, size, signed, tuple(values)))

    def _enum_size(self, name: str, size: int) -> None:
        if size not in (1, 2, 4, 8):
            raise BtfFormatError(f"ENUM {name}: size {size}, expected 1, 2, 4 or 8")

    def add_enum_value(self, name: str, value: int) -> None:
        """Append a value to the last type, an ENUM or ENUM64; a negative one makes it signed."""
        _pos, info = self._last(Kind.ENUM, Kind.ENUM64, what="enumerator")
        self._named(name, Kind.ENUM)
        bits = 32 if info_kind(info) == Kind.ENUM else 64
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            raise BtfFormatError(f"enumerator {name}: {value} does not fit {bits} bits")
        words = [self.strings.add(name), value & 0xFFFFFFFF]
        if bits == 64:
            words.append(value >> 32 & 0xFFFFFFFF)
        self._append(words, info_kflag(info) or value < 0)

    def add_fwd(self, name: str, kind: Kind = Kind.STRUCT) -> TypeId:
        """Append a forward declaration; that of an ENUM is an ENUM without values."""
        self._named(name, Kind.FWD)
        if kind == Kind.ENUM:
            return self.add_enum(name, 4)
        if kind not in COMPOSITES:
            raise BtfFormatError(f"FWD {name}: of {kind_name(kind)}")
        return self.add(kinds.Fwd(name, kind == Kind.UNION))

    def add_func(self, name: str, linkage: int, proto_id: int) -> TypeId:
        """Append a FUNC; arguments in libbpf's order."""
        self._named(name, Kind.FUNC)
        return self.add(kinds.Func(name, self._id(proto_id), self._linkage(name, linkage)))

    def add_func_proto(self, ret_type_id: int, params: Iterable[kinds.Param] = ()) -> TypeId:
        return self.add(kinds.FuncProto(self._id(ret_type_id), tuple(params)))

    def add_func_param(self, name: str, type_id: int) -> None:
        """Append a parameter to the last type, a FUNC_PROTO; ``("", 0)`` last is ``...``."""
        self._last(Kind.FUNC_PROTO, what="parameter")
        self._append((self.strings.add(name), self._id(type_id)))

    def add_var(self, name: str, linkage: int, type_id: int) -> TypeId:
        """Append a VAR; arguments in libbpf's order."""
        self._named(name, Kind.VAR)
        return self.add(kinds.Var(name, self._id(type_id), self._linkage(name, linkage)))

    def _linkage(self, name: str, linkage: int) -> int:
        if linkage not in tuple(Linkage):
            raise BtfFormatError(f"{name}: linkage {linkage}, expected 0, 1 or 2")
        return int(linkage)

    def add_datasec(self, name: str, size: int, vars: Iterable[kinds.VarSecinfo] = ()) -> TypeId:
        self._named(name, Kind.DATASEC)
        return self.add(kinds.Datasec(name, size, tuple(vars)))

    def add_datasec_var_info(self, var_id: int, offset: int, size: int) -> None:
        """Append a VAR at ``offset`` bytes to the last type, a DATASEC."""
        self._last(Kind.DATASEC, what="variable")
        self._append((self._id(var_id), offset, size))

    def add_loc_param(self, size: int, flags: int, values: Iterable[int] = ()) -> TypeId:
        return self.add(kinds.LocParam(size, flags, tuple(values)))

    def add_loc_proto(self, params: Iterable[int] = ()) -> TypeId:
        return self.add(kinds.LocProto(tuple(self._id(p) for p in params)))

    def add_locsec(self, name: str, entries: Iterable[kinds.LocsecEntry] = ()) -> TypeId:
        return self.add(kinds.Locsec(self._named(name, Kind.LOCSEC), tuple(entries)))

    def _last(self, *allowed: int, what: str) -> tuple[int, int]:
        """Return place and info word of the last type, checked to take an element."""
        if not self._offsets:
            raise BtfFormatError(f"{what}: there is no type yet")
        pos = self._offsets[-1]
        info = self._words[pos + 1]
        if info_kind(info) not in allowed:
            raise BtfFormatError(
                f"{what}: last type is {kind_name(info_kind(info))}, "
                f"expected {' or '.join(kind_name(k) for k in sorted(allowed))}"
            )
        if info_vlen(info) == MAX_VLEN:
            raise BtfFormatError(f"{what}: the last type holds {MAX_VLEN} already")
        return pos, info

    def _append(self, words: Sequence[int], kflag: bool | None = None) -> None:
        """Append an element's words to the last type."""
        pos = self._offsets[-1]
        info = self._words[pos + 1]
        end = len(self._words)
        try:
            self._words.extend(words)
        except OverflowError:
            del self._words[end:]
            raise BtfFormatError(f"element {tuple(words)} of words that are no u32") from None
        self._words[pos + 1] = make_info(
            info_kind(info), info_vlen(info) + 1, info_kflag(info) if kflag is None else kflag
        )

    # Out.

    def build(self) -> bytes:
        """Return the BTF as bytes."""
        return pack(
            self._words,
            self.strings.data,
            byteorder=self.byteorder,
            header_len=self.header_len,
            layout=self._layout_section() if self.layout else b"",
            version=self._version,
            flags=self._flags,
        )

    def _layout_section(self) -> bytes:
        if self._layout is None:
            return layout_section(self.byteorder)
        section, byteorder = self._layout
        return section if byteorder == self.byteorder else swap_layout(section)

    def to_btf(self) -> Btf:
        """Return the BTF, parsed."""
        return Btf.parse(self.build(), self.base)
