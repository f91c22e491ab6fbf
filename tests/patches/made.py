"""Lists and trees in made memory, for tests of the walks: no dump, no kernel."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Sequence

import drgn
from drgn import Architecture, Object, Platform, PlatformFlags, Program, TypeMember

BASE = 0xFFFF_8880_0000_0000
HEAD = BASE
NODE = 64


class Made:
    """Memory with nodes of 64 bytes each; node 0 is the head."""

    def __init__(self, nodes: int) -> None:
        self.memory = bytearray((nodes + 1) * NODE)
        self.lost: set[int] = set()
        flags = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN
        self.prog = Program(Platform(Architecture.X86_64, flags))
        self.prog.add_memory_segment(BASE, len(self.memory), self._read)
        made = {
            "list_head": self._pair("list_head", "next", "prev"),
            "hlist_node": self._pair("hlist_node", "next", "pprev"),
            "hlist_head": self._one("hlist_head", "hlist_node", "first"),
            "rb_node": self._rb_node(),
            "rb_root": self._one("rb_root", "rb_node", "rb_node"),
        }

        def find(prog: Program, kinds: object, name: str, filename: str | None) -> drgn.Type | None:
            return made.get(name)

        self.prog.register_type_finder("made", find, enable_index=0)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        if any(at // NODE in self.lost for at in range(offset, offset + count, 8)):
            raise drgn.FaultError("page excluded", address)
        return bytes(self.memory[offset : offset + count])

    def _pair(self, name: str, first: str, second: str) -> drgn.Type:
        prog = self.prog
        found: list[drgn.Type] = []
        members = (
            TypeMember(lambda: prog.pointer_type(found[0]), first, 0),
            TypeMember(lambda: prog.pointer_type(found[0]), second, 64),
        )
        found.append(prog.struct_type(name, 16, members))
        return found[0]

    def _one(self, name: str, node: str, member: str) -> drgn.Type:
        pointer = TypeMember(
            lambda: self.prog.pointer_type(self.prog.type(f"struct {node}")), member, 0
        )
        return self.prog.struct_type(name, 8, (pointer,))

    def _rb_node(self) -> drgn.Type:
        prog = self.prog
        found: list[drgn.Type] = []
        members = (
            TypeMember(prog.int_type("unsigned long", 8, False), "__rb_parent_color", 0),
            TypeMember(lambda: prog.pointer_type(found[0]), "rb_right", 64),
            TypeMember(lambda: prog.pointer_type(found[0]), "rb_left", 128),
        )
        found.append(prog.struct_type("rb_node", 24, members))
        return found[0]

    def at(self, node: int) -> int:
        """Address of a node."""
        return BASE + node * NODE

    def word(self, address: int, value: int) -> None:
        """Write a word."""
        struct.pack_into("<Q", self.memory, address - BASE, value)

    def ring(self, nodes: Sequence[int]) -> Object:
        """Link nodes to a ring whose head is node 0."""
        whole = [0, *nodes, 0]
        for before, after in itertools.pairwise(whole):
            self.word(self.at(before), self.at(after))
            self.word(self.at(after) + 8, self.at(before))
        return Object(self.prog, "struct list_head *", HEAD)

    def chain(self, nodes: Sequence[int]) -> Object:
        """Link nodes to a hash list whose head is node 0."""
        for before, after in zip([0, *nodes], nodes, strict=False):
            self.word(self.at(before), self.at(after))
        return Object(self.prog, "struct hlist_head *", HEAD)

    def tree(self, nodes: Sequence[int]) -> Object:
        """Link nodes, in order, to a balanced tree whose root is node 0."""

        def link(low: int, high: int, parent: int) -> int:
            if low >= high:
                return 0
            middle = (low + high) // 2
            address = self.at(nodes[middle])
            self.word(address, parent | 1)
            self.word(address + 16, link(low, middle, address))
            self.word(address + 8, link(middle + 1, high, address))
            return address

        self.word(HEAD, link(0, len(nodes), 0))
        return Object(self.prog, "struct rb_root *", HEAD)


def shuffled(count: int, seed: int) -> list[int]:
    """Numbers of nodes from 1, in no order."""
    found = list(range(1, count + 1))
    random.Random(seed).shuffle(found)
    return found
