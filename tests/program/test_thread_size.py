"""``THREAD_SIZE`` from the areas that stacks lie in, where drgn has nothing to take it from."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import drgn
import pytest
from drgn import Object, Platform, TypeMember

import btfdbg
from btfdbg.btf import Builder
from btfdbg.program.thread_size import is_unsaid, thread_size

PAGE = 4096
MAGIC = 0x57AC6E9D
_HEADS, _AREAS, _STACKS = 0x10000, 0x20000, 0x100000


def made(sizes: list[int], *, magic: int = MAGIC, apart: int = 0) -> drgn.Program:
    """A kernel of as many tasks, in a ring with ``init_task``; sizes are of their areas."""
    prog = drgn.Program(Platform(drgn.Architecture.X86_64))
    word = prog.int_type("unsigned long", 8, False)
    pointer = prog.pointer_type(prog.void_type())
    node = prog.struct_type("list_head", 8, (TypeMember(pointer, "next"),))
    # The one member of the node that is followed is an address of the next node.
    area = prog.struct_type(
        "vm_struct", 16, (TypeMember(pointer, "addr"), TypeMember(word, "size", 64))
    )
    task = prog.struct_type(
        "task_struct",
        24,
        (
            TypeMember(node, "tasks"),
            TypeMember(pointer, "stack", 64),
            TypeMember(prog.pointer_type(area), "stack_vm_area", 128),
        ),
    )
    memory: dict[int, bytes] = {}
    count = len(sizes)
    for i in range(count + 1):
        following = _HEADS + 24 * ((i + 1) % (count + 1))
        stack = _STACKS + 0x100000 * i
        at = _AREAS + 16 * i if i else 0
        memory[_HEADS + 24 * i] = struct.pack("<QQQ", following, stack, at)
        if i:
            memory[at] = struct.pack("<QQ", stack + apart, sizes[i - 1])
            memory[stack] = struct.pack("<Q", magic)
    for address, data in memory.items():
        prog.add_memory_segment(
            address, len(data), lambda a, n, o, p, d=data: d[o : o + n], False
        )  # fmt: skip

    def types(p: drgn.Program, kinds: object, name: str, file: str | None) -> drgn.Type | None:
        return {"task_struct": task, "list_head": node, "vm_struct": area}.get(name)

    def objects(
        p: drgn.Program, name: str, flags: drgn.FindObjectFlags, file: str | None
    ) -> Object | None:
        if name == "init_task":
            return Object(prog, task, address=_HEADS)
        return Object(prog, word, PAGE) if name == "PAGE_SIZE" else None

    prog.register_type_finder("made", types, enable_index=0)
    prog.register_object_finder("made", objects, enable_index=0)
    return prog


def value_of(prog: drgn.Program) -> int | None:
    found = thread_size(prog)
    return None if found is None else int(found)


@pytest.mark.parametrize("size", [8192, 16384, 65536])
def test_an_area_is_a_stack_and_its_guard_page(size: int) -> None:
    assert value_of(made([size + PAGE] * 3)) == size


def test_three_tasks_must_say_the_same() -> None:
    assert value_of(made([16384 + PAGE] * 2)) is None
    assert value_of(made([16384 + PAGE, 16384 + PAGE, 8192 + PAGE])) is None


def test_an_area_that_is_no_stacks_is_not_believed() -> None:
    assert value_of(made([16384] * 3)) is None
    assert value_of(made([(1 << 40) + PAGE] * 3)) is None
    assert value_of(made([16384 + PAGE] * 3, magic=0)) is None
    assert value_of(made([16384 + PAGE] * 3, apart=PAGE)) is None


def test_it_is_asked_for_only_where_the_union_is_not_there() -> None:
    builder = Builder()
    builder.add_struct("thread_union", 8)
    assert is_unsaid(builder.to_btf())
    builder.add_union("thread_union", 16384)
    assert not is_unsaid(builder.to_btf())


@pytest.mark.matrix
def test_real_areas_say_what_drgn_takes_from_the_union() -> None:
    folder = os.environ.get("BTFDBG_LAB_DUMPS")
    if not folder:
        pytest.skip("BTFDBG_LAB_DUMPS names no folder of dumps")
    for dump in sorted(Path(folder).glob("*-sysrq-*.vmcore")):
        prog = btfdbg.program_from_core_dump(dump)
        found = thread_size(prog)
        assert found is None or found.value_() == prog["THREAD_SIZE"].value_(), dump
