"""``list``: the text of a function, out of a kernel tree that the user has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import output, text
from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import state_of
from btfdbg.commands.values import address as address_of_text
from btfdbg.errors import BtfdbgError
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym
from btfdbg.program.session import Session, SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.frames.sources.browse import Excerpt

_HINT = "name the kernel's tree: --source FOLDER, or source = 'FOLDER' in config.toml"


def _is_crashs(session: Session, words: Sequence[str]) -> bool:
    """Whether ``list`` is crash's: of anything but functions, or with its options."""
    operands = [word for word in words if not word.startswith("-")]
    options = [word for word in words if word.startswith("-")]
    if any(o not in ("-n", "--lines") and not o.startswith("--lines=") for o in options):
        return True
    if not operands:
        return False
    name = operands[0]
    found: tuple[Sym, ...] = session.lookup_symbols(name.partition("+")[0])
    if found:
        return not any(is_text(s) for s in found)
    try:
        return not _is_code(session, _address(session, name))
    except (BtfdbgError, LookupError, NameError, drgn.FaultError):
        # crash's says what is wrong with STRUCT.MEMBER, ours about a name.
        return len(operands) > 1 or "." in name


def _is_code(session: Session, address: int) -> bool:
    try:
        return session.prog.symbol(address).kind is drgn.SymbolKind.FUNC
    except LookupError:
        return False


@prompt_command(
    name="list",
    description="the source text of a function (--source FOLDER); the entries of a linked list",
    long_description="""
    Show where a function is from, and, if a tree of the kernel's sources was given
    (--source FOLDER, or source in the configuration), its text. At the address of a
    WARN or BUG the lines around it are shown, elsewhere the whole function: a dump
    says no more about lines. With anything else than a function, or with options of crash's,
    it is crash's ``list``: the entries of a linked list.
    """,
    arguments=(
        argument("place", nargs="+", help="function or address"),
        argument("-n", "--lines", type=int, default=400, help="at most so many (default: 400)"),
    ),
    examples=(
        ("list vfs_read", "where it is from, and its text if there is a tree"),
        (
            "list task_struct.tasks -s task_struct.comm,pid -h init_task",
            "name and pid of every task",
        ),
    ),
    complete=("address", "member"),
    drgns=_is_crashs,
)
def list_(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    from btfdbg.frames.sources import source_file

    name = " ".join(args.place)
    address = _address(session, name)
    found = source_file(session, address)
    if found is None:
        raise CommandError(f"{name}: no evidence in this dump says which file it is from")
    folder = state_of(session.prog).source
    output.emit(("name", text.escape(str(found))), ("dim", f"  ({text.escape(found.evidence)})"))
    if not folder:
        output.emit(("dim", _HINT))
        return
    excerpt = _excerpt(session, Path(folder), found, address)
    for number, line in enumerate(excerpt.lines[: max(args.lines, 0)], excerpt.first):
        mark = ">" if number == found.line else " "
        output.emit(("dim", f"{mark}{number:5} "), text.escape(line.expandtabs(8)))
    if excerpt.others:
        more = ", ".join(str(line) for line in excerpt.others[:8])
        output.emit(("dim", f"also defined at line {more}: another branch of an #if"))


def _address(session: Session, name: str) -> int:
    try:
        return int(session.prog.symbol(name).address)
    except LookupError:
        return address_of_text(session, name)


def _excerpt(session: Session, folder: Path, found: SourceFile, address: int) -> Excerpt:
    from btfdbg.frames.sources.browse import around, function_text, read_source

    content = read_source(folder, found.file)
    excerpt: Excerpt | None
    if found.line is not None:
        excerpt = around(content, found.file, found.line)
        problem = f"{found.file} in {folder} has no line {found.line}"
    else:
        symbol = session.prog.symbol(address).name
        excerpt = function_text(content, found.file, symbol)
        problem = f"{found.file} in {folder} does not define {symbol} in a way that is found"
    if excerpt is None:
        raise CommandError(f"{problem}; is it the tree of Linux {session.release}?")
    return excerpt
