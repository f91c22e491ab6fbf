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
_LOADS_GLOBAL = frozenset(("LOAD_NAME", "LOAD_GLOBAL"))
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
    return globals_ if known.issuperset(_global_names(code)) else all_globals(prog)


def _bare_names(code: CodeType, source: str) -> set[str]:
    """Names in a piece of code that stand anywhere without a dot before them."""
    return set(_BARE_WORD.findall(source)).intersection(attributes(code))


def _global_names(code: CodeType) -> Iterator[str]:
    """Names that a piece of code looks up as globals; attributes are none."""
    import dis

    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS_GLOBAL:
            yield instruction.argval
        elif instruction.opname == "IMPORT_NAME":
            yield "__import__"
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _global_names(const)


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
