"""What the kernel's BTF leaves open about a type, for those who show types.

Owns the way from a ``drgn.Type`` back to the records of its name. What is open, and why,
is ``btf.encoder``'s to say.
"""

from __future__ import annotations

import drgn

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.encoder import enum_meaning, writes_char_signs
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.program.session import Session

_MAX_STEPS = 32


def doubts_of(session: Session, type_: drgn.Type) -> list[str]:
    """
    Return what is not known of a type, in words; of a typedef or array, of what it is of.

    >>> doubts_of(session, prog.type("enum hmm_pfn_flags"))
    ['the encoder cut the values of this 8-byte enum to 32 bits: none is believed']
    """
    if not session.has_btf:
        return []
    for _ in range(_MAX_STEPS):
        if type_.kind not in (drgn.TypeKind.TYPEDEF, drgn.TypeKind.ARRAY, drgn.TypeKind.POINTER):
            break
        type_ = type_.type
    btf = session.vmlinux
    if type_.kind == drgn.TypeKind.ENUM:
        return _of_enum(btf, type_)
    if type_.kind == drgn.TypeKind.INT and type_.name == "char" and writes_char_signs(btf) is False:
        sign = "signed" if type_.is_signed else "unsigned"
        return [f"the encoder wrote no sign of char: {sign}, as this architecture has it"]
    return []


def _of_enum(btf: Btf, type_: drgn.Type) -> list[str]:
    found: list[str] = []
    if type_.tag is None:
        enumerators = type_.enumerators or ()
        if enumerators:
            find_enumerators(btf, enumerators[0].name, found)
        return sorted(set(found))
    for type_id in btf.types_by_name(type_.tag, Kind.ENUM):
        enum = btf.type_by_id(type_id)
        assert isinstance(enum, kinds.Enum)
        meaning = enum_meaning(btf, enum)
        if meaning.doubt:
            found.append(meaning.doubt)
    return sorted(set(found))
