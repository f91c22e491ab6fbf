"""``tele``: words of memory, each pointer followed and annotated."""

from __future__ import annotations

import argparse
from typing import Any

import drgn
from drgn.commands import argument

from btfdbg.commands import kernel_names, output, values
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Fragment, Table
from btfdbg.program import annotate
from btfdbg.program.session import Session

_MAX_COUNT = 4096
_PRINTABLE = frozenset(range(32, 127))


def _code(session: Session, args: argparse.Namespace) -> str:
    address = values.address(session, args.address)
    return (
        "from drgn.helpers.common.memory import print_annotated_memory\n\n\n"
        f"print_annotated_memory(prog, {address:#x}, {args.count * _word(session.prog)})"
    )


@prompt_command(
    name="tele",
    description="show words of memory, follow and annotate every pointer",
    long_description="""
    Show machine words from an address on. A word that points into the kernel is
    followed, up to the given depth, and every pointer is annotated: symbol,
    task, whose stack, slab cache, page, per-CPU variable, vmalloc area. Memory
    that the dump does not have is shown as such.
    """,
    arguments=(
        argument("address", help="address, symbol, $name or expression"),
        argument("words", nargs="?", type=int, help="words to show, as with -n"),
        argument("-n", "--count", type=int, default=16, help="words to show (default: 16)"),
        argument("-d", "--depth", type=int, default=3, help="pointers to follow (default: 3)"),
    ),
    examples=(
        ("tele init_task 8", "the first words of a struct"),
        ('tele prog["init_task"].stack -n 4 -d 1', "the end of a stack"),
    ),
    drgn_code=_code,
    table=True,
    complete=("address",),
)
def tele(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    word = _word(session.prog)
    start = values.address(session, args.address)
    if args.words is not None:
        args.count = args.words
    if not 0 < args.count <= _MAX_COUNT:
        raise kernel_names.ArgumentError(f"-n {args.count}: 1 to {_MAX_COUNT} words")
    depth = min(max(args.depth, 0), 16)
    cache: dict[Any, Any] = {}
    table = Table(("address", "offset", "value", "chain"))
    head = annotate.short(session, start, cache)
    if head and not args.json:
        output.emit(("heading", f"{start:#x}"), "  ", ("symbol", head))
    for i in range(args.count):
        address = (start + i * word) & values.MASK
        value = _read(session.prog, address)
        chain = [] if value is None else _follow(session, value, depth, cache)
        if args.json:
            table.rows.append((address, i * word, value, [_step(step) for step in chain]))
        else:
            output.emit(*_line(address, i * word, value, chain, word))
    return table if args.json else None


def _line(
    address: int, offset: int, value: int | None, chain: list[tuple[int, str]], word: int
) -> list[Fragment | str]:
    line: list[Fragment | str] = [
        ("address", f"{address:0{2 * word}x}"), ("dim", f" +{offset:04x}  "),
    ]  # fmt: skip
    if value is None:
        line.append(("error", "not in the dump"))
        return line
    line.append(("", f"{value:0{2 * word}x}"))
    text = _ascii(value, word)
    if text:
        line += [" ", ("string", f'"{text}"')]
    for i, (target, what) in enumerate(chain):
        if i:
            line += [("dim", " -> "), ("", f"{target:#x}")]
        if what:
            line += [" ", ("symbol", what)]
    return line


def _step(step: tuple[int, str]) -> dict[str, object]:
    return {"value": step[0], "what": step[1] or None}


def _follow(
    session: Session, value: int, depth: int, cache: dict[Any, Any]
) -> list[tuple[int, str]]:
    """(value, what it is) from a word on, as long as each points to the next."""
    chain: list[tuple[int, str]] = []
    seen: set[int] = set()
    while True:
        known = annotate.short(session, value, cache)
        chain.append((value, known))
        # Code is not data: its bytes are no pointers.
        if not known or known.startswith("text ") or depth <= 0 or value in seen:
            return chain
        seen.add(value)
        depth -= 1
        target = _read(session.prog, value)
        if target is None or not annotate.short(session, target, cache):
            return chain
        value = target


def _read(prog: drgn.Program, address: int) -> int | None:
    try:
        return int(prog.read_word(address))
    except (drgn.FaultError, ValueError, OverflowError):
        return None


def _word(prog: drgn.Program) -> int:
    platform = prog.platform
    assert platform is not None
    return 8 if platform.flags & drgn.PlatformFlags.IS_64_BIT else 4


def _ascii(value: int, word: int) -> str:
    data = value.to_bytes(word, "little").rstrip(b"\0")
    return data.decode("ascii") if len(data) > 3 and _PRINTABLE.issuperset(data) else ""
