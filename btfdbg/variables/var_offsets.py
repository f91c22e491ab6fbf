"""Which VAR of a BTF a symbol is.

Owns telling VARs of one name apart: a file-local variable's BTF says no file, but its
DATASEC says where in its section it lies, and a neighbour in that section whose name is
unique says where the section is. The same for a kernel's own BTF, if it has global
variables, and for extra BTF.

Facts: include/uapi/linux/btf.h (``struct btf_var_secinfo``): offsets are from the
section's start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from btfdbg.btf import Btf, Kind, TypeId, kinds
from btfdbg.btf.fields import NAME_OFF
from btfdbg.errors import BtfError

AddressesOf = Callable[[str], Sequence[int]]
"""Addresses of all symbols of a name."""

_MAX_ANCHORS = 64
_MANY = 64  # questions after which a table pays


class VarOffsets:
    """
    The VARs that a BTF itself has.

    :param btf: its base's VARs do not count.
    """

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._places: dict[int, tuple[int, int]] | None = None
        self._in_section: dict[int, list[tuple[str, int]]] = {}
        self._starts: dict[int, int | None] = {}
        # Names to VARs, once many were asked for: a kernel has some hundreds.
        self._asked = 0
        self._all: dict[str, list[TypeId]] | None = None

    def find(self, name: str, address: int, addresses_of: AddressesOf) -> TypeId | None:
        """
        Return the VAR that a symbol is.

        :param address: of the symbol.
        :return: ``None`` if there is no VAR of the name; or several of different types,
            and none or more than one of them is where the symbol is.
        """
        ids = self._ids(name)
        if not ids:
            return None
        if len(ids) == 1 and len(set(addresses_of(name))) <= 1:
            return ids[0]
        here = [i for i in ids if self._is_at(i, address, addresses_of)]
        if here:
            return here[0] if len({self._type(i) for i in here}) == 1 else None
        # Nothing says where they are: right only if all are the same.
        known = len({self._type(i) for i in ids}) == 1 and len(ids) >= len(addresses_of(name))
        return ids[0] if known and not any(self._known(i, addresses_of) for i in ids) else None

    def _ids(self, name: str) -> list[TypeId]:
        self._asked += 1
        if self._asked <= _MANY:
            return list(self._btf.own_ids_by_name(name, (Kind.VAR,)))
        if self._all is None:
            found: dict[str, list[TypeId]] = {}
            for id_, at in self._btf.own_of_kind(Kind.VAR):
                try:
                    own = self._btf.string(self._btf.words[at + NAME_OFF])
                except BtfError:
                    continue
                found.setdefault(own, []).append(TypeId(id_))
            self._all = found
        return self._all.get(name, []) if name else []

    def _type(self, var_id: int) -> int:
        var = self._btf.type_by_id(var_id)
        assert isinstance(var, kinds.Var)
        return var.type

    def _known(self, var_id: int, addresses_of: AddressesOf) -> bool:
        return self._address(var_id, addresses_of) is not None

    def _is_at(self, var_id: int, address: int, addresses_of: AddressesOf) -> bool:
        return self._address(var_id, addresses_of) == address

    def _address(self, var_id: int, addresses_of: AddressesOf) -> int | None:
        """Where a VAR is in memory, if its section is known to be somewhere."""
        if self._places is None:
            self._places = self._read()
        place = self._places.get(var_id)
        if place is None:
            return None
        section, offset = place
        if section not in self._starts:
            self._starts[section] = self._start(section, addresses_of)
        start = self._starts[section]
        return None if start is None else start + offset

    def _start(self, section: int, addresses_of: AddressesOf) -> int | None:
        """A section's address, by the first of its variables that have a unique name."""
        for name, offset in self._in_section[section][:_MAX_ANCHORS]:
            addresses = set(addresses_of(name))
            if len(addresses) == 1 and len(self._ids(name)) == 1:
                return addresses.pop() - offset
        return None

    def _read(self) -> dict[int, tuple[int, int]]:
        places: dict[int, tuple[int, int]] = {}
        btf = self._btf
        for id_ in btf.own_ids():
            if btf.kind_of(id_) != Kind.DATASEC:
                continue
            section = btf.type_by_id(id_)
            assert isinstance(section, kinds.Datasec)
            named = []
            for var in section.vars:
                if btf.start_id <= var.type < btf.type_cnt and btf.kind_of(var.type) == Kind.VAR:
                    places[int(var.type)] = (int(id_), var.offset)
                    named.append((btf.name_of(var.type), var.offset))
            self._in_section[int(id_)] = named
        return places
