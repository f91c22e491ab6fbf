"""All records of a chain in one array, as the dedup of a whole graph works on them.

Owns the checking of records and the making of names comparable, of all of them at once;
:class:`Graph` does the same record by record, and says which of them is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, compress, repeat
from operator import add, sub

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup.graph import NEVER_MERGED, Graph
from btfdbg.btf.dedup.strings import Canonical, ChainStrings
from btfdbg.btf.layouts import FWD
from btfdbg.btf.roles import Roles, gather, ids_among, names_in, replaced_words
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Of one type in so many each is looked for; that takes less time than to mark all.
_RARE = 16


class Flat:
    """
    Records of a chain, names canonical, as one.

    :ivar data: All words, one level's after the other's, native u32.
    :ivar words: The same as numbers.
    :ivar offsets: For each type, the word at which its record starts, which is where that
        of the type before ends; one more than there are types. Void has no record.
    :ivar kinds: Kind of each; void's is 0.
    :ivar roles: Roles of the words.
    """

    def __init__(self, btf: Btf) -> None:
        """
        :raises BtfFormatError: a record names what does not exist, or is of a kind that
            is not known; or refers to a type that does not exist, unless that is seen by
            whoever looks these up, see :meth:`refuse`.
        """
        self.btf = btf
        self.count = btf.type_cnt
        # Made once: out of a range each kind would make them anew.
        self._ids = list(range(self.count))
        self.offsets: list[int] = [0]
        kinds = [b"\0"]
        parts: list[bytes] = []
        roles: list[bytes] = []
        known = Roles()
        strings: ChainStrings | None = None
        tails: dict[bytes, int] = {}
        words = 0
        for level in btf.chain():
            strings = ChainStrings(level, strings)
            part, mask = self._level(level, strings, Canonical(strings, tails), known)
            parts.append(part)
            roles.append(mask)
            kinds.append(level.own_kinds())
            self.offsets += map(add, level.offsets, repeat(words)) if words else level.offsets
            words += len(level.words)
        self.kinds = b"".join(kinds)
        self.roles = b"".join(roles)
        self.offsets.append(words)
        self.data = b"".join(parts)
        self.words = memoryview(self.data).cast("I")
        sections, roles_of = self.select(self.of_kinds(NEVER_MERGED))
        if max(compress(sections, ids_among(roles_of)), default=0) >= self.count:
            self.refuse()

    def _level(
        self, level: Btf, strings: ChainStrings, canonical: Canonical, known: Roles
    ) -> tuple[bytes, bytes]:
        """Return a level's words, as bytes, and their roles."""
        words = level.words
        try:
            roles = known.of(gather(words[1:], level.offsets))
            if level is not self.btf and (
                max(compress(words, ids_among(roles)), default=0) >= level.type_cnt
            ):
                self.refuse()
            forwards = [at for _, at in level.own_of_kind(FWD)]
            names = set(names_in(words, roles))
            first = strings.are_first(names) and max(names, default=0) < level.end_str_off
            if first and not any(gather(words[2:], forwards)):
                return words.tobytes(), roles
            replaced = replaced_words(words, roles, None if first else canonical, None)
        except (KeyError, BtfFormatError):
            self.refuse()
        for at in forwards:
            replaced[at + 2] = 0  # without meaning, and garbage where gcc 12 wrote it
        return replaced.tobytes(), roles

    def refuse(self) -> NoReturn:
        """
        Say which record is wrong, when one is.

        :raises BtfFormatError: always.
        """
        strings: ChainStrings | None = None
        for level in self.btf.chain():
            strings = ChainStrings(level, strings)
            Graph(level, Canonical(strings, {}), {})
        raise AssertionError("no record is wrong")

    def of_kinds(self, kinds: Iterable[int]) -> list[int]:
        """Return the ids of some kinds, ascending."""
        wanted = frozenset(kinds)
        mask = self.kinds.translate(bytes(kind in wanted for kind in range(256)))
        if mask.count(1) * _RARE > self.count:
            return list(compress(self._ids, mask))
        out = []
        at = mask.find(1)
        while at >= 0:
            out.append(at)
            at = mask.find(1, at + 1)
        return out

    def starts(self, ids: Iterable[int]) -> list[int]:
        """Return the words at which some records start."""
        return list(map(self.offsets.__getitem__, ids))

    def ends(self, ids: Iterable[int]) -> list[int]:
        """Return the words before which some records end."""
        return list(map(self.offsets.__getitem__, map(add, ids, repeat(1))))

    def column(self, starts: Sequence[int], at: int) -> Sequence[int]:
        """Return one word of some records, given where these start."""
        return gather(self.words[at:], starts)

    def record(self, type_id: int) -> list[int]:
        """Return the words of a type other than void."""
        return self.words[self.offsets[type_id] : self.offsets[type_id + 1]].tolist()

    def bodies(self, ids: Sequence[int], skip: int) -> list[bytes]:
        """Return some records as bytes, without so many words at their beginning."""
        data, skip = self.data, 4 * skip
        places = zip(self.starts(ids), self.ends(ids), strict=True)
        return [data[4 * at + skip : 4 * end] for at, end in places]

    def select(self, ids: Sequence[int]) -> tuple[memoryview, bytes]:
        """Return the words of some types' records, one after the other, and their roles."""
        data, roles = self.data, self.roles
        places = list(zip(self.starts(ids), self.ends(ids), strict=True))
        words = memoryview(b"".join([data[4 * at : 4 * end] for at, end in places])).cast("I")
        return words, b"".join([roles[at:end] for at, end in places])

    def referrers(self, ids: Sequence[int], seen_as: Sequence[int]) -> dict[int, list[int]]:
        """
        Return which of some types refer to what.

        :param ids: These types.
        :param seen_as: For each type, what a reference to it counts as.
        """
        words, roles = self.select(ids)
        is_id = ids_among(roles)
        ends = list(accumulate(map(sub, self.ends(ids), self.starts(ids)), initial=0))
        counts = map(is_id.count, repeat(1), ends, ends[1:])
        out: defaultdict[int, list[int]] = defaultdict(list)
        targets = map(seen_as.__getitem__, compress(words, is_id))
        sources = chain.from_iterable(map(repeat, ids, counts))
        for referrer, target in zip(sources, targets, strict=True):
            out[target].append(referrer)
        return out
