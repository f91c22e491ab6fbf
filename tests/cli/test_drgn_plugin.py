"""drgn's own commands with btfdbg installed: they work, and say nothing about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.patience import limited


def drgn(*args: object, stdin: str = "", module: str = "drgn") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        preexec_fn=limited(),
        env={**os.environ, "PYTHON_BASIC_REPL": "1"},
        check=False,
    )


def test_drgn_opens_a_dump_without_a_warning(x86_core: Path) -> None:
    code = (
        'print(prog["init_task"].comm.string_(), len(list(prog.modules())) > 1);'
        "print(len(prog.crashed_thread().stack_trace()) > 3)"
    )
    result = drgn("-c", x86_core, "-e", code)
    assert result.stderr == ""
    assert result.stdout == "b'swapper/0' True\nTrue\n"


def test_drgns_crash_mode_works(x86_core: Path) -> None:
    result = drgn(x86_core, stdin="ps\nmod\nbt 1\nquit\n", module="drgn.internal.crashcli")
    assert "COMMAND:" in result.stdout
    assert "warning" not in result.stderr.lower()
    assert "Traceback" not in result.stderr


def test_the_plugin_can_be_turned_off(x86_core: Path) -> None:
    result = drgn("-c", x86_core, "--no-symbols-by=btfdbg", "-e", 'print("init_task" in prog)')
    assert result.stdout == "False\n"
    assert "missing debugging symbols" in result.stderr


def test_no_default_symbols_means_none(x86_core: Path) -> None:
    result = drgn("-c", x86_core, "--no-default-symbols", "-e", 'print("init_task" in prog)')
    assert result.stdout == "False\n"


def test_names_of_finders_leave_drgns_future_ones_free(x86_core: Path) -> None:
    code = (
        "print(sorted(prog.registered_type_finders() | prog.registered_object_finders()"
        " | prog.registered_symbol_finders() | prog.registered_debug_info_finders()))"
    )
    result = drgn("-c", x86_core, "-e", code)
    assert "btfdbg" in result.stdout
    assert "'btf'" not in result.stdout
    assert "'btf_symbol'" not in result.stdout


def test_a_plugin_that_fails_is_a_log_message_and_no_traceback(x86_core: Path) -> None:
    """drgn's command would end with a traceback if a debug-info finder raised."""
    code = 'import btfdbg_plugin; btfdbg_plugin._find(prog, [None]); print("went on")'
    result = drgn("-c", x86_core, "-e", code)
    assert result.stdout == "went on\n"
    assert "Traceback" not in result.stderr
