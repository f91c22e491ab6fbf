"""``eval``: drgn's, and expressions with symbols and of C.

Owns what drgn's refuses: ``x`` and ``y`` of crash's ``(x OPERATOR y)`` may be symbols.

Facts: crash's ``help eval``; drgn ``commands/_crash/_eval.py``.
"""

from __future__ import annotations

import re

import drgn
from drgn.commands import CommandArgumentError, CommandError, ParsedCommand

from btfdbg.commands import values, words
from btfdbg.commands.define import drgns_command, text_command
from btfdbg.commands.state import state_of
from btfdbg.patches.install import reach
from btfdbg.program.session import Session

_FLAGS = re.compile(r"\s*(?:-(?:[bl]+)(?=\s+\S)|--drgn\b)")
_SYMBOL = re.compile(r"(?<![\w.$])[A-Za-z_]\w*(?![\w.(\[])")
_HEX = re.compile(r"[0-9a-fA-F]+[kKmMgG]?")


def _parse(source: str) -> ParsedCommand[str]:
    if "(" in source and not source.strip().startswith(("(", "-")):
        return words.split_shell(source)
    space = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    command = getattr(space, "_commands", {}).get("eval")
    if command is None:
        return words.split_shell(source)
    try:
        parsed: ParsedCommand[str] = command.parse(source)
    except SyntaxError:  # an operator that is no shell's, like <<
        return words.split_shell(source)
    return parsed


@text_command(
    name="eval",
    description="a number or expression in hexadecimal, decimal, octal and binary",
    usage="**eval** [**-b**] [**-l**] [**--drgn**] (*EXPRESSION*)",
    long_description="""
    Evaluate ``X OPERATOR Y`` or a value, and show the result in all bases. Numbers are decimal
    or hexadecimal, with K, M or G behind for units; symbols are their addresses. What is not of
    this form is an expression of C, as for ``p``. -b shows which bits are set, -l calculates
    with 64 bits on 32-bit architectures, too.
    """,
    parse=_parse,
    examples=(
        ("eval 128m", "a number with a unit"),
        ("eval -b 41dc065", "and which bits are set"),
        ("eval (1 << 32)", "in brackets where an operator is the shell's, too"),
        ("eval init_task + 0x10", "a symbol is its address"),
    ),
    complete=("symbol",),
)
def eval_(session: Session, text: str) -> None:
    """Run the command."""
    prog, globals_ = session.prog, state_of(session.prog).globals
    command = drgns_command(prog, "eval")
    if command is None:
        raise CommandError("this drgn has no eval; p prints values, p/t in binary")
    end = 0
    while match := _FLAGS.match(text, end):
        end = match.end()
    flags, expression = text[:end], text[end:].strip()
    if not expression:
        raise CommandError("what? an expression is missing")
    with_addresses = f"{flags} {_with_addresses(session, expression)}".strip()
    try:
        command.run(prog, "eval", with_addresses, globals=globals_)
    except ZeroDivisionError:
        raise CommandError(f"{expression}: division by zero") from None
    except CommandArgumentError:
        number = _value(session, expression)
        command.run(prog, "eval", f"{flags} 0x{number:x}".strip(), globals=globals_)


def _with_addresses(session: Session, expression: str) -> str:
    def address(match: re.Match[str]) -> str:
        word = match[0]
        if _HEX.fullmatch(word):
            return word
        try:
            return f"0x{session.prog.symbol(word).address:x}"
        except LookupError:
            return word

    return _SYMBOL.sub(address, expression)


def _value(session: Session, expression: str) -> int:
    found = values.evaluate(session, expression)
    if isinstance(found, int):
        return found & values.MASK
    if isinstance(found, drgn.Object):
        return values.address_of(found)
    raise CommandError(f"{expression!r} is {type(found).__name__}, not a number")
