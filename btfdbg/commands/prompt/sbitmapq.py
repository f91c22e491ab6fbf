"""``sbitmapq``: a struct sbitmap_queue, its used bits, and what they stand for."""

from __future__ import annotations

import argparse

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import output
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program.session import Session

_MAX_BITS = 1 << 20


@prompt_command(
    name="sbitmapq",
    description="contents of a struct sbitmap_queue",
    long_description="""
    Show a struct sbitmap_queue and the bits that are in use. With -s and -a, each used
    bit is the index into an array: its element is shown as this struct.
    """,
    arguments=(
        argument("address", help="address of a struct sbitmap_queue"),
        argument("-s", dest="struct", metavar="STRUCT[.MEMBER,…]", help="type of the elements"),
        argument("-a", dest="array", metavar="ADDRESS", help="address of the array"),
        argument("-p", dest="pointers", action="store_true", help="the array is of pointers"),
        argument("-v", dest="verbose", action="store_true", help="show the elements in full"),
        argument("-x", dest="hexadecimal", action="store_true", help="numbers in hexadecimal"),
        argument("-d", dest="decimal", action="store_true", help="numbers in decimal"),
    ),
    examples=(("help sbitmapq", "its options (not every machine has such a queue)"),),
    table=True,
)
def sbitmapq(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    from drgn.helpers.linux.sbitmap import sbitmap_for_each_set

    from btfdbg.commands import values

    prog = session.prog
    if (args.struct is None) != (args.array is None):
        raise CommandError("-s and -a go together: a type, and where the array of it is")
    place = values.address(session, args.address)
    queue = drgn.Object(prog, "struct sbitmap_queue", address=place)
    depth = queue.sb.depth.value_()
    if not 0 < depth <= _MAX_BITS or not 0 <= queue.sb.shift.value_() <= 6:
        raise CommandError(f"{place:x}: no struct sbitmap_queue (a depth of {depth})")
    bits = list(sbitmap_for_each_set(queue.sb.address_of_()))
    base = {"integer_base": 16} if args.hexadecimal else {}
    if args.struct is None:
        if args.json:
            table = Table(("bit",))
            table.rows += [(bit,) for bit in bits]
            return table
        for member in ("depth", "shift", "map_nr"):
            output.emit(f"{member} = {queue.sb.member_(member).value_()}")
        for member in ("wake_batch", "min_shallow_depth", "round_robin"):
            if queue.type_.has_member(member):
                output.emit(f"{member} = {queue.member_(member).value_()}")
        output.emit(f"bits in use: {len(bits)}")
        output.emit(" ".join(map(str, bits)))
        return None
    name, _, members = args.struct.partition(".")
    type_ = prog.type(f"struct {name}")
    start = values.address(session, args.array)
    table = Table(("bit", "address"), formats={"address": "x"})
    for bit in bits:
        if args.pointers:
            element = prog.read_word(start + bit * prog.address_size())
        else:
            element = start + bit * (type_.size or 0)
        if args.json or not (args.verbose or members):
            table.rows.append((bit, element))
            continue
        output.emit(f"{bit}: {element:x}")
        found = drgn.Object(prog, type_, address=element)
        if members:
            for member in members.split(","):
                output.emit(f"  {member} = {found.subobject_(member).format_(**base)}")
        else:
            output.emit(found.format_(**base))
    return table if table.rows else None
