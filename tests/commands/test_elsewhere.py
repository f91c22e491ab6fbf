"""What people type elsewhere: aliases, implicit commands, the tables of help, files of lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from btfdbg.commands import aliases, equivalents, execute, namespace, scripts
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.state import state_of
from btfdbg.errors import DebugInfoError
from btfdbg.program.session import Session

CRASH_COMMANDS = (
    *("*", "alias", "ascii", "bpf", "bt", "btop", "dev", "dis", "eval", "exit", "extend"),
    *("files", "foreach", "fuser", "gdb", "help", "ipcs", "irq", "kmem", "list", "log", "mach"),
    *("mod", "mount", "net", "p", "ps", "pte", "ptob", "ptov", "q", "rd", "repeat", "runq"),
    *("sbitmapq", "search", "set", "sig", "struct", "swap", "sym", "sys", "task", "timer"),
    *("tree", "union", "vm", "vtop", "waitq", "whatis", "wr"),
)


@pytest.fixture(autouse=True)
def fresh(session: Session) -> None:
    state = prepare(session)
    state.aliases.clear()
    for name in state.own_names():
        del state.globals[name]


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("px jiffies", "p -x jiffies"),
        ("px", "p -x"),
        ("dmesg | tail", "log | tail"),
        ("dmesg>f", "log>f"),
        ("print x", "p x"),
        ("print/x 5", "p/x 5"),
        ("print(5)", "print(5)"),
        ("hex", "set radix 16"),
        ("hex(5)", "hex(5)"),
        ("hex = 5", "hex = 5"),
        ("hex.x", "hex.x"),
        ("size list_head", "* list_head"),
        ("for bt -l", "foreach bt -l"),
        ("for t in x: t", "for t in x: t"),
        ("for t in x:\n    t", "for t in x:\n    t"),
        ("pxx 5", "pxx 5"),
        ("mine 1", "ps -k 1"),
        ("bound 1", "bound 1"),
        ("id init_task", "xinfo init_task"),
        ("id (struct page *)x", "xinfo (struct page *)x"),
        ("id(x)", "id(x)"),
        ("id = 5", "id = 5"),
        ("id.x", "id.x"),
        ("", ""),
    ],
)
def test_an_alias_replaces_the_first_word(line: str, becomes: str) -> None:
    own = {"mine": "ps -k", "bound": "ps"}
    assert aliases.expand(line, own, {"bound"}.__contains__) == becomes


def test_a_name_the_user_bound_is_no_alias(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "hex = 5")
    assert run_line(session, "hex")
    assert capsys.readouterr().out == "5\n"


def test_aliases_are_made_shown_and_forgotten(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, 'alias up4 "p 4 | cat"')
    assert "up4" in capsys.readouterr().out
    assert run_line(session, "alias")
    out = capsys.readouterr().out
    assert "p 4 | cat" in out
    assert "p -x" in out
    assert run_line(session, 'alias up4 ""')
    assert "deleted" in capsys.readouterr().out
    for line in ("alias up4", 'alias up4 ""', "alias 1x ps", "alias alias ps", 'alias px ""'):
        assert not run_line(session, line)
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_alias_may_stand_for_an_expression(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, 'alias five "(2 + 3)"')
    assert run_line(session, "five")
    assert capsys.readouterr().out.splitlines()[-1] == "5"
    assert not run_line(session, "help five")
    assert execute.run_commands(session, ["five 1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_line_without_a_word_is_an_empty_one(session: Session) -> None:
    assert execute.run_commands(session, ["", " ", "%", " % "]) == 0


def test_an_alias_of_itself_ends(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(session, "alias enum enum pid_type")
    assert run_line(session, "enum 1")
    assert "PIDTYPE_TGID" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("init_task.pid", "init_task.pid = (pid_t)0"),
        ("init_task->comm", 'init_task->comm = (char [16])"swapper/0"'),
        ("&init_task", "&init_task = (struct task_struct *)"),
        ("((struct task_struct *)&init_task)->pid", "= (pid_t)0"),
        ("sizeof(struct list_head)", "(unsigned long)16"),
        ("list_head", "SIZE: 16"),
        ("* list_head", "SIZE: 16"),
        ("pid_t", "typedef __kernel_pid_t pid_t"),
        ("task_struct.pid", "pid_t pid;"),
    ],
)
def test_a_line_without_a_command_is_what_it_names(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [("x = 5", ""), ("1 + 1", "2"), ("init_task = 7", ""), ("len([1])", "1"), (" 1", "1")],
)
def test_python_stays_python(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line)
    assert capsys.readouterr().out.strip() == said


def test_every_command_of_crash_has_a_row() -> None:
    rows = {row.there for row in equivalents.CRASH}
    assert set(CRASH_COMMANDS) <= rows


@pytest.mark.parametrize("table", sorted(equivalents.TABLES))
def test_what_a_table_names_is_there(table: str, session: Session) -> None:
    for row in equivalents.TABLES[table]:
        if "(" in row.here or "[" in row.here:
            continue
        for here in row.here.split(", "):
            word = re.sub("/.*", "/", here.split()[0]) if here else ""
            if word in ("", "btfdbg", "COMMAND", "CMD", "!CMD", "import", "q"):
                continue
            assert namespace.is_command(session.prog, word), row


def test_what_is_named_instead_is_no_command_itself(session: Session) -> None:
    for word in equivalents.INSTEAD:
        found = namespace.is_command(session.prog, word)
        assert not found or aliases.meaning(word, {}), f"{word} is a command by now"


@pytest.mark.parametrize("table", sorted(equivalents.TABLES))
def test_help_shows_a_table(
    table: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, f"help {table}")
    out = capsys.readouterr().out
    for row in equivalents.TABLES[table]:
        assert row.there in out


def test_help_begins_with_what_to_type_first(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "help")
    first = capsys.readouterr().out.split("\n\n")[0]
    for case in ("oops", "hang", "out of memory", "lockup", "report", "ctx"):
        assert case in first


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x init_task", "x/4gx"),
        ("telescope init_task", "tele"),
        ("wr init_task 5", "only read"),
        ("up", "frame N"),
        ("break schedule", "does not run"),
        ("crashinfo", "report"),
        ("xportshow -a", "net"),
        ("lsof", "foreach files"),
        ("gdb", "help gdb"),
        ("gdb break schedule", "does not run"),
        ("gdb nonsense", "help gdb"),
        ("info nonsense", "help gdb"),
        ("extend trace.so", "shared objects"),
        ("extend -u", "-u"),
        ("repeat", "missing"),
        ("repeat repeat ps", "repeat"),
        ("enum no_such", "neither"),
        ("enum pid_type 99", "99"),
        ("pte zz", "hexadecimal"),
        ("pte 10000000000000000", "64 bits"),
        ("eval", "missing"),
        ("eval 1/0", "division by zero"),
        ("eval no such", "neither"),
        ("tele init_task x", "tele: 'x' is no number"),
        ("foreach bt --nonsense", "unrecognized arguments"),
    ],
)
def test_a_refusal_says_what_to_type(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_line(session, line)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("info symbol ffff", "sym ffff"),
        ("p/x 5", "p/x 5"),
        ("print/x 5", "p/x 5"),
        ("x/4gx a", "x/4gx a"),
        ("x a", "x/1gx a"),
        ("thread apply all bt", "foreach bt"),
        ("list vfs_read", "list vfs_read"),
        ("break x", None),
        ("", None),
    ],
)
def test_a_line_of_gdb_is_this_line(line: str, here: str | None) -> None:
    assert equivalents.of_gdb(line) == here


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("eval 128m", "8000000  (128MB)"),
        ("eval -b 41dc065", "bits set: 26 20 19 18 16 15 14 6 5 2 0"),
        ("eval (1 << 32)", "100000000  (4GB)"),
        ("eval 1 << 12", "1000  (4KB)"),
        ("eval sizeof(struct list_head) * 2", "decimal: 32"),
        ("eval (5 * 3) + 2", "decimal: 17"),
        ("gdb p 5", "5 = (int)5"),
        ("gdb info symbol init_task", "init_task"),
        ("info symbol init_task", "init_task"),
        ("repeat -1 p 5", "5 = (int)5"),
        ("tele init_task 2", "+0008"),
        ("enum PIDTYPE_TGID", "PIDTYPE_SID"),
    ],
)
def test_a_line_of_crash_or_gdb_works(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line)
    assert said in capsys.readouterr().out


def test_a_symbol_in_eval_is_its_address(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "eval init_task + 0x10")
    place = session.prog.symbol("init_task").address + 0x10
    assert f"hexadecimal: {place:x}\n" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["q", "quit", "exit"])
def test_leaving_is_asked_for(line: str, session: Session) -> None:
    with pytest.raises(SystemExit):
        run_line(session, line)


def test_a_file_of_lines_is_run_as_typed(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines"
    file.write_text("# a comment\n// another\nalias five p 5\nfive\nno_such_command_x\nfive\n")
    assert execute.run_texts(session, scripts.read_all([str(file)], False)) is None
    out, err = capsys.readouterr()
    assert out == "5 = (int)5\n" * 2
    assert "no_such_command_x" in err
    assert state_of(session.prog).depth == 0
    assert not run_line(session, f"< {file}")
    assert capsys.readouterr().out == "5 = (int)5\n" * 2
    file.write_text("p 1\nq\np 2\n")
    assert execute.run_texts(session, scripts.read_all([str(file)], False)) == 0
    assert capsys.readouterr().out == "1 = (int)1\n"
    assert state_of(session.prog).depth == 0


def test_a_file_that_reads_itself_ends(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines"
    file.write_text(f"< {file}\n")
    assert not run_line(session, f"< {file}")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_crashrc_is_read_when_asked_for_only(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    own = tmp_path / ".crashrc"
    own.write_text("alias five p 5\n")
    assert scripts.read_all([], False) == []
    assert scripts.read_all([], True) == [(str(own), "alias five p 5\n")]
    own.chmod(0o666)
    with pytest.raises(DebugInfoError, match="others may write"):
        scripts.read_all([], True)
    own.unlink()
    with pytest.raises(DebugInfoError, match="No such file"):
        scripts.read_all([], True)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_what_is_no_text_is_no_file_of_lines(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(content)
    with pytest.raises(DebugInfoError, match="no text"):
        scripts.read_all([str(file)], False)


def test_a_speed_that_was_never_measured_is_not_nought() -> None:
    from btfdbg.commands.prompt.mach import _speed

    assert _speed(0) == "(unknown)"
    assert _speed(2594000) == "2594 MHz"


def test_enum_says_what_the_encoder_left_open(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from btfdbg.program import doubts

    monkeypatch.setattr(doubts, "_of_enum", lambda _btf, _type: ["its values were cut"])
    assert run_line(session, "enum pid_type")
    said = capsys.readouterr()
    assert "PIDTYPE_TGID" in said.out
    assert said.err == "enum: pid_type: its values were cut\n"


@pytest.mark.parametrize(("line", "told"), [("kstat", True), ("struct kstat", False)])
def test_whatis_says_that_a_type_is_the_name_of_a_symbol_too(
    session: Session, capsys: pytest.CaptureFixture[str], line: str, told: bool
) -> None:
    assert run_line(session, f"whatis {line}")
    said = capsys.readouterr().out
    assert "struct kstat {" in said
    assert ("/* there is a symbol kstat, too: p kstat */" in said) is told
