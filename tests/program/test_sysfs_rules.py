"""Variables that sysfs leads to: what is believed of made directories."""

from __future__ import annotations

from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.program import sysfs, sysfs_rules
from tests.program.every_name import DUMPS

_AT = 0xFFFFE10000000000
_NODE, _KOBJECT, _KTYPE, _PRIVATE, _BUS, _NAME = (_AT + i * 0x1000 for i in range(6))


class World:
    """Kernel structures at addresses where a dump has nothing."""

    def __init__(self, prog: drgn.Program) -> None:
        self.prog = prog
        self.words: dict[int, int] = {}
        prog.add_memory_segment(_AT, 0x10000, self._read)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        whole = bytearray(0x10000)
        for at, value in self.words.items():
            whole[at - _AT : at - _AT + 8] = value.to_bytes(8, "little")
        return bytes(whole[address - _AT : address - _AT + count])

    def put(self, tag: str, at: int, **members: int) -> None:
        type_ = self.prog.type(f"struct {tag}")
        for name, value in members.items():
            self.words[at + drgn.offsetof(type_, name.replace("__", "."))] = value


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One directory in each directory of sysfs, with a kobject that a bus may be of."""
    prog = btfdbg.program_from_core_dump(DUMPS[0])
    made = World(prog)
    kobject = _PRIVATE + drgn.offsetof(prog.type("struct subsys_private"), "subsys.kobj")
    made.put("kernfs_node", _NODE, priv=kobject, flags=1)
    made.put("kobject", kobject, sd=_NODE, ktype=_KTYPE)
    made.put("subsys_private", _PRIVATE, bus=_BUS)
    made.put("bus_type", _BUS, name=_NAME)
    made.words[_NAME] = int.from_bytes(b"memory\0\0", "little")
    node = drgn.Object(prog, "struct kernfs_node *", _NODE)
    monkeypatch.setattr(sysfs, "directory", lambda session, *path: node)
    monkeypatch.setattr(sysfs, "children", lambda node: iter([node]))
    return made


def _found(world: World, name: str) -> Any:
    return sysfs_rules.RULES[name](btfdbg.session(world.prog))


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("bus_ktype", "bus_release"),
        ("class_ktype", "class_release"),
        ("device_ktype", "device_release"),
        ("module_ktype", "module_kobj_release"),
    ],
)
def test_a_type_of_kobjects_is_known_by_its_function(name: str, release: str, world: World) -> None:
    address = btfdbg.session(world.prog).lookup_symbols(release)[0].address
    world.put("kobj_type", _KTYPE, release=address)
    assert _found(world, name) == _KTYPE
    world.put("kobj_type", _KTYPE, release=address + 4)
    assert _found(world, name) is None


def test_a_kobject_of_another_directory_is_not_believed(world: World) -> None:
    release = btfdbg.session(world.prog).lookup_symbols("bus_release")[0].address
    world.put("kobj_type", _KTYPE, release=release)
    kobject = _PRIVATE + drgn.offsetof(world.prog.type("struct subsys_private"), "subsys.kobj")
    world.put("kobject", kobject, sd=_NODE + 0x80)
    assert _found(world, "bus_ktype") is None


def test_a_bus_has_the_name_of_its_directory(world: World) -> None:
    assert _found(world, "memory_subsys") == _BUS
    world.words[_NAME] = int.from_bytes(b"other\0\0\0", "little")
    assert _found(world, "memory_subsys") is None


def test_a_set_of_kobjects_is_known_by_its_value(world: World) -> None:
    session = btfdbg.session(world.prog)
    found = sysfs_rules.value(session, "bus_kset")
    assert found is not None
    assert found.type_.type_name() == "struct kset *"
    assert found.kobj.sd.value_() == _NODE
    root = sysfs_rules.value(session, "sysfs_root_kn")
    assert root is not None
    assert root.value_() == _NODE
