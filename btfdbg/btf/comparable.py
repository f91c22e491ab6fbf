"""What of two BTFs can be compared at all, given who made them.

Owns what a comparison must leave out because only the encoders differ: signs and high
halves that one of them did not write, functions and variables that one of them left out,
forward declarations that are left beside a definition.

Facts: ``encoder``; pahole's btf_encoder.c, which wrote functions that ftrace can trace
until 1.21, all but those of several signatures from 1.25 on, and per-CPU variables from
1.17 on.
"""

from __future__ import annotations

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.encoder import FLOAT_NAMES, enum_meaning, writes_char_signs
from btfdbg.btf.format import IntEncoding
from btfdbg.btf.layouts import ENUM, ENUM64, FLOAT, FUNC, FWD, INT, STRUCT, UNION, VAR
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_CHARS = frozenset({"char", "signed char"})
_LOW = 0xFFFFFFFF


def key_kind(kind: int, name: str) -> int:
    """Return the kind that a type counts as: one for enums, one for floating types."""
    if kind == ENUM64:
        return ENUM
    return FLOAT if kind == INT and name in FLOAT_NAMES else kind


@dataclass(frozen=True, slots=True)
class Comparable:
    """
    :ivar char_signs: Whether the sign of char types was written by both encoders.
    :ivar enum_signs: Whether the sign of enums was.
    :ivar same_age: Whether both encoders are of one age: what one has and the other has
        not is then a difference of what they describe.
    """

    char_signs: bool
    enum_signs: bool
    same_age: bool

    @classmethod
    def of(cls, a: Btf, b: Btf) -> Comparable:
        """Judge two BTFs, by all of their types."""
        return cls(
            writes_char_signs(a) is not False and writes_char_signs(b) is not False,
            a.writes_enum_signs and b.writes_enum_signs,
            a.writes_enum_signs == b.writes_enum_signs,
        )

    def encoding(self, type_: kinds.Int) -> tuple[int, int, int]:
        """Return bits, offset and encoding of an INT, as far as both could have them."""
        encoding = type_.encoding
        if not self.char_signs and type_.name in _CHARS:
            encoding &= ~IntEncoding.SIGNED
        return type_.bits, type_.offset, encoding

    def enum_values(self, btf: Btf, type_: kinds.Enum | kinds.Enum64, cut: bool) -> dict[str, int]:
        """
        Return an enum's values as its source had them, or what of them both have.

        :param cut: Whether the values of one of the two were cut to 32 bits.
        """
        if cut:
            return {v.name: v.value & _LOW for v in type_.values}
        meaning = enum_meaning(btf, type_)
        return {v.name: v.value for v in meaning.values}

    def text(self, declared: str) -> str:
        """
        Return what of a declaration can be compared.

        An enum without a name stands in it with its values: of those that only one encoder
        wrote whole, the low 32 bits count.

        >>> Comparable(True, False, False).text("enum { A = -1, B = 4294967296LL, }")
        'enum { A = 4294967295, B = 0, }'
        """
        if self.enum_signs or "enum" not in declared:
            return declared
        import re

        whole = declared.replace(" __attribute__((mode(word)))", "")
        return re.sub(r"(?<= = )(-?\d+)[UL]*", lambda m: str(int(m[1]) & _LOW), whole)

    def is_doubtful(self, btf: Btf, type_: kinds.Enum | kinds.Enum64) -> bool:
        """Return whether only 32 bits of an enum's values, without sign, can be compared."""
        return bool(enum_meaning(btf, type_).doubt)

    def leaves_out(
        self, kind: int, name: str, present: Collection[tuple[int, str]], both_have: bool
    ) -> bool:
        """
        Return whether a type that only one side has is the encoders' doing.

        :param present: Kind and name of all types of both sides.
        :param both_have: Whether both sides have types of that kind.
        """
        if kind == FWD:
            return (STRUCT, name) in present or (UNION, name) in present
        if kind == FUNC:
            return not self.same_age
        return kind == VAR and not both_have
