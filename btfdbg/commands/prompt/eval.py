"""``eval``: drgn's, and expressions with symbols and of C.

Owns what drgn's refuses: ``x`` and ``y`` of crash's ``(x OPERATOR y)`` may be symbols.

Facts: crash's ``help eval``; drgn ``commands/_crash/_eval.py``.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

import drgn
from drgn.commands import CommandArgumentError, CommandError, ParsedCommand, custom_command

from btfdbg.commands import values, words
from btfdbg.commands.define import DEFINITIONS, NAMESPACE, Definition
from btfdbg.patches.install import reach
from btfdbg.program.session import Session, session

DEFINITIONS["eval"] = Definition(
    "eval",
    (
        ("eval 128m", "a number with a unit"),
        ("eval -b 41dc065", "and which bits are set"),
        ("eval (1 << 32)", "in brackets where an operator is the shell's, too"),
        ("eval init_task + 0x10", "a symbol is its address"),
    ),
    ("symbol",),
)
_FLAGS = re.compile(r"\s*(?:-(?:[bl]+)(?=\s+\S)|--drgn\b)")
_SYMBOL = re.compile(r"(?<![\w.$])[A-Za-z_]\w*(?![\w.(\[])")
_HEX = re.compile(r"[0-9a-fA-F]+[kKmMgG]?")
_MASK = (1 << 64) - 1


def _crash() -> Any:
    crash = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    if crash is None:
        raise CommandError("this drgn has no eval; p prints values, p/t in binary")
    return crash


def _parse(source: str) -> ParsedCommand[str]:
    if "(" in source and not source.strip().startswith(("(", "-")):
        return words.split_shell(source)
    space = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    command = getattr(space, "_commands", {}).get("eval")
    return words.split_shell(source) if command is None else command.parse(source)


@custom_command(
    name="eval",
    description="a number or expression in hexadecimal, decimal, octal and binary",
    usage="**eval** [**-b**] [**-l**] [**--drgn**] (*EXPRESSION*)",
    long_description="""
    Evaluate ``X OPERATOR Y`` or a value, and show the result in all bases. Numbers are decimal
    or hexadecimal, with K, M or G behind for units; symbols are their addresses. What is not of
    this form is an expression of C, as for ``p``. -b shows which bits are set, -l calculates
    with 64 bits on 32-bit architectures, too.
    """,
    epilog="examples:\n\n"
    + "\n".join(f"|  {line.ljust(24)}  {why}" for line, why in DEFINITIONS["eval"].examples),
    parse=_parse,
    namespace=NAMESPACE,
)
def eval_(
    prog: drgn.Program,
    name: str,
    args: str,
    /,
    *,
    parser: argparse.ArgumentParser,
    globals: dict[str, object],
) -> None:
    """Run the command."""
    owner = session(prog)
    command = _crash().lookup(prog, "eval")
    end = 0
    while match := _FLAGS.match(args, end):
        end = match.end()
    flags, expression = args[:end], args[end:].strip()
    if not expression:
        raise CommandError("what? an expression is missing")
    text = f"{flags} {_with_addresses(owner, expression)}".strip()
    try:
        command.run(prog, "eval", text, globals=globals)
    except ZeroDivisionError:
        raise CommandError(f"{expression}: division by zero") from None
    except CommandArgumentError:
        number = _value(owner, expression)
        command.run(prog, "eval", f"{flags} 0x{number:x}".strip(), globals=globals)


def _with_addresses(owner: Session, expression: str) -> str:
    def address(match: re.Match[str]) -> str:
        word = match[0]
        if _HEX.fullmatch(word):
            return word
        try:
            return f"0x{owner.prog.symbol(word).address:x}"
        except LookupError:
            return word

    return _SYMBOL.sub(address, expression)


def _value(owner: Session, expression: str) -> int:
    found = values.evaluate(owner, expression)
    if isinstance(found, int):
        return found & _MASK
    if isinstance(found, drgn.Object):
        return values.address_of(found)
    raise CommandError(f"{expression!r} is {type(found).__name__}, not a number")
