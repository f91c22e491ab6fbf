"""ISF JSON: BTF as the symbol tables that volatility3 reads.

Owns the translation of types into ISF's, and nothing of addresses: symbols are given.
A struct, union or enum without a name gets its typedef's, or one made of its id. Of
several types of one name the first keeps it and the others get ``___2`` and so on, as in a C dump.
A typedef's name leads to its struct as the tag does.

Facts: volatility3's schemas/schema-6.2.0.json and its linux symbol classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.encoder import enum_meaning, int_meaning
from btfdbg.btf.format import MAX_CHAIN, Kind, TypeId
from btfdbg.errors import BtfError, BtfNotFoundError

Json: TypeAlias = dict[str, Any]
_ENUMS = frozenset((Kind.ENUM, Kind.ENUM64))
_COMPOSITE: dict[int, str] = {Kind.STRUCT: "struct", Kind.UNION: "union"}
_TAGGED = frozenset(_COMPOSITE) | _ENUMS
_DESCRIBED = _TAGGED | {Kind.VAR, Kind.INT}
_VOID: Json = {"kind": "base", "name": "void"}


def spellings(name: str) -> tuple[str, ...]:
    """
    All ways in which C spells an integer type, the given one first.

    gcc calls a type ``long unsigned int`` that clang calls ``unsigned long``, and readers
    of symbol tables ask for either.

        >>> spellings("long long int")
        ('long long int', 'long long', 'signed long long', 'signed long long int')
    """
    words = name.split()
    if not words or not set(words) <= {"signed", "unsigned", "short", "long", "int"}:
        return (name,)
    size = " ".join(word for word in words if word in ("short", "long"))
    sign = "unsigned" if "unsigned" in words else ""
    rest = f"{size} int" if size else "int"
    forms = [size, rest] if not sign else [f"{size} unsigned int".strip()]
    for prefix in (sign or "signed",):
        forms += [f"{prefix} {size}" if size else prefix, f"{prefix} {rest}"]
    return tuple(dict.fromkeys((name, *(form for form in forms if form))))


class _Isf:
    def __init__(self, btf: Btf, damaged: set[int] | None) -> None:
        self.btf = btf
        self._damaged = damaged
        self.base: Json = {}
        self.users: Json = {}
        self.enums: Json = {}
        # Kinds by id, void's included: kind_of() one by one is a tenth of the time.
        self.kinds = bytes(1) + b"".join(part.own_kinds() for part in btf.chain())
        self._names: dict[int, str] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._described: dict[int, Json] = {}
        self.endian = btf.byteorder
        self._base("void", 0, False, "void")
        self._base("pointer", btf.pointer_size, False, "int")

    def _base(self, name: str, size: int, signed: bool, kind: str) -> None:
        self.base.setdefault(
            name, {"size": size, "signed": signed, "kind": kind, "endian": self.endian}
        )

    def name(self, type_id: int, space: str) -> str:
        known = self._names.get(type_id)
        if known is None:
            plain = self.own_name(type_id) or f"unnamed_{type_id:x}"
            count = self._counts[space, plain] = self._counts.get((space, plain), 0) + 1
            known = self._names[type_id] = plain if count == 1 else f"{plain}___{count}"
        return known

    def own_name(self, type_id: int) -> str:
        try:
            return self.btf.name_of(type_id)
        except BtfError as error:
            self.lose(type_id, error)
            return ""

    def decoded(self, type_id: int) -> kinds.Type | None:
        """A type; None if its record is damaged and that is to be borne."""
        try:
            return self.btf.type_by_id(type_id)
        except BtfError as error:
            self.lose(type_id, error)
            return None

    def lose(self, type_id: int, error: BtfError) -> None:
        """Note a damaged type, or raise what says so."""
        if self._damaged is None:
            raise error
        self._damaged.add(type_id)

    def name_by_typedefs(self) -> None:
        """
        Give types without a name that of their typedef, as readers look for it.

        volatility3 knows ``kernel_cap_t`` by that name, which has no tag since v6.3. A tag
        of the same name keeps it.
        """
        kinds_of = self.kinds
        found: dict[int, str] = {}
        tags: set[str] = set()
        for type_id, kind in enumerate(kinds_of):
            if kind == Kind.TYPEDEF:
                typedef = self.decoded(type_id)
                if typedef is None:
                    continue
                assert isinstance(typedef, kinds.Typedef)
                if kinds_of[typedef.type] in _TAGGED and not self.own_name(typedef.type):
                    found.setdefault(typedef.type, typedef.name)
            elif kind in _TAGGED:
                tags.add(self.own_name(type_id))
        for target, name in found.items():
            if name not in tags:
                space = "enum" if kinds_of[target] in _ENUMS else "user"
                count = self._counts[space, name] = self._counts.get((space, name), 0) + 1
                self._names[target] = name if count == 1 else f"{name}___{count}"

    def describe(self, type_id: int, depth: int = 0) -> Json:
        """
        Return ISF's description of a reference to a type.

        It is the same value each time: a kernel's members refer to a type ten times on average.
        """
        known = self._described.get(type_id)
        if known is None:
            if depth > MAX_CHAIN:
                raise BtfError(f"type {type_id}: references are nested too deeply")
            try:
                target = self.btf.skip_mods_and_typedefs(type_id)
            except BtfError as error:
                self.lose(type_id, error)
                target = TypeId(0)
            known = self._describe(target, depth)
            self._described[type_id] = self._described[target] = known
        return known

    def _describe(self, target: int, depth: int) -> Json:
        kind = self.kinds[target]
        # By the kind alone: what is in a record is looked at once, by composite() and enum().
        if kind in _COMPOSITE:
            return {"kind": _COMPOSITE[kind], "name": self.name(target, "user")}
        if kind in _ENUMS and self.decoded(target) is not None:
            return {"kind": "enum", "name": self.name(target, "enum")}
        if kind == Kind.FUNC_PROTO:
            return {"kind": "function"}
        type_ = self.decoded(target)
        if isinstance(type_, kinds.Int):
            # ISF has one sign for char; where BTF has none, it is the compiler's default.
            type_ = int_meaning(self.btf, type_, False)
        match type_:
            case kinds.Int():
                what = "bool" if type_.bool else "char" if type_.size == 1 else "int"
                for name in spellings(type_.name):
                    self._base(name, type_.size, type_.signed, what)
                return {"kind": "base", "name": type_.name}
            case kinds.Float():
                self._base(type_.name, type_.size, True, "float")
                return {"kind": "base", "name": type_.name}
            case kinds.Ptr():
                return {"kind": "pointer", "subtype": self.describe(type_.type, depth + 1)}
            case kinds.Array():
                inner = self.describe(type_.type, depth + 1)
                return {"kind": "array", "count": type_.nelems, "subtype": inner}
            case kinds.Fwd():
                # A tag that is only declared still has to be there for readers.
                tag = "union" if type_.is_union else "struct"
                if ("user", type_.name) not in self._counts:
                    self.users[type_.name] = {"size": 0, "fields": {}, "kind": tag}
                return {"kind": tag, "name": type_.name}
        return _VOID

    def composite(self, type_id: int, type_: kinds.Struct | kinds.Union) -> None:
        fields: Json = {}
        for number, member in enumerate(type_.members):
            inner = self.describe(member.type)
            offset = member.bit_offset // 8
            if member.bitfield_size:
                size = max(self._size(member.type), 1)
                offset = member.bit_offset // (8 * size) * size
                inner = {
                    "kind": "bitfield",
                    "bit_position": member.bit_offset - 8 * offset,
                    "bit_length": member.bitfield_size,
                    "type": inner,
                }
            described: Json = {"type": inner, "offset": offset}
            if not member.name:
                described["anonymous"] = True
            fields[member.name or f"unnamed_field_{number:x}"] = described
        kind = "struct" if type_.kind == Kind.STRUCT else "union"
        self.users[self.name(type_id, "user")] = {
            "size": type_.size,
            "fields": fields,
            "kind": kind,
        }

    def without_contents(self, type_id: int, kind: int) -> None:
        """A tag whose record is damaged: others name it, and readers want each name."""
        if kind in _COMPOSITE:
            name = self.name(type_id, "user")
            self.users[name] = {"size": 0, "fields": {}, "kind": _COMPOSITE[kind]}

    def name_typedef(self, type_id: int) -> None:
        """
        Have a typedef's name lead to its struct, union or enum too, if no tag has that name.

        volatility3 asks for ``Elf64_Ehdr``, whose tag is ``elf64_hdr``.
        """
        typedef = self.decoded(type_id)
        if isinstance(typedef, kinds.Typedef):
            described = self.describe(typedef.type)
            space = self.enums if described["kind"] == "enum" else self.users
            found = space.get(described.get("name", ""))
            if found is not None and described["kind"] != "base":
                space.setdefault(typedef.name, found)

    def _size(self, type_id: int) -> int:
        try:
            return self.btf.resolve_size(type_id)
        except BtfNotFoundError:
            return 0

    def enum(self, type_id: int, type_: kinds.Enum | kinds.Enum64) -> None:
        meaning = enum_meaning(self.btf, type_)
        signed = meaning.signed or any(value.value < 0 for value in meaning.values)
        base = f"enum_{'s' if signed else 'u'}{8 * type_.size}"
        self._base(base, type_.size, signed, "int")
        self.enums[self.name(type_id, "enum")] = {
            "size": type_.size,
            "base": base,
            "constants": {value.name: value.value for value in meaning.values},
        }


def to_isf(
    btf: Btf,
    symbols: Mapping[str, int] | None = None,
    variables: Mapping[str, int] | None = None,
    *,
    banner: bytes | None = None,
    producer: str = "btfdbg",
    version: str = "",
    symbol_kind: str = "symtab",
    symbol_name: str = "",
    damaged: set[int] | None = None,
) -> Json:
    """
    Return an ISF symbol table, ready for ``json.dump``.

    :param symbols: Name to address, as in the kernel's symbol table.
    :param variables: Name to type id, in addition to the BTF's own VARs.
    :param banner: The kernel's ``linux_banner``, by which volatility3 recognises a dump.
    :param symbol_kind: Where symbols are from, in the schema's words: ``symtab`` or
        ``system-map``. It has none for BTF: types say ``dwarf``, which BTF is made from.
    :param symbol_name: Name of the file that they are from.
    :param damaged: If given, types whose records break a rule are added to it by id and are void
        to what refers to them.
    :raises BtfFormatError: a record refers to what does not exist, and ``damaged`` is not given.
    """
    isf = _Isf(btf, damaged)
    types: dict[str, int] = {}
    # All names first, so that the first type of a name has it, whoever refers to another.
    isf.name_by_typedefs()
    for type_id, kind in enumerate(isf.kinds):
        if kind in _COMPOSITE:
            isf.name(type_id, "user")
        elif kind in _ENUMS:
            isf.name(type_id, "enum")
    for type_id, kind in enumerate(isf.kinds):
        if kind not in _DESCRIBED:
            continue
        type_ = isf.decoded(type_id)
        if type_ is None:
            isf.without_contents(type_id, kind)
        elif isinstance(type_, kinds.Struct | kinds.Union):
            isf.composite(type_id, type_)
        elif isinstance(type_, kinds.Enum | kinds.Enum64):
            isf.enum(type_id, type_)
        elif isinstance(type_, kinds.Var):
            types.setdefault(type_.name, type_.type)
        else:
            isf.describe(type_id)
    for type_id, kind in enumerate(isf.kinds):
        if kind == Kind.TYPEDEF:
            isf.name_typedef(type_id)
    types.update(variables or {})
    out: Json = {}
    for name, address in (symbols or {}).items():
        # A symbol without a type is void to readers, which look for a type in each.
        described = isf.describe(types[name]) if name in types else _VOID
        out[name] = {"type": described, "address": address}
    if banner is not None:
        from base64 import b64encode

        out.setdefault("linux_banner", {"type": _VOID, "address": 0})
        out["linux_banner"]["constant_data"] = b64encode(banner).decode("ascii")
    linux: Json = {"types": [{"kind": "dwarf", "name": "BTF of vmlinux"}]}
    if symbols:
        linux["symbols"] = [{"kind": symbol_kind, "name": symbol_name or "vmlinux"}]
    return {
        "metadata": {
            "producer": {"name": producer, "version": version},
            "format": "6.2.0",
            "linux": linux,
        },
        "base_types": isf.base,
        "user_types": isf.users,
        "enums": isf.enums,
        "symbols": out,
    }
