"""``CDump``: all types as C, definitions before their use.

Owns the order of definitions, which are libbpf's: a type is defined as late as
possible but before what embeds it, and a struct that is only pointed to is declared
first. What one declaration looks like is ``declarations``'s; sizes and alignments are
``c_layout``'s.

Names: C has one name space for tags and one for typedefs and enumerators, BTF of a
kernel has several types of one name. The second of a name becomes ``name___2``.

What C cannot say (a struct that contains itself, typedefs in a circle) is left out,
and a comment says so. Work is bounded: a prototype within a prototype can double the
text at each level, and no more of that is written than some times the BTF's own size.

Facts: libbpf's btf_dump.c, whose output for real kernels this equals, and its tests.
"""

from __future__ import annotations

from itertools import compress

from btfdbg.btf.cheader.c_layout import NOTHING, Types, WorkBudget
from btfdbg.btf.cheader.declarations import Declarator, Unprintable
from btfdbg.btf.layouts import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What GCC takes for granted on arm64 but other compilers do not know.
_ALIASES = {
    "__Poly8_t": "unsigned char",
    "__Poly16_t": "unsigned short",
    "__Poly64_t": "unsigned long long",
    "__Poly128_t": "unsigned __int128",
}

# ``bool``, and ``enum { false, true }``: what else has these names has been given others.
_C23 = frozenset({"bool", "false", "true"})
# gcc 13 and clang 15 are the first to have the keywords with -std=gnu2x.
_BEFORE_C23 = (
    "#if !(__STDC_VERSION__ > 201710L && "
    "(__clang_major__ >= 15 || (!defined(__clang__) && __GNUC__ >= 13)))"
)

_NEW, _ORDERING, _ORDERED, _FAILED = range(4)
_NOT_EMITTED, _EMITTING, _EMITTED = range(3)
_MODIFIERS = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG})
_LEADS_ON = _MODIFIERS | {PTR, ARRAY}
_COMPOSITES = frozenset({STRUCT, UNION})
_NOT_RETURNED = frozenset({ARRAY, FUNC_PROTO})
_NO_DEFINITION = NOTHING | {INT, FLOAT}
_ENUMS = frozenset({ENUM, ENUM64})
# Pieces of text to a chunk of output.
_CHUNK = 4096
# Nested steps of one definition; real ones stay below 60.
_MAX_DEPTH = 150


class _Cycle(Exception):
    """A type that cannot be defined in C, for it contains itself if nothing else is said."""


class CDump:
    """
    The state of a dump: what has been written already, and under which names.

    Types can be asked for one by one; each brings along what it needs, once.
    """

    def __init__(self, types: Types, *, ms_extensions: bool = False) -> None:
        self.types = types
        self.kind = types.kind
        self.words = types.words
        self.start = types.start
        self.tagged = types.tagged
        self.below = types.below
        self.order = bytearray(types.count)
        self.order[0] = _ORDERED
        self.emitted = bytearray(types.count)
        self.declared = bytearray(types.count)  # forward, or as a typedef for pointers
        self.settled = bytearray(types.count)  # nothing more to be written for it
        self.settled[0] = 1
        #: Nothing more to be written where another type's definition refers to it.
        self.quiet = bytearray(self.settled)
        self.out: list[str] = []
        #: What C cannot say, one line each; a comment stands in its place.
        self.left_out: list[str] = []
        self.decl = Declarator(types, ms_extensions)
        self.queue: list[int] = []
        #: What is to be said of those that C cannot define, if they do not contain themselves.
        self.why: dict[int, str] = {}
        self.steps = 100_000 + 100 * types.count
        #: Pointers to what need not be defined before them.
        self.loose = bytearray(types.count)
        targets = types.columns.word(types.pointers, 2)
        for type_id in compress(types.pointers, map(types.tagged.__getitem__, targets)):
            self.loose[type_id] = 1

    def dump(self, type_id: int) -> str:
        """Return the definitions that a type needs and that were not returned before."""
        return "".join(self.dump_all((type_id,)))

    def dump_all(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the definitions that types need, as above, several at a time."""
        out = self.out
        order, kind, loose, queue = self.order, self.kind, self.loose, self.queue
        for type_id in ids:
            if order[type_id] == _ORDERED:
                continue
            try:
                if kind[type_id] == FUNC_PROTO:
                    # As _order() does; whether it has to be defined first is not asked.
                    for target in self.below[type_id]:
                        if order[target] != _ORDERED:
                            if loose[target]:
                                order[target] = _ORDERED
                            else:
                                self._order(target, False)
                elif loose[type_id]:
                    order[type_id] = _ORDERED
                else:
                    self._order(type_id, False)
            except _Cycle as error:
                name = self.types.names[self.words[self.start[type_id]]]
                why = str(error) or "contains itself"
                self._leave_out(f"type {type_id} {name}: {why}, not defined")
            if queue:
                self._define()
                if len(out) > _CHUNK:
                    yield "".join(out)
                    out.clear()
        yield "".join(out)
        out.clear()

    def _define(self) -> None:
        """Write what is queued."""
        for wanted in self.queue:
            try:
                self._emit(wanted, 0)
            except _Cycle:
                self._leave_out(f"type {wanted}: too deep, not defined")
            except Unprintable as error:
                self._leave_out(f"type {wanted}: not defined: {error}")
        self.queue.clear()

    def _leave_out(self, what: str) -> None:
        self.left_out.append(what)
        self.out.append(f"/* {what} */\n\n")

    # Which definitions, in which order.

    def _order(self, type_id: int, through_ptr: bool, depth: int = 0) -> bool:
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
        if kind in _COMPOSITES:
            if through_ptr and self.tagged[type_id]:
                return False
            if state == _ORDERING:
                raise _Cycle
        elif kind in _NO_DEFINITION:
            order[type_id] = _ORDERED
            return False
        if state == _FAILED or depth > _MAX_DEPTH:
            raise _Cycle(self.why.get(type_id, ""))
        self.steps -= 1
        if self.steps < 0:
            WorkBudget(0).take(type_id)
        depth += 1
        words = self.words
        at = self.start[type_id]
        try:
            if kind in _COMPOSITES:
                order[type_id] = _ORDERING
                loose = self.loose
                for member in self.below[type_id]:
                    if order[member] != _ORDERED:
                        if loose[member]:
                            order[member] = _ORDERED  # as the call below would find
                        else:
                            self._order(member, False, depth)
                if words[at]:
                    self.queue.append(type_id)
                order[type_id] = _ORDERED
                strong = True
            elif kind == PTR:
                strong = self._order(words[at + 2], True, depth)
                order[type_id] = _ORDERED
            elif kind == FUNC_PROTO:
                strong = False
                if self.kind[words[at + 2]] in _NOT_RETURNED:
                    raise _Cycle("a function returns an array, or a function")
                for target in self.below[type_id]:
                    if order[target] == _ORDERED or self._order(target, through_ptr, depth):
                        strong = True
            elif kind == TYPEDEF:
                strong = self._order(words[at + 2], through_ptr, depth)
                if strong or not through_ptr:
                    self.queue.append(type_id)
                    order[type_id] = _ORDERED
                    strong = True
            elif kind in _LEADS_ON:
                if kind == ARRAY:
                    target, through_ptr = words[at + 3], False
                    if self.types.has_no_value(target):
                        raise _Cycle("an array of what has no size")
                else:
                    target = words[at + 2]
                strong = self._order(target, through_ptr, depth)
                if order[target] == _ORDERED:
                    order[type_id] = _ORDERED  # what it would be asked again has one answer
            elif kind in _ENUMS or kind == FWD:
                if words[at] or type_id in self.types.unreferenced:
                    self.queue.append(type_id)
                order[type_id] = _ORDERED
                strong = True
            else:  # no C of its own
                order[type_id] = _ORDERED
                strong = False
        except _Cycle as error:
            order[type_id] = _FAILED
            self.why[type_id] = str(error)
            raise
        return strong

    # Definitions, and the declarations that they need.

    def _emit(self, type_id: int, container: int, depth: int = 0) -> None:
        """
        Write a definition, or what must stand before one that refers to the type.

        :param container: Type whose definition refers to this one; 0 to define it.
        """
        if self.settled[type_id]:
            return
        if depth > _MAX_DEPTH:
            raise _Cycle
        self.steps -= 1
        if self.steps < 0:
            WorkBudget(0).take(type_id)
        depth += 1
        kind = self.kind[type_id]
        quiet = self.quiet
        if kind in _COMPOSITES:
            self._emit_composite(type_id, container, depth)
        elif kind in _LEADS_ON:
            target = self.words[self.start[type_id] + (3 if kind == ARRAY else 2)]
            if not quiet[target]:
                self._emit(target, container, depth)
            self.settled[type_id] = self.settled[target]
            quiet[type_id] = quiet[target]
        elif kind == TYPEDEF:
            self._emit_typedef(type_id, depth)
        elif kind == FUNC_PROTO:
            below = self.below[type_id]
            for target in below:
                if not quiet[target]:
                    self._emit(target, container, depth)
            self._settle(type_id, below)
        else:
            if kind in _ENUMS:
                record = self.types.record[type_id]
                # Nothing can be said of one that has neither name nor values.
                if not container and (record[0] or len(record) > 3):
                    self.out.append(self._guarded(type_id, self.decl.enum(type_id, 0) + ";\n\n"))
            elif kind == FWD:
                self.out.append(self.decl.forward(type_id) + ";\n\n")
            elif kind == INT:
                name = self.types.names[self.words[self.start[type_id]]]
                if name in _ALIASES:
                    self.out.append(f"typedef {_ALIASES[name]} {name};\n\n")
            self.settled[type_id] = quiet[type_id] = 1

    def _settle(self, type_id: int, below: list[int]) -> None:
        """Note of a type without a name of its own what is left of those that it refers to."""
        self.settled[type_id] = all(map(self.settled.__getitem__, below))
        self.quiet[type_id] = all(map(self.quiet.__getitem__, below))

    def _emit_typedef(self, type_id: int, depth: int) -> None:
        state = self.emitted[type_id]
        if state == _EMITTED:
            return
        if state == _NOT_EMITTED:
            self.emitted[type_id] = _EMITTING
            target = self.words[self.start[type_id] + 2]
            if not self.quiet[target]:
                self._emit(target, type_id, depth)
        if not self.declared[type_id]:
            # Also while what it names is being written: a pointer to that is enough.
            text = self.decl.typedef(type_id)
            if text:
                self.out.append(self._guarded(type_id, text + ";\n\n"))
            self.declared[type_id] = 1
        if state == _NOT_EMITTED:
            self.emitted[type_id] = _EMITTED
            self.settled[type_id] = self.quiet[type_id] = 1

    def _guarded(self, type_id: int, text: str) -> str:
        """Return a definition, for older compilers only if C23 has it of itself."""
        types = self.types
        record = types.record[type_id]
        unnamed = self.kind[type_id] in _ENUMS and not record[0] and len(record) > 3
        if types.names[record[3] if unnamed else record[0]] not in _C23:
            return text
        return f"{_BEFORE_C23}\n{text.rstrip()}\n#endif\n\n"

    def _declare(self, type_id: int) -> None:
        self.out.append(self.decl.tag(type_id) + ";\n\n")
        self.declared[type_id] = self.quiet[type_id] = 1

    def _emit_composite(self, type_id: int, container: int, depth: int) -> None:
        named = self.tagged[type_id]
        if self.emitted[type_id] == _EMITTING:
            if self.declared[type_id] or type_id == container:
                return
            if not named:
                raise _Cycle
            self._declare(type_id)
            return
        if container and named:
            if not self.declared[type_id] and type_id != container:
                self._declare(type_id)
            return
        self.emitted[type_id] = _EMITTING
        quiet = self.quiet
        inside = type_id if named else container
        below = self.below[type_id]
        loose, settled, words, start = self.loose, self.settled, self.words, self.start
        for member in below:
            if quiet[member]:
                continue
            if loose[member]:  # as _emit() does
                self.steps -= 1
                target = words[start[member] + 2]
                if not quiet[target]:
                    self._emit(target, inside, depth)
                settled[member] = settled[target]
                quiet[member] = quiet[target]
            else:
                self._emit(member, inside, depth)
        if container:
            self.emitted[type_id] = _NOT_EMITTED
            self._settle(type_id, below)
            return
        self.out.append(self.decl.composite(type_id, 0) + ";\n\n")
        self.emitted[type_id] = _EMITTED
        self.settled[type_id] = quiet[type_id] = 1
