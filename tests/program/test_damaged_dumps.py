"""Dumps with damage: a note and what is left, or one clear error; never a hang."""

from __future__ import annotations

import struct
from pathlib import Path

import drgn
import pytest

from btfdbg.btf.format import Kind
from btfdbg.btf.kinds import Struct
from btfdbg.errors import DebugInfoError
from btfdbg.program.session import Session

from .damaged import Dump

# Where nothing of the kernel is.
ROOM = 0xFF7F_0000_0000_0000


@pytest.fixture
def dump(x86_core: Path) -> Dump:
    return Dump(x86_core)


def notes(session: Session) -> str:
    return "\n".join(map(str, session.notes))


def test_an_undamaged_dump_has_no_notes(dump: Dump) -> None:
    session = dump.attach()
    assert notes(session) == ""
    assert dump.prog["init_task"].comm.string_() == b"swapper/0"


def test_overwritten_btf_leaves_symbols_and_a_note(dump: Dump) -> None:
    dump.put(dump.address("__start_BTF"), bytes(4096))
    session = dump.attach()
    assert not session.has_btf
    assert "btf" in notes(session)
    assert "--btf FILE" in notes(session)
    assert dump.prog.symbol("init_task").address == dump.address("init_task")
    assert "init_task" not in dump.prog


def test_missing_pages_of_btf_leave_symbols_and_a_note(dump: Dump) -> None:
    dump.lose(dump.address("__start_BTF") + 0x10000, 4096)
    session = dump.attach()
    assert not session.has_btf
    assert "cannot be read" in notes(session)


def test_garbage_inside_btf_is_not_parsed_around(dump: Dump) -> None:
    dump.put(dump.address("__start_BTF") + 0x40000, b"\xff" * 0x1000)
    session = dump.attach()
    assert not session.has_btf
    assert "damaged" in notes(session)


def test_without_symbols_and_types_there_is_one_error_with_a_hint(dump: Dump) -> None:
    info = dump.twin.vmcoreinfo.symbols
    for name in ("kallsyms_token_table", "kallsyms_names", "kallsyms_token_index"):
        dump.put(info[name], bytes(4096))
    dump.put(dump.address("__start_BTF"), bytes(4096))
    with pytest.raises(DebugInfoError) as caught:
        dump.attach()
    assert "kallsyms" in str(caught.value)
    assert "--kallsyms FILE" in caught.value.hint


def test_a_module_list_that_runs_in_a_circle_ends(dump: Dump) -> None:
    second = dump.twin.prog["modules"].next.next
    third = second.next
    dump.put(third.value_(), second.value_().to_bytes(8, "little"))
    session = dump.attach()
    assert "circle" in notes(session)
    assert sorted(session.module_names()) == sorted(dump.twin.module_names())


def test_a_module_list_with_a_bad_pointer_is_walked_from_its_other_end(dump: Dump) -> None:
    third = dump.twin.prog["modules"].next.next.next
    dump.put(third.value_(), (0xDEAD_0000_0000).to_bytes(8, "little"))
    session = dump.attach()
    assert "next module" in notes(session)
    assert sorted(session.module_names()) == sorted(dump.twin.module_names())
    assert "restored" in notes(session)
    # The kernel's own list of BTF is another one, and whole.
    assert set(session.modules) == set(dump.twin.modules)


def test_a_module_whose_btf_is_damaged_loses_only_itself(dump: Dump) -> None:
    names = list(dump.twin.modules)
    btfs = dump.twin.module_btfs
    assert btfs is not None
    entry = btfs.entry(names[3])
    assert entry is not None
    dump.put(entry.data, b"\x9f\xeb\x01\x00" + b"\xff" * 60)
    session = dump.attach()
    readable = [n for n in session.modules if session.module_btf_source(n)]
    assert readable == [n for n in names if n != names[3]]
    assert names[3] in notes(session)


def test_a_module_whose_symbols_are_damaged_loses_only_itself(dump: Dump) -> None:
    from btfdbg.kallsyms.modules import ModuleSymbols

    victim = next(m for m in dump.twin.prog.modules() if isinstance(m, drgn.RelocatableModule))
    kallsyms = victim.object.kallsyms
    dump.put(kallsyms.num_symtab.address_, (0xFFFF_FFFF).to_bytes(4, "little"))
    dump.attach()
    symbols = ModuleSymbols(dump.prog)
    sources = {s.source for s in symbols}
    assert list(symbols.problems) == [victim.name]
    assert sources == {f"module {n}" for n in dump.twin.module_names() if n != victim.name}


def test_modules_without_readable_sections_still_unwind(oops_core: Path) -> None:
    """A makedumpfile older than the kernel drops slab pages, where section addresses are."""
    dump = Dump(oops_core)
    victim = next(m for m in dump.twin.prog.modules() if m.name == "cf_fault")
    whole = dump.twin.prog.crashed_thread().stack_trace()
    dump.lose(victim.object.sect_attrs.value_(), 64)
    session = dump.attach()
    assert "1 modules were restored" in notes(session)
    trace = dump.prog.crashed_thread().stack_trace()
    assert [f.pc for f in trace] == [f.pc for f in whole]
    assert trace[0].name == "cf_level3.constprop.0"


def test_a_module_whose_list_entry_is_missing_loses_only_itself(dump: Dump) -> None:
    victim = dump.twin.prog["modules"].next.next.next
    dump.lose(victim.value_(), 16)
    session = dump.attach()
    lost = drgn.container_of(victim, "struct module", "list").name.string_().decode()
    expected = {n for n in dump.twin.module_names() if n != lost}
    assert set(session.module_names()) == expected


def test_btf_of_modules_is_found_by_another_list_when_a_node_of_its_tree_is_missing(
    dump: Dump,
) -> None:
    """The dump is a trimmed one, which leaves that list out: it is written anew."""
    twin = dump.twin
    btfs = twin.module_btfs
    assert btfs is not None
    names = list(btfs)
    entry = twin.prog.type("struct btf_module")
    size, link = drgn.sizeof(entry), drgn.offsetof(entry, "list")
    head = dump.address("btf_modules")
    nodes = [head] + [ROOM + i * size + link for i in range(len(names))]
    for i, node in enumerate(nodes):
        following, previous = nodes[(i + 1) % len(nodes)], nodes[i - 1]
        dump.put(node, struct.pack("<QQ", following, previous))
    for node, name in zip(nodes[1:], names, strict=True):
        found = btfs.entry(name)
        assert found is not None
        dump.point(node - link + drgn.offsetof(entry, "btf"), found.address)
    root = drgn.Object(twin.prog, "struct idr", address=dump.address("btf_idr"))
    dump.lose(root.idr_rt.xa_head.value_() - 2, 64)
    session = dump.attach()
    assert set(session.modules) == set(names)
    assert "btf_idr" in notes(session)


def test_an_entry_that_cannot_be_read_costs_one_modules_btf(dump: Dump) -> None:
    names = list(dump.twin.modules)
    btfs = dump.twin.module_btfs
    assert btfs is not None
    entry = btfs.entry(names[2])
    assert entry is not None
    dump.lose(entry.address, 256)
    session = dump.attach()
    assert set(session.modules) == set(names) - {names[2]}


def test_a_damaged_type_on_the_way_to_modules_btf_is_named(dump: Dump) -> None:
    vmlinux = dump.twin.vmlinux
    raw = bytes(vmlinux.raw)
    header, strings, size = struct.unpack_from("<4xI8xII", raw)
    names = raw[header + strings : header + strings + size]
    idr = vmlinux.type_by_id(vmlinux.find_by_name_kind("idr", Kind.STRUCT))
    assert isinstance(idr, Struct)
    root = struct.pack("<III", names.index(b"\0idr_rt\0") + 1, idr.members[0].type, 0)
    other = vmlinux.find_by_name_kind("list_head", Kind.STRUCT)
    place = dump.address("__start_BTF") + raw.index(root) + 4
    dump.put(place, struct.pack("<I", other))
    session = dump.attach()
    assert set(session.modules) <= set(dump.twin.modules)
    assert "does not have the shape it should" in notes(session)
