"""What names a user's code sees: drgn's defaults, and only as many as it needs.

Owns the choice between the few names that cost nothing and all of drgn's helpers, by what
the code's bytecode and text ask for. Knows nothing of running it.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import CodeType
from typing import Any

import drgn

from btfdbg.lazy_pattern import pattern

_BARE_WORD = pattern(r"(?<![\w.])[^\W\d]\w*")
_ASKS_GLOBAL = frozenset(("LOAD_NAME", "LOAD_GLOBAL", "DELETE_NAME", "DELETE_GLOBAL"))
# Builtins through which code sees names that its bytecode does not tell.
_LOOKS_AROUND = frozenset(
    (
        "eval",
        "exec",
        "globals",
        "locals",
        "vars",
        "dir",
        "getattr",
        "breakpoint",
        "help",
        "__import__",
    )
)
# Modules that look at nobody's names.
_SEES_NOTHING = frozenset(
    ("collections", "datetime", "itertools", "json", "math", "os", "re", "struct", "sys", "time")
)
# Of those, or of anything, what leads to a frame and so to its names.
_LEADS_TO_FRAMES = frozenset(
    ("_getframe", "_current_frames", "settrace", "setprofile", "modules", "f_globals", "f_back")
)


def code_globals(prog: drgn.Program, code: CodeType, source: str) -> dict[str, Any]:
    """
    Globals for a piece of code: ``prog``, drgn's names, and drgn's helpers if it uses any.

    Importing every helper of drgn takes longer than opening a dump.

    :param source: The text of the code; often it alone tells.
    """
    globals_ = basic_globals(prog)
    known = (globals_.keys() | vars(builtins).keys()) - _LOOKS_AROUND
    if source.isascii() and known.issuperset(_bare_names(code, source)):
        return globals_
    if _LEADS_TO_FRAMES.isdisjoint(attributes(code)) and known.issuperset(_global_names(code)):
        return globals_
    return all_globals(prog)


def _bare_names(code: CodeType, source: str) -> set[str]:
    """Names in a piece of code that stand anywhere without a dot before them."""
    return set(_BARE_WORD.findall(source)).intersection(attributes(code))


def _global_names(code: CodeType) -> set[str]:
    """
    Names that a piece of code looks up as globals and has not bound itself; attributes are none.

    Only what is bound before anything may be skipped counts. (After ``del`` there is none of
    that name, whosever it was.)
    """
    import dis

    instructions = list(dis.get_instructions(code))
    jumps = frozenset((*dis.hasjrel, *dis.hasjabs))
    straight = not getattr(code, "co_exceptiontable", b"")  # of Python 3.11; before it is a jump
    found: set[str] = set()
    bound: set[str] = set()
    # A function runs once it is made, and not before.
    made = {i.argval for i in instructions if isinstance(i.argval, CodeType)}
    for instruction in instructions:
        name = instruction.argval
        if instruction.opcode in jumps:
            straight = False
        elif instruction.opname in _ASKS_GLOBAL:
            found.update({name} - bound)
        elif instruction.opname == "IMPORT_NAME":
            found.update(() if name in _SEES_NOTHING else ("__import__",))
        elif instruction.opname == "STORE_NAME" and straight:
            bound.add(name)
        elif isinstance(name, CodeType):
            found |= _global_names(name) - bound
    for const in code.co_consts:
        if isinstance(const, CodeType) and const not in made:
            found |= _global_names(const)
    return found


def attributes(code: CodeType) -> Iterator[str]:
    """Every name in a piece of code that may be an attribute, imports included."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from attributes(const)


def basic_globals(prog: drgn.Program) -> dict[str, Any]:
    return {"prog": prog, "drgn": drgn, "__name__": "__main__", "__doc__": None}


def all_globals(prog: drgn.Program) -> dict[str, Any]:
    """What drgn's own prompt binds: drgn's names and every helper."""
    import drgn.cli

    from btfdbg.patches import install, packages

    install.install_helpers()
    packages.complete("drgn.helpers.linux")
    return drgn.cli.default_globals(prog)
