"""BTF for an older kernel: kinds it does not know, said in kinds it does.

Owns the replacement of kinds. No type is added between others and none removed, so
ids stay; a replacement keeps the size of what it stands for.

What stands for what is libbpf's choice: VAR and DECL_TAG become a one-byte INT,
DATASEC a STRUCT, FUNC a TYPEDEF, FUNC_PROTO an ENUM, FLOAT an empty STRUCT, TYPE_TAG a
CONST. An ENUM64 becomes an ENUM where its values fit, else a UNION named alike.
Flags are features as much as kinds: a bit-field's width goes from its member into an INT
of its own, past the last type; a declared union becomes a declared struct.
Facts: libbpf's bpf_object__sanitize_btf; first versions from the kernel's history.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.format import IntEncoding, Kind, Linkage, TypeId, info_kflag, info_vlen
from btfdbg.errors import BtfFormatError


@dataclass(frozen=True, slots=True)
class Features:
    """What a kernel accepts in a BTF that is loaded into it."""

    func: bool = True
    kind_flag: bool = True
    int128: bool = True
    small_enums: bool = True
    datasec: bool = True
    func_global: bool = True
    float: bool = True
    decl_tag: bool = True
    type_tag: bool = True
    enum64: bool = True
    datasec_any_name: bool = True
    attributes: bool = True
    layout: bool = True


# Feature and the first kernel that has it.
_SINCE: dict[str, tuple[int, int]] = {
    "func": (4, 20),
    # 9d5f9f701b18 ("bpf: btf: fix struct/union/fwd types with kind_flag") and b1e8818cabf4
    # ("bpf: btf: support 128 bit integer type").
    "kind_flag": (5, 0),
    "int128": (5, 0),
    # 9eea98497951 ("bpf: fix BTF verification of enums"): other sizes than an int's.
    "small_enums": (5, 4),
    "datasec": (5, 2),
    "func_global": (5, 6),
    "float": (5, 13),
    "decl_tag": (5, 16),
    "type_tag": (5, 17),
    "enum64": (6, 0),
    "datasec_any_name": (6, 9),
    "attributes": (6, 15),
    "layout": (7, 1),
}


def features_of(release: str) -> Features:
    """
    Return what a kernel accepts.

    :param release: ``"5.15"``, or a longer release that starts so.
    :raises BtfFormatError: it does not start with two numbers.
    """
    parts = release.split(".")
    try:
        version = (int(parts[0]), int("".join(c for c in parts[1] if c.isdigit())))
    except (IndexError, ValueError):
        raise BtfFormatError(f"{release!r} is no kernel release, expected e.g. 5.15") from None
    return Features(**{f.name: version >= _SINCE[f.name] for f in fields(Features)})


# What an enumerator of a UNION that stands for an ENUM64 is of.
_PLACEHOLDER = kinds.Int("enum64_placeholder", 1, 8, 0, IntEncoding.NONE)
# Kernels without layout sections have 16 bits for vlen.
_MAX_VLEN_16 = 0xFFFF


def _struct_name(name: str) -> str:
    """Return a name if a struct may have it: not that of ``long double``."""
    return name if name.isidentifier() else ""


class _Downlevel:
    def __init__(self, btf: Btf, features: Features) -> None:
        self.btf = btf
        self.features = features
        #: Types past the last one, by what they are.
        self.extra: dict[kinds.Type, TypeId] = {}

    def added(self, type_: kinds.Type) -> TypeId:
        """Return the id of a type past the last one."""
        return self.extra.setdefault(type_, TypeId(self.btf.type_cnt + len(self.extra)))

    def replace(self, type_: kinds.Type, kflag: bool) -> kinds.Type:
        """
        Return what stands for a type: itself, if the kernel knows it.

        :param kflag: Whether its record has kind_flag.
        """
        has = self.features
        match type_:
            case kinds.Struct() if kflag and not has.kind_flag:
                return kinds.Struct(type_.name, type_.size, self.without_kflag(type_.members))
            case kinds.Union() if kflag and not has.kind_flag:
                return kinds.Union(type_.name, type_.size, self.without_kflag(type_.members))
            case kinds.Fwd() if kflag and not has.kind_flag:
                return kinds.Fwd(type_.name, False)
            case kinds.Int() if type_.size > 8 and not has.int128:
                return kinds.Struct(_struct_name(type_.name), type_.size, ())
            case kinds.Var() if not has.datasec:
                return kinds.Int(type_.name, 1, 8, 0, 0)
            case kinds.DeclTag() if not has.decl_tag or (type_.is_attr and not has.attributes):
                return kinds.Int(type_.name, 1, 8, 0, 0)
            case kinds.Datasec() if not has.datasec:
                return self.struct_of(type_)
            case kinds.Datasec() if not has.datasec_any_name and "?" in type_.name:
                return kinds.Datasec(type_.name.replace("?", "_"), type_.size, type_.vars)
            case kinds.FuncProto() if not has.func:
                return self.enum_of(type_)
            case kinds.Func() if not has.func:
                return kinds.Typedef(type_.name, type_.type)
            case kinds.Func() if not has.func_global and type_.linkage:
                return kinds.Func(type_.name, type_.type, 0)
            # No kernel has externs; the loader resolves them, as libbpf does.
            case kinds.Func(linkage=Linkage.EXTERN):
                return kinds.Func(type_.name, type_.type, Linkage.GLOBAL)
            case kinds.Var(linkage=Linkage.EXTERN):
                return kinds.Var(type_.name, type_.type, Linkage.GLOBAL)
            case kinds.Float() if not has.float:
                return kinds.Struct(_struct_name(type_.name), type_.size, ())
            case kinds.TypeTag() if not has.type_tag or (type_.is_attr and not has.attributes):
                return kinds.Const(type_.type)
            case kinds.Enum() if not has.small_enums and type_.size != 4:
                return self.int_of(type_)
            case kinds.Enum() if not has.enum64 and type_.signed:
                return kinds.Enum(type_.name, type_.size, False, type_.values)
            case kinds.Enum64() if not has.small_enums and type_.size != 4:
                return self.int_of(type_)
            case kinds.Enum64() if not has.enum64:
                return self.small_enum(type_)
            case kinds.Unknown() if not has.layout:
                raise BtfFormatError(
                    f"kind {type_.kind} is not known here, nor to a kernel without layouts"
                )
        return type_

    def without_kflag(self, members: tuple[kinds.Member, ...]) -> tuple[kinds.Member, ...]:
        """Return members whose bit-fields' widths stand in INTs of their own, as before v5.0."""
        return tuple(
            kinds.Member(m.name, self.narrow(m), m.bit_offset) if m.bitfield_size else m
            for m in members
        )

    def narrow(self, member: kinds.Member) -> TypeId:
        """Return an INT as wide as a bit-field, past the last type."""
        type_ = self.btf.type_by_id(self.btf.skip_mods_and_typedefs(member.type))
        bits = member.bitfield_size
        if isinstance(type_, kinds.Int):
            return self.added(kinds.Int(type_.name, type_.size, bits, 0, type_.encoding))
        if isinstance(type_, kinds.Enum | kinds.Enum64):
            encoding = IntEncoding.SIGNED if type_.signed else IntEncoding.NONE
            return self.added(kinds.Int("", type_.size, bits, 0, encoding))
        raise BtfFormatError(f"bit-field {member.name} is of a type that has no bits")

    def int_of(self, enum: kinds.Enum | kinds.Enum64) -> kinds.Int:
        encoding = IntEncoding.SIGNED if enum.signed else IntEncoding.NONE
        return kinds.Int(enum.name, enum.size, 8 * enum.size, 0, encoding)

    def struct_of(self, section: kinds.Datasec) -> kinds.Struct:
        # Neither dots nor question marks are allowed in a struct's name.
        name = section.name.replace(".", "_").replace("?", "_")
        return kinds.Struct(
            name,
            section.size,
            tuple(
                kinds.Member(self.btf.name_of(v.type), v.type, 8 * v.offset) for v in section.vars
            ),
        )

    def enum_of(self, proto: kinds.FuncProto) -> kinds.Enum:
        # The verifier wants enumerators to have names; parameters may have none.
        return kinds.Enum(
            "",
            4,
            False,
            tuple(
                kinds.Enumerator(p.name or f"arg{i}", int(p.type))
                for i, p in enumerate(proto.params)
            ),
        )

    def small_enum(self, enum: kinds.Enum64) -> kinds.Enum | kinds.Union:
        values = [v.value for v in enum.values]
        if all(-(1 << 31) <= v < 1 << 32 for v in values) and (
            enum.size <= 4 or all(0 <= v < 1 << 31 for v in values)
        ):
            return kinds.Enum(enum.name, enum.size, False, enum.values)
        int_ = self.added(_PLACEHOLDER)
        return kinds.Union(
            enum.name, enum.size, tuple(kinds.Member(v.name, int_, 0) for v in enum.values)
        )


def downlevel(btf: Btf, features: Features) -> bytes:
    """
    Return a BTF that a kernel of certain features accepts.

    A layout section is left out if the kernel does not read it. Ids stay.

    :raises BtfFormatError: a type refers to what does not exist, or is of a kind that
        only a layout section explains.
    """
    worker = _Downlevel(btf, features)
    out = Builder.like(btf, types=False)
    out.layout = out.layout and features.layout
    for type_id in btf.own_ids():
        type_ = btf.type_by_id(type_id)
        info = btf.info_of(type_id)
        if info_vlen(info) > _MAX_VLEN_16 and not features.layout and type_.kind != Kind.FUNC:
            raise BtfFormatError(
                f"type {type_id}: {info_vlen(info)} elements, this kernel counts to {_MAX_VLEN_16}",
                type_id=type_id,
            )
        new = worker.replace(type_, info_kflag(info))
        if new is type_:
            out.add_words(btf.record(type_id).tolist())
        else:
            out.add(new)
    for type_ in worker.extra:
        out.add(type_)
    return out.build()
