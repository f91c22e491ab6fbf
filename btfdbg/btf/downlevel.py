"""BTF for an older kernel: kinds it does not know, said in kinds it does.

Owns the replacement of kinds. No type is added between others and none removed, so
ids stay; a replacement keeps the size of what it stands for.

What stands for what is libbpf's choice: VAR and DECL_TAG become a one-byte INT,
DATASEC a STRUCT, FUNC a TYPEDEF, FUNC_PROTO an ENUM, FLOAT an empty STRUCT, TYPE_TAG a
CONST. An ENUM64 becomes an ENUM where its values fit, else a UNION named alike.
Facts: libbpf's bpf_object__sanitize_btf; first versions from the kernel's history.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.format import IntEncoding, Linkage, TypeId
from btfdbg.errors import BtfFormatError


@dataclass(frozen=True, slots=True)
class Features:
    """What a kernel accepts in a BTF that is loaded into it."""

    func: bool = True
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


class _Downlevel:
    def __init__(self, btf: Btf, features: Features) -> None:
        self.btf = btf
        self.features = features
        self.placeholder: TypeId | None = None

    def placeholder_id(self) -> TypeId:
        """Return the id of the INT that stands for an enumerator's type, past the last type."""
        self.placeholder = TypeId(self.btf.type_cnt)
        return self.placeholder

    def replace(self, type_: kinds.Type) -> kinds.Type:
        """Return what stands for a type: itself, if the kernel knows it."""
        has = self.features
        match type_:
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
                return kinds.Struct(type_.name, type_.size, ())
            case kinds.TypeTag() if not has.type_tag or (type_.is_attr and not has.attributes):
                return kinds.Const(type_.type)
            case kinds.Enum() if not has.enum64 and type_.signed:
                return kinds.Enum(type_.name, type_.size, False, type_.values)
            case kinds.Enum64() if not has.enum64:
                return self.small_enum(type_)
            case kinds.Unknown() if not has.layout:
                raise BtfFormatError(
                    f"kind {type_.kind} is not known here, nor to a kernel without layouts"
                )
        return type_

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
        int_ = self.placeholder_id()
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
        new = worker.replace(type_)
        if new is type_:
            out.add_words(btf.record(type_id).tolist())
        else:
            out.add(new)
    if worker.placeholder is not None:
        out.add_int("enum64_placeholder", 1, IntEncoding.NONE)
    return out.build()
