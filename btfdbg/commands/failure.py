"""An error as one line: what could not be read or found, and the nearest names.

Owns the wording. The caller gives the names to choose from (``names``) and knows what a name
is that is no object (``known``); the state keeps the full traceback for ``tb``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import drgn

from btfdbg.commands.text import one_line
from btfdbg.errors import BtfdbgError
from btfdbg.lazy_pattern import pattern

Names = Callable[[str], Iterable[str]]
"""
``names(kind)``: candidates; kind is type, name or command, ``slip NAME`` (symbols that one slip
of the finger makes NAME of), ``symbol NAME`` (those that begin or end like NAME) or
``member TYPE``.
"""
Known = Callable[[str], str]
"""
``known(name)``: what a name is that was not found as an object, and ``known("struct NAME")``
what is of that name where no such type was found; "" if nothing is.
"""

# Comparing 155,000 names in full takes a second; those that share a beginning
# or an end with what was typed are a few thousand, of which we look at these.
_MAX_CANDIDATES = 4000
_MOST = 3  # that are suggested

_MISSING_TYPE = pattern(r"could not find '(?:(struct|union|enum|typedef|class) )?([^']+)'")
_NO_NUMBER = pattern(r"invalid literal for int\(\) with base (\d+): (.+)")
# What drgn says, and what to type.
_MORE = (
    (pattern(r"invalid CPUs: .+"), "{0}; mach counts this machine's"),
    (pattern(r"thread with ID (\d+) not found"), "no task matches {1}; ps lists tasks"),
)
_NO_SYMBOL = pattern(r"could not find symbol with name '(.+)'")
_MISSING_MEMBER = pattern(r"'([^']+)' has no member '([^']+)'")


def describe(
    error: BaseException, names: Names = lambda kind: (), known: Known = lambda name: ""
) -> str:
    """One line about an error; never empty, never with control characters."""
    return one_line(_describe(error, names, known))


def _describe(error: BaseException, names: Names, known: Known) -> str:
    text = str(error)
    if isinstance(error, drgn.FaultError):
        return f"cannot read memory at {error.address:#x}: {_fault_reason(error)}"
    if isinstance(error, drgn.ObjectAbsentError):
        return "the object has no value here (optimised out, or not in this dump)"
    if isinstance(error, drgn.BadDataError):
        return f"damaged data: {text}"
    if isinstance(error, BtfdbgError):
        hint = getattr(error, "hint", "")
        return f"{text}; {hint}" if hint else text
    if isinstance(error, drgn.ObjectNotFoundError):
        return known(error.name) or f"no {error.name!r} in this dump" + symbols_near(
            error.name, names
        )
    if isinstance(error, KeyError) and error.args:
        key = error.args[0]
        if isinstance(key, str) and " " not in key:
            return known(key) or f"{key!r} was not found in this dump" + symbols_near(key, names)
        return text if isinstance(key, str) else f"{key!r} was not found"
    if isinstance(error, NameError):
        name = getattr(error, "name", None) or ""
        there = known(name) if name else ""
        if there:
            return there
        said = f"name {name!r} is not defined" if name else text
        slipped = list(names(f"slip {name}"))
        known_words = [*names("name"), *names("command"), *(() if slipped else names("type"))]
        if not slipped:
            known_words += names(f"symbol {name}")
        return said + _say([*slipped, *nearest(name, known_words)])
    missing = _MISSING_TYPE.match(text)
    if isinstance(error, LookupError) and missing:
        asked = known(f"{missing[1] or 'type'} {missing[2]}")
        said = f"no type {text.split(' ', 3)[-1]} in this dump"
        return f"{said}; {asked}" if asked else said + did_you_mean(missing[2], names("type"))
    if isinstance(error, (AttributeError, LookupError)):
        member = _MISSING_MEMBER.match(text)
        if member:
            return text + did_you_mean(member[2], names(f"member {member[1]}"))
    symbol = _NO_SYMBOL.fullmatch(text)
    if isinstance(error, LookupError) and symbol:
        return f"no symbol is named {symbol[1]}" + symbols_near(symbol[1], names)
    for words, told in _MORE:
        if found := words.fullmatch(text):
            return told.format(text, *found.groups())
    if isinstance(error, AttributeError) and error.name:
        return text + did_you_mean(error.name, dir(error.obj))
    if isinstance(error, SyntaxError):
        where = f" at column {error.offset}" if error.offset and error.text else ""
        return f"syntax error: {error.msg}{where}"
    if isinstance(error, NotImplementedError) and "unwinding" in text and "RISC-V 64" in text:
        # A method of a C type: it cannot be mended from outside, what is above it can.
        return f"{text}; bt, foreach bt and kernel_stack_trace(task) are"
    if isinstance(error, RecursionError):
        return "recursion too deep (a list or tree that loops?)"
    if isinstance(error, MemoryError):
        return "out of memory"
    number = _NO_NUMBER.fullmatch(text)
    if isinstance(error, ValueError) and number:
        return f"{number[2]} is no {'hexadecimal ' if number[1] == '16' else ''}number"
    kind = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        path = "" if error.filename is None else f"{error.filename}: "
        return f"{path}{error.strerror}"
    if isinstance(error, (LookupError, ValueError, TypeError, OSError)) and text:
        return text
    return f"{kind}: {text}" if text else kind


def _fault_reason(error: drgn.FaultError) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else "not in the dump"
    return text.partition(": 0x")[0]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``; did you mean …?`` with up to three names, or nothing."""
    return _say(nearest(name, candidates))


def symbols_near(name: str, names: Names) -> str:
    """
    ``; did you mean …?`` with symbols like a name, or nothing.

    Those one slip apart are found by name; all are compared if there are none.
    """
    return _say(names(f"slip {name}")) or did_you_mean(name, names(f"symbol {name}"))


def _say(found: Iterable[str]) -> str:
    near = list(dict.fromkeys(found))[:_MOST]
    return f"; did you mean {', '.join(near)}?" if near else ""


def nearest(name: str, candidates: Iterable[str], count: int = _MOST) -> list[str]:
    """The names most like ``name``, best first."""
    if not name or len(name) > 200:
        return []
    lower = name.lower()
    start, end = lower[:2], lower[-2:]
    pool: dict[str, str] = {}
    for candidate in candidates:
        if abs(len(candidate) - len(name)) > 3 + len(name) // 4 or candidate == name:
            continue
        low = candidate.lower()
        if low.startswith(start) or low.endswith(end) or sorted(low) == sorted(lower):
            pool.setdefault(low, candidate)
            if len(pool) >= _MAX_CANDIDATES:
                break
    from difflib import get_close_matches

    close = get_close_matches(lower, pool, count, 0.7)
    return [pool[low] for low in close]
