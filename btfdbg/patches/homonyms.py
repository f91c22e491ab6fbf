"""``struct``, ``union`` and ``*`` of a name that several types share.

Owns ``NAME#N`` in their first argument, the choice by what lies at the address, and the remark
that there are others. drgn 0.3 takes the first type of a name without a word.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import drgn

from btfdbg.program import homonyms
from btfdbg.program.session import Session, find_session
from btfdbg.program.walks import remark

Command = Callable[..., Any]


def struct(original: Command) -> Command:
    """``struct``, ``union`` and ``*``."""

    def run(prog: drgn.Program, kind: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        session = find_session(prog)
        if session is not None:
            type_ = _choose(session, kind, args)
            if type_ is not None:
                kwargs["type"] = type_
        return original(prog, kind, args, **kwargs)

    return run


def _choose(session: Session, kind: str, args: argparse.Namespace) -> drgn.Type | None:
    """The type that is meant, where drgn would not take it; its number leaves the argument."""
    spelled, dot, members = args.name.partition(".")
    name, mark, _ = spelled.partition("#")
    words = (kind,) if kind in ("struct", "union") else ("struct", "union")
    if mark:
        word = f"{kind} " if kind in ("struct", "union") else ""
        args.name = name + dot + members
        return homonyms.chosen(session, word + spelled)
    for word in words:
        found = homonyms.homonyms(session, word, name)
        if not found:
            continue
        if len(found) == 1:
            return None
        paths = members.split(",") if members else ()
        address = _address(session, args.address_or_symbol)
        one, said = homonyms.choose(session, found, paths, address)
        if said:
            remark(session.prog, said)
        return one.type
    return None


def _address(session: Session, text: str | None) -> int | None:
    """The address that the second argument begins with; per-CPU ones are left to drgn."""
    if not text or ":" in text:
        return None
    try:
        return int(text, 16)
    except ValueError:
        pass
    try:
        address: int = session.prog.symbol(text).address
    except LookupError:
        return None
    return address
