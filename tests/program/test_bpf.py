"""BTF that came with bpf programs is listed, its types usable, its maps readable."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

import drgn
import pytest
from drgn import Object

from btfdbg.btf import TypeId
from btfdbg.btf.text import assemble, rawtext
from btfdbg.commands import info
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program import bpf
from btfdbg.program.attach import attach
from btfdbg.program.bpf import BpfUser
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core

from .damaged import Dump

# Where nothing of the kernel is: memory for what the kernel of the dump never loaded.
ROOM = 0xFF7F_0000_0000_0000
BLOB, MAP = ROOM, ROOM + 0x10000
ENTRIES = 3


def blob() -> tuple[bytes, TypeId, TypeId]:
    """BTF of a program; ids of its map's key and value."""
    text = """\
[1] INT 'unsigned int' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[2] ENUM 'verdict' encoding=UNSIGNED size=4 vlen=2
\t'PASS' val=1
\t'DROP' val=2
[3] STRUCT 'value' size=8 vlen=2
\t'packets' type_id=1 bits_offset=0
\t'last' type_id=2 bits_offset=32
"""
    return assemble.assemble(text), TypeId(1), TypeId(3)


def member(t: drgn.Type, name: str) -> tuple[int, int]:
    """Offset and size of a member in bytes."""
    offset = drgn.offsetof(t, name)
    for part in name.split("."):
        t = t.member(part).type
    return offset, drgn.sizeof(t)


def fill(t: drgn.Type, size: int, values: dict[str, int]) -> bytes:
    data = bytearray(size)
    for name, value in values.items():
        offset, width = member(t, name)
        data[offset : offset + width] = value.to_bytes(width, "little")
    return bytes(data)


def splice(dump: Dump, *, size: int | None = None, value_size: int = 8) -> int:
    """Make a module's ``struct btf`` a program's, and an array map that uses it; its id."""
    prog = dump.twin.prog
    data, key, value = blob()
    btfs = dump.twin.module_btfs
    assert btfs is not None
    entry = btfs.entry(next(iter(btfs)))
    assert entry is not None
    own = Object(prog, "struct btf *", entry.address)
    dump.put(own.kernel_btf.address_, b"\0")
    dump.point(own.data.address_, BLOB)
    dump.put(own.data_size.address_, struct.pack("<I", len(data) if size is None else size))
    dump.put(BLOB, data)
    array = prog.type("struct bpf_array")
    first = drgn.offsetof(array, "value")
    head = fill(
        array,
        first,
        {
            "map.key_size": 4, "map.value_size": value_size, "map.max_entries": ENTRIES,
            "map.map_type": prog["BPF_MAP_TYPE_ARRAY"].value_(), "map.btf": entry.address,
            "map.btf_key_type_id": key, "map.btf_value_type_id": value, "elem_size": 8,
        },
    )  # fmt: skip
    name, _ = member(array, "map.name")
    values = b"".join(struct.pack("<II", 10 * i, 1 + i % 2) for i in range(ENTRIES))
    memory = bytearray(head + values)
    memory[name : name + 7] = b"totals\0"
    dump.put(MAP, bytes(memory))
    # An XArray with one entry, at index 0, is that entry.
    root = Object(prog, "struct idr", address=dump.address("map_idr"))
    dump.point(root.idr_rt.xa_head.address_, MAP)
    programs = Object(prog, "struct idr", address=dump.address("prog_idr"))
    dump.point(programs.idr_rt.xa_head.address_, 0)
    return entry.id


@pytest.fixture
def dump(x86_core: Path) -> Dump:
    return Dump(x86_core)


def test_a_kernel_without_programs_has_none(dump: Dump) -> None:
    assert list(bpf.of(dump.twin)) == []
    assert info.as_dict(dump.twin)["bpf"] == []


def test_types_of_a_program_are_found_by_id_and_by_the_name_of_a_map(dump: Dump) -> None:
    btf_id = splice(dump)
    session = dump.attach()
    assert list(bpf.of(session)) == [btf_id]
    assert bpf.of(session).users(btf_id) == (BpfUser("map", 0, "totals", MAP),)
    for spelling in (f"bpf:{btf_id}", "bpf:totals"):
        found = session.prog.type("struct value", spelling)
        assert [m.name for m in found.members] == ["packets", "last"]
        assert drgn.sizeof(found) == 8
    for spelling in ("bpf:", "bpf:99999", "bpf:nothing", "totals"):
        with pytest.raises(LookupError):
            session.prog.type("struct value", spelling)
    # Without being asked for, a program's types do not stand among the kernel's.
    with pytest.raises(LookupError):
        session.prog.type("enum verdict")


def test_it_is_no_modules_any_more(dump: Dump) -> None:
    first = next(iter(dump.twin.modules))
    splice(dump)
    assert first not in dump.attach().modules


def test_a_map_gives_typed_entries(dump: Dump) -> None:
    splice(dump)
    session = dump.attach()
    bpf_map = Object(session.prog, "struct bpf_map *", MAP)
    entries = list(bpf.of(session).entries(bpf_map))
    assert [e.key.value_() for e in entries] == [0, 1, 2]
    assert [e.value.packets.value_() for e in entries] == [0, 10, 20]
    assert entries[1].value.last.format_(type_name=False) == "DROP"


def test_a_map_whose_types_do_not_fit_is_not_shown(dump: Dump) -> None:
    splice(dump, value_size=4)
    session = dump.attach()
    with pytest.raises(LookupError, match="does not fit"):
        bpf.of(session).map_types(Object(session.prog, "struct bpf_map *", MAP))


@pytest.mark.parametrize("size", [0, 30, 1 << 31])
def test_damaged_btf_of_a_program_is_listed_and_noted(size: int, dump: Dump) -> None:
    btf_id = splice(dump, size=size)
    session = dump.attach()
    assert bpf.of(session).ids() == (btf_id,)
    assert btf_id not in bpf.of(session)
    assert info.as_dict(session)["bpf"][0]["types"] is None
    assert any(n.step in ("bpf BTF", "btf") for n in session.notes)


def test_the_command_and_info_show_them(dump: Dump, capsys: pytest.CaptureFixture[str]) -> None:
    btf_id = splice(dump)
    session = dump.attach()
    facts = info.as_dict(session)["bpf"]
    maps = [{"id": 0, "name": "totals"}]
    assert facts == [{"id": btf_id, "types": 3, "programs": [], "maps": maps}]
    assert "used by map 0 totals" in info.as_text(session)
    prepare(session)
    assert run_line(session, "bpftypes --json")
    assert json.loads(capsys.readouterr().out) == [
        {"btf": btf_id, "types": 3, "used by": "map 0 totals"}
    ]
    assert run_line(session, "bpftypes totals")
    assert "struct value {" in capsys.readouterr().out
    assert run_line(session, "bpftypes -m totals")
    out = capsys.readouterr().out
    assert out.startswith("[0] = (struct value){")
    assert out.count("DROP") == 1
    assert not run_line(session, "bpftypes nothing")
    assert "bpftypes" in capsys.readouterr().err


# A real one


@pytest.fixture
def real() -> tuple[Session, dict[str, list[str]]]:
    folder = os.environ.get("BTFDBG_DUMPS")
    path = Path(folder or "/", "6.12-amd64-bpf-qemu-elf.vmcore")
    if not folder or not path.exists():
        pytest.skip("BTFDBG_DUMPS has no dump of the scenario bpf")
    prog, found = open_core(path)
    entry = json.loads(path.with_name(path.name + ".json").read_text())
    return attach(prog, None, found), entry["facts"]


def test_a_real_programs_btf_is_what_bpftool_showed_in_the_guest(
    real: tuple[Session, dict[str, list[str]]],
) -> None:
    session, facts = real
    (btf_id,) = bpf.of(session)
    assert facts["bpf_btfs"][-1].startswith(f"{btf_id}: name <anon>")
    text = "".join(rawtext.dump(bpf.of(session)[btf_id]))
    assert text.splitlines() == facts["bpf_btf_raw"]
    assert hashlib.sha256(text.encode()).hexdigest() == facts["bpf_btf_sha"][0].split()[0]
    names = {(u.kind, u.id): u.name for u in bpf.of(session).users(btf_id)}
    for kind, lines in (("program", facts["bpf_progs"]), ("map", facts["bpf_maps"])):
        for line in lines:
            if not line.startswith("\t"):
                words = line.split()
                assert names[kind, int(words[0].rstrip(":"))] == words[words.index("name") + 1]


def test_a_real_map_holds_what_bpftool_showed_in_the_guest(
    real: tuple[Session, dict[str, list[str]]],
) -> None:
    session, facts = real
    (expected,) = json.loads("\n".join(facts["bpf_counters"]))
    found = {u.name: u.address for u in bpf.of(session).users(next(iter(bpf.of(session))))}
    bpf_map = Object(session.prog, "struct bpf_map *", found["cf_counters"])
    (entry,) = bpf.of(session).entries(bpf_map)
    assert {k: entry.key.member_(k).value_() for k in expected["key"]} == expected["key"]
    value = entry.value
    assert value.packets.value_() == expected["value"]["packets"]
    assert value.bytes.value_() == expected["value"]["bytes"]
    assert value.last.format_(type_name=False) == expected["value"]["last"]
    assert value.note.string_().decode() == expected["value"]["note"]
    data = Object(session.prog, "struct bpf_map *", found["cf_bpf.data"])
    (only,) = bpf.of(session).entries(data)
    assert only.value.cf_config.limit.value_() == 1500
