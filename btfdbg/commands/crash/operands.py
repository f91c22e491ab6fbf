"""Expressions where drgn's commands take an address or a symbol.

Owns the decision what is left to drgn: numbers as crash reads them, symbols, STRUCT.MEMBER.
"""

from __future__ import annotations

import re

from drgn import offsetof

from btfdbg.commands import kernel_names, values
from btfdbg.program.session import Session

_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{1,16}")


def hexadecimal(session: Session, text: str) -> str:
    """
    An operand as drgn's commands take it: as it is, or an expression's value in hexadecimal.

    >>> hexadecimal(session, "&init_task.tasks")
    'ffffffff82a1b1f0'

    :raises BtfdbgError: it is no expression, either.
    """
    if _HEX.fullmatch(text):
        return text
    try:
        session.prog.symbol(text)
    except LookupError:
        return f"{values.address(session, text):x}"
    return text


def one_place(session: Session, text: str) -> str:
    """
    :func:`hexadecimal`, where a per-CPU variable without a CPU would be its dead template.

    :raises PerCpuError: it is one.
    """
    if not kernel_names.OF_CPU.fullmatch(text):
        kernel_names.check_cpu(session, text)
    return hexadecimal(session, text)


def is_offset(session: Session, text: str) -> bool:
    """
    Whether an operand is STRUCT.MEMBER, also where a variable is named as the struct is.

    ``kmem_cache.list`` is the offset of a member, and the kernel has a variable ``kmem_cache``.
    """
    root, dot, member = text.partition(".")
    if not dot or not root.isidentifier():
        return False
    try:
        type_ = kernel_names.find_type(session, root)
    except (LookupError, kernel_names.ArgumentError):
        return False
    try:
        offsetof(type_, member)
    except (LookupError, TypeError, SyntaxError, ValueError):
        return not session.lookup_symbols(root)
    return True
