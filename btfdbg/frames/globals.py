"""The type of a global variable, from what the code does with it.

Owns the evidence: ``lea rdi, cf_lock; call mutex_lock`` says that ``cf_lock`` is a struct mutex,
``mov rdi, [cf_victim]; call f(struct cf_widget *)`` that ``cf_victim`` is a pointer to a struct
cf_widget; so do stores of typed values, typed places that get the variable's value or address,
and what functions return. Whether size, place and contents allow a type is ``variables``'.

All functions that name the variable have to agree. A struct's address is also that of its first
member, and a pointer to a struct can be one to a struct that begins with it: of two such the
larger is meant, and an access behind the smaller one's end refutes it. Numbers are not typed,
as C converts them without a word.

Nothing is asked of code that is not in the dump; a variable that too many functions name is
left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import drgn
from drgn import Qualifiers, TypeKind

from btfdbg.btf import Kind, kinds
from btfdbg.btf.fields import SIZE_OR_TYPE
from btfdbg.errors import DebugInfoError
from btfdbg.frames.arguments import recovery
from btfdbg.frames.contents import Mark, Shapes
from btfdbg.frames.flow import FunctionFlow, State, Value
from btfdbg.frames.ir import ADDRESS, CALL, CONST, JUMP, STOP, STORE, Insn, Op
from btfdbg.frames.layout import member_at, pointed_to, size_of, underlying
from btfdbg.frames.references import pointers, present, references
from btfdbg.frames.types import Types
from btfdbg.lazy_dataclass import dataclass
from btfdbg.variables.placement import extent_at

if TYPE_CHECKING:
    from btfdbg.btf import Btf
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.text import Function, Prototype
    from btfdbg.program.session import Session
    from btfdbg.variables.symbols import Symbol

_CACHE_KEY = "btfdbg.frames.globals"
MAX_FUNCTIONS = 200
"""Functions that may name a variable; one that more do is left alone."""
_MAX_SIZE = 1 << 20
_MAX_CONTENTS = 1 << 16
_KERNEL = 1 << 63
_M64 = (1 << 64) - 1
_WORD = 8
_MAX_NAMED = 2
_MAX_NESTED = 3
_NEIGHBOURS = ("page",)  # objects whose neighbours are looked at (struct page[1])
_MAX_FIRST = 4096
_HOLDERS = (Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.TYPE_TAG)
# Members that inline functions of the structs around them hand to others: a spinlock_t is
# seen as its raw_spinlock_t, a static_key_false as its static_key, an ida as its xarray.
_INLINE = ("raw_spinlock", "static_key", "xarray")
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)


@dataclass(frozen=True, slots=True)
class CodeType:
    """
    What the code says of a variable.

    :ivar type: As C writes it: ``struct mutex``, ``struct cf_widget *``.
    :ivar why: ``code: 4 calls of mutex_lock``, or ``contents: cf_device.fops points to it``.
    :ivar reach: Bytes of the variable that the code names.
    :ivar size: Bytes of the type, if it is known.
    """

    type: str
    why: str
    reach: int = 0
    size: int | None = None


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
        self._asked.append(address)
        try:
            found = self._find(symbol, module)
        finally:
            self._asked.pop()
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
        self._pointed_to(evidence, module)
        found = evidence.verdict(lambda type_, limit: self._begins(module, type_, limit))
        if found is None and evidence.reach <= 2 * _WORD and not evidence.objects:
            found = self._as_list(symbol, alone=bool(functions) and evidence.is_alone(2 * _WORD))
        if found is None or not self._fits(found, symbol, module):
            found = self._by_contents(symbol, module, evidence) or found
        return found

    def _fits(self, found: CodeType, symbol: Symbol, module: str) -> bool:
        """Whether there is no more room than padding takes."""
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        return found.size is None or symbol.size - found.size < max(extent.slack, 1)

    def _by_contents(self, symbol: Symbol, module: str, evidence: Evidence) -> CodeType | None:
        """The only type that has what the code names where it is, and what memory shows."""
        shapes = self._shapes_of(module)
        data = self._made.text.memory(symbol.address, min(symbol.size, _MAX_CONTENTS))
        if shapes is None or data is None or evidence.values:
            return None
        functions = shapes.functions(data, module)
        marks, said = self._marks(module, evidence)
        if not functions and not marks:
            return None
        extent = extent_at(symbol.address, symbol.size, exact=bool(module))
        text = shapes.of(marks, functions, extent, data)
        if text is None:
            return None
        if said:
            return CodeType(text, _why(said), evidence.reach)
        first = self._made.text.names_at(
            int.from_bytes(data[(at := min(functions)) : at + 8], "little")
        )
        return CodeType(text, f"contents: it has {first[0]} at {at:#x}", evidence.reach)

    def _marks(self, module: str, evidence: Evidence) -> tuple[list[Mark], list[str]]:
        btf = self._session.modules.get(module) if module else None
        btf = self._session.vmlinux if btf is None else btf
        marks: dict[Mark, None] = {}
        said = []
        for offset, type_, why in (
            *((0, type_, why) for type_, why in evidence.objects),
            *evidence.inside,
        ):
            real = underlying(type_)
            kind = Kind.UNION if real.kind is TypeKind.UNION else Kind.STRUCT
            ids = frozenset(int(i) for i in btf.types_by_name(real.tag or "", (kind,)))
            if real.tag and ids:
                marks[Mark(offset, ids)] = None
                said.append(why)
        return list(marks), said

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

    def _pointed_to(self, evidence: Evidence, module: str) -> None:
        """What typed variables point to it: ``cf_device.fops``."""
        text = self._made.text
        types = Types(self._session, text, "")
        data = self._present("data", module, text.data(module))
        places = pointers(text.memory, data, evidence.start)
        for place in places:
            typed = types.at((None, place, 64), _WORD)
            target = None if typed is None else _telling(typed.type)
            if target is not None and typed is not None and size_of(target) is not None:
                evidence.objects.append((target, f"pointer {typed.text}"))

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

    def functions(self, symbol: Symbol, module: str) -> list[Function] | None:
        """The functions that name a variable; None if they are too many."""
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


Begun = Callable[[drgn.Type, "int | None"], bool]


class Evidence:
    """
    What is seen of one variable.

    :ivar objects: What the variable is, by the functions that say so.
    :ivar values: What its eight bytes are.
    :ivar inside: What stands in it, by offset.
    """

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.objects: list[tuple[drgn.Type, str]] = []
        self.values: list[tuple[drgn.Type, str]] = []
        self.inside: list[tuple[int, drgn.Type, str]] = []
        self.reach = 0  # bytes of it that the code names
        self.named = 0  # the last of its bytes whose address the code has
        self.unread = False  # a function that names it cannot be analysed
        self.constant = False  # it gets pointers to what is const
        self.beyond = 0  # bytes behind its pointer that the code accesses

    def holds(self, address: int) -> bool:
        """Whether an address is in the variable."""
        return self.start <= address < self.start + self.size

    def is_alone(self, size: int) -> bool:
        """Whether all code that names the variable stays within so many bytes."""
        return not self.unread and self.named < size and self.reach <= size and not self.inside

    def verdict(self, begun: Begun) -> CodeType | None:
        """
        The one type that everything agrees on.

        :param begun: Whether a struct begins others, of at most so many bytes.
        """
        if self.objects:
            found = _outermost([t for t, _ in self.objects])
            if found is None or self.reach > (size_of(found) or 0):
                return None
            if self.values and not self._begins_with_values(found):
                return None
            if underlying(found).tag in _INLINE or begun(found, self.size):
                return None
            return self._code_type(found, self.objects, "", size_of(found))
        if not self.values or self.reach > _WORD:
            return None
        found = _outermost([t for t, _ in self.values])
        if found is None or (self.beyond > (size_of(found) or _M64) and not _is_open(found)):
            return None
        # What is assigned is of the type itself; what is passed may be a first member.
        assigned = any(why.startswith("store ") for _, why in self.values)
        if not assigned and begun(found, None):
            return None
        if self.constant:
            return self._code_type(found, self.values, " *", _WORD, "const ")
        return self._code_type(found, self.values, " *", _WORD)

    def _begins_with_values(self, type_: drgn.Type) -> bool:
        first = member_at(type_, 0, _WORD)
        target = None if first is None else pointed_to(first.type)
        if target is None:
            return False
        return all(_outermost([target, value]) is not None for value, _ in self.values)

    def _code_type(
        self,
        type_: drgn.Type,
        said: Iterable[tuple[drgn.Type, str]],
        suffix: str,
        size: int | None,
        prefix: str = "",
    ) -> CodeType | None:
        name = _spelled(type_)
        if name is None:
            return None
        return CodeType(prefix + name + suffix, _why([why for _, why in said]), self.reach, size)


def _why(said: list[str]) -> str:
    """``code: 4 calls of mutex_lock, 1 call of mutex_unlock and 2 others``."""
    counts = Counter(said)
    shown = []
    code = any(not text.startswith("pointer ") for text in said)
    for text, count in counts.most_common(_MAX_NAMED):
        kind, _, name = text.partition(" ")
        if kind == "pointer":
            shown.append(f"{name} points to it")
        else:
            shown.append(f"{count} {kind}{'' if count == 1 else 's'} of {name}")
    others = len(counts) - len(shown)
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{'code' if code else 'contents'}: {', '.join(shown)}{more}"


def collect(session: Session, made: Recovery, function: Function, evidence: Evidence) -> None:
    """Add what a function says to the evidence of a variable that it may name."""
    flow = made.flow(function)
    if flow.problem:
        evidence.unread = True
        return
    prototype = made.text.prototype_at(function.start)
    reader = _Reader(session, made, flow, prototype, evidence)
    for insn, state in flow.states():
        reader.read(insn, state)


class _Reader:
    """Reads one function's instructions."""

    def __init__(
        self,
        session: Session,
        made: Recovery,
        flow: FunctionFlow,
        prototype: Prototype | str,
        evidence: Evidence,
    ) -> None:
        self._made = made
        self._flow = flow
        self._prototype = prototype
        self._evidence = evidence
        self._types = Types(session, made.text, prototype, flow.insns)

    def read(self, insn: Insn, state: State) -> None:
        """Take in one instruction."""
        if insn.kind == CALL or (insn.kind == JUMP and insn.target not in self._flow.insns):
            self._call(insn.target, state)
        elif insn.kind == STOP:
            self._returns(state)
        for mem, size in self._made.arch.memory(*insn.text):
            where = None if mem.segment else self._flow.address_of(state, mem, insn.end)
            if where is not None:
                self._access(where, size)
        for op in insn.ops:
            if op[0] == STORE:
                self._store(op, insn, state)
            elif op[0] == CONST:
                self._named(op[2] & _M64)
            elif op[0] == ADDRESS:
                found = self._flow.address_of(state, op[2], insn.end)
                if found is not None and found[0] is None:
                    self._named(found[1])

    def _named(self, address: int) -> None:
        evidence = self._evidence
        if evidence.holds(address):
            evidence.named = max(evidence.named, address - evidence.start)

    # What is passed

    def _call(self, target: int, state: State) -> None:
        prototype = self._made.text.prototype_at(target)
        if isinstance(prototype, str):
            return
        for param, value in prototype.words(state.regs):
            if self._is_of_wanted(value):
                self._has(value, prototype.type_of(param.type_id), f"call {prototype.name}")

    def _returns(self, state: State) -> None:
        if isinstance(self._prototype, str) or self._prototype.signature.problem:
            return
        value = state.regs.get(self._made.arch.RETURN)
        if value is None or not self._is_of_wanted(value):
            return
        type_ = self._prototype.type_of(self._prototype.result)
        self._has(value, type_, f"return {self._prototype.name}")

    def _store(self, op: Op, insn: Insn, state: State) -> None:
        _, mem, what, size, _ = op
        if size != _WORD or mem.segment or what is None:
            return
        where = self._flow.address_of(state, mem, insn.end)
        if where is None:
            return
        value: Value = (None, what & _M64, 64) if isinstance(what, int) else state.regs[what]
        if where[0] is None and where[1] == self._evidence.start:
            self._gets(value)
        if self._is_of_wanted(value) and where[0] != ("sp",):
            place = self._types.at(where, size)
            if place is not None and place.type is not None:
                self._has(value, place.type, f"store {place.text}")

    def _gets(self, value: Value) -> None:
        """The variable gets a value."""
        if value[0] is None:
            return  # NULL, or an address that says nothing of what may point there
        typed = self._types.of(value)
        target = None if typed is None else _telling(typed.type)
        if target is not None and typed is not None:
            if Qualifiers.CONST in target.qualifiers:
                self._evidence.constant = True
            self._evidence.values.append((target, f"store {typed.text}"))

    # What is said

    def _is_of_wanted(self, value: Value) -> bool:
        base, k, bits = value
        if bits < 64:
            return False
        if base is None:
            return self._evidence.holds(k)
        return k == 0 and self._is_loaded(base)

    def _is_loaded(self, base: tuple[Any, ...]) -> bool:
        """Whether a value is the variable's eight bytes."""
        if base[0] != "load" or base[4] != _WORD or not isinstance(base[3], tuple):
            return False
        inner, address, bits = base[3]
        return inner is None and bits == 64 and address == self._evidence.start

    def _has(self, value: Value, type_: drgn.Type | None, why: str) -> None:
        """A value of, or the address of, a variable is of a type."""
        target = _telling(type_)
        if target is None:
            return
        base, k, _ = value
        if base is not None:
            if self._is_loaded(base):
                self._evidence.values.append((target, why))
        elif size_of(target) is not None:
            if k == self._evidence.start:
                self._evidence.objects.append((target, why))
            else:
                self._evidence.inside.append((k - self._evidence.start, target, why))

    def _access(self, where: Value, size: int) -> None:
        base, k, _ = where
        evidence = self._evidence
        if size > _WORD:
            return
        if base is None:
            if evidence.holds(k):
                evidence.reach = max(evidence.reach, k + size - evidence.start)
        elif k < _MAX_SIZE and self._is_loaded(base):
            evidence.beyond = max(evidence.beyond, k + size)


def _telling(type_: drgn.Type | None) -> drgn.Type | None:
    """What a pointer points to, if that is a struct or union with a name."""
    target = pointed_to(type_)
    if target is None:
        return None
    real = underlying(target)
    return target if real.kind in _RECORDS and real.tag is not None else None


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


def _is_open(type_: drgn.Type) -> bool:
    """Whether more may follow a struct than its size says."""
    real = underlying(type_)
    if real.tag in _NEIGHBOURS:
        return True
    if not real.is_complete() or not real.members:
        return True
    last = underlying(real.members[-1].type)
    return last.kind is TypeKind.ARRAY and not last.length


def _same(one: drgn.Type, other: drgn.Type) -> bool:
    left, right = underlying(one), underlying(other)
    return left.kind is right.kind and left.tag is not None and left.tag == right.tag


def _outermost(found: list[drgn.Type]) -> drgn.Type | None:
    """The one type of some, all others of which stand at its beginning; None if there is none."""
    best = max(found, key=lambda t: size_of(t) or 0)
    unqualified = [t for t in found if _same(t, best)]
    if not unqualified:
        return None  # it has no name
    best = min(unqualified, key=lambda t: len(t.type_name()))
    return best if all(_begins_with(best, other, 0) for other in found) else None


def _begins_with(type_: drgn.Type, inner: drgn.Type, depth: int) -> bool:
    if _same(type_, inner):
        return True
    real = underlying(type_)
    if depth > 8 or real.kind not in _RECORDS or not real.is_complete():
        return False
    return any(
        member.bit_offset == 0
        and member.bit_field_size is None
        and _begins_with(member.type, inner, depth + 1)
        for member in real.members
    )


def _spelled(type_: drgn.Type) -> str | None:
    """As C writes it, without qualifiers; None for a type without a name."""
    real = underlying(type_)
    if type_.kind is TypeKind.TYPEDEF:
        return str(type_.name)
    if real.tag is None:
        return None
    return f"{'struct' if real.kind is TypeKind.STRUCT else 'union'} {real.tag}"
