"""Which of all names may be a name: by the tokens at both of its ends, expanding none.

Owns the columns of first, second and last token bytes, and the search in them. Only for
kernels without an index by name (before 6.2), and for indexes that are damaged: a search takes
0.5 ms among 110,000 names, and a dozen of them are left for the caller to expand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_ALL = range(256)


class Ends:
    """
    The tokens at the ends of all names.

    A name's first token is the type letter, with or without the start of the name; if
    without, that is the second one. Its last token ends the name.

    :param first: That token byte of every name.
    :param second: The one after it, anything if there is none.
    :param last: The last one, which is the first one where there is one only.
    :param tokens: 256 strings.
    """

    def __init__(self, first: bytes, second: bytes, last: bytes, tokens: Sequence[bytes]) -> None:
        self._first = first
        self._second = second
        self._last = last
        self._tokens = tokens
        # By the text that they begin or end a name with.
        self._texts: dict[bytes, list[int]] = {}
        self._behind_letter: dict[bytes, list[int]] = {}
        for number, token in enumerate(tokens):
            self._texts.setdefault(token, []).append(number)
            if len(token) > 1:
                self._behind_letter.setdefault(token[1:], []).append(number)
        self._letters = _marked(first, [n for n in _ALL if len(tokens[n]) == 1])

    def candidates(self, name: bytes) -> Iterator[int]:
        """
        Indexes of names that may be this one, ascending; none that is it is left out.

        :param name: Without its type letter; not empty.
        """
        starts = [name[:size] for size in range(1, len(name) + 1)]
        ends = [name[-size:] for size in range(1, len(name) + 1)]
        first = _numbers(self._behind_letter, starts)
        starting = _marked(self._first, first)
        starting |= self._letters & _marked(self._second, _numbers(self._texts, starts))
        ending = _marked(
            self._last, [*_numbers(self._texts, ends), *self._behind_letter.get(name, ())]
        )
        # What may come second behind each first one that the name begins in.
        follow = {number: self._following(name, number) for number in first}
        marks = (starting & ending).to_bytes(len(self._first), "big")
        index = marks.find(1)
        while index >= 0:
            following = follow.get(self._first[index])
            if following is None or self._second[index] in following:
                yield index
            index = marks.find(1, index + 1)

    def _following(self, name: bytes, number: int) -> frozenset[int] | None:
        rest = name[len(self._tokens[number]) - 1 :]
        if not rest:
            return None  # nothing of the name's need follow
        starts = [rest[:size] for size in range(len(rest) + 1)]
        return frozenset(_numbers(self._texts, starts))


def _numbers(tokens: dict[bytes, list[int]], texts: Sequence[bytes]) -> list[int]:
    return [number for text in texts for number in tokens.get(text, ())]


def _marked(column: bytes, numbers: Sequence[int]) -> int:
    """A byte for each name, 1 where its token is one of those."""
    marks = bytearray(256)
    for number in numbers:
        marks[number] = 1
    return int.from_bytes(column.translate(marks), "big")
