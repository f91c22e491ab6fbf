"""``sym``: symbols by name and by address, of the kernel and of its modules, as crash shows them.

Owns the options and the form of a line; the tables themselves are ``kallsyms``'s. The code
behind it (``--drgn``) is drgn's.

Facts: crash's ``help sym``; nm(1) for the letters.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from drgn.commands import CommandError, argument

from btfdbg.commands import failure, output, symbols, text, values
from btfdbg.commands.candidates import candidates
from btfdbg.commands.define import prompt_command, run_drgns
from btfdbg.commands.state import state_of
from btfdbg.commands.text import Table
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym
from btfdbg.program import untyped
from btfdbg.program.session import Session

# Fewer digits may be a part of a name as well.
_SHORT = 8
_MODULE = re.compile(r"\[\w+\]")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})")


@prompt_command(
    name="sym",
    description="symbols by name or address; the functions of a source file",
    long_description="""
    Translate a symbol to its address, or an address to its symbol and offset, with the type
    letter of nm(1), the module in brackets, and the source file of a function. -l FILE lists the
    functions of a source file, those of the loaded modules included; a last part of the path is
    enough.
    """,
    arguments=(
        argument(
            "-l",
            dest="list",
            nargs="?",
            const="",
            metavar="FILE",
            help="the functions of a file; without FILE all symbols of the kernel",
        ),
        argument("-M", dest="modules", action="store_true", help="all symbols of all modules"),
        argument("-m", dest="module", metavar="MODULE", help="all symbols of a module"),
        argument("-q", dest="string", action="append", help="all symbols with STRING in them"),
        argument("-p", dest="prev", action="store_true", help="also the symbol before"),
        argument("-n", dest="next", action="store_true", help="also the symbol behind"),
        argument("name_or_address", metavar="name|address", nargs="*", default=[]),
        argument("--drgn", action="store_true", help="show the drgn code"),
    ),
    examples=(
        ("sym vfs_read", "address and file"),
        ("sym vfs_read+0x10", "what is there"),
        ("sym -q vfs_read", "all that have it in their name"),
        ("sym -l fs/read_write.c", "the functions of a file"),
    ),
    table=True,
    complete=("symbol",),
)
def sym(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    if args.drgn:
        _drgn_code(session, args)
        return None
    rows: list[tuple[Sym, int, str]] = []
    if args.list:
        return _table(args, list(_functions(session, args.list)))
    if args.list is not None:
        # One by one: a list of 160,000 takes 30 MiB.
        return _table(args, ((s, 0, "") for s in _kernel(session)))
    if args.modules or args.module is not None:
        return _table(args, _of_modules(session, args.module))
    for string in args.string or ():
        found = list(symbols.containing(session, string))
        if not found:
            raise CommandError(f"-q {string}: no symbol has it in its name")
        rows += [(s, 0, "") for s in sorted(found, key=_by_address)]
    if not args.string and not args.name_or_address:
        raise CommandError("which? a name, an address, or -l, -M, -m MODULE, -q STRING")
    for word in _without_module(args.name_or_address):
        rows += _around(session, _find(session, word), args.prev, args.next)
    return _table(args, rows)


def _table(args: argparse.Namespace, rows: Iterable[tuple[Sym, int, str]]) -> Table | None:
    if not args.json:
        for s, offset, file in rows:
            _line(s, offset, file)
        return None
    table = Table(("address", "type", "name", "offset", "module", "file"))
    for s, offset, file in rows:
        module = s.module or None
        table.rows.append((s.address + offset, s.type_letter, s.name, offset, module, file or None))
    return table


def _line(s: Sym, offset: int, file: str) -> None:
    module = s.module
    output.emit(
        ("address", f"{s.address + offset:x}"),
        ("dim", f" ({s.type_letter}) "),
        ("symbol", text.escape(s.name) + (f"+{offset:#x}" if offset else "")),
        ("type", f" [{text.escape(module)}]" if module else ""),
        ("dim", f"  {text.escape(file)}" if file else ""),
    )


def _by_address(s: Sym) -> tuple[int, str]:
    return s.address, s.name


def _kernel(session: Session) -> Iterator[Sym]:
    if session.symbols is not None:
        yield from session.symbols


def _of_modules(session: Session, wanted: str | None) -> list[tuple[Sym, int, str]]:
    found = sorted(symbols.of_modules(session) or (), key=lambda s: (s.module, *_by_address(s)))
    if wanted is not None:
        wanted = wanted.replace("-", "_")
        known = {s.module.replace("-", "_") for s in found} | set(session.module_names())
        found = [s for s in found if s.module.replace("-", "_") == wanted]
        if not found:
            why = "has no symbols in this dump" if wanted in known else "is not loaded"
            raise CommandError(f"-m {wanted}: the module {why}; mod lists modules")
    return [(s, 0, "") for s in found]


def _find(session: Session, word: str) -> list[tuple[Sym, int, str]]:
    named = [(s, 0, _file(session, s)) for s in symbols.named(session, word)]
    if named:
        return named
    number = _HEX.fullmatch(word)
    copies = () if number else untyped.copies(session, word)
    if len(copies) == 1:
        # crash cuts the ending off a name: what its bt shows is typed without it.
        return [(s, 0, _file(session, s)) for s in symbols.named(session, copies[0])]
    if copies:
        raise CommandError(f"{word} is there only as the compiler changed it: {', '.join(copies)}")
    if number is None and word.isidentifier():
        raise CommandError(_no_symbol(session, word))
    address = int(number[1], 16) if number else values.address(session, word)
    found = symbols.holding(session, address)
    if found is None:
        if len(word) < _SHORT:
            raise CommandError(f"no symbol is named {word} or is there" + _search(session, word))
        raise CommandError(f"{address:x} is in no symbol; xinfo {address:x} says what it is")
    return [(found, address - found.address, _file(session, found, address))]


def _without_module(words: list[str]) -> list[str]:
    """The words without ``[module]`` behind a symbol, as the kernel's log writes it."""
    return words[:1] + [word for word in words[1:] if not _MODULE.fullmatch(word)]


def _no_symbol(session: Session, name: str) -> str:
    """What to type where no symbol has a name: one like it, or the search for a part of it."""
    said = f"no symbol is named {name}"
    return said + (failure.symbols_near(name, candidates(session)) or _search(session, name))


def _search(session: Session, part: str) -> str:
    """``; sym -q …`` where it would find something."""
    if next(symbols.containing(session, part), None) is None:
        return ""
    return f"; sym -q {part} lists those that have it"


def _file(session: Session, s: Sym, address: int | None = None) -> str:
    if not is_text(s):
        return ""
    found = session.source_file(s.address if address is None else address)
    if found is None:
        return ""
    return found.file if found.line is None else f"{found.file}: {found.line}"


def _around(
    session: Session, found: list[tuple[Sym, int, str]], prev: bool, behind: bool
) -> list[tuple[Sym, int, str]]:
    """The symbols with those before and behind them, each of its own table."""
    if not prev and not behind:
        return found
    rows = []
    for row in found:
        nearest = None if row[0].module else _neighbours(session, row[0])
        if nearest is not None:
            rows += [(nearest[0], 0, "")] if prev else []
            rows.append(row)
            rows += [(nearest[1], 0, "")] if behind else []
            continue
        table = symbols.of_modules(session) or () if row[0].module else _kernel(session)
        before = after = None
        for s in table:
            if s.address < row[0].address and (before is None or s.address >= before.address):
                before = s
            elif s.address > row[0].address and (after is None or s.address < after.address):
                after = s
        rows += [(before, 0, "")] if prev and before is not None else []
        rows.append(row)
        rows += [(after, 0, "")] if behind and after is not None else []
    return rows


def _neighbours(session: Session, s: Sym) -> tuple[Sym, Sym] | None:
    """The symbols beside one of the kernel; ``None`` where the table has to be gone through."""
    if session.symbols is None or not s.size:
        return None
    before = session.symbols.by_address(s.address - 1)
    after = session.symbols.by_address(s.address + s.size)
    if before is None or after is None or not before.address < s.address < after.address:
        return None
    return before, after


def _drgn_code(session: Session, args: argparse.Namespace) -> None:
    if args.list or args.modules or args.module is not None:
        raise CommandError("--drgn: there is no drgn code behind this")
    given = ["-l"] if args.list is not None else []
    for string in args.string or ():
        given += ["-q", string]
    given += [flag for flag, wanted in (("-p", args.prev), ("-n", args.next)) if wanted]
    words = [*given, "--drgn", *args.name_or_address]
    run_drgns(session.prog, "sym", words, state_of(session.prog).globals)


def _functions(session: Session, file: str) -> Iterator[tuple[Sym, int, str]]:
    count = 0
    file = file.lstrip("/")
    for address, name, found, module in _in_file(session, file):
        count += 1
        source = f"module {module}" if module else "kallsyms"
        letter = next((s.type_letter for s in session.lookup_symbols(name)
                       if s.address == address), "t")  # fmt: skip
        yield Sym(name, address, 0, letter, source=source), 0, "" if found == file else found
    if not count:
        raise CommandError(f"{file}: no function of this kernel is known to be in it")


def _in_file(session: Session, file: str) -> Iterator[tuple[int, str, str, str]]:
    from btfdbg.frames.sources.contents import functions_of
    from btfdbg.frames.sources.find import Regions, source_files

    files = source_files(session)
    ending = f"/{file}"
    for region, function, place in functions_of(
        files, Regions(session).all(), lambda path: path == file or path.endswith(ending)
    ):
        yield function.address, function.name, place, region.module
