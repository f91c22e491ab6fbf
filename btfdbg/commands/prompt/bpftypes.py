"""``bpftypes``: the BTF that bpf programs brought, its types, and what their maps hold."""

from __future__ import annotations

import argparse

from drgn import Object
from drgn.commands import CommandError, argument

from btfdbg.commands import display, output
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table, one_line
from btfdbg.program import bpf
from btfdbg.program.session import Session

_MAX_SHOWN = 1 << 16


@prompt_command(
    name="bpftypes",
    description="types that bpf programs brought, and what their maps hold",
    long_description="""
    List the BTF of bpf programs and who uses it; with the id of one, or the name of a
    program or map, show its types as C; with ``-m``, show the entries of a map, typed.
    In Python, ``prog.type("struct x", "bpf:ID")`` gives one of the types.
    """,
    arguments=(
        argument("btf", nargs="?", help="id of a BTF, or name of a program or map"),
        argument("-m", "--map", metavar="MAP", help="id or name of a map: show what it holds"),
    ),
    examples=(("bpftypes", "which there are"),),
    table=True,
)
def bpftypes(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    if args.map is not None:
        _show_map(session, args.map)
        return None
    if args.btf is not None:
        _show_types(session, args.btf)
        return None
    rows: list[tuple[object, ...]] = []
    for btf_id in bpf.of(session).ids():
        btf = bpf.of(session).get(btf_id)
        users = [str(user) for user in bpf.of(session).users(btf_id)]
        types = None if btf is None else len(btf.own_ids())
        rows.append((btf_id, types, ", ".join(users)))
    return Table(("btf", "types", "used by"), list(rows), none="no BPF program brought types")


def _show_types(session: Session, word: str) -> None:
    from btfdbg.btf.cheader.header import dump_c

    found = bpf.of(session).find(word)
    btf = bpf.of(session).get(found) if found is not None else None
    if btf is None:
        raise CommandError(f"no BTF of bpf programs is meant by {one_line(word)}; see bpftypes")
    for line in "".join(dump_c(btf)).splitlines():
        output.emit(*display.highlight(line))


def _show_map(session: Session, word: str) -> None:
    found = {
        user.address
        for btf_id in bpf.of(session).ids()
        for user in bpf.of(session).users(btf_id)
        if user.kind == "map" and word in (str(user.id), user.name)
    }
    if len(found) != 1:
        count = len(found) or "no"
        raise CommandError(f"{count} maps with BTF of their own are meant by {one_line(word)}")
    bpf_map = Object(session.prog, "struct bpf_map *", found.pop())
    try:
        for count, entry in enumerate(bpf.of(session).entries(bpf_map)):
            if count >= _MAX_SHOWN:
                raise CommandError(f"more than {_MAX_SHOWN} entries; the rest is left out")
            key = " ".join(entry.key.format_(type_name=False).split())
            for line in f"[{key}] = {entry.value}".splitlines():
                output.emit(*display.highlight(line))
    except LookupError as e:
        raise CommandError(str(e)) from e
