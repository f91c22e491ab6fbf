"""The verifier's rules that need several types together.

Owns the walk that the verifier calls resolving: what a type is made of must have a
size and fit, must not contain itself, and must not be nested over 32 deep. Types are
visited in order of their ids, each after what it is made of; a pointer is made of
nothing when met inside of a struct or array, and a struct or array of nothing when
met behind a pointer, so that lists and trees are no loops.

A type that breaks a rule is reported once, and what contains it is not blamed.
Facts: kernel/bpf/btf.c, the "resolve" operations of each kind; limits as of 6.18.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Final, TypeAlias

from btfdbg.btf.btf import Btf
from btfdbg.btf.format import COMPOSITES, SIZED, Kind, info_kflag, info_vlen
from btfdbg.btf.validate.problem import Problem, Record, problem_of
from btfdbg.errors import BtfError

MAX_DEPTH: Final = 32

_MODIFIERS: Final = frozenset(
    {Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG}
)
# Only referred from, never to, but for what each rule names.
_SOURCES: Final = frozenset({Kind.VAR, Kind.DATASEC, Kind.DECL_TAG})
_SIZELESS: Final = frozenset({Kind.VOID, Kind.FWD, Kind.FUNC, Kind.FUNC_PROTO, Kind.DECL_TAG})
_RESOLVED: Final = _MODIFIERS | COMPOSITES | _SOURCES | frozenset({Kind.PTR, Kind.ARRAY, Kind.FUNC})
_TAGGABLE: Final = COMPOSITES | frozenset({Kind.FUNC, Kind.VAR, Kind.TYPEDEF})

_Visit: TypeAlias = "Generator[int, None, None]"


class _Broken(Exception):
    """
    A rule, and what was found.

    :ivar of_root: Said of the type at which resolving began, not of the one it came to.
    """

    def __init__(self, rule: str, detail: str = "", *, of_root: bool = False) -> None:
        super().__init__(rule)
        self.rule = rule
        self.detail = detail
        self.of_root = of_root


class _Resolver:
    def __init__(self, btf: Btf, broken: set[int]) -> None:
        self.btf = btf
        self.done: set[int] = set()
        self.finals: dict[int, int] = {}
        self.bad = set(broken)  # reported already: nothing they take part in is judged

    def exists(self, type_id: int) -> bool:
        return type_id < self.btf.type_cnt

    def kind(self, type_id: int) -> int:
        return self.btf.kind_of(type_id)

    def record(self, type_id: int) -> Record:
        btf = self.btf.owner_of(type_id)
        pos = btf.offsets[type_id - btf.start_id]
        return Record(btf, type_id, pos, btf.words[pos : btf.record_end(type_id)].tolist())

    def final(self, type_id: int) -> int:
        """Return what modifiers and a VAR lead to; -1 if that leads nowhere."""
        start = type_id
        if start in self.finals:
            return self.finals[start]
        for _ in range(MAX_DEPTH * 4):
            if not self.exists(type_id) or type_id in self.bad:
                return -1
            if self.kind(type_id) not in _MODIFIERS and self.kind(type_id) != Kind.VAR:
                if start in self.done:  # and so will not turn out bad
                    self.finals[start] = type_id
                return type_id
            type_id = self.record(type_id).words[2]
        return -1

    def has_size(self, type_id: int) -> bool:
        """Return whether a type is of a kind that has a size, whatever it is."""
        final = self.final(type_id)
        return final >= 0 and self.kind(final) in SIZED | {Kind.PTR, Kind.ARRAY}

    def size(self, type_id: int) -> int | None:
        """Return the size in bytes of a resolved type, ``None`` if it has none."""
        final = self.final(type_id)
        if final < 0 or not self.has_size(final):
            return None
        try:
            return self.btf.resolve_size(final)
        except BtfError:
            return None

    def tainted(self, type_id: int) -> bool:
        return self.final(type_id) < 0 and self.exists(type_id)

    def is_regular_int(self, type_id: int) -> bool:
        """
        Return whether an INT's bits are 1, 2, 4, 8 or 16 bytes.

        The verifier does not ask whether its size is that, too.
        """
        words = self.record(type_id).words
        return not words[3] >> 16 & 0xFF and words[3] & 0xFF in (8, 16, 32, 64, 128)

    # One visit per kind: yields what must be resolved first, then judges.

    def visit(self, type_id: int) -> _Visit:
        record = self.record(type_id)
        return _VISITS[record.kind](self, record)

    def reference(self, record: Record) -> _Visit:
        target = record.words[2]
        if not self.exists(target) or self.kind(target) in _SOURCES:
            raise _Broken("Invalid type_id", str(target))
        yield target
        # A pointer to a modifier that was resolved for a struct's sake stopped there.
        if record.kind == Kind.PTR and self.kind(target) in _MODIFIERS:
            final = self.final(target)
            if final > 0 and self.kind(final) == Kind.PTR:
                yield final
        if self.tainted(target) or self.has_size(target):
            return
        final = self.final(target)
        if self.kind(final) == Kind.FUNC and final in self.done:
            return  # it counts as the signature that it was resolved to
        if self.kind(final) not in (Kind.VOID, Kind.FWD, Kind.FUNC_PROTO):
            raise _Broken("Invalid type_id", f"{target} has no size")

    def var(self, record: Record) -> _Visit:
        target = record.words[2]
        if not self.exists(target) or self.kind(target) in _SOURCES:
            raise _Broken("Invalid type_id", str(target))
        yield target
        final = self.final(target)
        if self.kind(target) in _MODIFIERS and final > 0 and self.kind(final) == Kind.PTR:
            yield final
        if not self.has_size(target) and not self.tainted(target):
            raise _Broken("Invalid type_id", f"{target} has no size")

    def array(self, record: Record) -> _Visit:
        elem, index, nelems = record.words[3:6]
        if not self.exists(index) or self.kind(index) in _SIZELESS | _SOURCES:
            raise _Broken("Invalid index", str(index))
        yield index
        final = self.final(index)
        if not self.tainted(index) and (
            self.kind(final) != Kind.INT or not self.is_regular_int(final)
        ):
            raise _Broken("Invalid index", f"{index} is no plain integer")
        if not self.exists(elem) or self.kind(elem) in _SIZELESS | _SOURCES:
            raise _Broken("Invalid elem", str(elem))
        yield elem
        if self.tainted(elem):
            return
        size = self.size(elem)
        if size is None:
            raise _Broken("Invalid elem", f"{elem} has no size")
        final = self.final(elem)
        if self.kind(final) == Kind.INT and not self.is_regular_int(final):
            raise _Broken("Invalid array of int", f"{elem} does not fill its bytes")
        if size * nelems > 0xFFFFFFFF:
            raise _Broken("Array size overflows U32_MAX", f"{nelems} times {size} bytes")

    def composite(self, record: Record) -> _Visit:
        words = record.words
        kflag, size = info_kflag(words[1]), words[2]
        for at in range(3, len(words), 3):
            target, offset = words[at + 1], words[at + 2]
            which = f"member {at // 3 - 1}"
            if not self.exists(target) or self.kind(target) in _SIZELESS | _SOURCES:
                raise _Broken("Invalid member", f"{which}: type {target}")
            yield target
            if self.tainted(target):
                continue
            final = self.final(target)
            if self.kind(final) in _SIZELESS:
                raise _Broken("Invalid member", f"{which}: type {target} has no size")
            bits = 0
            if kflag:
                bits, offset = offset >> 24, offset & 0xFFFFFF
            self.member(which, final, offset, bits, size, kflag)

    def member(
        self, which: str, type_id: int, offset: int, bits: int, struct_size: int, kflag: bool
    ) -> None:
        """Judge where a member stands; ``type_id`` is no modifier."""
        kind = self.kind(type_id)
        size = self.size(type_id)
        if size is None:
            return  # of an array too large, reported there
        if kind == Kind.INT:
            end = self.int_member(which, type_id, offset, bits, kflag)
        elif kind in (Kind.ENUM, Kind.ENUM64) and kflag:
            if bits > 32:
                raise _Broken("Invalid member bitfield_size", f"{which}: {bits}")
            if not bits and offset % 8:
                raise _Broken("Member is not byte aligned", f"{which}: bit {offset}")
            end = (offset + (bits or 32) + 7) // 8
        else:
            if bits:
                raise _Broken("Invalid member bitfield_size", f"{which}: {bits}")
            align = min(self.btf.pointer_size, size) if kind == Kind.FLOAT else 1
            if offset % (8 * align):
                raise _Broken(
                    "Member is not properly aligned"
                    if kind == Kind.FLOAT
                    else "Member is not byte aligned",
                    f"{which}: bit {offset}",
                )
            end = offset // 8 + size
        if end > struct_size:
            raise _Broken(
                "Member exceeds struct_size", f"{which}: ends at {end} in {struct_size} bytes"
            )

    def int_member(self, which: str, type_id: int, offset: int, bits: int, kflag: bool) -> int:
        """Judge an integer or bit-field; return the byte that it ends at."""
        data = self.record(type_id).words[3]
        own_bits = data & 0xFF
        if not kflag:
            offset += data >> 16 & 0xFF
            bits = own_bits
        else:
            if not self.is_regular_int(type_id):
                raise _Broken("Invalid member base type", f"{which}: type {type_id}")
            if not bits:
                if offset % 8:
                    raise _Broken("Invalid member offset", f"{which}: bit {offset}")
                bits = own_bits
            elif bits > own_bits:
                raise _Broken("Invalid member bitfield_size", f"{which}: {bits} of {own_bits}")
        if bits + offset % 8 > 128:
            raise _Broken("nr_copy_bits exceeds 128", f"{which}: {bits + offset % 8}")
        return offset // 8 + (bits + offset % 8 + 7) // 8

    def func(self, record: Record) -> _Visit:
        proto = record.words[2]
        if not self.exists(proto) or self.kind(proto) != Kind.FUNC_PROTO:
            raise _Broken("Invalid type_id", str(proto))
        params = self.record(proto).words[3:]
        for number, (name, target) in enumerate(
            zip(params[::2], params[1::2], strict=True), start=1
        ):
            if not name and target:
                raise _Broken(f"Invalid arg#{number}", "has no name")
        yield from ()

    def datasec(self, record: Record) -> _Visit:
        words = record.words
        for at in range(3, len(words), 3):
            var, _, size = words[at : at + 3]
            if not self.exists(var) or self.kind(var) != Kind.VAR:
                raise _Broken("Not a VAR kind member", str(var))
            yield var
            needed = self.size(var)
            if self.tainted(var):
                continue
            if needed is None:
                raise _Broken("Invalid type", f"{var} has no size")
            if size < needed:
                raise _Broken("Invalid size", f"{size} bytes, type {var} has {needed}")

    def decl_tag(self, record: Record) -> _Visit:
        target, index = record.words[2:4]
        if not self.exists(target) or self.kind(target) not in _TAGGABLE:
            raise _Broken("Invalid type_id", str(target))
        yield target
        if index == 0xFFFFFFFF or target in self.bad:
            return
        kind = self.kind(target)
        count = 0
        if kind in COMPOSITES:
            count = info_vlen(self.btf.info_of(target))
        elif kind == Kind.FUNC:
            count = info_vlen(self.btf.info_of(self.record(target).words[2]))
        if index >= count:
            raise _Broken("Invalid component_idx", f"{index} of {count}")

    def loc(self, record: Record) -> _Visit:
        wanted = (Kind.LOC_PARAM,) if record.kind == Kind.LOC_PROTO else (Kind.FUNC, Kind.LOC_PROTO)
        places = record.btf.type_ref_words(record.type_id)
        for number, at in enumerate(places):
            target = record.words[at - record.pos]
            kind = wanted[number % len(wanted)]
            if target and (not self.exists(target) or self.kind(target) != kind):
                raise _Broken("Invalid type_id", f"{target}, expected {kind.name}")
        yield from ()

    # The walk.

    def resolve(self, root: int) -> Problem | None:
        """Resolve a type and what it is made of; return the first broken rule."""
        behind_pointer: bool | None = None
        stack: list[tuple[int, _Visit]] = []
        at = root
        active: set[int] = set()
        try:
            while True:
                if at in active:
                    raise _Broken("Loop detected", f"type {at} is made of itself", of_root=True)
                if len(stack) == MAX_DEPTH:
                    raise _Broken("Exceeded max resolving depth", str(MAX_DEPTH), of_root=True)
                active.add(at)
                stack.append((at, self.visit(at)))
                if behind_pointer is None:
                    kind = self.kind(at)
                    if kind == Kind.PTR:
                        behind_pointer = True
                    elif kind == Kind.ARRAY or kind in COMPOSITES:
                        behind_pointer = False
                at = self.advance(stack, active, behind_pointer)
                if not stack:
                    return None
        except _Broken as broken:
            current = root if broken.of_root else stack[-1][0]
            self.bad.update(type_id for type_id, _ in stack)
            return problem_of(self.record(current), broken.rule, broken.detail)

    def advance(
        self, stack: list[tuple[int, _Visit]], active: set[int], behind_pointer: bool | None
    ) -> int:
        """Go on with visits until one needs a type resolved; return that, 0 when all are done."""
        while stack:
            type_id, visit = stack[-1]
            for needed in visit:
                if not self.is_sink(needed, behind_pointer) and needed not in self.done:
                    if needed in self.bad:
                        continue
                    return needed
            stack.pop()
            active.discard(type_id)
            self.done.add(type_id)
        return 0

    def is_sink(self, type_id: int, behind_pointer: bool | None) -> bool:
        """Return whether a type counts as resolved where it is met."""
        kind = self.kind(type_id)
        if type_id < self.btf.start_id or kind not in _RESOLVED:
            return True
        if behind_pointer is None:
            return False
        if behind_pointer:
            return kind not in _MODIFIERS and kind != Kind.PTR
        return kind not in _MODIFIERS and kind != Kind.ARRAY and kind not in COMPOSITES

    def func_proto(self, type_id: int) -> Iterator[Problem]:
        """Judge a signature, whose types need resolving first."""
        record = self.record(type_id)
        words = record.words

        def problem(rule: str, detail: str) -> Problem:
            self.bad.add(type_id)
            return problem_of(record, rule, detail)

        def usable(target: int) -> Generator[Problem, None, bool]:
            if not self.exists(target) or self.kind(target) in _SOURCES:
                return False
            if target in self.bad:
                return True
            if not self.is_sink(target, None) and target not in self.done:
                found = self.resolve(target)
                if found is not None:
                    yield found
                    return True
            return self.tainted(target) or self.has_size(target)

        if words[2] and not (yield from usable(words[2])):
            yield problem("Invalid return type", str(words[2]))
        params = list(zip(words[3::2], words[4::2], strict=True))
        if params and not params[-1][1]:
            if params[-1][0]:
                yield problem(f"Invalid arg#{len(params)}", "void, with a name")
            params.pop()
        for number, (name, target) in enumerate(params, start=1):
            if name and (not record.has_string(name) or not record.is_identifier(name)):
                yield problem(f"Invalid arg#{number}", f"name {record.name(name)!r}")
            elif not (yield from usable(target)):
                yield problem(f"Invalid arg#{number}", f"type {target}")


_VISITS: Final[dict[int, Callable[[_Resolver, Record], _Visit]]] = {
    **dict.fromkeys(_MODIFIERS, _Resolver.reference),
    Kind.PTR: _Resolver.reference,
    Kind.ARRAY: _Resolver.array,
    Kind.STRUCT: _Resolver.composite,
    Kind.UNION: _Resolver.composite,
    Kind.VAR: _Resolver.var,
    Kind.FUNC: _Resolver.func,
    Kind.DATASEC: _Resolver.datasec,
    Kind.DECL_TAG: _Resolver.decl_tag,
    Kind.LOC_PROTO: _Resolver.loc,
    Kind.LOCSEC: _Resolver.loc,
}


def resolve_rules(btf: Btf, broken: set[int]) -> Iterator[Problem]:
    """
    Yield the rules broken by the own types of a Btf together.

    :param broken: Types reported already; what they take part in is not judged.
    """
    resolver = _Resolver(btf, broken)
    for type_id in btf.own_ids():
        kind = btf.kind_of(type_id)
        if type_id in resolver.bad or type_id in resolver.done:
            continue
        if kind in _RESOLVED or kind in (Kind.LOC_PROTO, Kind.LOCSEC):
            found = resolver.resolve(type_id)
            if found is not None:
                yield found
        elif kind == Kind.FUNC_PROTO:
            yield from resolver.func_proto(type_id)


def type_tag_rules(btf: Btf) -> Iterator[Problem]:
    """
    Yield where a TYPE_TAG stands behind another modifier, or such a chain is too long.

    What a chain has in common with that of a lower id is not looked at again.
    """
    good = btf.start_id - 1
    for type_id in btf.own_ids():
        at = type_id
        kind = btf.kind_of(at)
        if kind not in _MODIFIERS:
            continue
        in_tags = kind == Kind.TYPE_TAG
        for _ in range(MAX_DEPTH):
            if kind != Kind.TYPE_TAG:
                in_tags = False
            elif not in_tags:
                yield _tag_problem(btf, type_id, "Type tags don't precede modifiers", f"tag {at}")
                break
            if at <= good:
                break
            at = btf.record(at)[2]
            if at >= btf.type_cnt:
                break
            kind = btf.kind_of(at)
            if kind not in _MODIFIERS:
                break
        else:
            yield _tag_problem(btf, type_id, "Max chain length or cycle detected", "")
        good = type_id


def _tag_problem(btf: Btf, type_id: int, rule: str, detail: str) -> Problem:
    offset = btf.type_section_offset + 4 * btf.offsets[type_id - btf.start_id]
    return Problem(rule, detail, type_id, offset, btf.kind_of(type_id))
