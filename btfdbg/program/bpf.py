"""BTF that came with bpf programs: which there is, who uses it, its types, what maps hold.

Owns the ``struct btf`` of the kernel that describe no kernel code. Each is BTF of its own,
without a base, and there may be many with the same names in them: a type is asked for by
the id of its BTF or the name of a program or map (``prog.type("struct x", "bpf:52")``).

Facts: ``include/linux/bpf.h`` (struct bpf_map, bpf_prog_aux, bpf_array),
``kernel/bpf/hashtab.c`` (struct bpf_htab, htab_elem: a value follows its key, at the next
multiple of 8), ``kernel/bpf/arraymap.c`` (elem_size).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import drgn
from drgn import FaultError, Object

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.errors import BtfError, BtfNotFoundError, DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.convert import TypeConverter
from btfdbg.program.find_btf import KernelBtf, kernel_btfs, read_btf

if TYPE_CHECKING:
    from btfdbg.program.session import Session

PREFIX = "bpf:"
_STEP = "bpf BTF"
_CACHE_KEY = "btfdbg.bpf"
_MAX_OBJECTS = 1 << 16
_MAX_ENTRIES = 1 << 24
_MAX_SIZE = 1 << 20
# BPF_OBJ_NAME_LEN in include/uapi/linux/bpf.h, less the NUL.
_MAX_KERNEL_NAME = 15
_BPF_ALIGN = 8
_HASHES = ("BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_LRU_HASH")


@dataclass(frozen=True, slots=True)
class BpfUser:
    """
    A program or map that brought, or refers to, a BTF.

    :ivar kind: ``program`` or ``map``.
    :ivar id: As bpftool shows it.
    :ivar name: As the kernel keeps it, up to 15 bytes; a program's in full from its BTF.
    :ivar address: Of ``struct bpf_prog`` or ``struct bpf_map``.
    """

    kind: str
    id: int
    name: str
    address: int

    def __str__(self) -> str:
        return f"{self.kind} {self.id} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class BpfEntry:
    """A key and its value in a map; typed where the map says how."""

    key: Object
    value: Object


def of(session: Session) -> BpfBtfs:
    """BTF that came with bpf programs in a Session's dump, by id."""
    found = session.prog.cache.get(_CACHE_KEY)
    if not isinstance(found, BpfBtfs):
        found = session.prog.cache[_CACHE_KEY] = BpfBtfs(session)
    return found


class BpfBtfs(Mapping[int, Btf]):
    """BTF id to BTF, of those that are not the kernel's; each is read when it is asked for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[int, KernelBtf] | None = None
        self._users: dict[int, list[BpfUser]] | None = None
        self._converters: dict[int, TypeConverter | None] = {}

    def _list(self) -> dict[int, KernelBtf]:
        if self._found is None:
            found: dict[int, KernelBtf] = {}
            try:
                for entry in kernel_btfs(self._session):
                    if not entry.kernel:
                        found[entry.id] = entry
            except DebugInfoError as e:
                self._session.note(_STEP, str(e))
            self._found = found
        return self._found

    def ids(self) -> tuple[int, ...]:
        """Ids of all, also of those that cannot be read."""
        return tuple(self._list())

    def entry(self, btf_id: int) -> KernelBtf:
        """
        Where the kernel keeps a BTF.

        :raises KeyError: there is none of that id.
        """
        return self._list()[btf_id]

    def converter(self, btf_id: int) -> TypeConverter | None:
        """The converter of a BTF's types, ``None`` if it cannot be read; that is noted."""
        if btf_id not in self._converters:
            entry = self._list().get(btf_id)
            converter = None
            if entry is not None:
                try:
                    what = f"BTF {btf_id} of bpf programs"
                    data = read_btf(self._session.prog, entry.data, entry.size, what)
                    converter = TypeConverter(self._session.prog, Btf.parse(data))
                except DebugInfoError as e:
                    self._session.note(_STEP, str(e))
                except BtfError as e:
                    self._session.note(_STEP, f"BTF {btf_id} of bpf programs: {e}")
            self._converters[btf_id] = converter
        return self._converters[btf_id]

    def __getitem__(self, btf_id: int) -> Btf:
        converter = self.converter(btf_id)
        if converter is None:
            raise KeyError(btf_id)
        return converter.btf

    def __iter__(self) -> Iterator[int]:
        return (btf_id for btf_id in self._list() if self.converter(btf_id) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # Who uses which

    def users(self, btf_id: int) -> tuple[BpfUser, ...]:
        """Programs and maps that refer to a BTF, by kind and id."""
        return tuple(self._all_users().get(btf_id, ()))

    def _all_users(self) -> dict[int, list[BpfUser]]:
        if self._users is None:
            by_address = {entry.address: btf_id for btf_id, entry in self._list().items()}
            users: dict[int, list[BpfUser]] = {}
            if by_address:
                for user, btf in (*self._walk("program"), *self._walk("map")):
                    if btf in by_address:
                        users.setdefault(by_address[btf], []).append(user)
            self._users = users
        return self._users

    def _walk(self, kind: str) -> Iterator[tuple[BpfUser, int]]:
        variable, describe = {
            "program": ("prog_idr", self._program),
            "map": ("map_idr", self._map),
        }[kind]
        try:
            for index, entry in itertools.islice(self._idr(variable), _MAX_OBJECTS):
                try:
                    yield describe(index, entry)
                except (FaultError, LookupError) as e:
                    self._session.note(_STEP, f"bpf {kind} {index} cannot be read: {e}")
        except (FaultError, LookupError, RecursionError) as e:
            self._session.note(_STEP, f"the bpf {kind}s cannot be listed to their end: {e}")

    def _idr(self, name: str) -> Iterator[tuple[int, Object]]:
        from drgn.helpers.linux.idr import idr_for_each

        found = self._session.lookup_symbols(name)
        if len(found) != 1:
            raise LookupError(f"no symbol {name}")
        root = Object(self._session.prog, "struct idr", address=found[0].address)
        entries: Iterator[tuple[int, Object]] = idr_for_each(root.address_of_())
        return entries

    def _program(self, index: int, entry: Object) -> tuple[BpfUser, int]:
        program = drgn.cast("struct bpf_prog *", entry)
        aux = program.aux
        btf = aux.btf.value_()
        name = self._whole_name(_name(aux.name), aux, btf)
        return BpfUser("program", index, name, program.value_()), btf

    def _whole_name(self, name: str, aux: Object, btf: int) -> str:
        """A name that the kernel cut, from the BTF of the entry function."""
        found = {e.address: i for i, e in self._list().items()}.get(btf)
        converter = self.converter(found) if found is not None else None
        if converter is None or len(name) < _MAX_KERNEL_NAME:
            return name
        try:
            whole = converter.btf.name_of(TypeId(aux.func_info[0].type_id.value_()))
        except (FaultError, LookupError, BtfError):
            return name
        return whole if whole.startswith(name) else name

    def _map(self, index: int, entry: Object) -> tuple[BpfUser, int]:
        bpf_map = drgn.cast("struct bpf_map *", entry)
        return BpfUser("map", index, _name(bpf_map.name), bpf_map.value_()), bpf_map.btf.value_()

    def find(self, name: str) -> int | None:
        """
        The id of the BTF that a word means.

        :param name: An id, or the name of programs and maps that all use one BTF.
        """
        if name.isdecimal():
            return int(name) if int(name) in self._list() else None
        ids = {i for i, users in self._all_users().items() if any(u.name == name for u in users)}
        return ids.pop() if len(ids) == 1 else None

    # Maps

    def map_types(self, bpf_map: Object) -> tuple[drgn.Type, drgn.Type]:
        """
        The types of a map's keys and values.

        :param bpf_map: ``struct bpf_map *``
        :raises LookupError: the map does not say, or its BTF cannot be read.
        """
        found = {e.address: i for i, e in self._list().items()}.get(bpf_map.btf.value_())
        converter = self.converter(found) if found is not None else None
        if converter is None:
            raise LookupError("the map has no BTF of its own, or it cannot be read")
        try:
            value = self._value_type(converter, TypeId(bpf_map.btf_value_type_id.value_()))
            key_id = bpf_map.btf_key_type_id.value_()
            # Maps of global variables have no key type; their one key is an index.
            unsigned = self._session.prog.int_type("unsigned int", 4, False)
            key = converter.convert(TypeId(key_id)) if key_id else unsigned
        except BtfNotFoundError as e:
            raise LookupError(str(e)) from e
        for what, t, size in (("key", key, bpf_map.key_size), ("value", value, bpf_map.value_size)):
            if t.kind is drgn.TypeKind.VOID or drgn.sizeof(t) > size.value_():
                raise LookupError(f"its BTF does not fit the map's {what}s")
        return key, value

    def _value_type(self, converter: TypeConverter, type_id: TypeId) -> drgn.Type:
        """A section of global variables, which is no C type, as the struct that it is."""
        section = converter.btf.type_by_id(type_id)
        if not isinstance(section, kinds.Datasec):
            return converter.convert(type_id)
        members = [
            drgn.TypeMember(
                converter.convert(var.type), converter.btf.name_of(var.type), var.offset * 8
            )
            for var in section.vars
        ]
        return self._session.prog.struct_type(section.name, section.size, members)

    def entries(self, bpf_map: Object) -> Iterator[BpfEntry]:
        """
        What an array or a hash map holds.

        :param bpf_map: ``struct bpf_map *``
        :raises LookupError: no types, or a kind of map that is not read.
        :raises drgn.FaultError: memory is missing.
        """
        key, value = self.map_types(bpf_map)
        kind = bpf_map.map_type.format_(type_name=False)
        walk: Callable[[Object, drgn.Type, drgn.Type], Iterator[BpfEntry]]
        if kind == "BPF_MAP_TYPE_ARRAY":
            walk = _array
        elif kind in _HASHES:
            walk = _hash
        else:
            raise LookupError(f"maps of {kind} are not read")
        for size in (bpf_map.key_size.value_(), bpf_map.value_size.value_()):
            if not 0 < size <= _MAX_SIZE:
                raise LookupError(f"an entry of {size} bytes is not believable")
        yield from itertools.islice(walk(bpf_map, key, value), _MAX_ENTRIES)


def _array(bpf_map: Object, key: drgn.Type, value: drgn.Type) -> Iterator[BpfEntry]:
    prog = bpf_map.prog_
    array = drgn.container_of(bpf_map, "struct bpf_array", "map")
    first, size = array.value.address_, array.elem_size.value_()
    for index in range(min(bpf_map.max_entries.value_(), _MAX_ENTRIES)):
        yield BpfEntry(Object(prog, key, index), Object(prog, value, address=first + index * size))


def _hash(bpf_map: Object, key: drgn.Type, value: drgn.Type) -> Iterator[BpfEntry]:
    from drgn.helpers.linux.list_nulls import hlist_nulls_for_each_entry

    prog = bpf_map.prog_
    htab = drgn.container_of(bpf_map, "struct bpf_htab", "map")
    # A value follows its key.
    after = -(-bpf_map.key_size.value_() // _BPF_ALIGN) * _BPF_ALIGN
    buckets = htab.buckets.read_()
    for index in range(min(htab.n_buckets.value_(), _MAX_ENTRIES)):
        head = buckets[index].head.address_of_()
        for element in hlist_nulls_for_each_entry("struct htab_elem", head, "hash_node"):
            at = element.key.address_
            yield BpfEntry(Object(prog, key, address=at), Object(prog, value, address=at + after))


def _name(array: Object) -> str:
    name: bytes = array.string_()
    return name.decode("utf-8", "backslashreplace")
