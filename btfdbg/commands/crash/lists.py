"""``list`` and ``rd`` with crash's forms: expressions as start, loops by Brent's option.

Facts: crash's ``help list`` and ``help rd``; drgn ``commands/_crash/_collections.py`` (``seen``).
"""

from __future__ import annotations

import re
import sys
from typing import IO, Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import kernel_names, output
from btfdbg.commands.crash.call import Call, parse_cpus, task_of_user
from btfdbg.commands.crash.operands import hexadecimal, is_offset, one_place
from btfdbg.commands.text import Lines
from btfdbg.program.per_cpu import is_per_cpu

_COPIES = re.compile(r"([A-Za-z_]\w*):(a|all|\d+(?:[,-]\d+)+)")
_ADDRESS = re.compile(r"[0-9a-f]{4,16}")
_LEVELS = 16  # of structs in structs; a damaged one may have itself in it
_DUPLICATE = re.compile(r"list: duplicate list entry: ([0-9a-f]+)")


def plain(call: Call) -> Any:
    """drgn's ``list``, with an expression as start."""
    args = call.args
    knows_offset = args.offset is not None or args.node_offset is not None
    for name in ("posarg", "start"):
        text = getattr(args, name)
        if text is None:
            continue
        # drgn takes two numbers for a start and an offset.
        knows_offset |= is_offset(call.session, text) or name == "posarg"
        if not is_offset(call.session, text):
            setattr(args, name, one_place(call.session, text))
    if args.struct is not None and not knows_offset:
        _note_no_offset(call, args.struct.partition(".")[0])
    return call.drgns()


def _note_no_offset(call: Call, name: str) -> None:
    """Say what each node is taken for, where the struct has no pointer at its beginning."""
    try:
        type_ = kernel_names.find_type(call.session, name)
    except (LookupError, kernel_names.ArgumentError):
        return  # drgn's says so
    if not _begins_with_pointer(type_):
        print(
            f"list: each node is taken for the beginning of a {type_.type_name()};"
            f" {name}.MEMBER in front says where in it the node lies",
            file=sys.stderr,
        )


def _begins_with_pointer(type_: drgn.Type, levels: int = _LEVELS) -> bool:
    """Whether a pointer to a next entry can be the first word of a struct, at any depth."""
    if type_.kind is drgn.TypeKind.POINTER or not levels:
        return True
    if type_.kind is drgn.TypeKind.TYPEDEF:
        return _begins_with_pointer(type_.type, levels - 1)
    if type_.kind not in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION) or not type_.is_complete():
        return False
    first = [member.type for member in type_.members if member.bit_offset == 0]
    return any(_begins_with_pointer(found, levels - 1) for found in first)


def brent(call: Call) -> None:
    """``-B``: of a list that runs into itself also the loop's start and length."""
    seen = _Watched(sys.stdout)
    sys.stdout = seen
    try:
        plain(call)
    finally:
        sys.stdout = seen.sink
    if seen.duplicate is None:
        return
    first = seen.addresses.index(seen.duplicate) if seen.duplicate in seen.addresses else 0
    length = len(seen.addresses) - 1 - first
    output.emit(f"loop detected, loop length: {length}")
    output.emit(f"the loop starts at {seen.duplicate:x}, entry {first + 1} of the list")


class _Watched(output.Output):
    """Passes on what a command prints and keeps the addresses in it."""

    def __init__(self, sink: IO[str]) -> None:
        before = output.current()
        super().__init__(sink, color=before.color, columns=before.columns)
        self.addresses: list[int] = []
        self.duplicate: int | None = None
        self._lines = Lines()

    def write(self, text: str, /) -> int:
        for line in self._lines.feed(text):
            if _ADDRESS.fullmatch(line):
                self.addresses.append(int(line, 16))
            elif match := _DUPLICATE.search(line):
                self.duplicate = self.addresses[-1] if self.addresses else int(match[1], 16)
        return super().write(text)


def rd(call: Call) -> Any:
    """drgn's ``rd``, with an expression as address, and CPUs behind a per-CPU variable."""
    kind, text = call.args.start
    copies = _COPIES.fullmatch(text) if kind == "sym" and not call.args.drgn else None
    if copies and is_per_cpu(call.session, copies[1]):
        given = dict(vars(call.args))
        for cpu in parse_cpus(call.prog, copies[2], ":"):
            print(f"per_cpu({copies[1]}, {cpu}):")
            # What the command itself makes of its options must not add up.
            vars(call.args).update(given, start=("sym", f"{copies[1]}:{cpu}"))
            rd(call)
        return None
    if kind == "sym":
        found = hexadecimal(call.session, text)
        if found != text:
            call.args.start = ("addr", int(found, 16))
    kind, start = call.args.start
    # Of a per-CPU variable rd itself says that each CPU has its own.
    if call.args.end is not None and not (kind == "sym" and is_per_cpu(call.session, start)):
        begin = start if kind == "addr" else call.prog.symbol(start).address
        if call.args.end <= begin:
            raise CommandError(f"-e {call.args.end:x}: the end is not behind the start, {begin:x}")
    if call.args.user and not call.args.drgn:
        task_of_user(call.prog)
    if call.args.count is not None and call.args.count < 0:
        raise CommandError(f"a count of {call.args.count}: at least 1")
    return call.drgns()
