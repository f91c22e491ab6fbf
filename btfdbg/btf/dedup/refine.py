"""Partition refinement: which nodes of a graph are the same for all that can be seen.

Owns the algorithm and knows no BTF: nodes are numbers, with a label and an ordered
list of successors. The result is the coarsest partition in which nodes of a class
have one label and, place by place, successors of one class (the coarsest
bisimulation). It is unique, so neither the order of nodes nor that of the work
matters, and cycles are nothing special.

Why not compare pairs of graphs, as libbpf does: a pairwise walk has to assume that
one node stands for exactly one other, which is false as soon as two equal types
have already been merged on one side only.

How: when a block splits, its largest part keeps the block's number, so only the
referrers of the smaller parts have to be looked at again; a node changes its number
at most log2(n) times (the "smaller half" of Hopcroft, and of Paige and Tarjan).

A *tag* is C's ``struct foo``: a name that all of one kind's definitions share. While
the definitions of a tag are in one class, whoever refers to any of them, or to a
forward declaration of it, refers to the tag, and that is all that is compared. Only
when they turn out to differ do they count one by one, and forward declarations of the
tag for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from btfdbg.lazy_dataclass import dataclass


@dataclass(slots=True)
class Tag:
    """
    A tag and its nodes.

    :ivar definitions: Nodes that define it.
    :ivar forwards: Nodes that declare it and mean its definition, if it is one.
    :ivar stand_in: Definition, without successors, that the forwards mean even when there
        are several; -1 if they then mean none.
    """

    definitions: list[int]
    forwards: list[int]
    stand_in: int = -1


class _Refinement:
    """State of one run. Blocks and views are numbered by one counter."""

    def __init__(
        self, labels: Sequence[int], successors: Sequence[Sequence[int]], tags: Sequence[Tag]
    ) -> None:
        count = len(labels)
        self.successors = successors
        self.tags = tags
        self.members: dict[int, set[int]] = {}
        self.block: list[int] = [0] * count
        numbers: dict[int, int] = {}
        for node, label in enumerate(labels):
            block = numbers.get(label)
            if block is None:
                block = numbers[label] = len(numbers)
                self.members[block] = set()
            self.block[node] = block
            self.members[block].add(node)
        self.next = len(numbers)
        #: What referrers see of a node.
        self.view = list(self.block)
        #: Node to its tag while that is one class, else -1.
        self.one: list[int] = [-1] * count
        self.predecessors: list[list[int]] = [[] for _ in range(count)]
        for node, targets in enumerate(successors):
            for target in targets:
                self.predecessors[target].append(node)
        for number, tag in enumerate(tags):
            self._take_tag(number, tag)
        # A node that is alone in its block has nothing to differ from.
        self.dirty: dict[int, set[int]] = {
            b: set(nodes) for b, nodes in self.members.items() if len(nodes) > 1
        }

    def _number(self) -> int:
        self.next += 1
        return self.next - 1

    def _take_tag(self, number: int, tag: Tag) -> None:
        if len({self.block[node] for node in tag.definitions}) > 1:
            self._open(tag)
            return
        view = self._number()
        for node in (*tag.definitions, *tag.forwards):
            self.view[node] = view
        for node in tag.definitions:
            self.one[node] = number

    def _open(self, tag: Tag) -> None:
        """Let referrers see a tag's nodes one by one."""
        for node in tag.definitions:
            self.view[node] = self.block[node]
            self.one[node] = -1
        for node in tag.forwards:
            self.view[node] = self.block[node if tag.stand_in < 0 else tag.stand_in]

    def run(self) -> None:
        dirty = self.dirty
        while dirty:
            block, nodes = dirty.popitem()
            self._split(block, nodes)

    def _split(self, block: int, nodes: set[int]) -> None:
        """Split a block, of which only ``nodes`` may differ from what they were."""
        view = self.view
        successors = self.successors
        groups: dict[tuple[int, ...], list[int]] = {}
        members = self.members[block]
        if len(members) == 1:
            return
        for node in nodes:
            groups.setdefault(tuple([view[s] for s in successors[node]]), []).append(node)
        rest = len(members) - len(nodes)
        if not rest and len(groups) == 1:
            return
        parts: list[Iterable[int]] = list(groups.values())
        largest = max(groups.values(), key=len)
        if rest < len(largest):
            parts.remove(largest)
            if rest:
                parts.append(members - nodes)
        moved: list[int] = []
        for part in parts:
            number = self._number()
            new = self.members[number] = set(part)
            members -= new
            for node in new:
                self.block[node] = number
            moved += new
        self._announce(moved)

    def _announce(self, moved: list[int]) -> None:
        """Have the referrers of nodes that changed their block looked at again."""
        tag = self.one[moved[0]]
        if tag >= 0:
            # All nodes of the block define this tag: it is no longer one class.
            self._open(self.tags[tag])
            moved = [*self.tags[tag].definitions, *self.tags[tag].forwards]
        else:
            for node in moved:
                self.view[node] = self.block[node]
        dirty, block, members = self.dirty, self.block, self.members
        for node in moved:
            for referrer in self.predecessors[node]:
                of = block[referrer]
                if of in dirty:
                    dirty[of].add(referrer)
                elif len(members[of]) > 1:
                    dirty[of] = {referrer}


def coarsest(
    labels: Sequence[int], successors: Sequence[Sequence[int]], tags: Sequence[Tag] = ()
) -> tuple[list[int], list[bool]]:
    """
    Return the coarsest partition that agrees with labels and successors.

    :param labels: One per node. Definitions of different tags must differ in it.
    :param successors: Nodes that each node refers to, in order.
    :param tags: Tags; a node belongs to one at most.
    :return: Class of each node, numbered arbitrarily, and for each tag whether its
        definitions (if any) are one class.
    """
    refinement = _Refinement(labels, successors, tags)
    refinement.run()
    one = [
        len({refinement.block[node] for node in tag.definitions}) <= 1 if tag.definitions else True
        for tag in tags
    ]
    return refinement.block, one
