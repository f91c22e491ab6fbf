"""``xinfo``: what an address is, and what type it most likely points to."""

from __future__ import annotations

import argparse
from typing import Any

from drgn.commands import argument

from btfdbg.commands import output, values
from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import state_of
from btfdbg.commands.text import Table
from btfdbg.kallsyms.choice import is_text
from btfdbg.program import annotate
from btfdbg.program.per_cpu import copies, is_per_cpu
from btfdbg.program.session import Session

_MAX_PLACES = 16  # of one name; sym lists all


def _code(session: Session, args: argparse.Namespace) -> str:
    address = values.address(session, args.address[0])
    return (
        "from drgn.helpers.common.memory import identify_address_all\n\n\n"
        f"for identity in identify_address_all(prog, {address:#x}):\n    print(identity)"
    )


@prompt_command(
    name="xinfo",
    description="tell what an address is and what type it points to",
    long_description="""
    Tell everything that an address is: symbol, per-CPU variable, task, stack of
    a task, slab object, page, vmalloc area. Where the evidence allows it, the
    type of what is there: the variable's own type, or the struct that a slab
    cache is named after if its size agrees.
    """,
    arguments=(argument("address", nargs="+", help="address, symbol, $name or expression"),),
    examples=(
        ("xinfo init_task", "a symbol and the type of its variable"),
        ('xinfo prog["init_task"].fs', "what a pointer points to"),
        ("xinfo init_task --json", "the same for programs"),
    ),
    drgn_code=_code,
    table=True,
    complete=("address",),
)
def xinfo(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    table = Table(
        ("address", "kind", "what", "type", "start", "why"),
        formats={"address": "#x", "start": "#x"},
        styles={"address": "address", "what": "symbol", "type": "type", "why": "dim"},
    )
    for text in args.address:
        places = _places(session, text)
        if places:
            table.rows.extend(places)
            continue
        for address in _namesakes(session, text) or (values.address(session, text),):
            table.rows.extend(_identified(session, address))
    if args.json:
        return table
    for row in table.rows:
        place, kind, what, type_, start, why = row
        output.emit(
            ("address", f"{place:#x}"), "  ", ("dim", f"{kind:<7}"), " ", ("symbol", f"{what}")
        )
        if type_ is not None:
            target = f"  ->  *({type_} *){start:#x}" if isinstance(start, int) else f"  ->  {type_}"
            output.emit(("type", target), ("dim", f"   {why}"))
        elif why:
            output.emit(("dim", f"      {why}"))
    return None


def _identified(session: Session, address: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [
        (address, found.kind, found.text, found.type, found.start, found.why or None)
        for found in annotate.identify(session, address)
    ]
    return rows or [(address, "unknown", _readable(session, address), None, None, None)]


def _namesakes(session: Session, text: str) -> tuple[int, ...]:
    """Where the variables of a name are that several have; empty of any other text."""
    name = text.strip().removeprefix("&").lstrip()
    if not name.isidentifier() or name in state_of(session.prog).globals:
        return ()
    places = {s.address for s in session.lookup_symbols(name) if not is_text(s)}
    return tuple(sorted(places)[:_MAX_PLACES]) if len(places) > 1 else ()


def _readable(session: Session, address: int) -> str:
    import drgn

    try:
        session.prog.read(address, 1)
    except drgn.FaultError:
        return "not mapped, or not in the dump"
    except (OverflowError, ValueError):
        return "not an address"
    return "mapped, not known"


def _places(session: Session, text: str) -> list[tuple[Any, ...]]:
    """A row for each CPU's copy of a per-CPU variable that is named without a CPU."""
    name = text.strip()
    if not is_per_cpu(session, name):
        return []
    variable = session.prog[name]
    type_ = variable.type_.type_name()
    why = f"the type of {name}: {session.variable_source(name) or 'DWARF'}"
    return [
        (place, "percpu", f"per_cpu({name}, {cpu})", type_, place, why)
        for cpu, place in copies(session, variable.address_)
    ]
