"""What C expressions mean over a dump, and which texts are C and which Python."""

from __future__ import annotations

import drgn
import pytest

from btfdbg.commands import values
from btfdbg.commands.c_values import CValueError, RefusedError
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session


@pytest.fixture
def bound(session: Session) -> Session:
    """A Session at whose prompt two names are bound."""
    state = prepare(session)
    state.globals["mine"] = session.prog["init_task"]
    state.globals["a_list"] = [1, 2]
    state.globals["a_number"] = 5
    return session


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("init_task.comm", "char [16]", b"swapper/0"),
        ("init_task->pid", "pid_t", 0),
        ("((struct task_struct *)&init_task)->comm", "char [16]", b"swapper/0"),
        ("(*&init_task).pid", "pid_t", 0),
        ("*init_task.comm@4", "char [4]", b"swap"),
        ("init_task.comm[1]", "char", ord("w")),
        ("*(init_task.comm + 1)", "char", ord("w")),
        ("{char}&init_task.comm[2]", "char", ord("a")),
        ("sizeof(int) * 2", "unsigned long", 8),
        ("sizeof(struct list_head)", "unsigned long", 16),
        ("sizeof(list_head)", "unsigned long", 16),
        ("sizeof init_task.comm", "unsigned long", 16),
        ("ARRAY_SIZE(init_task.comm)", "unsigned long", 16),
        ("offsetof(struct list_head, prev)", "unsigned long", 8),
        ("container_of(&init_task.tasks, struct task_struct, tasks)->pid", "pid_t", 0),
        ("list_entry(init_task.tasks.prev->next, task_struct, tasks)->pid", "pid_t", 0),
        ("&init_task == init_task.real_parent", "int", 1),
        ("init_task.mm == 0", "int", 1),
        ("!init_task.mm && 1 < 2", "int", 1),
        ("init_task.pid ? 5 : 6", "int", 6),
        ("0xffULL", "unsigned long", 255),
        ("1 << 3 | 1", "int", 9),
        ("1UL << 40", "unsigned long", 1 << 40),
        ("0777", "int", 0o777),
        ("'a' + 1", "int", 98),
        ("-7 / 2", "int", -3),
        ("-7 % 2", "int", -1),
        ("6 & 3 == 3", "int", 0),
        ("(u8)300", "u8", 44),
        ("(int)0xffffffff", "int", -1),
        ("(unsigned long)(void *)-1 >> 60", "unsigned long", 15),
        ("PIDTYPE_TGID", "enum pid_type", 1),
        ("(enum pid_type)1 == PIDTYPE_TGID", "int", 1),
        ("NULL", "void *", 0),
        ("mine.comm", "char [16]", b"swapper/0"),
        ("a_number * 2", "int", 10),
        ("per_cpu(runqueues, 0).cpu", "int", 0),
        ("per_cpu_ptr(&runqueues, 1)->cpu", "int", 1),
    ],
)
def test_a_c_expression_has_this_value(
    text: str, type_: str, value: object, bound: Session
) -> None:
    found = values.evaluate(bound, text)
    assert isinstance(found, drgn.Object)
    assert found.type_.type_name() == type_
    got = found.value_() if not isinstance(value, bytes) else found.string_()
    assert got == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 // 2", 3),
        ("2 ** 3", 8),
        ("len(a_list)", 2),
        ("a_list[1]", 2),
        ("max(1, 2)", 2),
        ("not 1", False),
        ("True", True),
        ('prog["init_task"].pid.value_()', 0),
        ("init_task.comm.string_()", b"swapper/0"),
        ("init_task->comm->string_()", b"swapper/0"),
        ("find_task(prog, 1).pid.value_()", 1),
        ("idle_task(prog, 0).pid.value_()", 0),
        ("1.5", 1.5),
        ('"abc"', "abc"),
    ],
)
def test_what_only_python_can_mean_is_python(text: str, value: object, bound: Session) -> None:
    assert values.evaluate(bound, text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("init_task.pid = 5", "= would write"),
        ("init_task.pid += 5", "+= would write"),
        ("init_task.pid++", "++ would write"),
        ("++init_task.pid", "++ would write"),
        ("schedule()", "whatis schedule"),
        ("init_task.sched_class->yield_task(0)", "nothing runs"),
    ],
)
def test_what_would_write_or_call_is_refused(text: str, said: str, bound: Session) -> None:
    with pytest.raises(RefusedError) as raised:
        values.evaluate(bound, text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 << 40", "1UL"),
        ("1 << -1", "32 bits"),
        ("5 / 0", "division by zero"),
        ("5 % (1 - 1)", "division by zero"),
        ("*(void *)0", "cast it"),
        ("*init_task", "no pointer"),
        ("init_task + 1", "no number"),
        ("init_task && 1", "no number"),
        ("&1", "without an address"),
        ("sizeof(void)", "void"),
        ("(struct task_struct)init_task", "*(struct task_struct *)ADDRESS"),
        ("_stext + 1", "_stext is a function at "),
        ("*init_task.comm@0", "@0"),
        ("*init_task.comm@9999999", "@9999999"),
        ("1@2", "in memory"),
        ("ARRAY_SIZE(init_task)", "no array"),
        ("init_task.pid.x", "x"),
    ],
)
def test_a_c_expression_without_a_value_says_why(text: str, said: str, bound: Session) -> None:
    with pytest.raises((CValueError, LookupError)) as raised:
        values.evaluate(bound, text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p init_task.comm", 'init_task.comm = (char [16])"swapper/0"'),
        ("p -x 255", "(int)0xff"),
        ("p 255 -x", "(int)0xff"),
        ("p init_task.pid -dx", "(pid_t)0x0"),
        ("p runqueues.cpu:a", "per_cpu(runqueues.cpu, 1) = (int)1"),
        ("p runqueues.cpu:1", "per_cpu(runqueues.cpu, 1) = (int)1"),
        ("p runqueues:1.cpu", "per_cpu(runqueues.cpu, 1) = (int)1"),
        ("p runqueues:a.idle->pid", "per_cpu(runqueues.idle->pid, 1) = (pid_t)0"),
        ("p runqueues.cpu:0-1", "per_cpu(runqueues.cpu, 0) = (int)0"),
        ("p runqueues.cpu", "per_cpu(runqueues.cpu, 0) = (int)0"),
        ("p runqueues", "PER-CPU ADDRESSES:"),
        ("p runqueues.cfs", "struct cfs_rq runqueues.cfs;"),
        ("p 256 >> 2", "= (int)64"),
        ("p 2 > 1", "= (int)1"),
        ("p (4 | 1)", "= (int)5"),
        ("p a_list", "a_list = [1, 2]"),
        ("p --drgn init_task.comm", 'prog["init_task"].comm'),
        ("p/x (6 | 1)", "0x7"),
        ("p/x 1 << 4", "0x10"),
        ("tele &init_task.tasks -n 1", "swapper/0"),
        ("id (struct task_struct *)&init_task", "swapper/0"),
    ],
)
def test_p_and_other_commands_take_c(
    line: str, said: str, bound: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(bound, line)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p", "expression is missing"),
        ("p -x", "expression is missing"),
        ("p runqueues:99", "99"),
        ("p runqueues:5-1", ":5-1"),
        ("p init_task:0", "no per-CPU variable"),
        ("p 1 +", "ends too early"),
        ("p init_task.pid = 1", "would write"),
        ("p no_such_thing", "no_such_thing"),
        ("p (struct no_such *)0", "no_such"),
        ("p *(int *)0x10", "cannot read memory at 0x10"),
        ("p -u init_task.mm == 0", "-u"),
        ("tele schedule()", "nothing runs"),
    ],
)
def test_a_mistake_is_one_line(
    line: str, said: str, bound: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_line(bound, line)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len([text for text in err.splitlines() if " failed (" not in text]) == 1
