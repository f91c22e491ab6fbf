"""Where a variable's room ends because UBSAN's records begin, which have no symbols.

Owns recognizing them. With CONFIG_UBSAN the compiler puts a record beside the variables for each
place in the source that may go wrong: the file's name, line and column, and pointers to
descriptions of types, which are records as well. kallsyms has none of them, so they seem to belong
to the variable before them: of 1,283 variables that no kernel's DWARF explains in Debian's 7.2,
104.

Facts: lib/ubsan.h: ``struct source_location`` (file_name, line, column, whose top bit says that it
was reported) is the first member of every record; ``struct type_descriptor`` (kind, info, name).
"""

from __future__ import annotations

from collections.abc import Callable

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.variables.symbols import Symbol

FILE = pattern(rb"[!-~]+\.[chS]\0")
"""A source file's name, as a record has it."""
MAX_LINE = 1 << 20
"""No source file has a line behind it."""
_WORD = 8
_HEAD = 4  # of a description, before the name
_MAX_COLUMN = 1 << 10
_REPORTED = 1 << 31
_MAX_NAME = 256
_MIN_NAME = 32
_KINDS = (0, 1, 0xFFFF)  # an integer, a float, neither
_TYPE = pattern(rb"'[\w *\[\]()<>:.]+'\0|<unknown>\0")


@dataclass(frozen=True, slots=True)
class Shortened:
    """A symbol that ends where unnamed records begin."""

    name: str
    address: int
    size: int
    type_letter: str


def without_records(
    symbol: Symbol, data: bytes, image: range, read: Callable[[int, int], bytes | None]
) -> Symbol:
    """
    A symbol without the records of UBSAN's behind it.

    :param data: What is in its room.
    :param image: Addresses of the kernel image.
    :param read: Memory, None if any byte of it cannot be read.
    """
    end = _first_type(data, symbol.address)
    first = -symbol.address % _WORD or _WORD
    for at in range(first, min(len(data) - 2 * _WORD + 1, end), _WORD):
        if _is_location(data, at, image, read):
            end = at
            break
    if end == len(data):
        return symbol
    return Shortened(symbol.name, symbol.address, end, symbol.type_letter)


def _first_type(data: bytes, address: int) -> int:
    """Where the first description of a type begins, at an even address; the end without one."""
    for match in _TYPE.finditer(data):
        at = match.start() - _HEAD
        kind = int.from_bytes(data[at : at + 2], "little")
        if at > 0 and not (address + at) % 2 and kind in _KINDS:
            return at
    return len(data)


def _is_location(
    data: bytes, at: int, image: range, read: Callable[[int, int], bytes | None]
) -> bool:
    word = int.from_bytes(data[at : at + _WORD], "little")
    if word not in image:
        return False
    line = int.from_bytes(data[at + 8 : at + 12], "little")
    column = int.from_bytes(data[at + 12 : at + 16], "little") & ~_REPORTED
    if not (0 < line < MAX_LINE and 0 < column < _MAX_COLUMN):
        return False
    name = read(word, _MAX_NAME) or read(word, _MIN_NAME) or b""
    return FILE.match(name) is not None
