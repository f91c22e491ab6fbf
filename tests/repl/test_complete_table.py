"""Completion as a table: what is typed (``|`` is the cursor) → what is suggested.

A row is (text, suggestions that must be there, their meta or a part of it, and
suggestions that must not). Every row holds on every architecture.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session
from btfdbg.repl.complete import complete


class Row(NamedTuple):
    text: str
    has: tuple[str, ...] = ()
    meta: str = ""
    lacks: tuple[str, ...] = ()
    first: str = ""


ROWS = (
    # The first word: commands, then Python's names.
    Row("b|", ("bt", "btop", "bool", "bytes"), "stack"),
    Row("bt|", ("bt", "btop"), "print stack traces"),
    Row("te|", ("tele",), "follow"),
    Row("ct|", ("ctx",), "crash"),
    Row("wha|", ("whatis",), "type"),
    Row("di|", ("diffstruct", "dir"), "differ"),
    Row("stru|", ("struct",)),
    Row("un|", ("union",)),
    Row("km|", ("kmem",)),
    Row("fore|", ("foreach",)),
    Row("he|", ("help", "hex")),
    Row("ma|", ("mark", "map", "max")),
    Row("%b|", ("bt", "btop"), lacks=("bool", "bytes")),
    Row("%fin|", lacks=("find_task",)),
    Row("find_t|", ("find_task",), "PID"),
    Row("for_each_t|", ("for_each_task",)),
    Row("prog|", ("prog",), "the kernel"),
    Row("pri|", ("print",)),
    Row("conta|", ("container_of",)),
    Row("wh|", ("while",)),
    Row("lam|", ("lambda",), "keyword"),
    Row("|", lacks=("bt", "prog")),
    Row("__imp|", ("__import__",)),
    Row("imp|", lacks=("__import__",)),
    # A variable, as ``p`` takes it, where nothing else begins so.
    Row("init_ta|", ("init_task",), "struct task_struct", first="init_task"),
    Row("init_task.co|", ("comm",), "char [16] +", first="comm"),
    Row("init_task.tasks.|", ("next", "prev"), "struct list_head *"),
    Row("init_task->com|", ("comm",), "char [16] +"),
    Row("no_such_task.co|", lacks=("comm",)),
    Row("%init_ta|", lacks=("init_task",)),
    # Symbols of modules among the kernel's.
    Row("sym cf_trigg|", ("cf_trigger",), first="cf_trigger"),
    # Types after the commands that take them.
    Row("struct task_st|", ("task_struct",), "struct", first="task_struct"),
    Row("struct list_h|", ("list_head",), "struct", lacks=("struct list_head",)),
    Row("struct tsk_struct|", lacks=("bpf_attr",)),
    Row("struct taskstr|", ("task_struct",), "struct"),
    Row("struct TASK_STR|", ("task_struct",)),
    Row("union bpf_at|", ("bpf_attr",), "union", lacks=("task_struct",)),
    Row("* list_h|", ("list_head",)),
    Row("*list_h|", ("list_head",)),
    Row("whatis list_h|", ("struct list_head",), "struct"),
    Row("whatis gfp|", ("gfp_t",), "typedef"),
    Row("whatis pid_ty|", ("enum pid_type",), "enum"),
    Row("whatis struct list_h|", ("list_head",), lacks=("struct list_head",)),
    Row("whatis init_ta|", ("init_task",)),
    Row("whatis struct task_struct.|", ("thread_info", "__state", "stack"), "+"),
    Row("whatis task_struct.pi|", ("pid",), "pid_t +", lacks=("comm",)),
    Row("whatis struct task_struct.se.lo|", ("load",), "load_weight"),
    Row("whatis init_task.com|", ("comm",)),
    # Of one of several types: not the methods of the number behind the sign.
    Row("whatis struct irq_info#2.|", ("irq",), lacks=("bit_length",)),
    Row("whatis irq_info#2.ir|", ("irq",), "int"),
    Row("whatis irq_info#|", ("irq_info#1", "irq_info#2")),
    Row("p irq_info#2.|", lacks=("bit_length",)),
    Row("struct sk_buf|", ("sk_buff", "sk_buff_head"), first="sk_buff"),
    Row("struct mm_str|", ("mm_struct",)),
    Row("struct xyzzy_plugh|", lacks=("task_struct",)),
    # Members after a type.
    Row("struct task_struct.|", ("thread_info", "__state", "stack"), "+"),
    Row("struct task_struct.pi|", ("pid",), "pid_t +", lacks=("comm",)),
    Row("struct task_struct.com|", ("comm",), "char [16] +", first="comm"),
    Row("struct task_struct.comm,pi|", ("pid",), "pid_t"),
    Row("struct task_struct.tasks.|", ("next", "prev"), "struct list_head *"),
    Row("struct task_struct.se.vrun|", ("vruntime",), "u64"),
    Row("struct task_struct.comm |", lacks=("comm", "pid")),
    Row("struct task_struct.comm init_ta|", ("init_task",)),
    Row("task_struct.com|", ("comm",), "char [16]"),
    Row("list_head.|", ("next", "prev")),
    Row("*task_struct.com|", ("comm",)),
    Row("struct page.fl|", ("flags",)),
    Row("union bpf_attr.map_t|", ("map_type",)),
    Row("struct no_such_type.|", lacks=("next", "pid")),
    Row("list task_struct.tasks -s task_struct.com|", ("comm",)),
    Row("list -o task_struct.tas|", ("tasks",)),
    Row("list -h init_ta|", ("init_task",)),
    Row("list -H init_task.tas|", ("tasks",)),
    Row("list task_struct.tas|", ("tasks",)),
    Row("list task_struct.tasks -h init_ta|", ("init_task",)),
    Row("waitq task_struct.tas|", ("tasks",)),
    Row("tree init_task.ta|", ("tasks",)),
    Row("tree -s vm_area_struct.vm_s|", ("vm_start",)),
    Row("task -R pi|", ("pid",)),
    Row("task -R comm,pi|", ("pid",)),
    # Processes with their comm.
    Row("bt |", ("1", "2"), ""),
    Row("bt 1|", ("1",), "init", first="1"),
    Row("bt 2|", ("2",), "kthreadd", first="2"),
    Row("bt kthr|", ("2",), "kthreadd"),
    Row("set 1|", ("1",), "init"),
    Row("set sc|", ("scroll",), "option"),
    Row("set ra|", ("radix",)),
    Row("files 1|", ("1",), "init"),
    Row("vm 1|", ("1",), "init"),
    Row("task 1|", ("1",)),
    Row("ps 2|", ("2",), "kthreadd"),
    Row("sig 1|", ("1",)),
    Row("ctx 1|", ("1",), "init"),
    Row("foreach |", ("user", "kernel", "bt"), ""),
    Row("foreach ker|", ("kernel",), "kernel threads"),
    Row("foreach UN b|", ("bt",), "stack"),
    Row("bt 99999|", lacks=("1", "2")),
    # Slab caches, modules, commands.
    Row("kmem -s |", ("task_struct", "dentry"), "bytes"),
    Row("kmem -s task_s|", ("task_struct",), "bytes", first="task_struct"),
    Row("kmem -S dentr|", ("dentry",)),
    Row("kmem -I inode_c|", ("inode_cache",)),
    Row("kmem -s inode|", ("inode_cache", "proc_inode_cache"), first="inode_cache"),
    Row("kmem -|", ("-s", "-i"), "memory"),
    Row("mod -s |", (), lacks=("task_struct",)),
    Row("help te|", ("tele",), "pointer"),
    Row("help b|", ("bt", "btop")),
    Row("help bt te|", ("tele",)),
    # Options with their help.
    Row("bt -|", ("-a", "-c", "--drgn", "--json", "--help"), ""),
    Row("bt -a|", ("-a",), "all CPUs"),
    Row("ps --|", ("--drgn", "--json"), ""),
    Row("ps --js|", ("--json",), "JSON", first="--json"),
    Row("tele --|", ("--count", "--depth", "--json", "--drgn"), ""),
    Row("tele --co|", ("--count",), "words"),
    Row("id --|", ("--json", "--drgn"), ""),
    Row("whatis --|", ("--drgn", "--json")),
    Row("ctx -s |", ("verdict", "panic", "task", "registers", "stack", "waiting", "log")),
    Row("ctx -s pan|", ("panic",), first="panic"),
    Row("diffstruct -t task_str|", ("struct task_struct",)),
    Row("mod -|", ("-s",)),
    Row("log -|", ("-T",), ""),
    Row("rd -|", ("-x",), ""),
    Row("sym -|", ("-l",), ""),
    Row("tele -n |", lacks=("init_task", "1")),
    # Symbols.
    Row("sym init_ta|", ("init_task",)),
    Row("rd jiff|", ("jiffies",)),
    Row("rd &init_ta|", ("init_task",)),
    Row("p init_ta|", ("init_task",), "struct task_struct"),
    Row("p panic_c|", ("panic_cpu",)),
    Row("p &init_ta|", ("init_task",)),
    Row("p ((struct task_struct *)&init_task)->com|", ("comm",), "char [16]"),
    Row("p (struct task_st|", ("task_struct",)),
    Row("p &init_task->tas|", ("tasks",), "struct list_head"),
    Row("tele container_of(init_task.tasks.next, struct task_struct, tasks)->pi|", ("pid",)),
    Row("p ((struct no_such *)0)->x|", lacks=("comm",)),
    Row("tele init_ta|", ("init_task",), "struct task_struct"),
    Row("xinfo init_m|", ("init_mm",), "struct mm_struct"),
    Row("vtop init_ta|", ("init_task",)),
    Row("tele schedul|", ("schedule",), "function"),
    Row("sym inittask|", ("init_task",)),
    Row("sym zzzz_no_such|", lacks=("init_task",)),
    # Expressions in the arguments of commands.
    Row("p init_task.com|", ("comm",), "char [16]"),
    Row("p init_task.tasks.|", ("next", "prev")),
    Row("p/x init_task.fla|", ("flags",), "unsigned int"),
    Row("p/x init_ta|", ("init_task",)),
    Row("p/a init_task.sched_cl|", ("sched_class",)),
    Row("x/4gx init_ta|", ("init_task",)),
    Row("x/s linux_b|", ("linux_banner",)),
    Row("x/8gx init_task.sta|", ("stack",)),
    Row("tele init_task.sta|", ("stack",), "void *"),
    Row("tele init_task->sta|", ("stack",), "void *"),
    Row('xinfo prog["init_t|', ("init_task",)),
    Row("xinfo find_task(prog, 1).com|", ("comm",)),
    Row("xinfo find_task(prog, 1).mm.pg|", ("pgd",)),
    Row("diffstruct init_ta|", ("init_task",)),
    Row("whatis init_task.mm|", ("mm", "mm_cid")),
    # Words that a command knows.
    Row("report |", ("verdict", "blocked", "log"), "Blocked tasks"),
    Row("report ver|", ("verdict",), lacks=("log",)),
    Row("report -s mem|", ("memory",)),
    Row("report cpus dis|", ("disks",)),
    Row("ctx |", ("verdict", "registers", "1")),
    Row("ctx sta|", ("stack",), lacks=("log",)),
    Row("ctx -s re|", ("registers",), lacks=("stack",)),
    Row("tree -t |", ("rbtree", "radix", "xarray", "maple")),
    Row("tree -t ma|", ("maple",), lacks=("rbtree",)),
    Row("sys con|", ("config",)),
    Row("frame -t |", ("1",), "init"),
    # Pipes and redirections.
    Row("ps | gr|", ("grep",), "match"),
    Row("ps | |", ("grep", "less", "sort"), ""),
    Row("log | he|", ("head",)),
    Row("ps > /et|", ("etc/",), "folder"),
    Row("ps >> /et|", ("etc/",)),
    Row("ps > /etc/pass|", ("passwd",), "file"),
    Row("ps > /no/such/folder/|", lacks=("etc/",)),
    Row("!ls /et|", ("etc/",)),
    Row("source /et|", ("etc/",)),
    # Python: the kernel's variables.
    Row('prog["init_ta|', ("init_task",), "struct task_struct"),
    Row("prog['init_ta|", ("init_task",)),
    Row('prog["inittask|', ("init_task",)),
    Row('prog["INIT_TA|', ("init_task",)),
    Row('prog["|', lacks=("init_task",)),
    Row('x = prog["init_m|', ("init_mm",)),
    Row('prog.variable("init_ta|', ("init_task",)),
    Row('prog.symbol("init_ta|', ("init_task",)),
    Row('prog.function("schedul|', ("schedule",)),
    Row('prog.type("|', lacks=("struct list_head",)),
    # Python: members of what a variable is.
    Row('prog["init_task"].com|', ("comm",), "char [16] +", first="comm"),
    Row('prog["init_task"].|', ("thread_info", "stack"), ""),
    Row('prog["init_task"].mm.mm_c|', ("mm_count",)),
    Row('prog["init_task"].tasks.|', ("next", "prev"), ""),
    Row('prog["init_task"]->com|', ("comm",)),
    Row('prog["init_task"].tasks.next.ne|', ("next",)),
    Row('prog["init_task"].address_of_().com|', ("comm",)),
    Row('prog["init_task"].member_("com|', ("comm",)),
    Row('prog["init_task"].se.vrun|', ("vruntime",)),
    Row('prog["init_task"].addre|', ("address_of_", "address_")),
    Row('prog["init_task"].comm.str|', ("string_",)),
    Row('prog["init_task"].no_such_member.|', lacks=("comm",)),
    Row('prog["no_such_variable"].|', lacks=("comm",)),
    Row('prog["init_task"].pid.|', ("value_",), lacks=("comm",)),
    # Python: members through calls whose result is documented.
    Row("find_task(prog, 1).com|", ("comm",), "char [16]"),
    Row("find_task(1).com|", ("comm",)),
    Row("find_task(prog, 1).mm.|", ("pgd", "mm_count"), ""),
    Row("find_task(prog, 1).parent.real_par|", ("real_parent",)),
    Row("prog.crashed_thread().object.com|", ("comm",)),
    Row("prog.crashed_thread().|", ("object", "stack_trace", "tid"), ""),
    Row("prog.thread(1).obj|", ("object",)),
    Row("prog.stack_trace(1)[0].|", ("pc", "sp", "name", "registers"), ""),
    Row("prog.thread(1).stack_trace()[0].reg|", ("register", "registers")),
    Row("idle_task(prog, 0).com|", ("comm",)),
    Row("cpu_curr(prog, 0).pi|", ("pid",)),
    Row("no_such_function(prog).|", lacks=("comm",)),
    # Python: casts and constructed objects.
    Row('cast("struct task_st|', ("task_struct",)),
    Row('cast("task_st|', ("struct task_struct",)),
    Row('cast("struct task_struct *", 0).com|', ("comm",)),
    Row('Object(prog, "struct mm_str|', ("mm_struct",)),
    Row('Object(prog, "struct mm_struct", address=0).pg|', ("pgd",)),
    Row('NULL(prog, "struct task_struct *").com|', ("comm",)),
    Row('container_of(x, "struct task_st|', ("task_struct",)),
    Row('container_of(x, "struct task_struct", "tas|', ("tasks",), "struct list_head"),
    Row('container_of(x, "struct task_struct", "se.vru|', ("vruntime",)),
    Row('container_of(x, "struct task_struct", "tasks").com|', ("comm",)),
    Row('prog.type("struct lis|', ("list_head",)),
    Row('prog.type("union bpf_at|', ("bpf_attr",), "union"),
    Row('prog.type("enum pid_ty|', ("pid_type",), "enum"),
    Row('prog.type("struct task_struct").mem|', ("members", "member")),
    Row('prog.type("struct task_struct").member("com|', ("comm",)),
    Row('sizeof(prog.type("struct lis|', ("list_head",)),
    Row('offsetof(prog.type("struct task_struct"), "tas|', ("tasks",)),
    Row('reinterpret("struct list_h|', ("list_head",)),
    Row('list_for_each_entry("struct task_st|', ("task_struct",)),
    Row('list_for_each_entry("struct task_struct", x, "tas|', ("tasks",)),
    # Python: loops and assignments bind names.
    Row("for t in for_each_task(prog): t.com|", ("comm",)),
    Row("[t.com| for t in for_each_task(prog)]", ("comm",)),
    Row("[t.pid for t in for_each_task(prog) if t.com|", ("comm",)),
    Row("for t in for_each_task(prog):\n    print(t.com|", ("comm",)),
    Row("t = find_task(prog, 1)\nt.com|", ("comm",)),
    Row("t = find_task(prog, 1)\nm = t.mm\nm.pg|", ("pgd",)),
    Row('for t in list_for_each_entry("struct task_struct", x, "tasks"): t.com|', ("comm",)),
    Row("for c in for_each_slab_cache(prog): c.object_s|", ("object_size",)),
    Row("for c in for_each_online_cpu(prog): c.|", lacks=("comm",)),
    Row("for f in prog.stack_trace(1): f.nam|", ("name",)),
    Row('(prog["init_task"]).com|', ("comm",)),
    Row('print(prog["init_task"].com|', ("comm",)),
    Row('len(prog["init_task"].comm) + prog["init_task"].pi|', ("pid",)),
    # Python: the Program and modules.
    Row("prog.|", ("type", "symbol", "crashed_thread", "stack_trace"), ""),
    Row("prog.cra|", ("crashed_thread",), first="crashed_thread"),
    Row("drgn.Ob|", ("Object",)),
    Row("drgn.TypeK|", ("TypeKind",)),
    Row("drgn.helpers.|", ("linux", "common"), "module"),
    Row(" b|", ("bool",), lacks=("bt",)),
    Row("py b|", ("bool",), lacks=("bt",)),
    Row(" prog.cras|", ("crashed_thread",)),
    # Names the user bound; a command's name is then Python's.
    Row("init.com|", ("comm",), "char [16]"),
    Row("init->com|", ("comm",)),
    Row("ini|", ("init",), "struct task_struct *"),
    Row("$own.com|", ("comm",)),
    Row("$o|", ("own",)),
    Row("tele $o|", ("own",)),
    Row("mark |", ("own",)),
    Row("lst[0].com|", ("comm",)),
    Row('dct["a"].com|', ("comm",)),
    Row("p = 1; p.|", ("bit_length",)),
    # Nothing to say, and no harm done.
    Row("1.|", lacks=("bt",)),
    Row("(|", lacks=("bt",)),
    Row("x = |", lacks=("bt",)),
    Row('"unclosed |', lacks=("bt",)),
    Row("print('prog[|", lacks=("init_task",)),
    Row("# comment |", lacks=("bt",)),
    Row("foo(bar[baz{|", lacks=("bt",)),
    Row("eval (1 << |", lacks=("init_task",)),
    Row(")))]]].|", lacks=("comm",)),
    Row("\x00\x1b[|", lacks=("bt",)),
    Row("ｐｒｏｇ.|", lacks=("bt",)),
    Row("a" * 3000 + "|", lacks=("bt",)),
    Row("(" * 500 + "x.|", lacks=("comm",)),
    Row("x." * 500 + "|", lacks=("comm",)),
)  # fmt: skip


@pytest.fixture
def bound(session: Session) -> Session:
    """A Session in which the user has bound a few names."""
    state = prepare(session)
    for line in (
        "init = find_task(prog, 1)",
        "lst = [init]",
        'dct = {"a": init}',
        "mark own find_task(prog, 1)",
    ):
        assert run_line(session, line)
    assert "own" in state.names
    return session


def split(text: str) -> tuple[str, int]:
    cursor = text.rindex("|")
    return text[:cursor] + text[cursor + 1 :], cursor


def test_the_table_is_long_enough() -> None:
    assert len({row.text for row in ROWS}) >= 150


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text[:50])
def test_row(row: Row, bound: Session) -> None:
    text, cursor = split(row.text)
    found = complete(text, cursor, bound)
    by_text = {c.text: c for c in found}
    for name in row.has:
        assert name in by_text, [c.text for c in found[:20]]
    for name in row.lacks:
        assert name not in by_text
    if row.meta:
        assert any(row.meta in by_text[name].meta for name in row.has), [
            by_text[name].meta for name in row.has
        ]
    if row.first:
        assert found[0].text == row.first
    for c in found:
        assert 0 <= c.start <= cursor
        assert c.display


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text[:50])
def test_every_prefix_of_a_row_completes_without_an_error(row: Row, bound: Session) -> None:
    text, cursor = split(row.text)
    for end in range(max(cursor - 12, 0), cursor):
        complete(text[:end], end, bound)


@pytest.mark.parametrize(
    "text", ["struct ts|", "struct task_st|", 'prog["tsk|', "sym a|", 'prog["_|']
)
def test_a_keystroke_costs_less_than_50_ms(text: str, bound: Session) -> None:
    line, cursor = split(text)
    complete(line, cursor, bound)
    best = min(_seconds(line, cursor, bound) for _ in range(5))
    assert best < 0.05


def _seconds(line: str, cursor: int, session: Session) -> float:
    start = time.process_time()
    complete(line, cursor, session)
    return time.process_time() - start
