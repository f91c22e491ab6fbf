"""Every command has help with examples, and the examples work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import define, namespace
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.state import state_of
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps

namespace.load_commands()
EXAMPLES = [
    (name, line)
    for name, definition in sorted(define.DEFINITIONS.items())
    for line, _ in definition.examples
]
LEFT_OUT = re.compile(
    r"\w+: ([\d,]+ reads? .*failed.*page excluded from the dump.*"
    r"|a list could not be read to its end and may have lost entries .*"
    r"|not all of the files of a task can be reached .*)"
)
JSON_COMMANDS = (
    "tele init_task -n 4",
    "xinfo init_task",
    "diffstruct 'find_task(prog, 1)' init_task",
)
DRGN_COMMANDS = (
    "tele init_task", "xinfo init_task", "ctx", "whatis struct list_head",
    "diffstruct 'find_task(prog, 1)' init_task", "whatis init_task",
)  # fmt: skip


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_runs(
    name: str, line: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    state = prepare(session)
    if name == "mark":
        state.names["idle"] = 0
    worked = run_line(session, line)
    out, err = capsys.readouterr()
    if name == "dis" and not worked:
        # The bundled dumps have the code of few functions.
        assert re.fullmatch(r"dis: .*its code is not in the dump; .*\n", err)
        return
    assert worked
    # A trimmed dump has few pages; what an example misses of them is said, and only that.
    assert all(LEFT_OUT.fullmatch(said) for said in err.splitlines()), err
    if not line.startswith("mark idle"):
        assert out.strip()


@pytest.mark.parametrize("name", sorted(define.DEFINITIONS))
def test_help_shows_the_examples(
    name: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(session)
    if define.own(session.prog, name) is None:
        pytest.skip(f"{name} is drgn's on this architecture")
    assert run_line(session, f"help {name}")
    out = capsys.readouterr().out
    assert "usage:" in out
    for line, _ in define.DEFINITIONS[name].examples:
        assert line in out


def test_help_knows_every_command(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(session, "help")
    listed = capsys.readouterr().out
    for name in namespace.commands(session.prog):
        assert f"\n  {name} " in listed
    assert run_line(session, "help all")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["bt", "ps", "log", "struct", "kmem", "foreach", "mod", "rd"])
def test_drgn_commands_are_there_under_their_crash_spelling(name: str, session: Session) -> None:
    assert namespace.is_command(session.prog, name)


@pytest.mark.parametrize("line", JSON_COMMANDS)
def test_a_table_command_gives_json(
    line: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line + " --json")
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(isinstance(row, dict) for row in rows)


@pytest.mark.parametrize("line", DRGN_COMMANDS)
def test_the_drgn_code_behind_a_command_runs(
    line: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    state = prepare(session)
    assert run_line(session, line + " --drgn")
    code = capsys.readouterr().out
    assert code.strip()
    names = {**state.globals, "init_task": session.prog["init_task"]}
    exec(compile(code, "<--drgn>", "exec"), names)


def test_drgn_tables_give_json(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(session, "ps --json")
    rows = json.loads(capsys.readouterr().out)
    assert {"PID", "COMM"} <= set(rows[0])
    assert any(row["PID"] == 1 for row in rows)
    assert run_line(session, "ps")
    assert "PID" in capsys.readouterr().out.splitlines()[0]


def test_id_says_what_init_task_is(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(session, "xinfo init_task")
    out = capsys.readouterr().out
    assert "swapper/0" in out
    assert "struct task_struct" in out


def test_id_guesses_the_struct_of_a_slab_object(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(session)
    assert run_line(session, "xinfo find_task(prog,1)->signal")
    out = capsys.readouterr().out
    assert "slab" in out
    assert "struct signal_struct" in out


def test_id_names_a_per_cpu_variable(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(session)
    assert run_line(session, 'xinfo per_cpu(prog["runqueues"],0).address_of_()')
    assert "per_cpu(runqueues, 0)" in capsys.readouterr().out


def test_tele_shows_memory_that_is_missing(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "tele 0x10 -n 2")
    assert capsys.readouterr().out.count("not in the dump") == 2


def test_diffstruct_shows_only_what_differs(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "diffstruct 'find_task(prog, 1)' init_task --json")
    rows = {row["member"]: row for row in json.loads(capsys.readouterr().out)}
    assert "pid" in rows
    assert rows["pid"]["a"] == "1"
    assert rows["pid"]["b"] == "0"
    assert run_line(session, "diffstruct init_task init_task --json")
    assert json.loads(capsys.readouterr().out) == []


def said_by_ctx(name: str, capsys: pytest.CaptureFixture[str], line: str = "ctx") -> str:
    core = next(path for path, _ in bundled_dumps() if path.name.startswith(name))
    assert run_line(btfdbg.session(btfdbg.program_from_core_dump(core)), line)
    return capsys.readouterr().out


def test_ctx_of_an_oops_shows_the_registers_and_the_stack_where_it_happened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = said_by_ctx("6.12-amd64-null", capsys)
    order = [out.index(s) for s in ("VERDICT", "PANIC", "TASK", "REGISTERS", "STACK", "LOG")]
    assert order == sorted(order)
    assert "cf_level3 of the module cf_fault wrote" in out.splitlines()[1]
    assert "cf_level3.constprop.0+0x1a" in out.split("REGISTERS")[1].split("STACK")[0]
    assert re.search(r"\brdx 0000000000000000\b", out)
    stack = out.split("STACK")[1].split("LOG")[0]
    assert "cf_level3.constprop.0+0x1a [cf_fault]" in stack
    assert "panic+" not in stack
    assert "BUG: kernel NULL pointer dereference" in out.split("LOG\n")[1].splitlines()[0]


def test_ctx_of_a_hang_shows_those_that_wait_not_the_task_that_noticed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = said_by_ctx("6.1-amd64-hung", capsys)
    assert "ext4 on loop0 is frozen, and 5 tasks wait" in out.splitlines()[1]
    assert "4 tasks: init(182)" in out.split("WAITING")[1]
    assert "khungtaskd" not in out.split("TASK\n")[1].split("STACK")[0]
    assert "percpu_rwsem_wait" in out.split("STACK")[1].split("LOG")[0]


def test_ctx_of_a_deadlock_shows_who_holds_what(capsys: pytest.CaptureFixture[str]) -> None:
    out = said_by_ctx("6.12-arm64-deadlock", capsys, "ctx -n 3")
    assert "waits for mutex cf_right; held by cf_ba(220)" in out.split("WAITING")[1]
    log = out.split("LOG\n")[1].splitlines()
    assert len(log) == 3
    assert "INFO: task cf_ab:219 blocked" in log[0]


def test_ctx_of_another_task_says_nothing_of_the_verdict(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "ctx 1 -n 2")
    out = capsys.readouterr().out
    assert "VERDICT" not in out
    assert "pid 1 " in out
    assert len(out.split("LOG\n")[1].splitlines()) == 2


def test_marks_are_kept_for_the_next_session_with_the_dump(session: Session) -> None:
    from btfdbg.commands.prompt import mark

    state = state_of(session.prog)
    state.names.clear()
    state.names_path = ""
    assert run_line(session, "mark first init_task -m 'a note'")
    state.names.clear()
    state.notes.clear()
    state.names_path = ""
    mark.load(session, state)
    assert state.names["first"].type_.type_name() == "struct task_struct"
    assert state.names["first"].address_ == session.prog.symbol("init_task").address
    assert state.notes["first"] == "a note"
    assert run_line(session, "mark first -d")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[", b"[1]", b'[{"name": 1}]', b"{}", b"[" * 9999]
)
def test_a_damaged_file_of_marks_counts_as_none(data: bytes, session: Session) -> None:
    from btfdbg.commands.prompt import mark

    path = mark._path(session)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    state = state_of(session.prog)
    state.names.clear()
    state.names_path = ""
    mark.load(session, state)
    assert state.names == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p/x init_task.pid", "0x0"),
        ("p/d init_task.pid", "0"),
        ("p/s init_task.comm", '"swapper/0"'),
        ("p/t 5", "0b101"),
        ("p/o 8", "010"),
        ("p/z 255", "0x000000ff"),
        ("p/z 255UL", "0x00000000000000ff"),
        ("p/c 65", "65 'A'"),
        ("p/x init_task->pid", "0x0"),
        ("x/s linux_banner", '"Linux version '),
        ("x/2xb linux_banner", "0x4c  0x69"),
        ("x/2c linux_banner", "76 'L'"),
        ("p init_task.pid", "init_task.pid = (pid_t)0"),
    ],
)
def test_formats(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("diffstruct init_task init_task", "no member differs"),
        ("mark", "no marks yet; mark NAME ADDRESS keeps one"),
    ],
)
def test_a_table_without_rows_says_so(
    line: str,
    said: str,
    session: Session,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepare(session), "names", {})
    assert run_line(session, line)
    assert capsys.readouterr().out == f"{said}\n"
    assert run_line(session, f"{line} --json")
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("line", ["x/s linux_banner", "p/s linux_banner"])
def test_a_string_is_one_line_as_c_writes_it(
    line: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, line)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.endswith('\\n"\n')


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("set 999999", "no such process"),
        ("pss", "did you mean ps?"),
        ("pss -a", "did you mean ps?"),
        ("ctxx", "did you mean ctx?"),
        ('prog["init_tsak"]', "did you mean init_task"),
        ("p init_tsak", "'init_tsak' is not defined; did you mean init_task"),
        ("p jifies", "did you mean jiffies"),
        ("p init_tsk.comm", "'init_tsk' is not defined; did you mean init_task"),
        ("init_tsk.comm", "'init_tsk' is not defined; did you mean init_task"),
        ("p vfs_raedd", "'vfs_raedd' is not defined"),
        ('prog["init_task"].com', "did you mean comm"),
        ('prog.type("struct task_strct")', "did you mean task_struct"),
        ("find_tsk(1)", "did you mean find_task"),
        ("Object(prog, 'int', address=0x10).value_()", "cannot read memory at 0x10"),
        ("bt --nonsense", "unrecognized arguments: --nonsense; help bt lists what it takes"),
        ("tele", "required: address"),
        ("tele no_such_symbol", "no_such_symbol"),
        ("tele init_task -n 99999999", "-n 99999999"),
        ("p/q 1", "no format /q"),
        ("x/9999999x 0", "units"),
        ("p/x  ", "missing"),
        ("ps > /no/such/folder/file", "No such file"),
        ("xinfo 'unclosed", "not closed"),
        ("mark 1x", "not a name"),
        ("1 +", "syntax error"),
        ("raise RuntimeError('x' * 9999)", "RuntimeError: xxx"),
        ("raise ValueError('a\\x1b[31mb\\nc')", "a\\x1b[31mb c"),
        ("$nothing", "there is no $nothing"),
    ],
)
def test_an_error_is_one_line(
    line: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(session)
    assert not run_line(session, line)
    out, err = capsys.readouterr()
    assert out == ""
    assert len([text for text in err.splitlines() if " failed (" not in text]) == 1
    assert said in err
    assert "\x1b" not in err
    assert len(err) < 500


def test_tb_shows_the_traceback(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run_line(session, "1 / 0")
    capsys.readouterr()
    assert run_line(session, "tb")
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "ZeroDivisionError" in out
    assert "btfdbg/commands" not in out


def test_unreadable_reads_are_counted(session: Session) -> None:
    state = prepare(session)
    before = state.faults
    assert not run_line(session, "Object(prog, 'int', address=0x10).value_()")
    assert state.faults == before + 1


def test_redirection_and_pipes(
    session: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = f"{tmp_path}/out"
    assert run_line(session, f"ps > {file}")
    with open(file) as f:
        assert "COMM" in f.read()
    assert run_line(session, f"xinfo init_task >> {file}")
    with open(file) as f:
        text = f.read()
    assert "COMM" in text
    assert "init_task" in text
    assert run_line(session, "ps | head -1")
    assert capfd.readouterr().out.count("\n") == 1
    assert run_line(session, "ps | grep no_such_process_at_all")


def test_the_word_ask_describes_a_variable(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, 'prog["init_task"].tasks?')
    out = capsys.readouterr().out
    assert "struct list_head" in out
    assert "size: 16" in out
    assert run_line(session, "find_task?")
    assert "Return the task" in capsys.readouterr().out
    assert run_line(session, "bt?")
    assert "usage" in capsys.readouterr().out
    assert run_line(session, "?list_head")
    assert "struct list_head" in capsys.readouterr().out
    assert not run_line(session, "no_such_thing?")


def test_results_are_numbered(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    state = prepare(session)
    assert run_line(session, "41 + 1")
    number = max(state.results)
    assert run_line(session, f"_{number} + 1")
    assert run_line(session, f"${number} + 2")
    assert run_line(session, "_ + 1")
    assert capsys.readouterr().out.split() == ["42", "43", "44", "45"]


def test_an_arrow_is_a_dot(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(session, "find_task(prog, 1)->pid->value_()")
    assert capsys.readouterr().out == "1\n"
    assert run_line(session, 'print("a->b")')
    assert capsys.readouterr().out == "a->b\n"
