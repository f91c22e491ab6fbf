"""Commands that are imported by themselves print what they print among all others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.commands import define, namespace, where
from btfdbg.patches.install import reach
from tests.conftest import bundled_dumps

DUMP = next(str(path) for path, _ in bundled_dumps() if "6.12-amd64" in path.name)
_ALONE = """
import sys
from types import ModuleType
from btfdbg.cli import main
status = main.main([sys.argv[1], *(w for line in sys.argv[2:] for w in ("-x", line))])
sys.stdout.flush()
# A package whose code was put off has another type.
run = [name for name, module in sys.modules.items() if type(module) is ModuleType]
others = [n for n in run if n.startswith(("btfdbg.commands.prompt.", "drgn.commands."))]
print(sorted(set(others)), file=sys.stderr)
sys.exit(status)
"""
_AMONG_ALL = """
import sys
from btfdbg.commands import namespace
namespace.load_commands()
from btfdbg.cli import main
sys.exit(main.main([sys.argv[1], *(w for line in sys.argv[2:] for w in ("-x", line))]))
"""
# Each begins with the line that is run in a fresh process; what follows is run after it there.
LINES = (
    ("ctx", "ps"), ("info",), ("report",), ("report --list",), ("ctx --drgn",),
    ("bt", "p init_task.pid", "p $1 + 1"), ("ps", "foreach RU bt", "help ps"),
    ("foreach bt",), ("foreach net -s", "vm 1"), ("foreach nosuch", "nosuch 1"),
    ("foreach set bt",), ("kmem -s",), ("kmem -i", "kmem -V"), ("runq", "timer"),
    ("p init_task.comm", "_ + 1", "p for_each_task"), ("list -h init_task.tasks | head -3",),
    ("struct task_struct.pid init_task", "* list_head"), ("frame 1", "regs", "ps -m 1"),
    ("dis vfs_read 3",), ("bt --help",), ("ps -Z",), ("eval 1 + 2",), ("sym -q vfs_rea",),
    ("p/x 255", "x/2gx init_task"), ("repeat ps 1",), ("whatis init_task",), ("mod -x",),
    ("rd init_task 2", "search -k feedface"), ("sys", "log | head -2"), ("net", "dev", "irq"),
)  # fmt: skip


def _run(code: str, *lines: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", code, DUMP, *lines]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("lines", LINES, ids=lambda lines: lines[0])
def test_a_command_alone_prints_what_it_prints_among_all(lines: tuple[str, ...]) -> None:
    alone, among = _run(_ALONE, *lines), _run(_AMONG_ALL, *lines)
    assert alone.returncode == among.returncode
    said, _, imported = alone.stderr.rstrip("\n").rpartition("\n")
    assert _addressless(alone.stdout) == _addressless(among.stdout)
    assert said.strip() == among.stderr.strip()
    assert alone.stdout or alone.returncode or said
    if len(lines) == 1 and "help" not in lines[0] and not alone.returncode:
        assert "btfdbg.commands.prompt.alias" not in imported


def _addressless(text: str) -> str:
    """Without where Python keeps a function."""
    import re

    return re.sub(r"(?<= at )0x[0-9a-f]+>", ">", text)


@pytest.mark.parametrize("word", ["ctx", "info", "report"])
def test_what_is_ours_imports_nothing_of_crash_mode(word: str) -> None:
    imported = _run(_ALONE, word).stderr.splitlines()[-1]
    assert f"btfdbg.commands.prompt.{word}" in imported
    assert "whatis" not in imported
    assert "_crash" not in imported


_EACH = """
import os, sys
from btfdbg.commands import namespace, where
from btfdbg.vmcore import open_core
from btfdbg.program.attach import register
prog, info = open_core(sys.argv[1])
register(prog, None, info)
for word in sorted({*sys.argv[2:], *where.DRGNS}):
    pid = os.fork()
    if not pid:
        where.load((word,))
        found = namespace._lookup(prog, word)
        os._exit(found is None)
    if os.waitpid(pid, 0)[1]:
        print(word)
for word in sorted(where.FOREACH):
    pid = os.fork()
    if not pid:
        where.load((word,))
        from btfdbg.patches.install import reach
        known = reach("drgn.commands._crash.common", "_CRASH_FOREACH_SUBCOMMANDS")
        os._exit(word not in known)
    if os.waitpid(pid, 0)[1]:
        print("foreach", word)
"""


OURS = {
    "bpftypes", "ctx", "diffstruct", "dis", "enum", "eval", "frame", "fuser", "info", "list",
    "mach", "mark", "p", "p/", "pte", "repeat", "report", "sbitmapq", "sym", "tb", "tele",
    "whatis", "x/", "xinfo",
}  # fmt: skip


def test_each_is_where_the_table_says() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _EACH, DUMP, *OURS], capture_output=True, text=True, check=True
    )
    assert ran.stdout == ""


def test_the_table_has_every_command() -> None:
    namespace.load_commands()
    crash = reach("drgn.commands._crash.common", "CRASH_COMMAND_NAMESPACE")
    subcommands = reach("drgn.commands._crash.common", "_CRASH_FOREACH_SUBCOMMANDS")
    assert crash is not None
    assert subcommands is not None
    assert define.DEFINITIONS.keys() == OURS | where.AMONG_ALL
    # The package's own: ways out of drgn's prompts, which make no sense in this one.
    assert crash._commands.keys() - where.DRGNS.keys() == {"drgn", "exit", "help", "q"}
    assert subcommands.keys() == where.FOREACH


_REPLACED = """
import sys
from btfdbg.commands import where
from btfdbg.patches import install
from btfdbg.patches.table import ROWS, Use
where.load(sys.argv[1:])
from btfdbg.commands import namespace
if "all" in sys.argv[1:]:
    namespace.load_commands()
for row in ROWS:
    if row.use is not Use.EVERYWHERE or "." in row.name or row.module not in sys.modules:
        continue
    found = install.find(row)
    if "btfdbg" not in getattr(found, "__code__", row).co_filename:
        print(row.module, row.name, "is drgn's")
    while hasattr(found, "__wrapped__") and "btfdbg" in found.__code__.co_filename:
        found = found.__wrapped__
    for name, module in list(sys.modules.items()):
        if name.startswith("drgn."):
            for attribute, value in list(vars(module).items()):
                if value is found:
                    print(name, attribute)
print(install.skipped() or "")
"""


@pytest.mark.parametrize("words", [("ctx",), ("ps",), ("kmem", "foreach"), ("bt", "all"), ("all",)])
def test_what_is_imported_one_by_one_is_mended(words: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _REPLACED, *words], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""


def test_a_users_command_of_that_name_is_still_the_one_that_runs(
    xdg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "btfdbg" / "commands"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("print('loaded')\n")
    assert "loaded" in _run(_ALONE, "info").stdout


_MODULES = """
import sys
from btfdbg.commands import where
if sys.argv[2] == "all":
    where.needs_modules = lambda word, tail: True
from btfdbg.cli import main
status = main.main([sys.argv[1], *(w for line in sys.argv[3:] for w in ("-x", line))])
import drgn
from btfdbg.program.session import session
print(session(drgn.get_default_prog()).modules_created, file=sys.stderr)
sys.exit(status)
"""
STACKLESS = (
    "dev", "dev -d", "files 1", "ipcs", "irq", "irq -s", "kmem -s", "kmem -i", "kmem init_task",
    "log", "mount", "net", "net -s 1", "ps", "ps -s 1", "ps -G 1", "ps -t 1", "ps -p 1", "runq",
    "runq -t", "set", "set 1", "sig 1", "swap", "task 1 -R pid", "timer", "vm 1", "vm -p 1",
    "foreach ps", "foreach files -c", "foreach sig",
)  # fmt: skip


def test_what_unwinds_no_stack_prints_the_same_without_modules() -> None:
    without, with_ = (
        subprocess.run(
            [sys.executable, "-c", _MODULES, DUMP, which, *STACKLESS],
            capture_output=True, text=True, check=False,
        )
        for which in ("needed", "all")
    )  # fmt: skip
    assert {line.split()[0] for line in STACKLESS} - {"foreach"} == where.NO_STACKS
    assert without.returncode == with_.returncode
    assert without.stdout == with_.stdout
    assert without.stderr.splitlines()[:-1] == with_.stderr.splitlines()[:-1]


@pytest.mark.parametrize(
    ("line", "made"), [("ps", False), ("foreach ps", False), ("bt", True), ("foreach RU bt", True)]
)
def test_drgns_list_of_modules_is_made_for_stacks(line: str, made: bool) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _MODULES, DUMP, "needed", line],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stderr.splitlines()[-1] == str(made)
