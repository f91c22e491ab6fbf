"""``set``: crash's variables, those that mean something here and those that do not.

Owns what is said of each. The context and radix are drgn's; scroll is
the prompt's own pager.

Facts: crash's help page of ``set``.
"""

from __future__ import annotations

from typing import Any

from drgn.commands import CommandError

from btfdbg.commands import output, tables
from btfdbg.commands.crash.call import Call, parse_cpus
from btfdbg.commands.state import state_of
from btfdbg.patches.cpus import with_tasks

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
    if words[:1] == ["scroll"] and len(words) <= 2:
        _scroll(call, *words[1:])
        return None
    if words and words[0] in _NO_MEANING:
        raise CommandError(f"{words[0]} has no meaning here: {_NO_MEANING[words[0]]}")
    cpu = getattr(call.args, "cpu", None)
    if cpu is not None:
        with_tasks(call.prog, parse_cpus(call.prog, str(cpu), before="-c "))
    return call.drgns()


def _scroll(call: Call, value: str = "") -> None:
    """``scroll``: the prompt's pager, which is not the one that drgn's variable turns off."""
    state = state_of(call.prog)
    if value in ("on", "off"):
        state.pager = value == "on"
    elif value in ("less", "more"):
        if output.pager_command(value) is None:
            raise CommandError(f"scroll: there is no {value} on this machine")
        state.pager, state.pager_program = True, value
    elif value:
        raise CommandError(f"scroll: {value!r} is none of on, off, less and more")
    command = output.pager_command(state.pager_program)
    if command is None:
        print("scroll: off (no pager: $BTFDBG_PAGER, $PAGER and less)")
    else:
        print(f"scroll: {'on' if state.pager else 'off'} ({' '.join(command)})")


def variables(call: Call) -> None:
    """``-v``: all variables."""
    config = call.prog.config
    rows: list[tuple[Any, ...]] = [("VARIABLE", "VALUE")]
    rows.append(("scroll", "on" if state_of(call.prog).pager else "off"))
    radix = config.get("crash_radix", 10)
    rows.append(("radix", f"{radix} ({'hexadecimal' if radix == 16 else 'decimal'})"))
    rows += [(name, f"({why})") for name, why in _NO_MEANING.items()]
    tables.section(rows)
