"""``dedup()``: merge types that are the same, and drop strings that nobody uses.

Owns what dedup promises and the new blob; which types are the same is decided by
``dedup_whole`` (one graph) and ``dedup_split`` (a few types on top of a large base).

Two types are the same if no walk from them can tell them apart: kinds, names, sizes,
offsets and values agree all the way along equal paths (the coarsest bisimulation).
So the many-to-many matches that defeat libbpf's pairwise walk (an anonymous struct
that equals a typedef's; a recursion that is unrolled once) are nothing special, and
types whose C declarations differ are never merged. What is not equality:

- A forward declaration becomes the definition if the tag has only one. It stays if
  there are several, whatever their order. That of an enum then becomes the base's
  first or the least by content (libbpf: the first met).
- A base is frozen. Where it only declares a tag that is defined here, its own types go
  on referring to the declaration, and a struct that refers to the definition is kept
  here; one that refers to that struct refers to its tag and may still be the base's.
  What only the base's would refer to is the base's, too.
- VAR, DATASEC and LOCSEC are kept, each as it is.

The result is the same for any order of the input but for the order itself: types stay
in the order of the first of each class, strings in that of first use. A second run
changes nothing.
"""

from __future__ import annotations

from itertools import accumulate, compress, repeat
from operator import eq, sub

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup import split as dedup_split
from btfdbg.btf.dedup.split import PreparedBase
from btfdbg.btf.records import packed_like
from btfdbg.btf.roles import names_in, replaced_words
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from btfdbg.btf.dedup.flat import Flat
    from btfdbg.btf.dedup.graph import Graph

__all__ = ["Deduped", "PreparedBase", "dedup", "dedup_with_map"]


@dataclass(frozen=True, slots=True)
class Deduped:
    """
    Result of :func:`dedup_with_map`.

    :ivar btf: The smaller BTF.
    :ivar ids: For every id of the source, the base's included, its id now.
    """

    btf: Btf
    ids: list[int]


def dedup(btf: Btf) -> Btf:
    """
    Return BTF without duplicate types and unused strings.

    :param btf: BTF, split or not. Only its own types are merged, with each other and
        into its base; the base itself stays as it is.
    :raises BtfFormatError: a record refers to what does not exist, or is of a kind
        that is not known.
    """
    return dedup_with_map(btf).btf


def dedup_with_map(btf: Btf, prepared: PreparedBase | None = None) -> Deduped:
    """
    Like :func:`dedup`, and say what became of each id.

    :param prepared: The base, indexed; worth it from the second split on.
    """
    if prepared is not None and prepared.base is not btf.base:
        raise BtfError("cannot dedup: another base was prepared")
    graph: Graph | Flat
    if btf.base is None:
        from btfdbg.btf.dedup import whole as dedup_whole

        graph, kept = dedup_whole.representatives(btf)
    else:
        graph, kept = dedup_split.representatives(btf, prepared or btf.base)
    start = btf.start_id
    stays = list(map(eq, kept, btf.own_ids()))
    ids = list(range(start))
    ids += accumulate(stays, initial=start)
    ids.pop()
    ids[start:] = map(ids.__getitem__, kept)
    words, roles = graph.select(list(compress(btf.own_ids(), stays)))
    offsets, strings = _strings(btf, names_in(words, roles))
    words = replaced_words(words, roles, offsets, ids)
    return Deduped(Btf.parse(packed_like(btf, words, strings), btf.base), ids)


def _strings(btf: Btf, used: Iterable[int]) -> tuple[dict[int, int], bytes]:
    """
    Return new offsets by canonical ones, and the section that they mean.

    :param used: Canonical offsets; own strings are kept in order of their first use.
    """
    start, known = btf.start_str_off, btf.strings.data
    offsets = dict.fromkeys(used)
    own = [offset for offset in offsets if offset >= start and offset]
    find = known.find
    strings = [known[at : find(0, at) + 1] for at in map(sub, own, repeat(start))]
    if btf.base is None:
        own.insert(0, 0)
        strings.insert(0, b"\0")
    new = {offset: offset for offset in offsets if offset < start} if start else {}
    new[0] = 0
    ends = accumulate(map(len, strings), initial=start)
    new.update(zip(own, ends, strict=False))  # the last one is the whole's
    return new, b"".join(strings)
