"""What crash's users type with types, lists, trees and symbols, form by form of its help pages."""

from __future__ import annotations

import re

import drgn
import pytest

import btfdbg
from btfdbg.commands import candidates, namespace
from btfdbg.commands.arguments import options_first
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.kallsyms.model import Sym
from btfdbg.program import untyped
from btfdbg.program.per_cpu import copies
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ready(session: Session) -> None:
    prepare(session)
    session.prog.config.pop("crash_radix", None)


WORKS = (
    # struct, union, *
    ("struct list_head", r"struct list_head \*next;\n.*\nSIZE: 16"),
    ("struct list_head -o", r"\n   \[0\] struct list_head \*next;\n   \[8\] .* \*prev;\n}"),
    ("struct -o list_head", r"SIZE: 16"),
    ("struct page -o", r"\n       union {\n           struct {\n"),
    ("struct page -o", r"\n   \[8\] +struct list_head lru;\n"),
    ("struct task_struct.pid,pid", r"^struct task_struct {\n *\[\d+\] pid_t pid;\n.*pid;\n}\n$"),
    ("struct file.f_path.dentry", r"^struct file {\n +\[\d+\] .* \*f_path.dentry;\n}\n$"),
    ("struct list_head -ox", r"\[0x8\] .*prev;\n}\nSIZE: 0x10"),
    ("list_head -o", r"\[8\]"),
    ("* list_head -o", r"\[8\]"),
    ("*list_head", r"SIZE: 16"),
    ("struct task_struct.pid", r"\[\d+\] pid_t pid;"),
    ("struct task_struct.tasks,pid -o", r"\[\d+\] struct list_head tasks;\n.*\[\d+\] pid_t pid;"),
    ("struct task_struct.pid init_task", r"^pid = \(pid_t\)0$"),
    ("struct task_struct.pid,comm init_task -x", r"^pid = \(pid_t\)0x0\ncomm ="),
    ("struct task_struct -x init_task", r"0x"),
    ("task_struct.pid init_task", r"^pid = \(pid_t\)0$"),
    ("task_struct.se.on_rq,comm[0] init_task", r"^se.on_rq = .*\ncomm\[0\] = "),
    ("struct task_struct.pid &init_task", r"^pid = \(pid_t\)0$"),
    ("struct task_struct.pid init_task.real_parent", r"^pid = \(pid_t\)0$"),
    ("struct task_struct.pid (init_task.real_parent)", r"^pid = \(pid_t\)0$"),
    ("struct task_struct.pid -l task_struct.tasks &init_task.tasks", r"^pid = \(pid_t\)0$"),
    ("task_struct.pid -l task_struct.tasks init_task.tasks.next", r"^pid = \(pid_t\)1$"),
    ("struct list_head init_task.tasks -c 1", r"\.next = "),
    ("struct list_head init_task.tasks 2", r"\.prev = [^\n]*\n}\n\n"),
    ("struct list_head -o init_task.tasks 2", r"\*next;[^}]*}\nstruct list_head {\n.*\*next;"),
    ("struct list_head -c -2 -o init_task.tasks", r"\*next;[^}]*}\nstruct list_head {"),
    ("struct task_struct.tasks -o init_task", r"\[[0-9a-f]{16}\] struct list_head tasks;"),
    ("struct task_struct.tasks -r init_task", r"^[0-9a-f]{16}:  [0-9a-f]{16} [0-9a-f]{16} "),
    ("struct list_head -r &init_task.tasks", r"^[0-9a-f]{16}:  [0-9a-f]{16} [0-9a-f]{16} "),
    ("task_struct.real_parent init_task -p", r"\*real_parent = 0x[0-9a-f]+  <init_task>\n  -> "),
    ("task_struct.mm,pid init_task -p", r"struct mm_struct \*mm = 0x0\n  pid = "),
    ("struct rq.cpu runqueues:a", r"\[0\]: [0-9a-f]+\ncpu = \(int\)0\n\[1\]: [0-9a-f]+\ncpu = "),
    ("struct rq.cpu runqueues:1 -x", r"cpu = \(int\)0x1"),
    ("struct rq.cpu -o runqueues:1", r"\[[0-9a-f]{16}\] int cpu;"),
    ("union sigval -o", r"\[0\] int sival_int;\n   \[0\] void \*sival_ptr;"),
    ("union sigval", r"SIZE: 8"),
    # whatis, enum
    ("whatis list_head", r"size: 16"),
    ("whatis -o list_head", r"size: 16"),
    ("whatis pid_t", r"typedef __kernel_pid_t pid_t"),
    ("whatis jiffies", r"unsigned long"),
    ("whatis task_struct.pid", r"^pid_t pid;\n/\* offset: \d+, in struct task_struct, size: 4"),
    ("whatis init_task.pid", r"^pid_t;\n"),
    ("whatis -r 16 -m list_head", r"SIZE +TYPE"),
    ("whatis -r 256-512 -m task_struct", r"\n +\d{3}  \w+ "),
    ("whatis -m mm_struct", r" task_struct "),
    ("whatis -r 0x10 --json", r'"size": 16'),
    # list
    ("list task_struct.tasks -s task_struct.comm,pid -h init_task",
     r"\n  comm = \(char \[16\]\)\"swapper/0\"\n  pid = \(pid_t\)0\n"),
    ("list task_struct.tasks -h init_task", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list -h init_task -o task_struct.tasks", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list -r task_struct.tasks -h init_task", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list -B task_struct.tasks -h init_task", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list -H &init_task.tasks", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list -H init_task.tasks -o task_struct.tasks -s task_struct.pid", r"\n  pid = \(pid_t\)1\n"),
    ("list init_task.tasks.next -l task_struct.tasks -s task_struct.pid", r"  pid = \(pid_t\)1\n"),
    ("list task_struct.tasks -s task_struct.se.on_rq -x -h init_task", r"  se.on_rq = .*0x"),
    ("list task_struct.tasks -S task_struct.pid -d -h init_task", r"  pid = \(pid_t\)0\n"),
    ("list task_struct.real_parent init_task", r"^[0-9a-f]{16}\n$"),
    # The kernel has a variable kmem_cache as well.
    ("list kmem_cache.list -H slab_caches", r"^[0-9a-f]{16}\n[0-9a-f]{16}\n"),
    ("list vfs_read", r"^fs/read_write\.c"),
    # tree
    ("tree -t maple -r mm_struct.mm_mt find_task(prog,1).mm", r"^[0-9a-f]{16}\n"),
    ("tree -t m -r mm_struct.mm_mt -p find_task(prog,1)->mm", r"  index: 1  position: root/\d"),
    ("tree -t m &find_task(prog,1)->mm->mm_mt -s vm_area_struct.vm_start -x",
     r"vm_start = \(unsigned long\)0x"),
    ("tree -t m -r mm_struct.mm_mt find_task(prog,1)->mm -v", r"^maple_tree\([0-9a-f]+\) flags "),
    ("tree -t m -N find_task(prog,1)->mm->mm_mt.ma_root -p", r"  index: 1  position: root/\d"),
    # rd
    ("rd &init_task.comm 2", r"swapper/0"),
    ("rd init_task.comm", r"^[0-9a-f]{16}:  [0-9a-f]{16} "),
    ("rd -8 init_task.comm 9", r"73 77 61 70 70 65 72 2f 30 "),
    ("rd init_task.comm -16 2", r"7773 7061 "),
    ("rd init_task.comm 2 -32", r"70617773 2f726570 "),
    ("rd -64 init_task.comm", r"2f72657070617773 "),
    ("rd -x init_task.comm", r"2f72657070617773\n"),
    ("rd -a init_task.comm", r"swapper/0\n"),
    ("rd -d -8 init_task.comm", r" 115"),
    ("rd -D -8 init_task.comm", r" 115"),
    ("rd -N -32 init_task.comm", r"73776170 "),
    ("rd -o 8 init_task.comm", r"0000000000000030|[0-9a-f]{16}"),
    ("rd -s &init_task.real_parent", r"init_task\+0"),
    ("rd -S &init_task.real_parent 1", r"init_task\+0"),
    ("rd -R init_task.comm 2", r"[0-9a-f]{16}"),
    # sym
    ("sym jiffies", r"^[0-9a-f]{16} \([dD]\) jiffies\n"),
    ("sym vfs_read", r"^[0-9a-f]{16} \(T\) vfs_read  fs/read_write\.c"),
    ("sym vfs_read+0x10", r"^[0-9a-f]{16} \(T\) vfs_read\+0x10  fs/read_write\.c"),
    ("sym -q vfs_readl", r" vfs_readlink"),
    ("sym -p vfs_read", r"\n[0-9a-f]{16} \(T\) vfs_read "),
    ("sym -np jiffies", r"^.*\n[0-9a-f]{16} \([dD]\) jiffies\n.*\n$"),
    ("sym vfs_read+0x10/0x300", r"^[0-9a-f]{16} \(T\) vfs_read\+0x10  fs/read_write\.c"),
    ("sym jiffies --json", r'"type": "[dD]"'),
    ("sym --drgn jiffies", r'prog\.symbol\("jiffies"\)'),
    # translations
    ("ascii 62696c2f7273752f", r"^62696c2f7273752f: /usr/lib"),
    ("ascii", r"NUL"),
    ("btop 512a000", r"^512a000: 512a"),
    ("ptob 512a", r"^512a: 512a000"),
    ("ptov 0:a", r"\[0\]  [0-9a-f]+"),
)  # fmt: skip


@pytest.mark.parametrize(("line", "pattern"), WORKS, ids=[line for line, _ in WORKS])
def test_a_form_of_crash_works(line: str, pattern: str, session: Session, capsys: Said) -> None:
    assert run_line(session, line), capsys.readouterr().err
    out = capsys.readouterr().out
    assert re.search(pattern, out, re.DOTALL if "\\n.*\\n" in pattern else 0), out[:500]


def test_the_forms_work_on_an_older_kernel(capsys: Said) -> None:
    core = next(path for path, _ in bundled_dumps() if path.name.startswith("6.1-"))
    older = btfdbg.session(btfdbg.program_from_core_dump(core))
    prepare(older)
    for line, pattern in WORKS:
        assert run_line(older, line), line
        out = capsys.readouterr().out
        # Its kernel is built elsewhere: what a function's file is need not be known.
        if not line.startswith(("sym vfs_read", "list vfs_read")):
            assert re.search(pattern, out, re.DOTALL if "\\n.*\\n" in pattern else 0), line


REFUSED = (
    ("struct", "required"),
    ("struct no_such", "no type"),
    ("struct no_such -o", "no type"),
    ("struct task_struct.no_such -o", "no member"),
    ("struct task_struct.no_such init_task", "no member"),
    ("struct task_struct.1x -o", "no member"),
    ("struct task_struct -r", "needs an address"),
    ("struct task_struct -p", "needs an address"),
    ("struct -f task_struct 0", "xxd"),
    ("struct list_head -c 99999999 -r init_task", "99999999"),
    ("struct list_head init_task x", "struct: 'x' is no number"),
    ("struct task_struct.pid -l zz -o init_task", "STRUCT.MEMBER"),
    ("struct task_struct -o no_such_symbol", "no_such_symbol"),
    ("struct rq.cpu -o runqueues:99", ":99"),
    ("struct rq.cpu -o runqueues:0-99999999999", "no machine has so many CPUs"),
    ("bt -t -c 0-99999999999", "no machine has so many CPUs"),
    ("union task_struct -o", "struct task_struct"),
    ("list", "required"),
    ("list -H no_such_symbol", "no_such_symbol"),
    ("list no_such.tasks -h init_task", "no_such"),
    ("list task_struct.no_such -h init_task", "no_such"),
    ("tree", "required"),
    ("tree -t q init_task", "q"),
    ("tree -t q -p init_task", "rbtree, radix"),
    ("tree -t rb -v init_task", "maple"),
    ("tree -t m -p -l init_task", "red-black"),
    ("tree -N -r task_struct.tasks -p init_task", "not both"),
    ("tree no_such_symbol", "no_such_symbol"),
    ("rd", "required"),
    ("rd no_such_symbol", "no_such_symbol"),
    ("rd -f 0", "xxd"),
    ("rd -m 0", "rd -p"),
    ("rd init_task -e 1", "not behind the start"),
    ("rd 10", "cannot read memory at 0x10"),
    ("rd -8 -16 init_task", "not allowed with"),
    ("sym", "which?"),
    ("sym no_such_symbol", "no symbol is named no_such_symbol"),
    ("sym ffff000000000000", "xinfo ffff000000000000"),
    ("sym -m no_such", "not loaded"),
    ("sym -q no_such_symbol_at_all", "no symbol"),
    ("whatis", "what?"),
    ("whatis -r zz", "LOW-HIGH"),
    ("whatis -r 16 list_head", "-r and -m"),
    ("whatis -m no_such_type_at_all", "no struct"),
    ("btop zz", "zz"),
    ("ascii zz", "zz"),
)


@pytest.mark.parametrize(("line", "said"), REFUSED, ids=[line for line, _ in REFUSED])
def test_a_mistake_is_one_line(line: str, said: str, session: Session, capsys: Said) -> None:
    assert not run_line(session, line)
    err = [s for s in capsys.readouterr().err.splitlines() if not re.search(r"reads? .*failed", s)]
    assert len(err) == 1
    assert said in err[0]
    assert "Traceback" not in err[0]


def test_what_struct_o_shows_are_the_offsets(session: Session, capsys: Said) -> None:
    assert run_line(session, "struct task_struct -o")
    shown = {
        name: int(offset)
        for offset, name in re.findall(
            r"^ *\[(\d+)\] \S.*?\**(\w+)(?:\[\d+\])*;$", capsys.readouterr().out, re.MULTILINE
        )
    }
    assert len(shown) > 100
    for name in ("tasks", "pid", "comm", "mm", "stack"):
        assert shown[name] == drgn.offsetof(session.prog.type("struct task_struct"), name)


@pytest.mark.parametrize("name", ["mm_struct", "page", "inode", "file", "sk_buff"])
def test_struct_o_enters_anonymous_members(name: str, session: Session, capsys: Said) -> None:
    assert run_line(session, f"struct {name} -o")
    out = capsys.readouterr().out
    type_ = session.prog.type(f"struct {name}")
    shown = re.findall(r"^ *\[(\d+)\] +\S.*?\**(\w+)(?:\[\d*\])*(?: : \d+)?;$", out, re.MULTILINE)
    named = {member for member, _, _ in candidates.members(type_)}
    # Those of a named member without a type's name stand there, too.
    shown = [(offset, member) for offset, member in shown if member in named]
    assert len(named - {member for _, member in shown}) <= len(named) // 10
    assert "\t" not in out
    for offset, member in shown:
        try:
            assert int(offset) == drgn.offsetof(type_, member)
        except ValueError:
            pass  # a bit-field


def test_every_copy_of_a_per_cpu_variable_is_read(session: Session, capsys: Said) -> None:
    assert run_line(session, "rd runqueues:a")
    every = capsys.readouterr().out
    assert run_line(session, "rd runqueues")
    assert capsys.readouterr().out == every
    assert run_line(session, "rd runqueues:1")
    assert every.endswith(capsys.readouterr().out)
    assert every.count("per_cpu(runqueues, ") == 2


@pytest.mark.parametrize(
    "line",
    [
        *("list runqueues", "list -H runqueues", "list -h runqueues", "tree -t ra runqueues"),
        *("tree -t rb runqueues", "rd &runqueues", "struct rq.nr_running &runqueues"),
        *("x/2gx &runqueues", "id &runqueues"),
    ],
)
def test_the_template_of_a_per_cpu_variable_is_not_taken_for_a_cpus_copy(
    line: str, session: Session, capsys: Said
) -> None:
    """These printed what stands in the template, zeros, or nothing."""
    assert not run_line(session, line)
    said = capsys.readouterr()
    assert "each CPU has its own, CPU 0's is at 0x" in said.err
    assert not said.out
    # What the refusal advises works, with the address of that CPU's copy.
    assert run_line(session, "x/1gx &runqueues:1")
    place = next(at for cpu, at in copies(session, session.prog["runqueues"].address_) if cpu == 1)
    assert f"{place:#x}:" in capsys.readouterr().out
    run_line(session, "list runqueues:1")  # it is no list, and what it begins with no pointer
    assert capsys.readouterr().out.split()[0] == f"{place:x}"


def test_a_symbol_in_brackets_is_its_address(session: Session, capsys: Said) -> None:
    place = session.prog.symbol("init_task").address
    for line, at in (
        ("rd (init_task+8)", place + 8),
        ("rd (init_task + 0x8)", place + 8),
        ("rd init_task-8", place - 8),
        ("rd (init_task)", place),
        ("rd init_task+010", place + 10),
    ):
        assert run_line(session, line)
        assert capsys.readouterr().out.startswith(f"{at:x}: ")


def test_symbols_beside_a_symbol_are_those_of_the_table(session: Session, capsys: Said) -> None:
    assert session.symbols is not None
    places = sorted({s.address for s in session.symbols})
    for name in ("vfs_read", "jiffies", "init_task"):
        at = places.index(session.prog.symbol(name).address)
        assert run_line(session, f"sym -pn {name}")
        found = [int(line.split()[0], 16) for line in capsys.readouterr().out.splitlines()]
        assert found == places[at - 1 : at + 2]


def test_kmem_takes_physical_addresses_and_symbols(session: Session, capfd: Said) -> None:
    assert run_line(session, "kmem -p | head -2")
    listed = capfd.readouterr().out.splitlines()[1].split()
    assert run_line(session, f"kmem -p {listed[1]}")
    shown = capfd.readouterr().out.splitlines()[1].split()
    assert shown == listed
    assert run_line(session, f"kmem {listed[1]}")
    assert listed[0] in capfd.readouterr().out
    # The page of its struct page need not be in the dump.
    run_line(session, "kmem jiffies")
    assert " jiffies" in capfd.readouterr().out


def test_options_of_a_command_behind_foreach_stay_in_their_order(
    session: Session, capsys: Said
) -> None:
    assert run_line(session, "foreach 1 task -R comm,pid,flags -x")
    said = capsys.readouterr().out
    assert "pid = (pid_t)0x1\n" in said
    assert run_line(session, "foreach 1 task -x -R comm,pid,flags")
    assert capsys.readouterr().out == said


def test_log_shows_dates_beside_level_and_caller(session: Session, capsys: Said) -> None:
    assert run_line(session, "log -T")
    dated = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert run_line(session, "log -T -m")
    levels = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [re.sub(r"^(\[.{20,40}?\] )<[0-9a-f]+>", r"\1", line) for line in levels] == dated
    assert levels != dated


def test_positions_of_a_maple_tree_agree_with_its_entries(session: Session, capsys: Said) -> None:
    assert run_line(session, "tree -t m -r mm_struct.mm_mt find_task(prog,1)->mm")
    plain = capsys.readouterr().out.split()
    assert run_line(session, "tree -t m -p -r mm_struct.mm_mt find_task(prog,1)->mm")
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == plain
    assert [int(line.split()[1]) for line in lines[1::2]] == list(range(1, len(plain) + 1))


def test_sym_of_a_module_names_it(session: Session, capsys: Said) -> None:
    assert session.module_objects is not None
    module = sorted(s.source for s in session.module_objects.symbols)[0].removeprefix("module ")
    assert run_line(session, f"sym -m {module}")
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.endswith(f" [{module}]") for line in lines)


@pytest.mark.parametrize(
    ("words", "ordered"),
    [
        (["a", "-x", "b"], ["-x", "a", "b"]),
        (["a", "-c", "2", "b"], ["-c", "2", "a", "b"]),
        (["a", "-c2", "b"], ["-c2", "a", "b"]),
        (["a", "b", "-xd"], ["-xd", "a", "b"]),
        (["a", "-xc", "-2"], ["-xc", "-2", "a"]),
        (["a", "--", "-x"], ["--", "a", "-x"]),
        (["a", "-q", "b"], ["-q", "a", "b"]),
        ([], []),
        (["-"], ["--", "-"]),
    ],
)
def test_options_come_first(words: list[str], ordered: list[str], session: Session) -> None:
    parser = namespace.parser_of(namespace.lookup(session.prog, "struct"))
    assert parser is not None
    assert options_first(parser, words) == ordered


@pytest.mark.parametrize(
    "line", ["rd -u 400000", "p -u *(int *)0x400000", "struct -u list_head 400000", "search -u 1"]
)
def test_a_task_without_user_memory_is_told_for_what_it_is(
    line: str, session: Session, capsys: Said
) -> None:
    """They read on from the NULL pointer in its place."""
    assert run_line(session, "set 2")
    try:
        capsys.readouterr()
        assert not run_line(session, line)
    finally:
        assert run_line(session, "set -p")
    said = "-u: pid 2 has no user memory; set PID chooses a task\n"
    assert capsys.readouterr().err == f"{line.split()[0]}: {said}"


def test_a_page_of_a_user_that_was_left_out_is_told_by_its_physical_address(
    session: Session, capsys: Said
) -> None:
    """It was called a user-space address, in place of a pointer of the kernel."""
    assert run_line(session, "set 1")
    try:
        capsys.readouterr()
        assert not run_line(session, "rd -u 400000")
    finally:
        assert run_line(session, "set -p")
    err = capsys.readouterr().err
    assert err.startswith("rd: cannot read memory: physical 0x")
    assert "the page was left out" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("why", ["sys_call_table has no address here", ""])
def test_a_variable_without_an_address_is_told_as_p_tells_it(
    why: str, session: Session, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a kernel without data symbols the dump was said to have none, or the kernel."""
    lookup = Session.lookup_symbols

    def symbols(self: Session, name: str) -> tuple[Sym, ...]:
        return () if name == "sys_call_table" else lookup(self, name)

    monkeypatch.setattr(Session, "lookup_symbols", symbols)
    monkeypatch.setattr(untyped, "explain", lambda session, name: why and f"{name}{why[14:]}")
    assert not run_line(session, "sys -c")
    otherwise = "this dump has no symbol sys_call_table"
    assert capsys.readouterr().err == f"sys: -c: {why or otherwise}\n"
