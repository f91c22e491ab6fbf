"""``p/x`` and ``x/8gx``: print and examine in gdb's formats."""

from __future__ import annotations

import re

import drgn

from btfdbg.commands import display, kernel_names, output, values, words
from btfdbg.commands.define import text_command
from btfdbg.commands.state import state_of
from btfdbg.commands.text import quoted
from btfdbg.program import annotate
from btfdbg.program.per_cpu import copies
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import byte_order

_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
_MAX_COUNT = 65536
_FORMAT = re.compile(r"(\d*)([a-z]*)")


class FormatArgumentError(kernel_names.ArgumentError):
    """A format that cannot be used."""


def _take(tail: str) -> tuple[str, str]:
    letters, _, rest = tail.strip().partition(" ")
    if not rest.strip():
        raise FormatArgumentError("what? an expression is missing")
    return letters, rest.strip()


@text_command(
    name="p/",
    description="print an expression in a format: p/x, p/d, p/u, p/o, p/t, p/a, p/c, p/s",
    usage="**p/**\\ *FORMAT* *EXPRESSION*",
    long_description="""
    Print the value of an expression; a name that is not bound means the kernel's
    variable. FORMAT is a letter of gdb's: x hexadecimal, z with leading zeros, d
    signed, u unsigned, o octal, t binary, a address and symbol, c character, s
    string, f float.
    """,
    parse=words.split_shell,
    examples=(
        ("p/x init_task.flags", "hexadecimal"),
        ("p/a init_task.sched_class", "with its symbol"),
        ("p/s init_task.comm", "string"),
    ),
    complete=("symbol",),
)
def print_(session: Session, text: str) -> None:
    """Run ``p/``."""
    letters, expression = _take(text)
    variable = kernel_names.per_cpu_name(session, expression)
    if variable is not None:
        for cpu, _ in copies(session, session.prog[variable].address_):
            shown = _formatted(values.evaluate(session, expression, cpu), expression, letters)
            output.emit(("dim", f"[{cpu}]: "), *display.highlight(shown))
        return
    found = values.evaluate(session, expression)
    shown = _formatted(found, expression, letters)
    state = state_of(session.prog)
    number = state.remember_result(found) if state.interactive else None
    output.emit(("dim", f"${number} = " if number else ""), *display.highlight(shown))


def _formatted(found: object, expression: str, letters: str) -> str:
    if not isinstance(found, (int, drgn.Object)):
        raise FormatArgumentError(f"{expression!r} is {type(found).__name__}, not a value")
    return display.format_value(found, letters)


@text_command(
    name="x/",
    description="examine memory as gdb does: x/8gx ADDR, x/s ADDR, x/4a ADDR",
    usage="**x/**\\ [*COUNT*][*FORMAT*][*SIZE*] *ADDRESS*",
    long_description="""
    Show COUNT units of memory. SIZE is b, h, w or g (1, 2, 4, 8 bytes), FORMAT one
    of p/'s letters; s shows strings, a pointers with what they point to, i instructions.
    """,
    parse=words.split_shell,
    examples=(
        ("x/4gx init_task", "four words"),
        ("x/4a init_task.stack", "with what they point to"),
        ("x/s linux_banner", "string"),
    ),
    complete=("address",),
)
def examine(session: Session, text: str) -> None:
    """Run ``x/``."""
    spec, expression = _take(text)
    prog = session.prog
    count, letter, size = _spec(spec)
    address = values.address(session, expression)
    if letter == "i":
        _instructions(session, address, count)
        return
    if letter == "s":
        _strings(prog, address, count)
        return
    if letter == "a":
        size = 8
    per_line = max(16 // size, 1) if letter != "a" else 1
    if letter == "t":
        per_line = max(per_line // 4, 1)
    order = byte_order(prog.platform)
    cache: dict[object, object] = {}
    for first in range(0, count, per_line):
        at = (address + first * size) & values.MASK
        cells = []
        for i in range(min(per_line, count - first)):
            try:
                data = prog.read(at + i * size, size)
            except (drgn.FaultError, OverflowError):
                cells.append("not in the dump")
                continue
            value = int.from_bytes(data, order)
            if letter == "a":
                what = annotate.short(session, value, cache)
                cells.append(f"{value:#018x}{f' <{what}>' if what else ''}")
            else:
                cells.append(display.number_as(value, size * 8, "z" if letter == "x" else letter))
        output.emit(("address", f"{at:#x}"), ":  ", "  ".join(cells))


def _instructions(session: Session, address: int, count: int) -> None:
    from btfdbg.commands import namespace

    command = namespace.lookup(session.prog, "dis")
    words_ = [f"{address:#x}", str(count)]
    command.run(session.prog, "dis", words_, globals=state_of(session.prog).globals)


def _spec(spec: str) -> tuple[int, str, int]:
    match = _FORMAT.fullmatch(spec)
    if not match:
        raise FormatArgumentError(f"/{spec}: a count, a format letter and a size were expected")
    count = int(match[1][:6] or 1)
    if not 0 < count <= _MAX_COUNT:
        raise FormatArgumentError(f"/{spec}: 1 to {_MAX_COUNT} units")
    letter, size = "x", 8
    for char in match[2]:
        if char in _SIZES:
            size = _SIZES[char]
        elif char in display.LETTERS:
            letter = char
        else:
            raise FormatArgumentError(f"/{spec}: {char!r} is neither a format nor a size")
    if letter == "c" and not any(char in _SIZES for char in match[2]):
        size = 1
    return count, letter, size


def _strings(prog: drgn.Program, address: int, count: int) -> None:
    for _ in range(count):
        data = prog.read_c_string(address, max_size=65536)
        output.emit(("address", f"{address:#x}"), ":  ", ("string", quoted(data)))
        address += len(data) + 1
