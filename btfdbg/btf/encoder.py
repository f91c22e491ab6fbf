"""What old encoders left out of a BTF, and what can be said of its types all the same.

Owns the judgement of signs and values that BTF made by pahole before 1.24 (kernels before
6.0) or clang before 15 does not have: no SIGNED on ``char`` and ``signed char``, no
kind_flag on ENUMs, no ENUM64, floating types as INTs. Looks at the BTF only, and never
guesses: what is not known is said to be so.

Evidence, in this order:

- a flag that is set was set by somebody who knew;
- an enumerator that does not fit its ENUM's size as an unsigned number is negative;
- one ENUM with kind_flag, or an ENUM64, shows that the encoder knew of signs;
- ``enum_signs.txt`` has enumerators, with their values, whose sign newer kernels' BTF tells.

Why small negatives alone are no evidence: 0xffffffff is -1 in 80 enums of Debian's kernels
and UINT_MAX in 13, and ``BLK_MQ_NO_TAG``, ``BLK_MQ_TAG_MAX`` are unsigned though they look
like -1 and -2.

Facts: pahole 1.24's change log; pahole's btf_encoder__add_enum_val (with
``--skip_encoding_btf_enum64``, which kernels before 6.0 pass, no sign is written by later
versions either); llvm commit dc1c43d726d5 ("[BPF] Add BTF_KIND_ENUM64 support") (in
clang 15).
"""

from __future__ import annotations

from functools import lru_cache

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.format import Kind
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOP_BIT = 1 << 31
#: Floating types, which are INTs in BTF from before FLOAT (pahole 1.21).
FLOAT_NAMES = frozenset({"float", "double", "long double"})

SIGN_UNKNOWN = "the encoder wrote no signs: whether {value:#x} is {signed} is not known"
VALUES_CUT = "the encoder cut the values of this 8-byte enum to 32 bits: none is believed"


@dataclass(frozen=True, slots=True)
class EnumMeaning:
    """
    An ENUM or ENUM64 as its source had it, as far as that is known.

    :ivar signed: Sign of its values; what the BTF says, where ``doubt`` is not empty.
    :ivar values: Its enumerators with their values; none if none can be believed.
    :ivar doubt: What is not known, in words; ``""`` if all is.
    """

    signed: bool
    values: tuple[kinds.Enumerator, ...]
    doubt: str = ""


def writes_char_signs(btf: Btf) -> bool | None:
    """
    Return whether SIGNED on ``char`` means anything: whether ``signed char`` has it.

    :return: ``None`` if there is no ``signed char`` to tell by.
    """
    for type_id in btf.types_by_name("signed char", Kind.INT):
        type_ = btf.type_by_id(type_id)
        assert isinstance(type_, kinds.Int)
        return type_.signed
    return None


def int_meaning(btf: Btf, type_: kinds.Int, char_is_signed: bool) -> kinds.Int | kinds.Float:
    """
    Return an INT as its source had it.

    :param char_is_signed: What plain ``char`` is for this compiler and architecture; used
        where the encoder wrote no sign.

    >>> int_meaning(btf, kinds.Int("signed char", 1, 8, 0, 0), False).signed
    True
    """
    if type_.name in FLOAT_NAMES:
        return kinds.Float(type_.name, type_.size)
    lost = type_.name == "signed char" or (
        type_.name == "char" and char_is_signed and writes_char_signs(btf) is False
    )
    if lost and not type_.signed:
        return kinds.Int(type_.name, type_.size, type_.bits, type_.offset, type_.encoding | 1)
    return type_


def enum_meaning(btf: Btf, type_: kinds.Enum | kinds.Enum64) -> EnumMeaning:
    """
    Return an enum as its source had it, or what is not known of it.

    :param btf: Where it is from; its encoder is judged by all types.
    """
    values = type_.values
    if isinstance(type_, kinds.Enum64) or not values:
        return EnumMeaning(type_.signed, values)
    if type_.size > 4:
        return EnumMeaning(type_.signed, (), VALUES_CUT)
    if type_.signed:
        return EnumMeaning(True, values)
    top = [value for value in values if value.value >= _TOP_BIT]
    if not top:
        return EnumMeaning(False, values)
    if type_.size < 4 or not btf.writes_enum_signs:
        signed = True if type_.size < 4 else _known_sign(top)
        if signed is None:
            doubt = SIGN_UNKNOWN.format(value=top[0].value, signed=top[0].value - (1 << 32))
            return EnumMeaning(False, values, doubt)
        if signed:
            return EnumMeaning(True, tuple([_as_signed(value) for value in values]))
    return EnumMeaning(False, values)


def _as_signed(value: kinds.Enumerator) -> kinds.Enumerator:
    return kinds.Enumerator(value.name, value.value - (value.value >> 31 << 32))


def _known_sign(values: list[kinds.Enumerator]) -> bool | None:
    """Return the sign that newer kernels give to these enumerators; ``None``: not known."""
    known = enum_signs()
    votes = {known[key] for v in values if (key := (v.name, v.value)) in known}
    return votes.pop() if len(votes) == 1 else None


@lru_cache(maxsize=1)
def enum_signs() -> Mapping[tuple[str, int], bool]:
    """Return, by enumerator and its low 32 bits, whether its enum is signed: the table."""
    from pathlib import Path

    out: dict[tuple[str, int], bool] = {}
    for line in Path(__file__).with_name("enum_signs.txt").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            sign, name, value = line.split()
            out[name, int(value, 16)] = sign == "-"
    return out


def doubtful_enums(btf: Btf) -> Iterator[tuple[int, EnumMeaning]]:
    """Yield the own ENUMs of which something is not known."""
    for type_id, kind in zip(btf.own_ids(), btf.own_kinds(), strict=True):
        if kind == Kind.ENUM:
            type_ = btf.type_by_id(type_id)
            assert isinstance(type_, kinds.Enum)
            meaning = enum_meaning(btf, type_)
            if meaning.doubt:
                yield type_id, meaning


def remarks(btf: Btf) -> list[str]:
    """
    Return what a reader must know of the encoder's omissions; empty for a recent one.

    One line each, for ``check``, ``diff`` and ``info``.
    """
    out = []
    if writes_char_signs(btf) is False:
        out.append(
            "the encoder (pahole before 1.24) wrote no sign of char types: "
            "'signed char' is signed, 'char' as the architecture has it"
        )
    doubts = [meaning.doubt for _, meaning in doubtful_enums(btf)]
    cut = doubts.count(VALUES_CUT)
    if cut:
        out.append(f"{cut} enums of 8 bytes have values cut to 32 bits, which are not believed")
    if len(doubts) > cut:
        out.append(
            f"the encoder wrote no signs of enums: of {len(doubts) - cut} it is not known "
            "whether their values are negative"
        )
    return out
