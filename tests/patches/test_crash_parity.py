"""What drgn 0.3's crash commands get wrong or lack on real dumps, and the table mends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn import Architecture, Platform, PlatformFlags
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timer import timer_base_for_each

from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.kallsyms import Sym
from btfdbg.lazy_dataclass import replace
from btfdbg.patches import stacks
from btfdbg.program import up_cpus
from btfdbg.program.attach import attach
from btfdbg.program.per_cpu import is_per_cpu
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from tests.conftest import bundled_dumps
from tests.program.damaged import Dump

Text = pytest.CaptureFixture[str]


def opened(path: Path) -> Session:
    prog, info = open_core(path)
    session = attach(prog, None, info)
    drgn.set_default_prog(prog)
    prepare(session)
    return session


@pytest.fixture(scope="module")
def session(oops_core: Path) -> Session:
    return opened(oops_core)


@pytest.fixture(scope="module")
def hung() -> Session:
    for path, entry in bundled_dumps():
        if entry["scenario"] == "hung-tasks":
            return opened(path)
    pytest.skip("no dump with hung tasks is bundled")


@pytest.fixture(scope="module")
def arm(arm_core: Path) -> Session:
    return opened(arm_core)


def ran(session: Session, line: str, capsys: Text) -> str:
    assert run_line(session, line), capsys.readouterr().err
    return capsys.readouterr().out


def failed(session: Session, line: str, capsys: Text) -> str:
    assert not run_line(session, line)
    return capsys.readouterr().err


# CPUs of a dead kernel


@pytest.mark.parametrize("core", ["oops_core", "arm_core"])
def test_ps_shows_the_swapper_of_every_cpu(
    core: str, request: pytest.FixtureRequest, capsys: Text
) -> None:
    session = opened(request.getfixturevalue(core))
    from drgn.helpers.linux.cpumask import num_present_cpus

    present = num_present_cpus(session.prog)
    assert present > 1
    out = ran(session, "ps", capsys)
    swappers = re.findall(r"\[swapper/(\d+)\]", out)
    assert sorted(map(int, swappers)) == list(range(present))
    assert "OFFLINE" not in ran(session, "sys", capsys)
    assert ran(session, "ps -m", capsys).count("PID: ") == len(out.splitlines()) - 1
    assert len(ran(session, "foreach active ps", capsys).splitlines()) - 1 == present


def test_a_cpu_that_was_taken_down_before_is_offline(oops_core: Path) -> None:
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.percpu import per_cpu

    dump = Dump(oops_core)
    state = per_cpu(dump.twin.prog["cpuhp_state"], 1).state
    dump.put(state.address_, bytes(4))
    mask = dump.twin.prog["__cpu_online_mask"]
    dump.put(mask.address_, (1).to_bytes(8, "little"))
    assert list(for_each_online_cpu(dump.attach().prog)) == [0]


def test_a_kernel_that_did_not_panic_is_believed(oops_core: Path) -> None:
    from drgn.helpers.linux.cpumask import for_each_online_cpu

    dump = Dump(oops_core)
    dump.put(dump.twin.prog["panic_cpu"].address_, (0xFFFFFFFF).to_bytes(4, "little"))
    dump.put(dump.twin.prog["__cpu_online_mask"].address_, (1).to_bytes(8, "little"))
    session = dump.attach()
    assert not up_cpus.has_died(session.prog)
    assert list(for_each_online_cpu(session.prog)) == [0]


def test_a_variable_without_an_address_does_not_tell_that_nothing_died() -> None:
    prog = drgn.Program(Platform(Architecture.X86_64))
    int_ = prog.int_type("int", 4, True)
    atomic = prog.struct_type("atomic_t", 4, (drgn.TypeMember(int_, "counter"),))
    prog.register_object_finder(
        "absent", lambda prog, name, flags, filename: drgn.Object(prog, atomic), enable_index=0
    )
    assert up_cpus.has_died(prog)


def test_a_cpu_that_was_not_brought_up_is_named_and_passed_over(
    oops_core: Path, capsys: Text
) -> None:
    dump = Dump(oops_core)
    queue = per_cpu(dump.twin.prog["runqueues"], 0)
    for member in (queue.curr, queue.idle):
        dump.put(member.address_, bytes(8))
    session = dump.attach()
    prepare(session)
    for line in ("bt -a", "bt -a -t", "bt -a -n idle", "bt -c 0,1", "runq", "runq -t", "runq -m",
                 "runq -g", "search -T 0"):  # fmt: skip
        assert run_line(session, line), line
        out, err = capsys.readouterr()
        assert "575" in out, line
        assert err == (
            f"{line.split()[0]}: CPU 0 has no task: it was not brought up before the dump\n"
        )
    for line in ("bt -c 0", "bt -t -c 0", "runq -c 0", "set -c 0"):
        assert not run_line(session, line), line
        out, err = capsys.readouterr()
        assert not out
        assert "CPU 0 has no task: it was not brought up before the dump\n" in err


# Constraints


def test_crashs_names_of_states_are_synonyms(hung: Session, capsys: Text) -> None:
    assert "PID: " in ran(hung, "foreach UN bt", capsys)
    for crash, kernel in (("UN", "D"), ("IN", "S"), ("RU", "R"), ("ID", "I")):
        assert ran(hung, f"foreach {crash} ps", capsys) == ran(hung, f"foreach {kernel} ps", capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("foreach ZO bt", "no task matches ZO"),
        ("foreach nosuch bt", "no task matches nosuch"),
        ("foreach 1 99999 ps", "no task matches 99999"),
        ("foreach 'no.*such' ps", "no task matches 'no.*such'"),
        ("foreach user 2 ps", "no task matches user 2"),
        ("foreach WA bt", "WA (waking) is no state that this kernel reports"),
        ("ps nosuch", "no task matches nosuch"),
        ("ps 1 99999", "no task matches 99999"),
        ("ps -u 2", "no task matches -u 2"),
    ],
)
def test_a_constraint_that_matches_no_task_says_so_and_fails(
    line: str, said: str, session: Session, capsys: Text
) -> None:
    assert said in failed(session, line, capsys)


@pytest.mark.parametrize(
    "line", ["ps", "ps 1", "ps kthreadd", "ps 'kthr.*'", "ps -k", "ps -G 1", "ps -S", "foreach ps",
             "foreach 1 ps", "foreach kthreadd ps", "foreach \\kthreadd ps", "foreach kernel ps",
             "foreach IN ps --drgn", "foreach nosuch ps --drgn", "ps nosuch --drgn"],
)  # fmt: skip
def test_a_constraint_that_matches_is_shown(line: str, session: Session, capsys: Text) -> None:
    assert ran(session, line, capsys).strip()


def test_foreach_vm_goes_on_behind_kernel_threads(session: Session, capsys: Text) -> None:
    out = ran(session, "foreach vm", capsys)
    tasks = len(ran(session, "ps", capsys).splitlines()) - 1
    assert out.count("PID: ") == tasks
    assert out.count("TOTAL_VM") == tasks
    assert "VMA" in out


# Memory


def test_rd_reads_physical_memory(session: Session, capsys: Text) -> None:
    from drgn.helpers.linux.mm import follow_phys

    prog = session.prog
    address = prog["linux_banner"].address_
    physical = follow_phys(prog["init_mm"].address_of_(), address).value_()
    words = re.compile(r"^\s*[0-9a-f]+:\s+", re.MULTILINE)
    assert words.sub("", ran(session, f"rd -p {physical:x} 8", capsys)) == words.sub(
        "", ran(session, "rd linux_banner 8", capsys)
    )
    assert "physical=True" in ran(session, f"rd -p --drgn {physical:x}", capsys)
    said = failed(session, "rd -p fffffffff000", capsys)
    assert "physical 0xfffffffff000 is" in said
    assert "physical=True" in ran(session, "rd -p --drgn fffffffff000", capsys)


# Per-CPU variables


def test_a_small_per_cpu_variable_is_shown_for_every_cpu(session: Session, capsys: Text) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    for name in ("this_cpu_off", "runqueues.nr_running"):
        variable, _, member = name.partition(".")
        out = ran(session, f"p {name}", capsys)
        assert out == ran(session, f"p {name}:a", capsys)
        for cpu in (0, 1):
            value = per_cpu(session.prog[variable], cpu)
            value = value.member_(member) if member else value
            assert f"per_cpu({name}, {cpu}) = " in out
            assert f"){value.value_()}" in out
            assert f"[{cpu}]: {value.value_():#x}" in ran(session, f"p/x {name}", capsys)


@pytest.mark.parametrize("line", ["p runqueues", "struct rq runqueues", "rq runqueues"])
def test_a_large_per_cpu_variable_is_listed_as_crash_does(
    line: str, session: Session, capsys: Text
) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    out = ran(session, line, capsys)
    assert "PER-CPU DATA TYPE:\n  struct rq runqueues;\n" in out
    for cpu in (0, 1):
        address = per_cpu(session.prog["runqueues"], cpu).address_
        assert f"  [{cpu}]: {address:x}\n" in out


def test_members_of_a_per_cpu_struct_are_every_cpus(session: Session, capsys: Text) -> None:
    out = ran(session, "struct rq.nr_running,curr runqueues", capsys)
    assert out == ran(session, "struct rq.nr_running,curr runqueues:a", capsys)
    assert out.count("nr_running") == 2


def test_every_way_to_name_a_per_cpu_variable(session: Session, capsys: Text) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    places = [per_cpu(session.prog["runqueues"], cpu).address_ for cpu in (0, 1)]
    rd = ran(session, "rd runqueues 2", capsys)
    identity = ran(session, "id runqueues", capsys)
    whatis = ran(session, "whatis runqueues", capsys)
    for cpu, place in enumerate(places):
        assert f"per_cpu(runqueues, {cpu}):\n{place:x}:" in rd
        assert f"{place:#x}  percpu  per_cpu(runqueues, {cpu})" in identity
        assert f"CPU {cpu}'s at {place:#x}" in whatis
        assert f"{place:#x}" in ran(session, f"tele runqueues:{cpu} -n 1", capsys)
    for line in ("tele runqueues", "x/2gx runqueues"):
        said = failed(session, line, capsys)
        assert f"CPU 0's is at {places[0]:#x}" in said
        assert "runqueues:a" in said
    assert "there is no CPU 77" in failed(session, "tele runqueues:77", capsys)
    assert "each CPU has its own" in failed(session, "rd runqueues -e ffff", capsys)
    ran(session, 'prog["runqueues"].nr_running', capsys)


def test_the_template_is_called_so(session: Session, capsys: Text) -> None:
    assert "the template of a per-CPU variable" in ran(
        session, 'prog["runqueues"].nr_running', capsys
    )
    assert "template" not in ran(session, 'prog["init_task"].pid', capsys)


def test_a_failed_read_of_the_template_is_no_users_address(session: Session, capsys: Text) -> None:
    said = failed(session, 'prog["runqueues"].nr_running.value_()', capsys)
    assert "each CPU has its own copy" in said


@pytest.mark.parametrize(
    "name", ["init_task", "nr_running", "no_such_name", "linux_banner", "schedule"]
)
def test_other_names_are_not_per_cpu(name: str, session: Session) -> None:
    assert not is_per_cpu(session, name)


# Stacks


def test_frames_of_arm64_have_addresses_and_words(arm: Session, capsys: Text) -> None:
    out = ran(arm, "bt 1", capsys)
    addresses = [int(a, 16) for a in re.findall(r"#\d+ +\[([0-9a-f]{16})\]", out)]
    assert len(addresses) == len(re.findall(r"#\d+ ", out)) > 3
    assert addresses == sorted(addresses)
    stack = arm.prog["init_task"].stack  # only its type is of use
    task = drgn.Object(arm.prog, "struct task_struct *", arm.prog.thread(1).object.value_())
    low = task.stack.value_()
    assert stack.type_.kind is drgn.TypeKind.POINTER
    assert all(low <= a < low + int(arm.prog["THREAD_SIZE"]) for a in addresses)
    words = re.findall(r"^    ([0-9a-f]{16}): ", ran(arm, "bt -f 1", capsys), re.MULTILINE)
    assert words
    assert int(words[0], 16) == addresses[0]


def test_exception_frames_of_arm64_have_their_pc(arm: Session, capsys: Text) -> None:
    out = ran(arm, "bt -p", capsys)
    registers = re.search(r"^ +PC: ([0-9a-f?]{16}) .*\n(?:(?! *#).*\n)*? *#\d+ .* at ([0-9a-f]+)",
                          out, re.MULTILINE)  # fmt: skip
    if registers is None:
        pytest.skip("no exception on this stack")
    assert int(registers[1], 16) == int(registers[2], 16)


def _printed(arch: Architecture, little: bool, names: set[str], monkeypatch: pytest.MonkeyPatch,
             capsys: Text) -> list[str]:  # fmt: skip
    flags = PlatformFlags.IS_64_BIT
    if little:
        flags |= PlatformFlags.IS_LITTLE_ENDIAN
    prog = drgn.Program(Platform(arch, flags))
    monkeypatch.setattr(stacks, "find_session", lambda prog: object())
    from drgn.helpers.common.stack import print_registers

    regs = {name: number for number, name in enumerate(sorted(names))}
    stacks.print_registers(print_registers)(prog, regs)
    return re.findall(r"(\w+): [0-9a-f]+", capsys.readouterr().out)


def test_registers_of_s390x_are_each_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    names = {"pswm", "pswa", *(f"r{n}" for n in range(16))}
    printed = _printed(Architecture.S390X, False, names, monkeypatch, capsys)
    assert sorted(printed) == sorted(n.upper() for n in names)


def test_registers_of_riscv64_are_each_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    # struct pt_regs in arch/riscv/include/asm/ptrace.h, up to a7.
    names = {"epc", "ra", "sp", "gp", "tp", *(f"t{n}" for n in range(7)),
             *(f"s{n}" for n in range(12)), *(f"a{n}" for n in range(8))}  # fmt: skip
    printed = _printed(Architecture.RISCV64, True, names, monkeypatch, capsys)
    assert sorted(printed) == sorted(n.upper() for n in names)


def test_a_stack_that_only_ours_can_unwind_has_the_shape_of_drgns() -> None:
    from btfdbg.program.unwind_riscv64 import Frame

    flags = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN
    prog = drgn.Program(Platform(Architecture.RISCV64, flags))
    stack = range(0xFF2000000000C000, 0xFF20000000010001)
    inner = stacks.RiscvFrame(prog, Frame(1 << 63 | 0x1000, stack.start + 64, False), stack)
    outer = stacks.RiscvFrame(prog, Frame(1 << 63 | 0x2000, 7, True), stack)
    assert [len(part) for part in stacks._split([inner, outer, inner])] == [1, 2]
    assert inner.sp == stack.start + 64
    assert inner.name == "0x8000000000001000"
    assert (inner.is_inline, inner.function_name, inner.locals()) == (False, None, [])
    for unknown in (lambda: outer.sp, inner.source, lambda: inner.register("a0")):
        with pytest.raises(LookupError):
            unknown()
    assert outer.registers() == {"epc": 1 << 63 | 0x2000}


def test_follow_phys_walks_page_tables_where_drgn_cannot(session: Session) -> None:
    from btfdbg.patches import page_tables

    prog = session.prog
    mm = prog["init_mm"].address_of_()
    address = prog["linux_banner"].address_

    def lacking(mm: drgn.Object, addr: int) -> drgn.Object:
        raise NotImplementedError

    from drgn.helpers.linux.mm import follow_phys

    assert page_tables.follow_phys(lacking)(mm, address) == follow_phys(mm, address)
    with pytest.raises(drgn.FaultError):
        page_tables.follow_phys(lacking)(mm, 0x1000)


def test_per_cpu_variables_of_a_kernel_without_data_symbols(
    arm_core: Path, monkeypatch: pytest.MonkeyPatch, capsys: Text
) -> None:
    """CONFIG_KALLSYMS_ALL=n: exports name some, BTF the others, and nothing ends the template."""
    lookup = Session.lookup_symbols

    def fewer(self: Session, name: str) -> tuple[Sym, ...]:
        if name in ("__per_cpu_end", "runqueues"):
            return ()
        return tuple(replace(sym, percpu=False) for sym in lookup(self, name))

    monkeypatch.setattr(Session, "lookup_symbols", fewer)
    session = opened(arm_core)
    told = "per_cpu(hrtimer_bases.cpu, 1) = (unsigned int)1\n"
    assert ran(session, "p hrtimer_bases.cpu:1", capsys) == told
    assert told in ran(session, "p hrtimer_bases.cpu", capsys)
    assert "per_cpu(runqueues.cpu, 1) = (int)1\n" in ran(session, "p runqueues.cpu:a", capsys)
    assert "PER-CPU ADDRESSES:\n  [0]: " in ran(session, "struct rq runqueues", capsys)
    for name in ("init_task", "jiffies", "no_such_name", "__per_cpu_end"):
        assert not is_per_cpu(session, name)


def test_timers_stand_in_the_order_in_which_they_expire(session: Session, capsys: Text) -> None:
    bases: list[list[int]] = []
    for line in ran(session, "timer", capsys).splitlines():
        if line.startswith("TIMER_BASES["):
            bases.append([])
        elif bases and line.split()[:1] and line.split()[0].isdecimal():
            bases[-1].append(int(line.split()[0]))
    assert max(map(len, bases)) > 5
    assert bases == [sorted(base) for base in bases]
    # The wheel's own order is another one.
    in_buckets = [
        [int(timer.expires) for timer in timer_base_for_each(base)]
        for cpu in (0, 1)
        for base in per_cpu(session.prog["timer_bases"], cpu)
    ]
    assert in_buckets != bases
    assert [sorted(base) for base in in_buckets] == bases


def test_arguments_that_are_missing_are_said_once_for_a_task(
    session: Session, capsys: Text
) -> None:
    lines = ran(session, "ps -a", capsys).splitlines()
    missing = "  (arguments and environment cannot be read: the physical page is not in the dump)"
    assert lines.count(missing) > 5
    assert not [line for line in lines if line.startswith("ps:")]
    heads = [line for line in lines if line.startswith("PID: ")]
    assert len(heads) == lines.count(missing) + lines.count("  (no mm)") > 50
    assert "environ(task)" in ran(session, "ps -a --drgn", capsys)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([b"sh", b"-c"], [b"A=1", b"B=2"]), ["ARG: sh -c", "ENV: A=1", "     B=2"]),
        (([b"sh"], []), ["ARG: sh", "ENV:"]),
        ((None, [b"A=1"]), ["ARG: (cannot be read: gone)", "ENV: A=1"]),
        (([b"sh"], None), ["ARG: sh", "ENV: (cannot be read: gone)"]),
        ((None, None), ["  (arguments and environment cannot be read: gone)"]),
    ],
)
def test_what_there_is_of_arguments_and_environment_is_shown(
    given: tuple[Any, Any],
    said: list[str],
    session: Session,
    capsys: Text,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def giving(words: Any) -> Any:
        def helper(task: drgn.Object) -> Any:
            if words is None:
                raise drgn.FaultError("gone", 0x10)
            return words

        return helper

    monkeypatch.setattr("drgn.helpers.linux.mm.cmdline", giving(given[0]))
    monkeypatch.setattr("drgn.helpers.linux.mm.environ", giving(given[1]))
    assert ran(session, "ps -a 1", capsys).splitlines()[1:] == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "struct task_struct.pid 0xff1d8bf305000000",
            "struct: cannot read memory at 0xff1d8bf305000980: physical 0x5000980 is not in the"
            " dump: the page was left out (dump level 31)",
        ),
        (
            "rd -p 0x5000000",
            "rd: physical 0x5000000 is not in the dump: the page was left out (dump level 31)",
        ),
        ("p *(int *)0x10", "p: cannot read memory at 0x10: it is a NULL pointer plus 16"),
        (
            "rd dead000000000100",
            "rd: cannot read memory at 0xdead000000000100: it points to a removed list entry"
            " (LIST_POISON)",
        ),
    ],
)
def test_a_read_that_ends_a_command_is_said_once(
    line: str, said: str, session: Session, capsys: Text
) -> None:
    assert failed(session, line, capsys) == f"{said}\n"


def test_a_missing_page_table_is_named_beside_what_could_not_be_read(
    session: Session, capsys: Text
) -> None:
    first, second = failed(session, "rd 10", capsys).splitlines()
    assert first == "rd: cannot read memory at 0x10: it is a NULL pointer plus 16"
    assert second.startswith("rd: 2 reads of 2 pages failed: ")
    assert second.count("is not in the dump") == 1


def test_one_reason_of_a_frame_and_its_caller_is_said_once(session: Session, capsys: Text) -> None:
    out = ran(session, "frame 4", capsys)
    reasons = re.findall(r"\? \((.*)\)", out)
    assert len(reasons) == 4
    for reason in reasons:
        told = reason.split("; ")
        assert len(told) == len(set(told)), reason
