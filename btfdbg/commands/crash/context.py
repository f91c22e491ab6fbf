"""``set``: crash's variables, those that mean something here and those that do not.

Owns what is said of each. The context and drgn's variables (scroll, radix) are drgn's.

Facts: crash's help page of ``set``.
"""

from __future__ import annotations

from typing import Any

from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call
from btfdbg.commands.state import state_of

_NO_MEANING = {
    "refresh": "a dump's tasks do not change",
    "print_max": "all elements are printed; type p NAME[:N] or pipe through head",
    "print_array": "type X.format_(element_per_line=True)",
    "console": "there is no console device; pipe into tee",
    "debug": "type tb for the last error's traceback, or start with --log-level debug",
    "core": "an error never ends the session; tb shows its traceback",
    "hash": "lists are always verified",
    "silent": "nothing is printed at start when the input is no terminal",
    "edit": "editing_mode = 'vi' in config.toml",
    "namelist": "there is none: types and symbols come from the dump",
    "dumpfile": "one dump a session; type sys for its path",
    "zero_excluded": "what is not in the dump is an error and is never read as zeros",
    "null-stop": "character arrays stop at the first NUL; type p X.format_(string=False)",
    "gdb": "type help gdb for what does what gdb's commands do",
    "scope": "types come from BTF, which has one of each name; type whatis NAME for all",
    "offline": "tasks of offline CPUs are shown",
    "redzone": "kmem -S shows objects without their red zones",
    "error": "errors go to stderr; use 2> in the shell",
    "unwind": "stacks are unwound by ORC, DWARF or frame pointers, whichever the dump has",
}


def plain(call: Call) -> Any:
    """drgn's ``set``; a variable of crash that has no meaning here says what to do."""
    words = list(call.args.posargs or ())
    if words and words[0] in _NO_MEANING:
        raise CommandError(f"{words[0]} has no meaning here: {_NO_MEANING[words[0]]}")
    return call.drgns()


def variables(call: Call) -> None:
    """``-v``: all variables."""
    config = call.prog.config
    scroll = state_of(call.prog).pager
    rows: list[tuple[Any, ...]] = [("VARIABLE", "VALUE")]
    rows.append(("scroll", "on" if scroll and config.get("crash_scroll", True) else "off"))
    radix = config.get("crash_radix", 10)
    rows.append(("radix", f"{radix} ({'hexadecimal' if radix == 16 else 'decimal'})"))
    rows += [(name, f"({why})") for name, why in _NO_MEANING.items()]
    tables.section(rows)
