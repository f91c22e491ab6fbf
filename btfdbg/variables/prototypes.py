"""Whether a function may stand where a function pointer of some type is.

Owns the comparison of function prototypes in BTF. C compilers accept an initialiser only
if the prototypes are compatible (and control-flow integrity checks calls the same way),
so a function of another prototype is proof that the pointer is of another type.

Compared is what a call can tell apart; where C is lax, so is this: qualifiers do not
count, an enum may be any integer of its size, ``void *`` is any pointer.

Facts: C11 6.7.6.3 paragraph 15; include/uapi/linux/btf.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.fields import SIZE_OR_TYPE, param_words
from btfdbg.btf.names import functions_by_name
from btfdbg.errors import BtfError

# A type as far as it counts: a class letter, then what tells it from others of its class.
Key: TypeAlias = tuple[str | int, ...]

_ANY: Key = ("?",)
_VOID: Key = ("void",)
_RECORDS = (Kind.STRUCT, Kind.UNION, Kind.FWD)
_POINTED_DEPTH = 2


class Prototypes:
    """Prototypes of one BTF, each read once."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._keys: dict[int, tuple[Key, ...]] = {}
        self._values: dict[tuple[int, int], Key] = {}
        self._of_function: dict[str, tuple[tuple[Key, ...], ...]] = {}
        self._functions: dict[str, tuple[int, ...]] | None = None

    def expect_many(self) -> None:
        """Put all functions in a dictionary at once, for thousands that are asked for."""
        self._functions = functions_by_name(self._btf)

    def of_function(self, name: str) -> tuple[tuple[Key, ...], ...]:
        """Return the prototypes of all functions of a name; empty if BTF has none."""
        found = self._of_function.get(name)
        if found is None:
            distinct = []
            for proto in self._prototypes(name):
                key = self.key(proto)
                if key and key not in distinct:
                    distinct.append(key)
            found = self._of_function[name] = tuple(distinct)
        return found

    def _prototypes(self, name: str) -> Iterable[int]:
        if self._functions is not None:
            return self._functions.get(name, ())[1:]
        ids = self._btf.types_by_name(name, (Kind.FUNC,))
        return [self._btf.record(id_)[SIZE_OR_TYPE] for id_ in ids]

    def key(self, proto_id: int) -> tuple[Key, ...]:
        """Return a prototype's result and parameters; empty if it is no FUNC_PROTO."""
        found = self._keys.get(proto_id)
        if found is None:
            btf = self._btf
            found = ()
            if btf.kind_of(proto_id) == Kind.FUNC_PROTO:
                owner = btf.owner_of(proto_id)
                at = owner.offsets[proto_id - owner.start_id]
                _, types = param_words(owner.words, at)
                found = tuple(map(self._value, (owner.words[at + SIZE_OR_TYPE], *types)))
            self._keys[proto_id] = found
        return found

    def _value(self, type_id: int, depth: int = _POINTED_DEPTH) -> Key:
        found = self._values.get((type_id, depth))
        if found is None:
            found = self._values[type_id, depth] = self._find_value(type_id, depth)
        return found

    def _find_value(self, type_id: int, depth: int) -> Key:
        btf = self._btf
        try:
            type_id = btf.skip_mods_and_typedefs(type_id)
        except BtfError:
            return _ANY
        kind = btf.kind_of(type_id)
        if not type_id:
            return _VOID
        if kind == Kind.PTR:
            pointed = btf.record(type_id)[SIZE_OR_TYPE]
            target = self._value(pointed, depth - 1) if depth else _ANY
            return ("*", *(_ANY if target == _VOID else target))
        if kind in _RECORDS:
            name = btf.name_of(type_id)
            return ("record", name) if name else _ANY
        if kind == Kind.INT:
            number = btf.type_by_id(type_id)
            assert isinstance(number, kinds.Int)
            return ("int", number.size, "bool" if number.bool else "")
        if kind in (Kind.ENUM, Kind.ENUM64):
            return ("int", btf.resolve_size(type_id), "")
        return _ANY


def compatible(one: tuple[Key, ...], other: tuple[Key, ...]) -> bool:
    """Whether a pointer to the one may hold the address of the other."""
    return one == other or (len(one) == len(other) and all(map(_same, one, other)))


def _same(one: Key, other: Key) -> bool:
    for a, b in zip(one, other, strict=False):
        if "?" in (a, b):
            return True
        if a != b:
            return False
    return len(one) == len(other)
