"""What somebody called a process, a module or a mount never reaches the terminal raw."""

from __future__ import annotations

import io
import logging
import re
from functools import cache
from pathlib import Path

import pytest

from btfdbg.commands import define, namespace
from btfdbg.commands.evaluate import prepare, run_line
from corefiles.manifest import BUNDLED, bundled

from .planted import PAYLOADS, Planted, dangerous

namespace.load_commands()
_EXAMPLES = [line for name in sorted(define.DEFINITIONS) for line in (
    line for line, _ in define.DEFINITIONS[name].examples
)]  # fmt: skip

# Commands that show names, and Python that does; help texts are not of the dump.
LINES = (
    "ps", "ps -a 1", "ps -p 1", "ps -t", "ps -y RT", "ps --json", "ps -l", "ps -S",
    "log", "log -T", "log -m", "log -d", "dmesg", "mod", "mod -t", "mount", "mount -i", "sys",
    "sys -t", "sys config", "ctx", "bt", "bt 1", "foreach bt", "foreach files",
    "foreach task -R comm", "task", "task -R comm,pid", "task 1", "files",
    "files 1", "net", "net -a",
    "net -s 1",
    "irq", "irq -u", "irq -a", "dev", "dev -d", "dev -p", "kmem -s", "kmem -i", "kmem -v", "vm",
    "vm 1", "sig 1", "runq", "swap", "timer", "mach", "mach -m", "set 1", "set", "ipcs",
    "list task_struct.tasks -s task_struct.comm -h init_task", "vtop init_task",
    "struct task_struct.comm init_task", "struct task_struct init_task", "p init_task.comm",
    "union thread_union", "rd -a init_task.comm 2", "rd -8 init_task.comm 16",
    "rd init_task.comm 2",
    "tele init_task.comm", "tele init_task.comm --json", "tele init_task.comm -n 4", "id init_task",
    "id init_task --json", "id init_task.comm", "search -c swapper", "whatis init_task", "info",
    "prog['init_task'].comm", "prog['init_task']", "X.string_()", "print(X.string_())",
    "print(X.string_().decode('latin-1'))",
    "print(X.string_().decode('utf-8', 'replace'))",
    "sys.stdout.write(X.string_().decode('latin-1')) and None",
    "diffstruct 'find_task(prog, 1)' init_task", "find_task(prog, 1).comm",
    "print('\\x1b[2J')", "'\\x1b[2J'", "nothing_here_\\x1b[2J", "\x1b[2J",
    "raise ValueError(X.string_().decode('latin-1'))", "tb",
    "prog[X.string_().decode('latin-1')]",
    "prog.type('struct ' + X.string_().decode('latin-1'))",
    "ps | cat", "log | cat",
)  # fmt: skip


@cache
def planted() -> Planted:
    entry = next(e for e in bundled() if e["arch"] == "amd64" and e["scenario"] == "null-deref")
    return Planted(BUNDLED.parent / entry["file"])


Streams = pytest.CaptureFixture[bytes]


def said(streams: Streams) -> tuple[str, str]:
    """What was written to the file descriptors, by us and by what we started."""
    out, err = streams.readouterr()
    return out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")


def test_every_kind_of_name_is_planted() -> None:
    kinds = set(planted().places)
    assert kinds >= {
        "comm", "module", "device", "filesystem", "mountpoint", "superblock", "log", "nodename",
        "slab", "interface", "irq",
    }  # fmt: skip
    assert planted().prog["init_task"].comm.string_() in PAYLOADS


@pytest.mark.parametrize("line", [*LINES, *_EXAMPLES])
def test_no_command_lets_control_characters_through(
    line: str, capfdbinary: Streams, tmp_path: Path
) -> None:
    session = planted().session
    state = prepare(session)
    state.names["idle"] = 0
    state.color = "never"
    run_line(session, line.replace("X.string_", "prog['init_task'].comm.string_"))
    for text in said(capfdbinary):
        assert dangerous(text) == []


@pytest.mark.parametrize("line", ["ps", "log", "mod", "mount", "prog['init_task'].comm", "ctx"])
def test_the_names_are_shown_and_escaped(line: str, capfdbinary: Streams) -> None:
    session = planted().session
    prepare(session).color = "never"
    run_line(session, line)
    out, _ = said(capfdbinary)
    assert "\\x" in out or "\\033" in out


@pytest.mark.parametrize(
    "line", ["ps", "log", "tele init_task.comm", "p init_task.comm", "id init_task"]
)
def test_with_colours_only_our_own_sequences_come_through(line: str, capfdbinary: Streams) -> None:
    session = planted().session
    prepare(session).color = "always"
    run_line(session, line)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said(capfdbinary)[0])
    assert dangerous(plain) == []


def test_what_is_redirected_is_escaped_too(tmp_path: Path) -> None:
    session = planted().session
    prepare(session)
    out = tmp_path / "out"
    assert run_line(session, f"ps > {out}")
    text = out.read_bytes().decode("utf-8", "surrogateescape")
    assert "PID" in text
    assert dangerous(text) == []


def test_information_and_notes_are_escaped() -> None:
    from btfdbg.commands import info
    from btfdbg.commands.text import escape

    session = planted().session
    session.note("modules", "module \x1b[2J: damaged", "\x07")
    try:
        assert dangerous(escape(info.as_text(session))) == []
        assert dangerous(info.as_json(session)) == []
    finally:
        session.notes.pop()


def test_completion_shows_no_control_characters() -> None:
    from btfdbg.repl.complete import complete

    session = planted().session
    prepare(session)
    for text in (
        "mod ",
        "bt ",
        "ps ",
        "struct task",
        "init_task.co",
        "find_task(prog, 1).",
        "ps cf",
    ):
        for item in complete(text, len(text), session):
            assert dangerous(repr_of(item)) == []


def repr_of(item: object) -> str:
    """All text of a suggestion."""
    names = getattr(item, "__slots__", ()) or vars(item)
    return " ".join(str(getattr(item, name)) for name in names)


def test_one_line_errors_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    from btfdbg.cli.main import unusable
    from btfdbg.errors import DebugInfoError

    unusable(DebugInfoError("release \x1b]0;x\x07", hint="\u202eevil"))
    assert dangerous(capsys.readouterr().err) == []


def test_log_messages_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    from btfdbg.cli import logs

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.SafeFormatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("btfdbg.test-of-escaping")
    logger.addHandler(handler)
    logger.propagate = False
    logger.error("module %s", "\x1b[2J")
    assert "\\x1b[2J" in stream.getvalue()
    assert dangerous(stream.getvalue()) == []
