"""Which words of records are names or type ids; many of them replaced at once.

Owns what is done to all words of a section by C loops. A record's info word alone says
what each of its words is, so the roles of millions of words are joined out of ready
pieces. Replacing names and ids by them costs 60 ns a word; ``records.replace`` takes 1 us
for each record and 50 ns a word, and is for who has a few.
"""

from __future__ import annotations

from array import array
from itertools import compress
from operator import getitem, itemgetter

from btfdbg.btf.layouts import LAYOUTS, TYPE_WORDS, info_kind, info_vlen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from btfdbg.btf.records import IdMap

# What a word of a record is: a plain number, a string offset, a type id.
_PLAIN, _NAME, _ID = range(3)
_IS_NAME = bytes(role == _NAME for role in range(256))
_IS_ID = bytes(role == _ID for role in range(256))

# ``_EVERY[word]`` is the word.
_EVERY = range(1 << 32)


class Roles(dict[int, bytes]):
    """
    Info word to the roles of its record's words, computed when first met.

    A ``KeyError`` means that nothing is known of the kind.
    """

    def __missing__(self, info: int) -> bytes:
        row = LAYOUTS[info_kind(info)]
        head = bytearray(TYPE_WORDS + row.info_words)
        head[0] = _NAME
        for at in row.type_words:
            head[at] = _ID
        elem = bytearray(row.elem_words)
        for at in row.elem_type_words:
            elem[at] = _ID
        for at in row.elem_str_words:
            elem[at] = _NAME
        out = self[info] = bytes(head + elem * info_vlen(info))
        return out

    def of(self, infos: Iterable[int]) -> bytes:
        """Return the roles of the words of some records, given their info words in order."""
        return b"".join(map(self.__getitem__, infos))


def gather(words: Sequence[int], places: Sequence[int]) -> Sequence[int]:
    """Return the words at some places."""
    if len(places) > 1:  # of one it would return no tuple
        found: tuple[int, ...] = itemgetter(*places)(words)
        return found
    return [words[at] for at in places]


def ids_among(roles: bytes) -> bytes:
    """Return a mask, 1 for each word that is a type id."""
    return roles.translate(_IS_ID)


def names_in(words: array[int] | memoryview, roles: bytes) -> Iterator[int]:
    """Return the string offsets in some records, in order."""
    return compress(words, roles.translate(_IS_NAME))


def replaced_words(
    words: array[int] | memoryview, roles: bytes, strings: IdMap | None, ids: IdMap | None
) -> array[int]:
    """
    Return records' words with names and ids replaced, in order of the words.

    :param words: Words of whole records.
    :param roles: Their roles, as many.
    :param strings: New string offset by old one; ``None`` leaves them.
    :param ids: New type id by old one; ``None`` leaves them.
    """
    tables = (
        _EVERY,
        _EVERY if strings is None else strings,
        _EVERY if ids is None else ids,
    )
    return array("I", map(getitem, map(tables.__getitem__, roles), words))
