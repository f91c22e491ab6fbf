"""``p``, ``struct`` and ``rd`` of a per-CPU variable that is named without a CPU.

Owns what they show then. drgn 0.3 shows what stands at the symbol's address: the template, which
no CPU uses, or what an offset happens to lead to. Something small is shown for every CPU, as
with ``:a``; of something large the addresses are listed, as crash does, with a word on how to
ask for one.

Facts: crash's ``help p`` (PER-CPU DATA TYPE, PER-CPU ADDRESSES); drgn
``commands/_crash/_eval.py``, ``_struct.py``, ``_rd.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.program.per_cpu import copies, declaration, is_per_cpu
from btfdbg.program.session import Session, find_session

# Bytes of what is shown for every CPU at once.
_SMALL = 16
Command = Callable[..., Any]


def _asked(prog: drgn.Program, text: str | None) -> tuple[Session, str] | None:
    """The Session and the variable's name, if one is named without a CPU."""
    session = find_session(prog)
    if session is None or not text or ":" in text:
        return None
    name = text.partition(".")[0].partition("[")[0]
    return (session, name) if is_per_cpu(session, name) else None


def p(original: Command) -> Command:
    """``p``."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        asked = _asked(prog, args.object)
        if asked is not None:
            session, variable = asked
            found = prog[variable]
            member = args.object.partition(".")[2]
            if member:
                found = found.subobject_(member)
            if drgn.sizeof(found) > _SMALL and not args.drgn:
                _list(session, found, args.object)
                return None
            args.object += ":a"
        return original(prog, name, args, **kwargs)

    return run


def struct(original: Command) -> Command:
    """``struct``, ``union`` and ``*``."""

    def run(prog: drgn.Program, kind: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        asked = _asked(prog, args.address_or_symbol)
        if asked is not None:
            session, variable = asked
            found = prog[variable]
            if "." not in args.name and drgn.sizeof(found) > _SMALL and not args.drgn:
                _list(session, found, args.address_or_symbol)
                return None
            args.address_or_symbol += ":a"
        return original(prog, kind, args, **kwargs)

    return run


def rd(original: Command) -> Command:
    """``rd``."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        kind, symbol = args.start
        asked = _asked(prog, symbol) if kind == "sym" else None
        if asked is None or args.drgn:
            return original(prog, name, args, **kwargs)
        session, variable = asked
        places = list(copies(session, prog.symbol(variable).address))
        if args.end is not None or args.raw:
            cpu, place = places[0]
            raise DebugInfoError(
                f"{variable} is a per-CPU variable: each CPU has its own", step="rd",
                hint=f"give an address with -e or -r; that of CPU {cpu} is {place:x}",
            )  # fmt: skip
        for cpu, place in places:
            print(f"per_cpu({variable}, {cpu}):")
            # What the command itself makes of its options must not add up.
            own = argparse.Namespace(**vars(args))
            own.start = ("addr", place)
            original(prog, name, own, **kwargs)
        return None

    return run


def _list(session: Session, found: drgn.Object, text: str) -> None:
    print("PER-CPU DATA TYPE:")
    print(f"  {declaration(found.type_, text)};")
    print("PER-CPU ADDRESSES:")
    assert found.address_ is not None
    last = 0
    for cpu, place in copies(session, found.address_):
        print(f"  [{cpu}]: {place:x}")
        last = cpu
    print(f"(one CPU's value: {text}:{last}; every CPU's: {text}:a)")
