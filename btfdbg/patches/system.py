"""``sys`` says what taints a kernel, in words.

Owns the words of the flags. drgn 0.3 prints ``[TAINTED]`` and leaves the flags to be looked up.

Facts: ``taint_flags[]`` in ``kernel/panic.c`` (letters); Documentation/admin-guide/
tainted-kernels.rst. The letters are the dump's own, read by drgn's ``tainted()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.program.session import find_session

Command = Callable[..., Any]

_MARK = "[TAINTED]"
_MAX_MODULES = 8
# G only says that P is not set.
_WORDS = {
    "P": "proprietary module",
    "F": "module forced in",
    "S": "processor out of its specification",
    "R": "module forced out",
    "M": "machine check",
    "B": "bad page",
    "U": "asked for by a user",
    "D": "died before: oops or BUG",
    "A": "ACPI table overridden",
    "W": "warning",
    "C": "staging module",
    "I": "firmware bug worked around",
    "O": "module built outside the tree",
    "E": "unsigned module",
    "L": "soft lockup",
    "K": "live patch",
    "X": "auxiliary, by the distributor",
    "T": "structure layout randomised",
    "N": "in-kernel test",
    "J": "firmware changed through fwctl",
}


def tainted_by(prog: drgn.Program) -> str:
    """
    What taints a kernel: letters, words and the modules that did it; "" if it is not tainted.

    >>> tainted_by(prog)
    'O: module built outside the tree (cf_fault), E: unsigned module (cf_fault)'
    """
    from drgn.helpers.linux.panic import tainted

    letters = [letter for letter in tainted(prog) if letter not in "G "]
    modules = _modules(prog)
    told = []
    for letter in letters:
        names = modules.get(letter, [])
        shown = ", ".join(names[:_MAX_MODULES])
        more = ", …" if len(names) > _MAX_MODULES else ""
        by = f" ({shown}{more})" if names else ""
        told.append(f"{letter}: {_WORDS.get(letter, 'flag not known')}{by}")
    return ", ".join(told)


def _modules(prog: drgn.Program) -> dict[str, list[str]]:
    """Names of loaded modules by the letters that they set."""
    from drgn.helpers.linux.module import module_taints

    found: dict[str, list[str]] = {}
    session = find_session(prog)
    if session is None:
        return found
    session.ensure_modules()
    for module in session.loaded:
        if not isinstance(module, drgn.RelocatableModule):
            continue
        try:
            letters = module_taints(module.object)
        except (drgn.FaultError, LookupError, BtfdbgError):
            continue  # a module whose struct is missing is told of elsewhere
        for letter in letters:
            found.setdefault(letter, []).append(module.name)
    return found


def get_kernel(prog: drgn.Program, said: str | None) -> str | None:
    """
    The KERNEL line with what taints it.

    :param said: What drgn makes of it.
    """
    if said is None or not said.endswith(_MARK):
        return said
    by = tainted_by(prog)
    return f"{said.removesuffix(_MARK)}[TAINTED by {by}]" if by else said


def get_dumpfile(prog: drgn.Program, said: str | None) -> str | None:
    """
    The DUMPFILE line: the dump, also where drgn was given a file of its notes only.

    :param said: What drgn makes of it.
    """
    session = find_session(prog)
    dump = session.dump if session is not None else None
    return said if dump is None else str(dump.path)


def print_sys(original: Command) -> Command:
    """``sys`` and what else prints these lines."""
    from importlib import import_module

    module: Any = import_module(original.__module__)

    def run(prog: drgn.Program, *args: Any, **kwargs: Any) -> Any:
        fields = getattr(module, "_FIELDS", None)
        if not fields or fields[0][0] != "KERNEL":
            return original(prog, *args, **kwargs)
        ours = {"KERNEL": get_kernel, "DUMPFILE": get_dumpfile}

        def changed(name: str, append: Any, getter: Any) -> tuple[str, Any, Any]:
            ask = ours.get(name)
            return name, append, getter if ask is None else lambda p: ask(p, getter(p))

        module._FIELDS = [changed(*field) for field in fields]
        try:
            return original(prog, *args, **kwargs)
        finally:
            module._FIELDS = fields

    return run
