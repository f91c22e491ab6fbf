"""``mark``: bookmarks, ``$name`` variables that are kept per dump."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import drgn
from drgn.commands import argument

from btfdbg.commands import values
from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import PromptState, state_of
from btfdbg.commands.text import Table
from btfdbg.errors import BtfdbgError
from btfdbg.program import annotate
from btfdbg.program.extensions import state_dir
from btfdbg.program.session import Session

_MAX_FILE = 1 << 20


class MarkError(BtfdbgError, ValueError):
    """A bookmark that cannot be set."""


@prompt_command(
    name="mark",
    description="keep addresses and objects under a $name, per dump",
    long_description="""
    ``mark NAME EXPR`` keeps a value as ``$NAME``, in commands as in Python; without
    EXPR it is the last result. Without arguments, list them. Marks are kept in the
    state folder for the next session with the same dump: the address and the name
    of its type, nothing of the memory.
    """,
    arguments=(
        argument("name", nargs="?", help="name, without the $"),
        argument("expression", nargs="*", help="address, symbol or expression (default: ``_``)"),
        argument("-d", "--delete", action="store_true", help="forget it"),
        argument("-m", "--note", help="words to remember with it"),
    ),
    examples=(
        ("mark idle init_task -m 'the first task'", "then: tele $idle"),
        ("mark", "all of them"),
        ("mark idle -d", "forget one"),
    ),
    table=True,
    complete=("mark",),
)
def mark(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    state = state_of(session.prog)
    load(session, state)
    if args.name is None:
        return _list(session, state)
    name = args.name.lstrip("$")
    if not name.isidentifier():
        raise MarkError(f"{args.name!r} is not a name")
    if args.delete:
        if state.names.pop(name, None) is None:
            raise MarkError(f"there is no ${name}")
        state.notes.pop(name, None)
    else:
        state.names[name] = _value(session, " ".join(args.expression))
        if args.note:
            state.notes[name] = args.note
    save(state)
    return None


def _value(session: Session, text: str) -> int | drgn.Object:
    """What to keep: a variable by its name as the object, so that its type is kept."""
    if not text:
        text = "$"
    elif text.isidentifier():
        try:
            return session.prog[text]
        except KeyError:
            pass
    return values.value(session, text)


def _list(session: Session, state: PromptState) -> Table:
    table = Table(
        ("name", "address", "type", "what", "note"),
        formats={"address": "#x"},
        styles={"name": "name", "address": "address", "type": "type", "what": "symbol"},
        none="no marks yet; mark NAME ADDRESS keeps one",
    )
    cache: dict[Any, Any] = {}
    for name, value in sorted(state.names.items()):
        address = _address(value)
        type_ = value.type_.type_name() if isinstance(value, drgn.Object) else None
        what = annotate.short(session, address, cache) if address is not None else ""
        table.rows.append((f"${name}", address, type_, what or None, state.notes.get(name)))
    return table


def _address(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    try:
        return values.address_of(value)
    except (BtfdbgError, drgn.FaultError):
        return None


def _path(session: Session) -> Path:
    """One file per dump; the name tells nothing about where the dump is."""
    dump = session.dump
    core = dump.path if dump is not None else session.prog.core_dump_path or "live"
    key = hashlib.sha256(f"{os.path.realpath(core)}\0{session.build_id}".encode()).hexdigest()
    return state_dir() / "marks" / f"{key[:24]}.json"


def load(session: Session, state: PromptState) -> None:
    """Read the marks of this dump, once; a damaged file counts as none."""
    if state.names_path:
        return
    path = _path(session)
    state.names_path = str(path)
    try:
        if path.stat().st_size > _MAX_FILE:
            return
        data = json.loads(path.read_text("utf-8"))
        entries = [(str(e["name"]), int(e["address"]), e.get("type"), e.get("note")) for e in data]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for name, address, type_, note in entries:
        if not name.isidentifier() or not 0 <= address < 1 << 64:
            continue
        value: int | drgn.Object = address
        if isinstance(type_, str):
            with suppress(LookupError, SyntaxError, ValueError, TypeError):
                found = session.prog.type(type_)
                if found.kind is drgn.TypeKind.POINTER:
                    value = drgn.Object(session.prog, found, address)
                else:
                    value = drgn.Object(session.prog, found, address=address)
        state.names.setdefault(name, value)
        if isinstance(note, str):
            state.notes.setdefault(name, note)


def save(state: PromptState) -> None:
    """Write the marks; without a place to write they live as long as the session."""
    entries = []
    for name, value in sorted(state.names.items()):
        address = _address(value)
        if address is not None:
            type_ = value.type_.type_name() if isinstance(value, drgn.Object) else None
            note = state.notes.get(name)
            entries.append({"name": name, "address": address, "type": type_, "note": note})
    path = Path(state.names_path)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".marks")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
