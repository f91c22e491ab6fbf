"""What a finding is: a broken rule, and the record that breaks it.

Owns the words in which a finding is said and what every check asks of a record. Below
the checks themselves, which all use it.
Facts: kernel/bpf/btf.c, ``btf_name_valid_identifier``.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from btfdbg.btf.btf import Btf
from btfdbg.btf.format import info_kind, kind_name

Level: TypeAlias = Literal["basic", "strict", "kernel"]


class Problem(NamedTuple):
    """
    One broken rule.

    :ivar rule: The rule, in the verifier's words: ``"Invalid name"``.
    :ivar detail: What was found.
    :ivar type_id: Whose record breaks it; ``None`` if it is no record's.
    :ivar offset: Byte in the blob at which that stands.
    """

    rule: str
    detail: str = ""
    type_id: int | None = None
    offset: int | None = None
    kind: int | None = None

    def __str__(self) -> str:
        where = "header" if self.type_id is None else f"type {self.type_id}"
        if self.kind is not None:
            where += f" ({kind_name(self.kind)})"
        if self.offset is not None:
            where += f" at {self.offset:#x}"
        return f"{where}: {self.rule}" + (f": {self.detail}" if self.detail else "")


# Since Linux kernel commit 9724160b3942 ("bpf/btf: Accept function names that contain
# dots") (in v6.6) a dot counts as a letter.
# To the kernel's lib/ctype.c a byte is a character of Latin-1, letters with accents are
# letters, and all from the non-breaking space on can be printed.
_LETTERS: Final = rb"A-Za-z_.\xc0-\xd6\xd8-\xf6\xf8-\xff"
_IDENTIFIER: Final = re.compile(b"[" + _LETTERS + b"][" + _LETTERS + b"0-9]{0,511}")


class Record(NamedTuple):
    """One type's words and where they are."""

    btf: Btf
    type_id: int
    pos: int
    words: list[int]

    @property
    def kind(self) -> int:
        return info_kind(self.words[1])

    def has_string(self, offset: int) -> bool:
        return offset < self.btf.end_str_off

    def name(self, offset: int) -> bytes:
        return self.btf.string_bytes(offset) if self.has_string(offset) else b""

    def is_identifier(self, offset: int) -> bool:
        return _IDENTIFIER.fullmatch(self.name(offset)) is not None


def problem_of(record: Record, rule: str, detail: str) -> Problem:
    """Return the problem of a rule that a record breaks."""
    offset = record.btf.type_section_offset + 4 * record.pos
    return Problem(rule, detail, record.type_id, offset, record.kind)
