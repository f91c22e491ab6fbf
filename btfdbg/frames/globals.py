"""The type of a global variable, from what the code does with it.

Owns the evidence: ``lea rdi, cf_lock; call mutex_lock`` says that ``cf_lock`` is a struct mutex,
``mov rdi, [cf_victim]; call f(struct cf_widget *)`` that ``cf_victim`` is a pointer to a struct
cf_widget; so do stores of typed values, typed places that get the variable's value or address,
and what functions return. Whether size, place and contents allow a type is ``variables``'.

All functions that name the variable have to agree (``evidence``). Numbers are not typed, as C
converts them without a word.

Nothing is asked of code that is not in the dump; a variable that too many functions name is
left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import drgn
from drgn import Qualifiers, TypeKind

from btfdbg.btf import Kind, kinds
from btfdbg.btf.fields import SIZE_OR_TYPE
from btfdbg.errors import DebugInfoError
from btfdbg.frames.arguments import recovery
from btfdbg.frames.bounds import first_element
from btfdbg.frames.contents import Mark, Shapes, is_list_of
from btfdbg.frames.counted import length_beside
from btfdbg.frames.evidence import INLINE, CodeType, Evidence, spelled_out
from btfdbg.frames.layout import pointed_to, size_of, underlying
from btfdbg.frames.reading import collect, telling
from btfdbg.frames.references import pointers, present, references
from btfdbg.frames.types import Types
from btfdbg.lazy_dataclass import replace
from btfdbg.variables.placement import Extent, extent_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from btfdbg.btf import Btf
    from btfdbg.frames.function import Function
    from btfdbg.frames.recover import Recovery
    from btfdbg.program.session import Session
    from btfdbg.variables.symbols import Symbol

_CACHE_KEY = "btfdbg.frames.globals"
MAX_FUNCTIONS = 200
"""Functions that may name a variable; one that more do is left alone."""
_MAX_SIZE = 1 << 20
_MAX_CONTENTS = 1 << 16
_KERNEL = 1 << 63
_WORD = 8
_MAX_NESTED = 3
_MAX_POINTEES = 256
# include/trace/stages/stage6_event_callback.h: "static char print_fmt_##call[] = print;"
_PRINT_FORMAT = ".print_fmt"
_MAX_FIRST = 4096
_HOLDERS = (Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.TYPE_TAG)


def type_from_code(session: Session, symbol: Symbol, module: str = "") -> CodeType | None:
    """
    The type of a variable by the code that is in the dump; None if it says nothing.

    :param symbol: Of the variable.
    :param module: Whose it is, "" for the kernel's.
    """
    made = _code_types(session)
    return None if made is None else made.of(symbol, module)


def functions_naming(session: Session, symbol: Symbol, module: str = "") -> list[Function]:
    """
    The functions whose code names a variable; none if they are more than :data:`MAX_FUNCTIONS`.

    :param symbol: Of the variable.
    :param module: Whose it is, "" for the kernel's.
    """
    made = _code_types(session)
    return [] if made is None else made.functions(symbol, module) or []


def _code_types(session: Session) -> CodeTypes | None:
    cache: dict[Any, Any] = session.prog.cache
    made = cache.get(_CACHE_KEY)
    if made is None:
        try:
            made = CodeTypes(session, recovery(session))
        except DebugInfoError:
            made = False  # no capstone, or another architecture
        cache[_CACHE_KEY] = made
    return made if isinstance(made, CodeTypes) else None


class CodeTypes:
    """Types of variables of one Session by its code; each variable is looked at once."""

    def __init__(self, session: Session, made: Recovery) -> None:
        self._session = session
        self._made = made
        self._known: dict[int, CodeType | None] = {}
        self._first: dict[tuple[str, str, int | None], bool] = {}
        self._in_dump: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        self._shapes: dict[str, Shapes | None] = {}
        self._asked: list[int] = []
        self._cut_short = False
        self._last: tuple[int, list[Function] | None] = (0, None)

    def of(self, symbol: Symbol, module: str) -> CodeType | None:
        """See :func:`type_from_code`."""
        address = symbol.address
        if address in self._known:
            return self._known[address]
        if address < _KERNEL or not 0 < symbol.size <= _MAX_SIZE:
            return None
        if len(self._names_at(address, module)) > 1:
            return None  # an empty array may be where the next variable begins
        if address in self._asked or len(self._asked) >= _MAX_NESTED:
            # Asked for by what is being found out about another: that answer is not kept.
            self._cut_short = True
            self._session.answers.doubt()
            return None
        if not self._asked:
            self._cut_short = False
        depth = len(self._asked)
        try:
            self._asked.append(address)
            found = self._find(symbol, module)
        finally:
            del self._asked[depth:]
        if found is not None or not self._cut_short or not self._asked:
            self._known[address] = found
        return found

    def _find(self, symbol: Symbol, module: str) -> CodeType | None:
        functions = self.functions(symbol, module)
        if functions is None:
            return None
        evidence = Evidence(symbol.address, symbol.size)
        for function in functions:
            collect(self._session, self._made, function, evidence)
        self._pointed_to(evidence, symbol, module)
        found = evidence.verdict(lambda type_, limit: self._begins(module, type_, limit))
        if found is None and evidence.texts:
            found = self._as_text(symbol, module, evidence)
        head = None
        if found is None and evidence.reach <= 2 * _WORD and not evidence.objects:
            alone = bool(functions) and evidence.is_alone(2 * _WORD)
            head = self._as_list(symbol, alone=alone)
            if head is None and evidence.circular:
                head = self._as_walked(symbol, alone=alone)
            found = head
        if found is None or not self._fits(found, symbol, module):
            found = self._by_contents(symbol, module, evidence) or found
        if found is None:
            return None
        if found.type.endswith(" []") and len(evidence.lengths) == 1:
            found = self._counted(found, symbol, module, *evidence.lengths)
        shapes = self._shapes_of(module)
        if shapes is not None and found is not head and not found.type.endswith("*"):
            return replace(found, or_table=shapes.has_arrays_of_one(found.type))
        return found

    def _fits(self, found: CodeType, symbol: Symbol, module: str) -> bool:
        """Whether there is no more room than padding takes."""
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        return found.size is None or symbol.size - found.size < max(extent.slack, 1)

    def _counted(self, found: CodeType, symbol: Symbol, module: str, length: int) -> CodeType:
        """A table of a length that stands beside a pointer to it, if BTF has such an array."""
        shapes = self._shapes_of(module)
        size = None if shapes is None else shapes.array_size(found.type[:-3], length)
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        if not size or size > symbol.size or symbol.size - size >= max(extent.slack, 1):
            return found
        return replace(found, type=f"{found.type[:-2]}[{length}]", size=size)

    def _by_contents(self, symbol: Symbol, module: str, evidence: Evidence) -> CodeType | None:
        """The only type that has what the code names where it is, and what memory shows."""
        shapes = self._shapes_of(module)
        data = self._made.text.memory(symbol.address, min(symbol.size, _MAX_CONTENTS))
        if shapes is None or data is None or (evidence.values and symbol.size <= _WORD):
            return None
        functions = shapes.functions(data, module)
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        marks, said = self._marks(module, evidence, shapes, extent, data, functions)
        if not functions and not marks:
            return None
        is_list = any(is_list_of(underlying(t).tag) for at, t, _ in evidence.exact if not at)
        text = shapes.of(marks, functions, extent, data, is_list=is_list)
        if text is None or text.rpartition(" ")[2] in INLINE:
            return None
        if said:
            return CodeType(text, spelled_out(said), evidence.reach)
        first = self._made.text.names_at(
            int.from_bytes(data[(at := min(functions)) : at + 8], "little")
        )
        return CodeType(text, f"contents: it has {first[0]} at {at:#x}", evidence.reach)

    def _marks(
        self,
        module: str,
        evidence: Evidence,
        shapes: Shapes,
        extent: Extent,
        data: bytes,
        functions: Mapping[int, object],
    ) -> tuple[list[Mark], list[str]]:
        btf = self._session.modules.get(module) if module else None
        btf = self._session.vmlinux if btf is None else btf
        marks: dict[Mark, None] = {}
        said = []
        stand = [(0, type_, why) for type_, why in evidence.objects] + evidence.inside
        for n, (offset, type_, why) in enumerate(stand + evidence.exact + evidence.words):
            real = underlying(type_)
            kind = Kind.UNION if real.kind is TypeKind.UNION else Kind.STRUCT
            ids = frozenset(int(i) for i in btf.types_by_name(real.tag or "", (kind,)))
            if n >= len(stand) + len(evidence.exact):
                ids = shapes.pointers_to(ids)
            elif n >= len(stand):
                ids = shapes.pointers_to(ids, const=Qualifiers.CONST in type_.qualifiers)
            if real.tag and ids:
                marks[Mark(offset, ids)] = None
                said.append(why)
        ids, checks = first_element(evidence.bounds, btf, extent, shapes.pointers_to)
        if ids and self._bears_out(btf, ids, data, functions):
            marks[Mark(0, ids)] = None
            said += checks
        return list(marks), said

    def _bears_out(
        self, btf: Btf, ids: frozenset[int], data: bytes, functions: Mapping[int, object]
    ) -> bool:
        """
        Whether memory says the same of a table's elements as a check of an index.

        The check may be that of another table of as many elements as large: one index that is
        checked once goes into both (evm_crypto.c: ``hash_algo_name`` and ``evm_tfm``).
        """
        targets = {
            btf.name_of(btf.skip_mods_and_typedefs(t.type))
            for t in map(btf.type_by_id, ids)
            if isinstance(t, kinds.Ptr)
        }
        if not targets:
            return bool(functions)  # which have to stand where such an element has them
        types = Types(self._session, self._made.text, "")
        found = set()
        for at in range(0, min(len(data), _WORD * _MAX_POINTEES), _WORD):
            word = int.from_bytes(data[at : at + _WORD], "little")
            typed = types.at((None, word, 64), 0) if word >= _KERNEL else None
            if typed is not None and typed.type is not None:
                found.add(_element(typed.type))
        return bool(found) and found <= targets

    def _shapes_of(self, module: str) -> Shapes | None:
        if module not in self._shapes:
            session = self._session
            btf = session.modules.get(module) if module else session.vmlinux
            text = self._made.text
            self._shapes[module] = None if btf is None else Shapes(btf, text, text.image())
        return self._shapes[module]

    def _names_at(self, address: int, module: str) -> tuple[str, ...]:
        names_at = getattr(self._session.symbols, "names_at", None)
        return () if module or names_at is None else tuple(names_at(address))

    def _begins(self, module: str, type_: drgn.Type, limit: int | None) -> bool:
        """Whether structs of the kernel or of a module begin with one."""
        session = self._session
        own = session.modules.get(module) if module else None
        key = (module, underlying(type_).type_name(), limit)
        known = self._first.get(key)
        if known is None:
            found = begins_another(session.vmlinux, session.vmlinux, type_, limit)
            if not found and own is not None:
                found = begins_another(session.vmlinux, own, type_, limit)
                found = found or begins_another(own, own, type_, limit)
            known = self._first[key] = found
        return known

    def _present(
        self, what: str, module: str, ranges: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """What is in the dump of some ranges; looked at once."""
        key = (what, module, len(ranges))
        known = self._in_dump.get(key)
        if known is None:
            known = self._in_dump[key] = present(self._made.text.memory, ranges)
        return known

    def _pointed_to(self, evidence: Evidence, symbol: Symbol, module: str) -> None:
        """What typed variables point to it: ``cf_device.fops``."""
        text = self._made.text
        types = Types(self._session, text, "")
        data = self._present("data", module, text.data(module))
        places = pointers(text.memory, data, evidence.start)
        for place in places:
            typed = types.at((None, place, 64), _WORD)
            if typed is None:
                continue
            why = f"pointer {typed.text}"
            target, word = telling(typed.type), telling(pointed_to(typed.type))
            if typed.type is None:
                word = _one_record(types.all_at(place, _WORD), symbol.type_letter in "dDbB")
            if target is not None and size_of(target):
                evidence.objects.append((target, why))
                length = length_beside(self._session.prog, typed.text)
                if length is not None:
                    evidence.lengths.add(length)
            elif word is not None:
                evidence.points_to_word(0, word, why)
            elif typed.text.endswith(_PRINT_FORMAT):
                evidence.texts.append(why)

    def _as_text(self, symbol: Symbol, module: str, evidence: Evidence) -> CodeType | None:
        """
        The text of a trace event's format, which is as long as it was when it was written.

        The kernel shortens it in place, and leaves what was behind (update_event_printk()).
        """
        if evidence.objects or evidence.values or evidence.inside or evidence.exact:
            return None
        data = self._made.text.memory(symbol.address, min(symbol.size, _MAX_CONTENTS)) or b""
        size = len(data.rstrip(b"\0")) + 1
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        if not 1 < size <= len(data) or evidence.reach > size:
            return None
        if not all(32 <= byte < 127 or byte in b"\0\t\n" for byte in data):
            return None
        if symbol.size - size >= max(extent.slack, 1):
            return None
        return CodeType(f"char [{size}]", spelled_out(evidence.texts), evidence.reach, size)

    def _as_list(self, symbol: Symbol, *, alone: bool) -> CodeType | None:
        """
        Two words that lead to neighbours which lead back are a list's head.

        :param alone: No code knows anything behind them.
        """
        read = self._made.text.word
        if symbol.size != 2 * _WORD and not (alone and symbol.size > 2 * _WORD):
            return None
        head = symbol.address
        following, previous = read(head), read(head + _WORD)
        if following is None or previous is None or min(following, previous) < _KERNEL:
            return None
        if read(following + _WORD) != head or read(previous) != head:
            return None
        return CodeType("struct list_head", "contents: its links lead back to it")

    def _as_walked(self, symbol: Symbol, *, alone: bool) -> CodeType | None:
        """
        A list's head one of whose links is damaged: the other leads back, and code ends there.

        What begins with a pointer to the first and one to the last entry's pointer (struct
        wake_q_head) has such a link as well when it is empty, but nobody compares it so.
        """
        read, head = self._made.text.word, symbol.address
        if symbol.size != 2 * _WORD and not (alone and symbol.size > 2 * _WORD):
            return None
        following, previous = read(head) or 0, read(head + _WORD) or 0
        back = previous == head or (previous >= _KERNEL and read(previous) == head)
        if not back and (following < _KERNEL or read(following + _WORD) != head):
            return None
        return CodeType("struct list_head", "code: it is walked as a list until it is met again")

    def functions(self, symbol: Symbol, module: str) -> list[Function] | None:
        """The functions that name a variable; None if they are too many."""
        if self._last[0] != symbol.address:
            self._last = (symbol.address, self._search(symbol, module))
        return self._last[1]

    def _search(self, symbol: Symbol, module: str) -> list[Function] | None:
        text = self._made.text
        found: dict[int, Function] = {}
        exported = bool(self._session.lookup_symbols(f"__ksymtab_{symbol.name}"))
        ranges = self._present("text", module, text.ranges(module, everywhere=exported))
        for at in references(text.memory, ranges, text.machine, symbol.address, symbol.size):
            function = text.function(at)
            if isinstance(function, str):
                continue
            found[function.start] = function
            if len(found) > MAX_FUNCTIONS:
                return None
        return list(found.values())


def _element(type_: drgn.Type) -> str | None:
    """The name of a struct or union, or of the one that an array is of; None of other types."""
    real = underlying(type_)
    while real.kind is TypeKind.ARRAY:
        real = underlying(real.type)
    return real.tag if real.kind in (TypeKind.STRUCT, TypeKind.UNION) else None


def _one_record(types: list[drgn.Type], writable: bool) -> drgn.Type | None:
    """
    What all of some types are pointers to pointers to, if that is one struct.

    :param writable: Of a union's two ways to hold a table (``attrs``, ``attrs_const``) the one
        without const is meant by a table that is not const itself.
    """
    found = [t for t in (telling(pointed_to(type_)) for type_ in types) if t is not None]
    if len(found) != len(types) or len({underlying(t).tag for t in found}) != 1:
        return None
    meant = [t for t in found if (Qualifiers.CONST in t.qualifiers) is not writable]
    return meant[0] if meant else None


def begins_another(home: Btf, where: Btf, type_: drgn.Type, limit: int | None = None) -> bool:
    """
    Whether a larger struct or union with a name begins with a struct.

    One of the same size has nothing else in it, so that it makes no difference which it is.

    :param home: The BTF that has the struct.
    :param where: The BTF in which others are looked for.
    :param limit: Bytes; larger ones do not count.
    """
    wanted, size = underlying(type_).tag, size_of(type_)
    if wanted is None or size is None:
        return False
    kind = Kind.UNION if underlying(type_).kind is TypeKind.UNION else Kind.STRUCT
    todo = [int(type_id) for type_id in home.types_by_name(wanted, (kind,))]
    seen = set(todo)
    while todo:
        inner = todo.pop()
        for word in where.find_word(inner):
            outer = where.id_at(word)
            if outer is None or outer in seen or where.kind_of(outer) not in _HOLDERS:
                continue
            t = where.type_by_id(outer)
            if isinstance(t, (kinds.Struct, kinds.Union)):
                begins = any(m.type == inner and not m.bit_offset for m in t.members)
                if not begins or (limit is not None and t.size > limit):
                    continue
                if t.name and t.size > size:
                    return True
            elif where.record(outer)[SIZE_OR_TYPE] != inner:
                continue  # the number is its name
            seen.add(outer)
            todo.append(outer)
            if len(seen) > _MAX_FIRST:
                return True
    return False
