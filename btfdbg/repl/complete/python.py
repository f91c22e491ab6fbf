"""Completion in Python: names, attributes, members of structs, strings that name something.

Owns which names fit where; types come from ``infer``, names from ``sources``.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import drgn

from btfdbg.btf import Kind
from btfdbg.commands import display
from btfdbg.commands.candidates import members, struct_of
from btfdbg.commands.text import one_line
from btfdbg.commands.words import arrows
from btfdbg.program.session import Session
from btfdbg.repl.complete import scan as scanning
from btfdbg.repl.complete.infer import Inference, Known, parameters
from btfdbg.repl.complete.model import MAX_SHOWN, Completion
from btfdbg.repl.complete.sources import Sources, sources_of

STRUCTS = frozenset((Kind.STRUCT,))
UNIONS = frozenset((Kind.UNION,))
ENUMS = frozenset((Kind.ENUM, Kind.ENUM64))
_MAX_NAMESAKES = 3
_KINDS = {"struct": STRUCTS, "union": UNIONS, "enum": ENUMS}

_FOR = re.compile(r"\bfor\s+([A-Za-z_]\w*)\s+in\s+")
_ASSIGN = re.compile(r"(?:^|\n|;)[ \t]*([A-Za-z_]\w*)\s*=(?!=)\s*([^\n;]+)")

# Parameters of drgn's functions and helpers that take the name of a type, of a
# member of that type, of a symbol.
_TYPE_PARAMETERS = frozenset(("type", "type_or_obj"))
_MEMBER_PARAMETERS = frozenset(("member",))
_CALLS: dict[str, tuple[str, ...]] = {
    "cast": ("type", "obj"),
    "reinterpret": ("type", "obj"),
    "implicit_convert": ("type", "obj"),
    "container_of": ("obj", "type", "member"),
    "offsetof": ("type", "member"),
    "sizeof": ("type",),
    "alignof": ("type",),
    "Object": ("prog", "type", "value"),
    "NULL": ("prog", "type"),
    "type": ("type",),
    "pointer_type": ("type",),
    "variable": ("symbol",),
    "object": ("symbol",),
    "constant": ("symbol",),
    "function": ("symbol",),
    "symbol": ("symbol",),
    "member_": ("own member",),
    "subobject_": ("own member",),
    "member": ("own member",),
    "has_member": ("own member",),
}


def complete_python(
    text: str,
    cursor: int,
    session: Session,
    names: Mapping[str, Any],
    *,
    kernel_names: bool = False,
) -> list[Completion]:
    """Suggestions for Python at a cursor."""
    before = text[:cursor]
    inference = Inference(session, names, kernel_names=kernel_names)
    _bind_locals(inference, text)
    where = scanning.scan(before)
    if where.string_start is not None:
        return _in_string(before, where, inference)
    start = scanning.word_start(before)
    head = before[:start]
    if head.endswith("."):
        return _attributes(before, start, len(head) - 1, inference)
    if head.endswith("->"):
        return _attributes(before, start, len(head) - 2, inference)
    if head.endswith("$"):
        return dollar(before[start:], start, session)
    if before[start - 1 : start].isdigit():
        return []
    return list(_names(before[start:], start, session, inference))


def _bind_locals(inference: Inference, text: str) -> None:
    """Names that the text itself binds: ``for x in …`` and ``x = …``."""
    for match in _ASSIGN.finditer(text):
        found = inference.infer(arrows(match[2]))
        if found is not None:
            inference.local[match[1]] = found
    for match in _FOR.finditer(text):
        over = inference.infer(arrows(_iterated(text[match.end() :])))
        item = None if over is None else inference.item_of(over)
        if item is not None:
            inference.local[match[1]] = item


def _iterated(text: str) -> str:
    """The expression after ``in``, up to what ends it."""
    depth = 0
    for i, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return text[:i]
        elif depth == 0 and (char == ":" or text.startswith((" if ", " for "), i)):
            return text[:i]
    return text


# Attributes


def _attributes(before: str, start: int, dot: int, inference: Inference) -> list[Completion]:
    expression = scanning.expression_before(before, dot)
    if not expression:
        return []
    known = inference.infer(_dollars(arrows(expression), inference))
    if known is None:
        return []
    return list(_of_known(known, before[start:], start))


def _dollars(expression: str, inference: Inference) -> str:
    """``$name`` as a name that the inference knows."""
    from btfdbg.commands.state import state_of

    def bind(match: re.Match[str]) -> str:
        name = f"__dollar_{match[1]}"
        try:
            value = state_of(inference.session.prog).dollar(match[1])
        except LookupError:
            return name
        inference.local[name] = inference.known_value(value)
        return name

    return re.sub(r"\$(\w*)", bind, expression)


def _of_known(known: Known, typed: str, start: int) -> Iterator[Completion]:
    if known.type is not None:
        yield from member_completions(known.type, typed, start)
        if typed.endswith("_") or not struct_of(known.type) or len(typed) > 2:
            yield from _class_attributes(drgn.Object, typed, start, endings=("_",))
        return
    if known.has_value and isinstance(known.value, types.ModuleType):
        found = [(n, v) for n, v in vars(known.value).items() if _shown(n, typed)]
        for name, value in _rank(found, typed):
            yield Completion(name, start, name, _meta_of(value))
        return
    if known.cls is not None:
        yield from _class_attributes(known.cls, typed, start)


def _shown(name: str, typed: str) -> bool:
    return typed.startswith("_") or not name.startswith("_")


def _class_attributes(
    cls: type, typed: str, start: int, endings: tuple[str, ...] = ("",)
) -> Iterator[Completion]:
    found = []
    for name in dir(cls):
        if _shown(name, typed) and name.endswith(endings):
            found.append((name, inspect.getattr_static(cls, name, None)))
    for name, value in _rank(found, typed):
        yield Completion(name, start, name, _meta_of(value))


def member_completions(type_: drgn.Type, typed: str, start: int) -> Iterator[Completion]:
    """Members of a struct with type and offset."""
    found = [(name, (member, offset)) for name, member, offset in members(type_)]
    for name, (member, offset) in _rank(found, typed, keep_order=not typed):
        yield Completion(name, start, name, display.member_meta(member, offset))


def _rank(
    found: Iterable[tuple[str, Any]], typed: str, *, keep_order: bool = False
) -> list[tuple[str, Any]]:
    """Those that match, best first: prefix, inside, letters in order."""
    low = typed.lower()
    fuzzy = re.compile(".*?".join(map(re.escape, low))) if len(low) > 1 else None
    ranked = []
    for number, (name, value) in enumerate(found):
        lower = name.lower()
        if name.startswith(typed):
            rank = 0
        elif lower.startswith(low) or lower.lstrip("_").startswith(low):
            rank = 1
        elif "_" + low in lower:
            rank = 2
        elif low in lower:
            rank = 3
        elif fuzzy is not None and lower[:1] == low[:1] and fuzzy.match(lower):
            rank = 4
        else:
            continue
        ranked.append(((rank, number if keep_order else 0, name), name, value))
    ranked.sort(key=lambda item: item[0])
    return [(name, value) for _, name, value in ranked[:MAX_SHOWN]]


# Names


def _names(typed: str, start: int, session: Session, inference: Inference) -> Iterator[Completion]:
    if not typed:
        return
    pool: dict[str, Any] = dict.fromkeys(keyword.kwlist, _KEYWORD)
    for name, value in vars(builtins).items():
        pool[name] = value
    pool.update(inference.names)
    pool.update(inference.local)
    found = [(n, v) for n, v in pool.items() if _shown(n, typed)]
    for name, value in _rank(found, typed):
        yield Completion(name, start, name, _meta_of(value))
    if inference.kernel_names:
        for name in sources_of(session).symbol_search(typed, MAX_SHOWN):
            yield Completion(name, start, name, "symbol")


_KEYWORD = object()


def _meta_of(value: Any) -> str:
    """What a name is, in a few words; nothing of the dump's memory is read."""
    if value is _KEYWORD:
        return "keyword"
    if isinstance(value, Known):
        return display.type_name(value.type) if value.type is not None else "local"
    if isinstance(value, drgn.Object):
        return display.type_name(value.type_)
    if isinstance(value, drgn.Program):
        return "the kernel"
    if inspect.ismodule(value):
        return "module"
    if inspect.isroutine(value) or inspect.isclass(value):
        return one_line((inspect.getdoc(value) or "").partition("\n\n")[0], 60) or "function"
    if isinstance(value, (property, types.GetSetDescriptorType, types.MemberDescriptorType)):
        return one_line((getattr(value, "__doc__", "") or "").partition("\n\n")[0], 60)
    return type(value).__name__


# Strings


def _in_string(before: str, where: scanning.Scan, inference: Inference) -> list[Completion]:
    start = where.string_start
    assert start is not None
    if not where.brackets:
        return []
    typed = before[start:]
    bracket = where.brackets[-1]
    owner = scanning.expression_before(before, bracket.position)
    if not owner or before[bracket.argument : start - 1].strip():
        return []
    sources = sources_of(inference.session)
    if bracket.char == "[":
        known = inference.infer(arrows(owner))
        if known is not None and known.has_value and isinstance(known.value, drgn.Program):
            return symbols(typed, start, sources)
        return []
    if bracket.char != "(":
        return []
    name = owner.rpartition(".")[2]
    given = _CALLS.get(name)
    if given is None:
        known = inference.infer(owner)
        given = parameters(known.value) if known is not None and known.has_value else ()
    parameter = given[bracket.commas] if bracket.commas < len(given) else ""
    if parameter in _TYPE_PARAMETERS:
        return types_(typed, start, sources)
    if parameter == "symbol":
        return symbols(typed, start, sources)
    if parameter == "own member":
        known = inference.infer(arrows(owner.rpartition(".")[0]))
        if known is None:
            return []
        type_ = known.type
        if type_ is None and known.has_value and isinstance(known.value, drgn.Type):
            type_ = known.value
        return [] if type_ is None else member_path(type_, typed, start)
    if parameter in _MEMBER_PARAMETERS:
        return _member_of_argument(before, bracket, given, typed, start, inference)
    return []


def _member_of_argument(
    before: str,
    bracket: scanning.OpenBracket,
    given: tuple[str, ...],
    typed: str,
    start: int,
    inference: Inference,
) -> list[Completion]:
    """A member of the type that another argument of the same call names."""
    arguments = _split(before[bracket.position + 1 : start - 1])
    for parameter, argument in zip(given, arguments, strict=False):
        if parameter in _TYPE_PARAMETERS:
            match = re.fullmatch(r"""\s*(['"])(.*)\1\s*""", argument)
            if match:
                type_ = inference.c_type(match[2])
                return [] if type_ is None else member_path(type_, typed, start)
            known = inference.infer(argument)
            if known is not None and known.has_value and isinstance(known.value, drgn.Type):
                return member_path(known.value, typed, start)
            if known is not None and known.type is not None:
                return member_path(known.type, typed, start)
    return []


def _split(text: str) -> list[str]:
    """Arguments at the top level."""
    parts, depth, begin, quote = [], 0, 0, ""
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[begin:i])
            begin = i + 1
    return [*parts, text[begin:]]


def member_path(type_: drgn.Type, typed: str, start: int) -> list[Completion]:
    """Members in a path like ``tasks.next``; what stands before the last dot is followed."""
    path, dot, last = typed.rpartition(".")
    current: drgn.Type | None = type_
    for part in re.findall(r"[A-Za-z_]\w*", path):
        target = struct_of(current) if current is not None else None
        if target is None or not target.has_member(part):
            return []
        current = target.member(part).type
        # An array on the way is indexed with numbers that do not matter here.
        while current.kind is drgn.TypeKind.ARRAY:
            current = current.type
    assert current is not None
    return list(member_completions(current, last, start + len(path) + len(dot)))


def symbols(typed: str, start: int, sources: Sources) -> list[Completion]:
    """Symbols of the kernel."""
    found = sources.symbol_search(typed, MAX_SHOWN) if typed else []
    return [
        Completion(name, start, name, _symbol_meta(sources, name, i))
        for i, name in enumerate(found)
    ]


def _symbol_meta(sources: Sources, name: str, number: int) -> str:
    """What a symbol is, for those that the menu shows first: each costs a lookup."""
    if number >= 12:
        return ""
    session = sources.session
    found = session.lookup_symbols(name)
    if found and all(symbol.type_letter in "tTwW" for symbol in found):
        return "function"
    if len(found) > 1:
        types = _types_of(session, name) if len(found) <= _MAX_NAMESAKES else []
        return ", ".join(types) if len(types) == len(found) else f"{len(found)} symbols"
    per_cpu = ", per-CPU" if any(symbol.percpu for symbol in found) else ""
    try:
        return display.type_name(session.prog[name].type_) + per_cpu
    except (LookupError, ValueError, drgn.FaultError):
        return "symbol" + per_cpu


def _types_of(session: Session, name: str) -> list[str]:
    """The types of the variables of a name that several have, by address."""
    if session.variables is None:
        return []
    return [display.type_name(v.type) for v in session.variables.of_symbols(name)]


def types_(
    typed: str, start: int, sources: Sources, *, bare: bool = False,
    kinds: frozenset[int] | None = None,
) -> list[Completion]:  # fmt: skip
    """
    Types by name, with their keyword.

    :param bare: Without the keyword, as after crash's ``struct``.
    """
    word, _, rest = typed.partition(" ")
    if word in _KINDS and typed != word:
        offset = len(typed) - len(rest.lstrip())
        found = sources.type_search(rest.strip(), MAX_SHOWN, _KINDS[word])
        return [Completion(n, start + offset, n, k) for n, k in found]
    if not typed or not typed.replace("_", "a").isalnum():
        return []
    found = sources.type_search(typed, MAX_SHOWN, kinds)
    result = []
    for name, kind in found:
        spelled = name if bare or kind not in _KINDS else f"{kind} {name}"
        result.append(Completion(spelled, start, spelled, kind))
    return result


def dollar(typed: str, start: int, session: Session) -> list[Completion]:
    """Bookmarks and results after ``$``."""
    from btfdbg.commands.state import state_of

    state = state_of(session.prog)
    found = [(name, value) for name, value in sorted(state.names.items())]
    found += [(str(n), v) for n, v in sorted(state.results.items(), reverse=True)[:20]]
    return [
        Completion(name, start, "$" + name, state.notes.get(name) or _meta_of(value))
        for name, value in found
        if name.startswith(typed)
    ]
