"""``dump_c()``: a C header of all types, definitions before their use.

Owns the order of definitions, which are libbpf's: a type is defined as late as
possible but before what embeds it, and a struct that is only pointed to is declared
first. What one declaration looks like is ``cdecl``'s; sizes and alignments are
``cgraph``'s.

Names: C has one name space for tags and one for typedefs and enumerators, BTF of a
kernel has several types of one name. The second of a name becomes ``name___2``.

What C cannot say (a struct that contains itself, typedefs in a circle) is left out,
and a comment says so. Work is bounded: a prototype within a prototype can double the
text at each level, and no more of that is written than some times the BTF's own size.

Facts: libbpf's btf_dump.c, whose output for real kernels this equals, and its tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from btfdbg.btf.btf import Btf
from btfdbg.btf.cdecl import Declarator, Unprintable
from btfdbg.btf.cgraph import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    NOTHING,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
    Steps,
    Types,
)

_HEAD = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_TAIL = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""
# What GCC takes for granted on arm64 but other compilers do not know.
_ALIASES = {
    "__Poly8_t": "unsigned char",
    "__Poly16_t": "unsigned short",
    "__Poly64_t": "unsigned long long",
    "__Poly128_t": "unsigned __int128",
}

_NEW, _ORDERING, _ORDERED, _FAILED = range(4)
_NOT_EMITTED, _EMITTING, _EMITTED = range(3)
_MODIFIERS = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG})
_ENUMS = frozenset({ENUM, ENUM64})
# Nested steps of one definition; real ones stay below 60.
_MAX_DEPTH = 150


class _Cycle(Exception):
    """A type that cannot be defined in C."""


class CDump:
    """
    The state of a dump: what has been written already, and under which names.

    Types can be asked for one by one; each brings along what it needs, once.
    """

    def __init__(self, btf: Btf, *, ms_extensions: bool = False) -> None:
        self.types = types = Types(btf)
        self.kind = types.kind
        self.record = types.record
        self.order = [_NEW] * types.count
        self.order[0] = _ORDERED
        self.emitted = [_NOT_EMITTED] * types.count
        self.declared = bytearray(types.count)  # forward, or as a typedef for pointers
        self.settled = bytearray(types.count)  # nothing more to be written for it
        self.settled[0] = 1
        self.out: list[str] = []
        self.decl = Declarator(types, ms_extensions)
        self.queue: list[int] = []
        self.referenced = types.referenced
        self.depth = 0
        self.steps = Steps(100_000 + 100 * types.count)

    def dump(self, type_id: int) -> str:
        """Return the definitions that a type needs and that were not returned before."""
        if self.order[type_id] == _ORDERED:
            return ""
        out = self.out
        try:
            self._order(type_id, False)
        except _Cycle:
            self.depth = 0
            name = self.types.names[self.record[type_id][0]]
            out.append(f"/* type {type_id} {name}: contains itself, not defined */\n\n")
        queue = self.queue
        if queue:
            self.queue = []
            for wanted in queue:
                try:
                    self._emit(wanted, 0)
                except _Cycle:
                    self.depth = 0
                    out.append(f"/* type {wanted}: too deep, not defined */\n\n")
                except Unprintable as error:
                    self.depth = 0
                    out.append(f"/* type {wanted}: not defined: {error} */\n\n")
        text = "".join(out)
        out.clear()
        return text

    # Which definitions, in which order.

    def _order(self, type_id: int, through_ptr: bool) -> bool:
        """
        Queue a type's definition, and before it those that it embeds.

        :param through_ptr: It is only pointed to from where we come.
        :return: Whether it has to be defined first for whoever refers to it.
        """
        order = self.order
        state = order[type_id]
        if state == _ORDERED:
            return True
        kind = self.kind[type_id]
        if kind in NOTHING or kind in (INT, FLOAT):
            order[type_id] = _ORDERED
            return False
        record = self.record[type_id]
        if kind in (STRUCT, UNION):
            if state == _ORDERING:
                if through_ptr and record[0]:
                    return False
                raise _Cycle
            if through_ptr and record[0]:
                return False
        if state == _FAILED or self.depth > _MAX_DEPTH:
            raise _Cycle
        self.steps.take(type_id)
        self.depth += 1
        try:
            if kind == PTR:
                strong = self._order(record[2], True)
                order[type_id] = _ORDERED
            elif kind in (STRUCT, UNION):
                order[type_id] = _ORDERING
                kinds = self.kind
                for member in record[4::3]:
                    if order[member] != _ORDERED:
                        if kinds[member] == PTR:
                            target = self.record[member][2]
                            if kinds[target] in (STRUCT, UNION) and self.record[target][0]:
                                order[member] = _ORDERED  # as the call below would find
                                continue
                        self._order(member, False)
                if record[0]:
                    self.queue.append(type_id)
                order[type_id] = _ORDERED
                strong = True
            elif kind in _ENUMS or kind == FWD:
                if record[0] or type_id not in self.referenced:
                    self.queue.append(type_id)
                order[type_id] = _ORDERED
                strong = True
            elif kind == TYPEDEF:
                strong = self._order(record[2], through_ptr)
                if strong or not through_ptr:
                    self.queue.append(type_id)
                    order[type_id] = _ORDERED
                    strong = True
            elif kind in _MODIFIERS:
                strong = self._order(record[2], through_ptr)
            elif kind == ARRAY:
                strong = self._order(record[3], False)
            elif kind == FUNC_PROTO:
                strong = self._order(record[2], through_ptr)
                for param in record[4::2]:
                    if self._order(param, through_ptr):
                        strong = True
            else:  # no C of its own
                order[type_id] = _ORDERED
                strong = False
        except _Cycle:
            order[type_id] = _FAILED
            raise
        self.depth -= 1
        return strong

    # Definitions, and the declarations that they need.

    def _emit(self, type_id: int, container: int) -> None:
        """
        Write a definition, or what must stand before one that refers to the type.

        :param container: Type whose definition refers to this one; 0 to define it.
        """
        if self.settled[type_id]:
            return
        if self.depth > _MAX_DEPTH:
            raise _Cycle
        self.steps.take(type_id)
        self.depth += 1
        kind = self.kind[type_id]
        record = self.record[type_id]
        if kind == PTR or kind in _MODIFIERS:
            self._emit(record[2], container)
            self.settled[type_id] = self.settled[record[2]]
        elif kind == ARRAY:
            self._emit(record[3], container)
            self.settled[type_id] = self.settled[record[3]]
        elif kind in (STRUCT, UNION):
            self._emit_composite(type_id, record, container)
        elif kind == TYPEDEF:
            self._emit_typedef(type_id, record, container)
        elif kind == FUNC_PROTO:
            settled = True
            for target in (record[2], *record[4::2]):
                if not self.settled[target]:
                    self._emit(target, container)
                    settled = settled and bool(self.settled[target])
            self.settled[type_id] = settled
        else:
            if kind in _ENUMS:
                if not container:
                    self.out.append(self.decl.enum(type_id, 0) + ";\n\n")
            elif kind == FWD:
                self.out.append(self.decl.forward(type_id) + ";\n\n")
            elif kind == INT:
                name = self.types.names[record[0]]
                if name in _ALIASES:
                    self.out.append(f"typedef {_ALIASES[name]} {name};\n\n")
            self.settled[type_id] = 1
        self.depth -= 1

    def _emit_typedef(self, type_id: int, record: list[int], container: int) -> None:
        state = self.emitted[type_id]
        if state == _EMITTED:
            return
        if state == _NOT_EMITTED:
            self.emitted[type_id] = _EMITTING
            self._emit(record[2], type_id)
        if not self.declared[type_id]:
            # Also while what it names is being written: a pointer to that is enough.
            text = self.decl.typedef(type_id)
            if text:
                self.out.append(text + ";\n\n")
            self.declared[type_id] = 1
        if state == _NOT_EMITTED:
            self.emitted[type_id] = _EMITTED
            self.settled[type_id] = 1

    def _emit_composite(self, type_id: int, record: list[int], container: int) -> None:
        if self.emitted[type_id] == _EMITTING:
            if self.declared[type_id] or type_id == container:
                return
            if not record[0]:
                raise _Cycle
            self.out.append(self.decl.tag(type_id) + ";\n\n")
            self.declared[type_id] = 1
            return
        named = record[0] != 0
        if container and named:
            if not self.declared[type_id] and type_id != container:
                self.out.append(self.decl.tag(type_id) + ";\n\n")
                self.declared[type_id] = 1
            return
        self.emitted[type_id] = _EMITTING
        settled = self.settled
        inside = type_id if named else container
        for member in record[4::3]:
            if not settled[member]:
                self._emit(member, inside)
        if container:
            self.emitted[type_id] = _NOT_EMITTED
            settled[type_id] = all(settled[member] for member in record[4::3])
            return
        self.out.append(self.decl.composite(type_id, 0) + ";\n\n")
        self.emitted[type_id] = _EMITTED
        settled[type_id] = 1


def dump_c(
    btf: Btf,
    *,
    roots: Iterable[int] | None = None,
    assertions: bool = False,
    ms_extensions: bool = False,
) -> Iterator[str]:
    """
    Return a BTF as a C header, in pieces.

    :param roots: Ids to define, with all that they need; by default all types, those of
        the bases first.
    :param assertions: Append a ``_Static_assert`` for every size, and for the offset of
        every member that is no bit-field.
    :param ms_extensions: Use what a compiler understands with ``-fms-extensions`` only,
        as libbpf does.
    :raises BtfFormatError: a type refers to what does not exist.
    """
    dump = CDump(btf, ms_extensions=ms_extensions)
    yield _HEAD
    ids = btf.ids() if roots is None else roots
    chunk: list[str] = []
    order, kind = dump.order, dump.kind
    for type_id in ids:
        if order[type_id] == _ORDERED or kind[type_id] in NOTHING:
            continue
        text = dump.dump(type_id)
        if text:
            chunk.append(text)
            if len(chunk) > 4096:
                yield "".join(chunk)
                chunk.clear()
    yield "".join(chunk)
    if assertions:
        from btfdbg.btf.casserts import assertions as asserted

        yield from asserted(dump)
    yield _TAIL
