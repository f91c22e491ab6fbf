"""What corelens' modules look up is touched, and a table that lies about itself ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import drgn
import pytest
from drgn.helpers.linux.module import for_each_module

import btfdbg
from btfdbg.trim import tables
from btfdbg.trim.recorder import Recorder

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
# No kernel has anything there: user space, beyond what a program gets.
FAKE = 0x6B0000000000
SIZE = 1 << 16


class Touches:
    """Stands for a recorder: what is touched, and no page of it."""

    def __init__(self, prog: drgn.Program) -> None:
        self.prog = prog
        self.ranges: set[tuple[int, int]] = set()

    def touch(self, address: int, size: int) -> None:
        self.ranges.add((address, size))

    @property
    def starts(self) -> set[int]:
        return {address for address, _ in self.ranges}


class Memory:
    """Memory of a dump's Program that the dump has not, to lay tables of its types in."""

    def __init__(self, prog: drgn.Program) -> None:
        self.prog = prog
        self.bytes = bytearray(SIZE)
        self.variables: dict[str, drgn.Object] = {}
        prog.add_memory_segment(FAKE, SIZE, self._read)
        prog.register_object_finder("fake", self._find, enable_index=0)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        return bytes(self.bytes[address - FAKE : address - FAKE + count])

    def _find(
        self, prog: drgn.Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
    ) -> drgn.Object | None:
        return self.variables.get(name)

    def put(self, address: int, value: int, size: int = 8) -> None:
        """A number at an address."""
        self.bytes[address - FAKE : address - FAKE + size] = value.to_bytes(size, "little")

    def text(self, address: int, value: bytes) -> int:
        """A string at an address, which is returned."""
        self.bytes[address - FAKE : address - FAKE + len(value) + 1] = value + b"\0"
        return address

    def member(self, kind: str, base: int, path: str, value: int, size: int = 8) -> None:
        """A number in a member of a structure at an address."""
        self.put(base + drgn.offsetof(self.prog.type(kind), path), value, size)


@pytest.fixture(params=["6.12-amd64-null", "6.1-amd64-hung"])
def prog(request: pytest.FixtureRequest) -> drgn.Program:
    return btfdbg.program_from_core_dump(COREFILES / f"{request.param}.vmcore")


@pytest.fixture
def memory(prog: drgn.Program) -> Memory:
    return Memory(prog)


def walk(need: Any, prog: drgn.Program) -> Touches:
    touches = Touches(prog)
    need(cast(Recorder, touches), btfdbg.session(prog))
    return touches


def test_modules_their_users_and_parameters_are_touched(prog: drgn.Program) -> None:
    touches = walk(tables.modules, prog)
    modules = list(for_each_module(prog))
    assert {module.value_() for module in modules} <= touches.starts
    parameters = {
        (module.kp + number).value_() for module in modules for number in range(int(module.num_kp))
    }
    assert len(parameters) >= 20
    assert parameters <= touches.starts


def test_the_names_of_features_are_touched_whole(prog: drgn.Program) -> None:
    table = prog["x86_cap_flags"]
    assert (table.address_, drgn.sizeof(table)) in walk(tables.cpu_names, prog).ranges


def _dentry(memory: Memory, base: int, after: int) -> None:
    """A dentry without inode or parent, and the one after it in its bucket."""
    name = memory.text(base + 0x400, b"name")
    memory.member("struct dentry", base, "d_name.name", name)
    memory.member("struct dentry", base, "d_parent", base)
    memory.member("struct dentry", base, "d_hash.next", after)


def _hash_table(memory: Memory, bits: int, heads: dict[int, int]) -> None:
    prog = memory.prog
    pointer = prog.type("struct hlist_bl_head *")
    memory.variables["dentry_hashtable"] = drgn.Object(prog, pointer, FAKE)
    memory.variables["d_hash_shift"] = drgn.Object(prog, "unsigned int", 32 - bits)
    for number, node in heads.items():
        memory.put(FAKE + 8 * number, node)


def test_dentries_of_a_bucket_are_touched_locked_or_not_and_a_circle_ends(memory: Memory) -> None:
    node = drgn.offsetof(memory.prog.type("struct dentry"), "d_hash")
    one, two, three = (FAKE + 0x2000 + 0x800 * n for n in range(3))
    _dentry(memory, one, two + node)
    _dentry(memory, two, 0)
    _dentry(memory, three, three + node)
    locked = 1
    _hash_table(memory, 9, {3: three + node, 7: (one + node) | locked, 8: FAKE + SIZE})
    assert {one, two, three} <= walk(tables.dentry_table, memory.prog).starts


@pytest.mark.parametrize("shift", [0, 33, 1 << 31])
def test_a_hash_table_without_bounds_is_bounded(memory: Memory, shift: int) -> None:
    _hash_table(memory, 32, {})
    memory.variables["d_hash_shift"] = drgn.Object(memory.prog, "unsigned int", shift)
    assert walk(tables.dentry_table, memory.prog).ranges == set()


def _setting(memory: Memory, base: int, name: bytes, mode: int, data: int, size: int) -> None:
    """A folder of sysctl with one entry, its header's table and node at places of their own."""
    table, node = base + 0x200, base + 0x300
    memory.member("struct ctl_dir", base, "root.rb_node", node)
    memory.member("struct ctl_node", node, "header", base)
    memory.member("struct ctl_table_header", base, "node", node)
    memory.member("struct ctl_table_header", base, "ctl_table", table)
    memory.member("struct ctl_table", table, "procname", memory.text(base + 0x380, name))
    memory.member("struct ctl_table", table, "mode", mode, 2)
    memory.member("struct ctl_table", table, "data", data)
    memory.member("struct ctl_table", table, "maxlen", size, 4)


@pytest.mark.parametrize(("size", "kept"), [(4, 4), (0x7FFFFFFF, 1 << 16), (0xFFFFFFFF, None)])
def test_settings_are_touched_with_values_of_a_bounded_length(
    memory: Memory, size: int, kept: int | None
) -> None:
    prog = memory.prog
    inner, value = FAKE + 0x1000, FAKE + 0x3000
    root = drgn.offsetof(prog.type("struct ctl_table_root"), "default_set.dir")
    _setting(memory, inner, b"panic", 0o100644, value, size)
    memory.variables["sysctl_table_root"] = drgn.Object(
        prog, "struct ctl_table_root", address=inner - root
    )
    ranges = walk(tables.settings, prog).ranges
    lengths = {length for address, length in ranges if address == value}
    assert lengths == (set() if kept is None else {kept})
    assert inner + 0x200 in {address for address, _ in ranges}


def test_a_folder_of_settings_that_holds_itself_ends(memory: Memory) -> None:
    prog = memory.prog
    inner = FAKE + 0x1000
    root = drgn.offsetof(prog.type("struct ctl_table_root"), "default_set.dir")
    _setting(memory, inner, b"kernel", 0o040555, 0, 0)
    memory.variables["sysctl_table_root"] = drgn.Object(
        prog, "struct ctl_table_root", address=inner - root
    )
    assert inner in walk(tables.settings, prog).starts


def test_the_names_of_slab_caches_are_touched_with_what_a_link_leads_to(memory: Memory) -> None:
    prog = memory.prog
    kset, folder, link, target = (FAKE + 0x1000 * n for n in range(1, 5))
    memory.variables["slab_kset"] = drgn.Object(prog, "struct kset *", kset)
    memory.member("struct kset", kset, "kobj.sd", folder)
    node = drgn.offsetof(prog.type("struct kernfs_node"), "rb")
    memory.member("struct kernfs_node", folder, "dir.children.rb_node", link + node)
    memory.member("struct kernfs_node", link, "name", memory.text(link + 0x800, b"merged"))
    memory.member("struct kernfs_node", link, "flags", int(prog["KERNFS_LINK"]), 2)
    memory.member("struct kernfs_node", link, "symlink.target_kn", target)
    assert {folder, link, target} <= walk(tables.slab_names, prog).starts
