"""What a report says of real dumps, and that it says it in every form."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

import btfdbg
from btfdbg.commands.evaluate import run_line
from btfdbg.report import events
from btfdbg.report.as_html import as_html
from btfdbg.report.as_json import as_dict
from btfdbg.report.as_text import as_text
from btfdbg.report.kinds import KINDS
from btfdbg.report.look import Look
from btfdbg.report.parts import Graph, Item, Line, Report, Stack
from btfdbg.report.registry import CHECKS, check
from btfdbg.report.severity import main_event
from btfdbg.report.whole import report
from btfdbg.report.witness import FINER, WITNESSES, witness
from tests.conftest import bundled_dumps

DUMPS = {path.name.partition(".vmcore")[0]: path for path, _ in bundled_dumps()}
EACH = pytest.mark.parametrize("name", sorted(DUMPS))


@cache
def reported(name: str) -> Report:
    return report(btfdbg.session(btfdbg.program_from_core_dump(DUMPS[name])))


def text_of(found: Report, section: str) -> str:
    one = next(s for s in found.sections if s.id == section)
    lines = [item.text for item in one.items if isinstance(item, Line)]
    lines += [frame for item in one.items if isinstance(item, Stack) for frame in item.frames]
    return "\n".join(lines)


def test_a_null_dereference_names_function_module_pointer_and_file() -> None:
    found = reported("6.12-amd64-null")
    assert found.kind == "null-dereference"
    assert found.signature.title == "NULL dereference in cf_level3 [cf_fault]"
    for words in ("cf_level3 of the module cf_fault", "NULL pointer", "sh(575)",
                  "writing to /sys/module/cf_fault/parameters/trigger"):  # fmt: skip
        assert words in found.verdict
    crash = text_of(found, "crash")
    assert "cf_level3.constprop.0+0x1a: mov dword ptr [rdx + 0x10], eax" in crash
    assert "write(" in crash
    assert "of cf_fault's own structs this fits cf_widget.number" in crash


def test_a_null_dereference_shows_the_registers_of_the_exception() -> None:
    one = next(s for s in reported("6.12-amd64-null").sections if s.id == "crash")
    table = next(i for i in one.items if getattr(i, "caption", "").startswith("registers"))
    rows = {row[0]: str(row[1]) for row in table.rows}  # type: ignore[union-attr] # the table
    assert int(rows["rdx"], 16) == 0
    assert int(rows["rbx"], 16) == 0xFF1D8BF32714E780


def test_the_registers_point_to_what_ctx_says_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    one = next(s for s in reported("6.12-amd64-null").sections if s.id == "crash")
    table = next(i for i in one.items if getattr(i, "caption", "").startswith("registers"))
    rows = {row[0]: str(row[2]) for row in table.rows}  # type: ignore[union-attr] # the table
    assert rows["rbx"] == "slab kmalloc-128"
    assert rows["rsp"] == "stack of 575 (sh)+0x3d38"
    assert rows["r14"] == "data param_lock"
    session = btfdbg.session(btfdbg.program_from_core_dump(DUMPS["6.12-amd64-null"]))
    assert run_line(session, "ctx -s registers")
    shown = capsys.readouterr().out
    for name, what in rows.items():
        if what:
            assert re.search(rf"^ *{name} [0-9a-f]{{16}}  {re.escape(what)}$", shown, re.M)


def test_a_frozen_file_system_is_named_with_those_that_wait() -> None:
    found = reported("6.1-amd64-hung")
    assert found.kind == "hung-task"
    assert found.verdict.startswith("ext4 on loop0 is frozen, and 5 tasks wait for it for 14 s")
    blocked = text_of(found, "blocked")
    assert "4 tasks: init(182), init(183), init(184), init(185)" in blocked
    assert "1 task: mkdir(186)" in blocked
    assert "They are in openat()." in blocked
    assert "It is in mkdir()." in blocked


def test_a_deadlock_names_the_circle_and_its_locks() -> None:
    found = reported("6.12-arm64-deadlock")
    assert found.kind == "deadlock"
    assert found.verdict == (
        "Deadlock: cf_ab(219) waits for the mutex cf_right, held by cf_ba(220), which waits for"
        " the mutex cf_left, held by cf_ab(219)."
    )
    blocked = next(s for s in found.sections if s.id == "blocked")
    (graph,) = (item for item in blocked.items if isinstance(item, Graph))
    assert len(graph.cycle) == 2
    assert {label for _, label, kind in graph.nodes if kind == "lock"} == {
        "mutex cf_left",
        "mutex cf_right",
    }


@EACH
def test_every_section_is_there_and_none_failed(name: str) -> None:
    found = reported(name)
    ours = {"system", "crash", "cpus", "blocked", "memory", "slab", "disks", "mounts"}
    ours |= {"modules", "log", "unread", "workqueues", "rcu", "timers", "oom", "network"}
    assert {section.id for section in found.sections} >= ours
    assert [s.id for s in found.sections if not s.items] == []


@EACH
def test_json_is_what_its_schema_says(name: str) -> None:
    schema = json.loads((files("btfdbg.report") / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(as_dict(reported(name)))), schema)


@EACH
def test_html_is_one_file_without_script_or_network(name: str) -> None:
    page = as_html(reported(name))
    for word in ("<script", "http:", "https:", "src=", "@import", "url(http"):
        assert word not in page
    assert page.count("<section") == len(reported(name).sections)


def test_what_a_task_calls_itself_is_text_everywhere() -> None:
    from dataclasses import replace

    evil = "<script>alert(1)</script>\x1b[31m"
    found = reported("6.12-arm64-deadlock")
    found = replace(found, verdict=evil, doubts=(evil,))
    assert "<script" not in as_html(found)
    assert "\x1b" not in as_html(found) + as_text(found) + json.dumps(as_dict(found))


def test_a_check_of_the_users_own_is_a_section_and_its_failure_costs_no_other() -> None:
    @check("mine", "Mine", needs=("struct task_struct",), order=1)
    def mine(look: Look) -> Iterator[Item]:
        yield Line("hello")
        raise LookupError("nothing more")

    @check("never", "Never", needs=("struct no_such_struct",))
    def never(look: Look) -> Iterator[Item]:
        raise AssertionError

    try:
        session = btfdbg.session(btfdbg.program_from_core_dump(DUMPS["6.12-amd64-null"]))
        found = report(session, ("mine", "never", "system"))
    finally:
        del CHECKS["mine"], CHECKS["never"]
    by_id = {section.id: section for section in found.sections}
    assert by_id["mine"].items == (Line("hello"),)
    assert "nothing more" in by_id["mine"].why
    assert "struct no_such_struct" in by_id["never"].why
    assert by_id["system"].items


def test_what_a_check_lacks_is_called_absent_only_if_it_is() -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(DUMPS["6.12-amd64-null"]))
    try:
        # A variable that is there, and whose type nothing knows.
        check("lacking", "Lacking", needs=("BIT_mask", "nosuch_name"))(lambda look: iter(()))
        found = report(session, only=("lacking",))
    finally:
        del CHECKS["lacking"]
    (section,) = found.sections
    assert "BIT_mask" in section.why.partition(";")[0]
    assert section.why.endswith("this kernel has no nosuch_name")


def test_rows_of_witnesses_name_kinds_that_exist() -> None:
    for row in WITNESSES:
        assert row.kind in KINDS
        assert row.why
    assert {kind for kinds in FINER.values() for kind in kinds} | FINER.keys() <= KINDS.keys()


@pytest.mark.parametrize(
    ("stack", "kind"),
    [
        ("delay_tsc panic watchdog.cold kthread ret_from_fork", "hung-task"),
        ("panic sysrq_handle_crash __handle_sysrq write_sysrq_trigger vfs_write", "sysrq"),
        ("vpanic panic watchdog_timer_fn __hrtimer_run_queues spin", "soft-lockup"),
        ("panic out_of_memory __alloc_pages_slowpath.constprop.0 handle_mm_fault", "out-of-memory"),
        ("crash_kexec oops_end page_fault_oops exc_page_fault asm_exc_page_fault f", "bad-access"),
        ("panic __warn report_bug handle_bug exc_invalid_op asm_exc_invalid_op f", "warning"),
        ("oops_end do_trap handle_bug exc_invalid_op asm_exc_invalid_op f", "bug"),
        ("oops_end __list_del_entry_valid_or_report exc_invalid_op", "list-corruption"),
        ("panic die bug_brk_handler call_break_hook brk_handler do_debug_exception f", "bug"),
        ("panic handle_stack_overflow exc_double_fault asm_exc_double_fault f", "stack-overflow"),
        # What else than WARN() heeds panic_on_warn.
        (
            "panic check_panic_on_warn.cold __schedule_bug.cold __schedule schedule f",
            "atomic-sleep",
        ),
        ("panic check_panic_on_warn.cold end_report.part.0 kasan_report f", "kasan"),
        ("panic check_panic_on_warn kfence_report_error kfence_handle_page_fault", "kfence"),
        ("panic check_panic_on_warn ubsan_epilogue __ubsan_handle_divrem_overflow f", "ubsan"),
        ("panic check_panic_on_warn.cold __warn.cold report_bug exc_invalid_op f", "warning"),
    ],
)
def test_a_stack_stands_for_a_kind(stack: str, kind: str) -> None:
    row = witness(stack.split())
    assert row is not None
    assert row.kind == kind


@pytest.mark.parametrize(
    ("stack", "trapped", "kind"),
    [
        (
            "oops_end do_trap exc_invalid_op asm_exc_invalid_op",
            "wq_watchdog_timer_fn.llvm.12",
            "workqueue-stall",
        ),
        ("panic __warn handle_bug exc_invalid_op", "refcount_warn_saturate", "refcount"),
        ("oops_end do_trap exc_invalid_op asm_exc_invalid_op", "usercopy_abort", "usercopy"),
        ("oops_end do_trap exc_invalid_op asm_exc_invalid_op", "cf_trigger", "bug"),
        ("oops_end page_fault_oops exc_page_fault", "wq_watchdog_timer_fn", "bad-access"),
    ],
)
def test_a_check_that_ends_in_a_trap_is_the_check(stack: str, trapped: str, kind: str) -> None:
    row = witness(stack.split(), trapped)
    assert row is not None
    assert row.kind == kind


def test_the_stall_is_the_event_and_not_the_watchdogs_bug() -> None:
    log = """\
[   15.584908] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 4s!
[   15.596908] Showing backtraces of running workers in stalled CPU-bound worker pools:
[   15.596908] pool 2:
[   15.596908] task:kworker/0:1 state:R running task stack:0 pid:9 tgid:9 ppid:2 flags:0x4008
[   15.596908] Workqueue: events my_work [my_mod]
[   15.596908] Call Trace:
[   15.596908]  <TASK>
[   15.596908]  my_spin+0x12/0x30 [my_mod]
[   15.596908]  my_work+0x9/0x10 [my_mod]
[   15.596908]  process_scheduled_works+0x1ef/0x370
[   15.596908]  worker_thread+0x23a/0x2e0
[   15.596908]  </TASK>
[   15.608909] kernel BUG at kernel/workqueue.c:7589!
[   15.608909] Oops: invalid opcode: 0000 [#1] SMP NOPTI
[   15.608909] CPU: 0 UID: 0 PID: 9 Comm: kworker/0:1 Not tainted 6.12.1 #1
[   15.608909] RIP: 0010:wq_watchdog_timer_fn+0x170/0x310
[   15.608909] Call Trace:
[   15.608909]  <IRQ>
[   15.608909]  __run_timer_base+0x22d/0x390
[   15.608909]  </IRQ>
[   15.608909] ---[ end trace 0000000000000000 ]---
[   15.608909] Kernel panic - not syncing: Fatal exception in interrupt
"""
    found = main_event(events(log))
    assert found is not None
    assert found.kind == "workqueue-stall"
    assert found.module == "my_mod"


def test_a_broken_canary_is_noticed_without_an_exception() -> None:
    row = witness(["panic", "__stack_chk_fail", "f"])
    assert row is not None
    assert not row.cut  # f called it: no frame behind it was interrupted


def test_a_broken_canary_is_of_the_module_that_the_message_names() -> None:
    log = """\
[   42.330174] Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x57/0x60 [my_mod]
[   42.334174] CPU: 1 UID: 0 PID: 628 Comm: sh Not tainted 6.12.118 #1
[   42.338174] Call Trace:
[   42.338174]  <TASK>
[   42.338174]  dump_stack_lvl+0x64/0x80
[   42.338174]  panic+0x137/0x310
[   42.338174]  __stack_chk_fail+0x19/0x20
[   42.338174]  f+0x57/0x60 [my_mod]
[   42.338174]  </TASK>
"""  # noqa: E501
    (found,) = events(log)
    assert found.title == "stack corruption in f [my_mod]"


def test_a_stack_of_common_functions_stands_for_nothing() -> None:
    assert witness(["vfs_write", "ksys_write", "do_syscall_64"]) is None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_the_command_writes_each_form(form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "btfdbg.cli.main", "report"]
    argv += [str(DUMPS["6.12-arm64-deadlock"]), "--format", form, "-o", str(out)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "cf_right" in out.read_text()
