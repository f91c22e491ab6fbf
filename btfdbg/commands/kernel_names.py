"""Names that users write: of types, and of per-CPU variables with their CPU."""

from __future__ import annotations

import re

from btfdbg.commands.state import state_of
from btfdbg.errors import BtfdbgError
from btfdbg.lazy_pattern import pattern
from btfdbg.program import homonyms
from btfdbg.program.per_cpu import copies, is_per_cpu
from btfdbg.program.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import drgn

OF_CPU = pattern(r"([A-Za-z_]\w*):(\d{1,6})")
"""``NAME:CPU``, the copy of a per-CPU variable that a CPU has."""

_ROOT = re.compile(r"[A-Za-z_]\w*")
_TYPE_WORDS = ("struct ", "union ", "enum ")


class ArgumentError(BtfdbgError, ValueError):
    """An argument that is neither address, symbol nor expression."""


class PerCpuError(BtfdbgError, ValueError):
    """A per-CPU variable is named without a CPU, and one answer would be wrong."""


def per_cpu_name(session: Session, text: str) -> str | None:
    """The per-CPU variable that an expression begins with, unless it takes the address."""
    root = _ROOT.match(text.strip())
    if root is None or "address_of_" in text or root[0] in state_of(session.prog).globals:
        return None
    return root[0] if is_per_cpu(session, root[0]) else None


def check_cpu(session: Session, text: str) -> None:
    """
    Refuse an expression that would be about the template of a per-CPU variable.

    :raises PerCpuError: it is.
    """
    name = per_cpu_name(session, text)
    if name is None:
        return
    cpu, place = next(copies(session, session.prog[name].address_))
    raise PerCpuError(
        f"{name} is a per-CPU variable: each CPU has its own, CPU {cpu}'s is at {place:#x};"
        f" ask for {name}:{cpu}, or p {name}:a for every CPU's"
    )


def copy_of(session: Session, name: str, cpu: int) -> int:
    """
    Address of a CPU's own copy of a per-CPU variable.

    :raises ArgumentError: there is no such CPU.
    """
    for number, place in copies(session, session.prog[name].address_):
        if number == cpu:
            return place
    raise ArgumentError(f"{name}:{cpu}: there is no CPU {cpu}")


def find_type(session: Session, text: str) -> drgn.Type:
    """
    A type by its name; ``struct``, ``union`` or ``enum`` may be left out.

    ``NAME#N`` is the Nth of several types of the name, see ``program.homonyms``.

    :raises LookupError: there is none.
    """
    text = text.strip()
    chosen = homonyms.chosen(session, text)
    if chosen is not None:
        return chosen
    first: LookupError | None = None
    kinds = ("",) if text.startswith(_TYPE_WORDS) else ("", *_TYPE_WORDS)
    for spelling in (kind + text for kind in kinds):
        try:
            return session.prog.type(spelling)
        except LookupError as e:
            first = first or e
        except SyntaxError:
            raise ArgumentError(f"{text!r} is not the name of a type") from None
    assert first is not None
    raise LookupError(f"could not find '{text}'")
