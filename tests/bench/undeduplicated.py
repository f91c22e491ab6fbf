"""``python -m tests.bench.undeduplicated VMLINUX_BTF OUT [--times N] [--seed N]``.

Owns the making of BTF as it is before dedup, from a kernel's as it is after: the types
that a function or a struct needs are written again under new ids, as another compilation
unit would have brought them, and so on until the whole is so many times as big. What
a unit only points to it may only declare: some structs that are pointed to are written
as forward declarations, as long as their tag has one definition, so that dedup has to
find it. Dedup must give back just the types that there were.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from btfdbg.btf import Btf
from btfdbg.btf.dedup.graph import NEVER_MERGED, tag_of
from btfdbg.btf.format import COMPOSITES, Kind, info_kind
from btfdbg.btf.pack import pack
from btfdbg.btf.records import PLACES, refs, replace

# One in so many structs of a unit that are only pointed to is only declared.
_DECLARED = 8


class _Writer:
    """Writes units of a BTF's types."""

    def __init__(self, btf: Btf, rng: random.Random) -> None:
        self.words = btf.words.tolist()
        self._rng = rng
        self._records = {i: btf.record(i).tolist() for i in btf.own_ids()}
        self._next = btf.type_cnt
        self._defined: dict[object, int] = {}
        for type_id, words in self._records.items():
            key, forward = tag_of(words)
            if key is not None and not forward:
                # Several definitions, or one and no name to declare it by: 0.
                self._defined[key] = 0 if key in self._defined else type_id

    def _may_be_declared(self, type_id: int) -> bool:
        words = self._records[type_id]
        if info_kind(words[1]) not in COMPOSITES or not words[0]:
            return False
        return self._defined[tag_of(words)[0]] == type_id

    def unit(self, root: int, limit: int) -> None:
        """Write what a type needs; of a very large unit, no more than fits are defined."""
        ids = {0: 0}
        declared: set[int] = set()
        order: list[int] = []
        stack = [(root, False)]
        while stack:
            type_id, pointed_to = stack.pop()
            words = self._records[type_id] if type_id else [0, 0, 0]
            kind = info_kind(words[1])
            if type_id not in ids:
                if kind in NEVER_MERGED:
                    ids[type_id] = type_id
                    continue
                ids[type_id] = self._next
                self._next += 1
                order.append(type_id)
                declare = len(order) > limit or not self._rng.randrange(_DECLARED)
                if declare and pointed_to and self._may_be_declared(type_id):
                    declared.add(type_id)
                    continue
            elif pointed_to or type_id not in declared:
                continue
            declared.discard(type_id)  # what is embedded elsewhere has to be defined
            pointer = kind == Kind.PTR
            stack += [(target, pointer) for target in refs(words, PLACES[kind])]
        for type_id in order:
            words = self._records[type_id].copy()
            if type_id in declared:
                union = info_kind(words[1]) == Kind.UNION
                self.words += [words[0], int(Kind.FWD) << 24 | union << 31, 0]
            else:
                replace(words, None, ids)
                self.words += words


def undeduplicated(btf: Btf, times: float, seed: int = 0) -> bytes:
    """
    Return BTF with a kernel's types, and many of them again.

    :param btf: A whole kernel's, without duplicates.
    :param times: Types in all, in multiples of the kernel's.
    """
    rng = random.Random(seed)
    writer = _Writer(btf, rng)
    goal = times * len(btf.words)
    roots = [i for i in btf.own_ids() if btf.kind_of(i) in (*COMPOSITES, Kind.FUNC)]
    limit = len(btf.offsets) // 8
    while len(writer.words) < goal:
        writer.unit(rng.choice(roots), limit)
    return pack(writer.words, btf.strings.data, byteorder=btf.byteorder)


def main() -> int:
    """Write a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    btf = Btf.parse(args.vmlinux.read_bytes())
    args.out.write_bytes(undeduplicated(btf, args.times, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
