"""``btfdbg vars list``

List the global variables of a dump: name, type, and where the type comes from.

  btfdbg vars list CORE '*_lock'          variables whose names match
  btfdbg vars list CORE --untyped         data symbols without a type
  btfdbg vars list CORE --trust database-same --counts
  btfdbg vars list CORE --c-decls         declarations, as drgn's pull request #625 reads them
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from btfdbg.errors import DebugInfoError

if TYPE_CHECKING:
    from btfdbg.program.session import Session
    from btfdbg.variables import Source

_CODE = frozenset("tTwW")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("core", metavar="CORE", help="a dump")
    parser.add_argument(
        "pattern", metavar="PATTERN", nargs="*", default=[], help="names, with * and ?"
    )
    parser.add_argument("--untyped", action="store_true", help="only those without a type")
    parser.add_argument(
        "--c-decls",
        action="store_true",
        help="C declarations only; what its reader knows not (function pointers, records"
        " without a name, names that are not C's or that several symbols have) is left out and"
        " counted on stderr",
    )
    parser.add_argument(
        "--code",
        action="store_true",
        help="look in the code for what nothing else knows (0.1 s for each variable)",
    )
    parser.add_argument("--counts", action="store_true", help="only how many per source")
    parser.add_argument(
        "--trust",
        metavar="SOURCE",
        help="least trust: rule, code, database-other, database-same, extra-btf or kernel-btf",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from btfdbg.handover.kernel import Expanded
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session
    from btfdbg.variables import Source

    if args.c_decls and (args.untyped or args.counts):
        other = "--untyped" if args.untyped else "--counts"
        raise DebugInfoError(f"give --c-decls or {other}, not both", step="vars")
    try:
        least = Source.of(args.trust) if args.trust else Source.RULE
    except ValueError as e:
        raise DebugInfoError(str(e), step="vars") from e
    found = session(program_from_core_dump(args.core))
    found.reads_code = args.code
    if found.symbols is None:
        raise DebugInfoError(
            f"{args.core}: no symbols were found in it", step="vars", hint="give --kallsyms"
        )
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    # Before v6.2 a name is looked for among all: minutes, for all of them one by one.
    symbols = list(found.symbols)
    found.symbols = Expanded(found.symbols, symbols)
    names = sorted({s.name for s in symbols if s.type_letter not in _CODE})
    if args.pattern:
        names = [n for n in names if any(fnmatchcase(n, p) for p in args.pattern)]
        if not names:
            print(
                f"btfdbg: no data symbol of the kernel matches {' '.join(args.pattern)}",
                file=sys.stderr,
            )
            return 1
    for name in names:
        line = _line(found, name, least)
        counts[line[1] if line else "no type"] += 1
        if args.counts or (line is None) != args.untyped:
            continue
        if args.c_decls and line is not None:
            why = _not_plain(name, line[0]) or _not_one(found, name)
            if why:
                left_out[why] += 1
            else:
                print(f"{line[0]};")
            continue
        print(name if line is None else f"{line[0]}  # {line[1]}{line[2]}")
    if left_out:
        words = ", ".join(f"{count} {why}" for why, count in left_out.most_common())
        print(f"left out: {words}", file=sys.stderr)
    if args.counts:
        for source, count in counts.most_common():
            print(f"{count:7} {source}")
    return 0


def _not_plain(name: str, declaration: str) -> str:
    """Why a declaration is none that is a type, a name and perhaps lengths; "" if it is."""
    if not _IDENTIFIER.fullmatch(name):
        return "names that are not C's"
    if "{" in declaration or "<anonymous>" in declaration:
        return "of types without a name"
    if ")(" in declaration:
        return "function pointers"
    if "(" in declaration:
        return "pointers to arrays"
    return ""


def _not_one(session: Session, name: str) -> str:
    """
    Why a name alone leads to no variable; "" if it does.

    The reader gives the type to the address of ``Program.symbol(name)``, which of several symbols
    takes any: a variable's type came to lie over a function's code.
    """
    addresses = {symbol.address for symbol in session.lookup_symbols(name)}
    return "names that several symbols have" if len(addresses) > 1 else ""


def _line(session: Session, name: str, least: Source) -> tuple[str, str, str] | None:
    """Declaration, source and note of a variable."""
    from btfdbg.variables import Source

    own = session.variable_source(name)
    typed = None if session.variables is None else session.variables.find(name)
    if own is not None and (typed is None or own != typed.known_from):
        declaration = session.prog.variable(name).type_.variable_declaration(name)
        return declaration, own, ""
    if typed is None or typed.source < least or typed.source is Source.KERNEL_BTF:
        return None
    note = f" ({typed.note})" if typed.note and typed.source is not Source.CODE else ""
    return typed.type.variable_declaration(name), typed.known_from, note
