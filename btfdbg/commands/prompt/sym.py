"""``sym``: as drgn's, which is crash's; and the functions of a source file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn.commands import CommandError, argument

from btfdbg.commands import output, text
from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import state_of
from btfdbg.patches.install import reach
from btfdbg.program.session import Session


@prompt_command(
    name="sym",
    description="symbol table lookup; the functions of a source file",
    long_description="""
    Translate a symbol to its address, or an address to its symbol, with the source
    file of a function. -l FILE lists the functions of a source file, those of the
    loaded modules included; a last part of the path is enough.
    """,
    arguments=(
        argument(
            "-l",
            dest="list",
            nargs="?",
            const="",
            metavar="FILE",
            help="the functions of a file; without FILE all symbols and their values",
        ),
        argument("-q", dest="string", action="append", help="all symbols with STRING in them"),
        argument("-p", dest="prev", action="store_true", help="also the symbol before"),
        argument("-n", dest="next", action="store_true", help="also the symbol behind"),
        argument("name_or_address", metavar="name|address", nargs="*", default=[]),
        argument("--drgn", action="store_true", help="show the drgn code"),
    ),
    examples=(
        ("sym vfs_read", "address and file"),
        ("sym -l fs/read_write.c", "the functions of a file"),
    ),
    complete=("symbol",),
)
def sym(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    if args.list:
        _functions(session, args.list)
        return
    crash = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    if crash is None:
        raise CommandError("this drgn has no sym")
    given = ["-l"] if args.list is not None else []
    for string in args.string or ():
        given += ["-q", string]
    given += [flag for flag, wanted in (("-p", args.prev), ("-n", args.next)) if wanted]
    given += ["--drgn"] if args.drgn else []
    command = crash.lookup(session.prog, "sym")
    command.run(
        session.prog,
        "sym",
        [*given, *args.name_or_address],
        globals=state_of(session.prog).globals,
    )


def _functions(session: Session, file: str) -> None:
    count = 0
    for address, name, found, module in _in_file(session, file.lstrip("/")):
        count += 1
        output.emit(
            ("address", f"{address:x}"),
            ("symbol", f" {text.escape(name)}"),
            ("type", f" [{text.escape(module)}]" if module else ""),
            ("dim", "" if found == file else f"  {text.escape(found)}"),
        )
    if not count:
        raise CommandError(f"{file}: no function of this kernel is known to be in it")


def _in_file(session: Session, file: str) -> Iterator[tuple[int, str, str, str]]:
    from btfdbg.frames.sources.find import Regions, source_files

    files = source_files(session)
    ending = f"/{file}"
    for region in Regions(session).all():
        for function in region.all():
            place = files.of_function(region, function)
            if place is not None and (place[0] == file or place[0].endswith(ending)):
                yield function.address, function.name, place[0], region.module
