"""Arguments of commands: addresses, types and expressions as users write them.

Owns the rule for an address, first match wins: ``0x…``; digits with at least one
0-9 first or eight hexadecimal digits, which are hexadecimal as in crash;
``symbol`` and ``symbol+offset``, also in brackets; other hexadecimal digits; a function whose
name the compiler gave an ending, without it; an expression of C or, where it is no C, of
Python over the names of the prompt. Expressions are the user's own words, typed
at the user's own prompt; C is read by a parser of our own and nothing that comes from a dump
is evaluated.
"""

from __future__ import annotations

import re
from typing import Any

import drgn

from btfdbg.commands.kernel_names import OF_CPU, ArgumentError, check_cpu, copy_of, find_type
from btfdbg.commands.state import state_of
from btfdbg.commands.words import arrows
from btfdbg.lazy_pattern import pattern
from btfdbg.program import changed, untyped
from btfdbg.program.per_cpu import is_per_cpu
from btfdbg.program.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.cdecl.expression import Expression

MASK = (1 << 64) - 1

_HEX = pattern(r"(?:0x)?([0-9a-fA-F]{1,16})")
_SURE_HEX = pattern(r"0x[0-9a-fA-F]{1,16}|[0-9][0-9a-fA-F]{0,15}|[0-9a-fA-F]{8,16}")
_SYMBOL = pattern(
    r"(?P<open>\(\s*)?(?P<name>[A-Za-z_.][\w.$]*)"
    # As the kernel's log writes it, the function's size behind the offset: vfs_read+0xa/0x300.
    r"(?:\s*(?P<sign>[-+])\s*(?P<offset>0x[0-9a-fA-F]+|\d+)(?:/0x[0-9a-fA-F]+)?)?(?(open)\s*\))"
)
_DOLLAR = pattern(r"\$(\w*)")
# C has no power: what would be a dereferenced factor is Python's.
_POWER = pattern(r"[\w)\]]\s*\*\*\s*[-\w(]")
# Of a text, which is no part of C's grammar here: comm = "x".
_ASSIGNS = pattern(r"[^\"'=<>!]+=\s*[\"']")


def address(session: Session, text: str) -> int:
    """
    The address that an argument means.

    :raises ArgumentError: it means none.
    """
    found = value(session, text)
    if isinstance(found, int):
        return found & MASK
    return address_of(found)


def value(session: Session, text: str) -> int | drgn.Object:
    """
    An address as int, or the object that an argument means.

    A symbol's name gives the address, not the variable. ``NAME:CPU`` is a CPU's own copy.

    :raises PerCpuError: a per-CPU variable is named without a CPU.
    """
    text = text.strip()
    # The address of a per-CPU variable is that of no CPU's copy.
    named = text[1:].lstrip() if text.startswith("&") else text
    of_cpu = OF_CPU.fullmatch(named)
    if of_cpu and is_per_cpu(session, of_cpu[1]):
        return copy_of(session, of_cpu[1], int(of_cpu[2]))
    check_cpu(session, named)
    if _SURE_HEX.fullmatch(text):
        return int(text, 16)
    symbol = _SYMBOL.fullmatch(text)
    if symbol:
        place = _address_of_symbol(session, symbol["name"])
        if place is not None:
            return (place + _offset(symbol)) & MASK
    if _HEX.fullmatch(text):
        return int(text, 16)
    if symbol and symbol["name"] not in state_of(session.prog).globals:
        changed = untyped.copies(session, symbol["name"])
        if len(changed) == 1:
            place = _address_of_symbol(session, changed[0])
            if place is not None:
                return (place + _offset(symbol)) & MASK
    result = evaluate(session, text)
    if isinstance(result, bool) or not isinstance(result, (int, drgn.Object)):
        raise ArgumentError(f"{text!r} is {type(result).__name__}, not an address")
    return result


def _offset(symbol: re.Match[str]) -> int:
    """What stands behind a symbol's name; 010 is decimal, as nobody writes octal offsets."""
    text = symbol["offset"] or "0"
    number = int(text, 16 if text.startswith("0x") else 10)
    return -number if symbol["sign"] == "-" else number


def _address_of_symbol(session: Session, name: str) -> int | None:
    try:
        place: int = session.prog.symbol(name).address
    except LookupError:
        return None
    return place


def address_of(obj: drgn.Object) -> int:
    """What an object points to, or where it is."""
    kind = _kind(obj.type_)
    if kind in (drgn.TypeKind.POINTER, drgn.TypeKind.INT, drgn.TypeKind.BOOL, drgn.TypeKind.ENUM):
        number: int = int(obj.value_())
        return number & MASK
    if obj.address_ is None:
        raise ArgumentError(f"{obj.type_.type_name()} is a value without an address")
    place: int = obj.address_
    return place


def _kind(type_: drgn.Type) -> drgn.TypeKind:
    from btfdbg.commands.candidates import underlying

    return underlying(type_).kind


def dollars(source: str) -> str:
    """``$name`` as a call that looks it up; text in quotes stays."""
    if "$" not in source:
        return source
    parts = re.split(r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", source)
    parts[::2] = [_DOLLAR.sub(lambda m: f"__dollar__({m[1]!r})", part) for part in parts[::2]]
    return "".join(parts)


def evaluate(session: Session, text: str, cpu: int | None = None) -> Any:
    """
    Value of an expression the user typed: C, as gdb takes it, or Python.

    Python is what only Python can mean: what is no C, what names something that the user
    bound to another thing than an object, and names of the prompt that the kernel has not. A
    name that is not bound is the kernel's variable, so that ``p/x init_task.flags`` works.

    :param cpu: Whose copies per-CPU variables are that are named so.
    :raises ArgumentError: it is no expression.
    :raises btfdbg.commands.c_values.CValueError: C that has no value here, or would write.
    """
    from btfdbg.cdecl import CDeclError, expression

    state = state_of(session.prog)
    text = text.strip()
    if changed.is_changed(text) and text.partition(".")[0] not in state.globals:
        _refuse_code(session, text)
    why = ""
    try:
        tree = expression.parse_expression(text, lambda name: names_type(session, name))
    except CDeclError as e:
        why = str(e).removeprefix(f"{text!r}: ")
    else:
        python = _is_python(session, text, tree)
        if not python or not _parses(text):
            from btfdbg.commands.c_values import Evaluator

            bound = {name: state.globals[name] for name in state.own_names()}
            helpers = state.globals if python else None
            return Evaluator(session, bound, state.dollar, cpu, helpers).value(tree)
    return _python(session, text, cpu, why)


def _refuse_code(session: Session, name: str) -> None:
    """
    Refuse code with a compiler's ending, which reads as a member of a function.

    :raises ArgumentError: with what it is.
    :raises LookupError: there is no such code, and its function is.
    """
    found = changed.changed(session, name)
    if found is not None:
        raise ArgumentError(f"{found.sentence()}; try whatis {name}, dis {name}")
    if changed.is_of_function(session, name):
        session.prog.symbol(name)


def names_type(session: Session, name: str) -> bool:
    """Whether ``(name)`` is a cast: it names a type, and no variable."""
    if name in state_of(session.prog).globals or session.lookup_symbols(name):
        return False
    try:
        find_type(session, name)
    except (LookupError, ArgumentError):
        return False
    return True


def _is_python(session: Session, text: str, tree: Expression) -> bool:
    """Whether what reads as C is meant as Python."""
    import builtins

    from btfdbg.cdecl import expression

    if _POWER.search(text):
        return True
    from btfdbg.commands.c_values import MACROS

    state = state_of(session.prog)
    own = state.own_names()
    for name in expression.names(tree):
        if name in MACROS:
            continue
        if name in own:
            if not isinstance(state.globals[name], (int, drgn.Object)):
                return True
        elif (name in state.globals or hasattr(builtins, name)) and not (
            session.lookup_symbols(name) and not _called_in_python(session, name, tree)
        ):
            return True
    return _has_python_method(tree)


def _called_in_python(session: Session, name: str, tree: Expression) -> bool:
    """Whether a name of the prompt is called: ``idle_task(prog, 0)`` is drgn's helper."""
    from btfdbg.cdecl import expression

    if isinstance(tree, expression.Call) and tree.function == expression.Name(name):
        return callable(state_of(session.prog).globals.get(name))
    return any(_called_in_python(session, name, child) for child in expression.children(tree))


def _has_python_method(tree: Expression) -> bool:
    """Whether an attribute of drgn's objects is used: they end with an underscore."""
    from btfdbg.cdecl import expression

    if (
        isinstance(tree, expression.Select)
        and tree.member.endswith("_")
        and hasattr(drgn.Object, tree.member)
    ):
        return True
    return any(_has_python_method(child) for child in expression.children(tree))


def _parses(text: str) -> bool:
    import ast

    try:
        ast.parse(dollars(arrows(text)), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _python(session: Session, text: str, cpu: int | None, why: str) -> Any:
    import ast

    state = state_of(session.prog)
    source = dollars(arrows(text))
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as e:
        if _ASSIGNS.match(text):
            raise ArgumentError("= would write, and a dump is only read; == compares") from e
        reason = f": {why}" if why else ""
        raise ArgumentError(f"{text!r} is neither an address nor an expression{reason}") from e
    names = _Names(session, state.globals, cpu)
    names["__dollar__"] = state.dollar
    return eval(compile(tree, "<argument>", "eval"), {"__builtins__": __builtins__}, names)


class _Names(dict[str, Any]):
    """Names of the prompt, then builtins, then the kernel's variables."""

    def __init__(self, session: Session, bound: dict[str, Any], cpu: int | None) -> None:
        super().__init__()
        self._session = session
        self._cpu = cpu
        self._bound = bound

    def __missing__(self, name: str) -> Any:
        import builtins

        if name == "prog":
            return self._session.prog
        if name in self._bound:
            return self._bound[name]
        if hasattr(builtins, name):
            raise KeyError(name)  # Python looks at builtins next
        try:
            found = self._session.prog[name]
            if self._cpu is not None and is_per_cpu(self._session, name):
                from drgn.helpers.linux.percpu import per_cpu

                return per_cpu(found, self._cpu)
            return found
        except KeyError:
            raise NameError(
                f"{name!r} is neither a name of the prompt nor a variable of the kernel", name=name
            ) from None
