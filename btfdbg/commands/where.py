"""Which modules a command is in: what is imported to run it, and nothing else.

Owns the rule that a file of ours has its command's name, and a table of drgn's; both are held
against what the modules define by ``tests/commands/test_alone.py``.
All of drgn's commands with every helper, and all of ours, take longer to import than most
dumps to open. A word that is not found here is looked for among all commands.

Facts: drgn 0.3.0 ``commands/_crash/``: a file for each kind of command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec

from btfdbg.interrupts import held
from btfdbg.patches import install
from btfdbg.patches.table import CRASH

OURS: Mapping[str, str] = {"p": "print", "p/": "formats", "x/": "formats"}
"""Command of ours to its file in ``commands/prompt`` where that has another name."""

AMONG_ALL = frozenset(("alias", "extend", "gdb", "help"))
"""Commands of ours that list others, or change how they are read."""

DRGNS: Mapping[str, str] = {
    "*": "_struct", "ascii": "_ascii", "bpf": "_bpf", "bt": "_bt", "btop": "_mm", "dev": "_sys",
    "eval": "_eval", "files": "_fs", "foreach": "_ps", "ipcs": "_ipcs", "irq": "_sys",
    "kmem": "_kmem", "list": "_collections", "log": "_sys", "mod": "_mod", "mount": "_fs",
    "net": "_net", "p": "_eval", "ps": "_ps", "ptob": "_mm", "ptov": "_mm", "rd": "_rd",
    "runq": "_sched", "search": "_search", "set": "_context", "sig": "_sched",
    "struct": "_struct", "swap": "_mm", "sym": "_sym", "sys": "_sys", "task": "_struct",
    "timer": "_timer", "tree": "_collections", "union": "_struct", "vm": "_mm", "vtop": "_mm",
    "waitq": "_sched", "whatis": "_whatis",
}  # fmt: skip
"""Command of drgn's crash mode to its module."""

FOREACH = frozenset(("bt", "files", "net", "ps", "set", "sig", "task", "vm", "vtop"))
"""Commands that ``foreach`` runs."""

NO_STACKS = frozenset(
    (
        "dev", "files", "ipcs", "irq", "kmem", "log", "mount", "net", "ps", "runq", "set", "sig",
        "swap", "task", "timer", "vm",
    )
)  # fmt: skip
"""
Commands that unwind no stack and list no modules.

drgn makes its list of modules out of their sections' names, which it reads letter by letter:
117,000 system calls for 41 modules of an ELF file. What goes through our finders asks for it.
"""

RUN_NO_CODE = frozenset(
    (
        "bt", "ctx", "dev", "files", "foreach", "fuser", "ipcs", "irq", "kmem", "log", "mach",
        "mod", "mount", "net", "ps", "runq", "sig", "swap", "sym", "sys", "task", "timer", "vm",
    )
)  # fmt: skip
"""Commands that take no expression of Python, which could leave something to do behind."""

_PROMPT = "btfdbg.commands.prompt."


def is_known(word: str) -> bool:
    """Whether it can be told where a command is."""
    return word in DRGNS or _ours(word) is not None


def _ours(word: str) -> str | None:
    name = OURS.get(word, word)
    if word in AMONG_ALL or not name.isidentifier():
        return None
    return None if find_spec(_PROMPT + name) is None else name


def needs_modules(word: str, tail: str) -> bool:
    """
    Whether drgn's list of modules has to be there before a command runs.

    :param tail: What stands behind its name.
    """
    if word == "foreach":
        return not FOREACH.intersection(tail.split()) <= NO_STACKS
    return word not in NO_STACKS


def load(words: Iterable[str]) -> None:
    """
    Import commands of ours and drgn's by themselves, with what is put in place in drgn.

    Words that cannot be told are left out, and so is a module that the installed drgn lacks:
    whoever looks the command up will see.
    """
    # A command that is half registered could not be a second time.
    with held():
        install.follow_imports()
        names = list(words)
        for name in filter(None, map(_ours, names)):
            import_module(_PROMPT + name)
        drgns = [name for name in names if name in DRGNS]
        for name in drgns:
            try:
                import_module(CRASH + DRGNS[name])
            except ModuleNotFoundError:
                continue
        if drgns:
            from btfdbg.commands.crash.attach import attach

            attach(drgns)
