"""Where a variable's type came from, and what a lookup returns.

Owns the order of trust. Knows nothing of how types are found.
"""

from __future__ import annotations

import enum

import drgn

from btfdbg.lazy_dataclass import dataclass


class Source(enum.IntEnum):
    """
    Which evidence gave a type; a larger value is to be trusted more.

    The order is the order of measured error rates: what this kernel says of itself,
    what its own DWARF said, what another kernel's DWARF said, what a pattern suggests.
    """

    RULE = 1
    CODE = 2
    DATABASE_OTHER = 3
    DATABASE_SAME = 4
    EXTRA_BTF = 5
    KERNEL_BTF = 6

    def __str__(self) -> str:
        return _WORDS[self]

    @classmethod
    def of(cls, word: str) -> Source:
        """
        Return the source that a word on the command line means.

        :raises ValueError: it means none.
        """
        try:
            return cls[word.strip().upper().replace("-", "_")]
        except KeyError:
            names = ", ".join(s.name.lower().replace("_", "-") for s in reversed(cls))
            raise ValueError(f"no source {word!r}; there are {names}") from None


_WORDS = {
    Source.KERNEL_BTF: "kernel BTF",
    Source.EXTRA_BTF: "extra BTF",
    Source.DATABASE_SAME: "database, this release",
    Source.DATABASE_OTHER: "database, another release, size checked",
    Source.CODE: "code and contents of this dump, size checked",
    Source.RULE: "naming rule, size checked",
}


class Rejection(enum.Enum):
    """Why a variable has no type; the value is what a table calls it."""

    UNKNOWN = "unknown name"
    MISSING = "type not in this BTF"
    LENGTH = "array length"
    SIZE = "size contradicts extent"
    GAP = "more room than the type needs"
    CONTENTS = "contents contradict"
    AMBIGUOUS = "several types hold"
    DOUBT = "family in doubt"
    CODE = "code accesses it otherwise"
    SHRUNK = "may be one of two values"


@dataclass(frozen=True, slots=True)
class TypedVariable:
    """
    A global variable of the dump with its type.

    :ivar address: of the symbol; an offset for per-CPU variables, as drgn has it.
    :ivar note: what a user should know, e.g. the release the type was taken from, or
        that the variable's memory was freed after boot.
    :ivar caution: why what memory holds may not be the value in the source, or "".
    """

    name: str
    type: drgn.Type
    address: int
    source: Source
    note: str = ""
    caution: str = ""

    @property
    def known_from(self) -> str:
        """The source in words; of code what it does: ``code: 4 calls of mutex_lock``."""
        return self.note if self.source is Source.CODE else str(self.source)
