"""One dump against its guest's own words: no debugger vouches for another here.

Each check returns what is wrong, in words; an empty list means that all agrees.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from tests.matrix.ends import end

Facts = dict[str, Any]

# Tasks that come and go between the guest's last look and the dump.
_TRANSIENT = ("kworker", "sleep", "ps", "cat", "sh", "insmod", "sync", "dd", "echo")
# Outermost kernel frames: where tasks are born and where user space enters.
_ROOTS = (
    "ret_from_fork",
    "entry_SYSCALL",
    "entry_SYSENTER",
    "entry_INT80",
    "asm_",
    "el0t_64",
    "el0_svc",
    "system_call",
    "pgm_check",
    "ext_int_handler",
    "io_int_handler",
    "secondary_startup",
    "common_startup",
    "start_kernel",
    "x86_64_start",
    "__primary_switched",
    "__secondary_switched",
    "start_secondary",
    "handle_exception",
    "_start_kernel",
    "startup_continue",
    "start_here",
    "ret_from_kernel",
    "smp_start_secondary",
    "restart_int_handler",
    "smp_callin",
)

_ALL_ONES = (1 << 64) - 1
_TIME = re.compile(r"^\[ *\d+\.\d+\] ?")


@dataclass(slots=True)
class Row:
    """
    What came of one dump.

    :ivar problems: Name of the check to what is wrong; every check has a key.
    """

    entry: Facts
    problems: dict[str, list[str]] = field(default_factory=dict)
    tasks: int = 0
    unwound: int = 0

    @property
    def ok(self) -> bool:
        return not any(self.problems.values())


def entries(folder: Path) -> list[tuple[Path, Facts]]:
    """Dumps of a folder that have an entry beside them."""
    found = []
    for path in sorted(folder.glob("*.json")):
        dump = path.with_suffix("")
        if dump.exists():
            found.append((dump, json.loads(path.read_text())))
    return found


def check(dump: Path, entry: Facts) -> Row:
    """Open a dump without options and hold it against its facts."""
    row = Row(entry)
    try:
        prog, info = open_core(dump)
        session = attach(prog, None, info)
    except BtfdbgError as e:
        row.problems["open"] = [str(e)]
        return row
    check_session(session, row)
    try:
        row.problems["end"] = end(session, entry.get("expect", {}), frame_names)
    except (drgn.FaultError, LookupError, ValueError, BtfdbgError) as e:
        row.problems["end"] = [f"{type(e).__name__}: {e}"]
    return row


def check_session(session: Session, row: Row) -> None:
    """Hold an opened target against the facts of its entry."""
    entry = row.entry
    row.problems["open"] = [] if session.release == entry["release"] else [session.release]
    for name, one in _CHECKS.items():
        try:
            row.problems[name] = one(session, entry["facts"])
        except (drgn.FaultError, LookupError, ValueError, BtfdbgError) as e:
            row.problems[name] = [f"{type(e).__name__}: {e}"]
    try:
        row.problems["stacks"] = _stacks(session, row)
    except (drgn.FaultError, LookupError) as e:
        row.problems["stacks"] = [f"the tasks cannot be walked: {e}"]


def _tasks(session: Session, facts: Facts) -> list[str]:
    from drgn.helpers.linux.pid import for_each_task

    here = {}
    for task in for_each_task(session.prog):
        if task.pid.value_() == task.tgid.value_():
            here[task.pid.value_()] = (
                task.comm.string_().decode(),
                task.real_parent.tgid.value_(),
            )
    wrong = []
    for t in facts["tasks"]:
        if any(t["comm"].startswith(name) for name in _TRANSIENT):
            continue
        found = here.get(t["pid"])
        # /proc appends what a workqueue's thread is doing to its name, and our
        # facts cut that off at the first "-".
        same = found is not None and (
            found[0][:15] == t["comm"][:15] or (t["kthread"] and found[0].startswith(t["comm"]))
        )
        if found is None or not same or found[1] != t["ppid"]:
            wrong.append(f"guest has {t['pid']} {t['comm']} (of {t['ppid']}), dump {found}")
    return wrong


def _modules(session: Session, facts: Facts) -> list[str]:
    from drgn.helpers.linux.module import for_each_module, module_address_regions

    here = {}
    for m in for_each_module(session.prog):
        here[m.name.string_().decode()] = module_address_regions(m)[0][0]
    there = {m["name"]: int(m["address"], 16) for m in facts["modules"]}
    known = session.module_names()
    wrong = [f"drgn made {len(known)} modules of {len(here)}"] if len(known) != len(here) else []
    return wrong + [
        f"{n}: guest {there.get(n, 0):#x}, dump {here.get(n, 0):#x}"
        for n in sorted(there.keys() | here.keys())
        if there.get(n) != here.get(n)
    ]


def _mounts(session: Session, facts: Facts) -> list[str]:
    from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype, mount_src

    here = [
        (mount_dst(m).decode(), mount_fstype(m).decode(), mount_src(m).decode())
        for m in for_each_mount(session.prog)
    ]
    # Since v7.0 the root of all mounts is an empty file system that /proc/mounts
    # does not show; drgn's helper walks over it too.
    here = [m for m in here if m[1] != "nullfs"]
    there = [(m["target"], m["type"], m["source"]) for m in facts["mounts"]]
    return [f"{m} is in one only" for m in set(here) ^ set(there)]


def _dmesg(session: Session, facts: Facts) -> list[str]:
    from drgn.helpers.linux.printk import get_dmesg

    # The guest's dmesg repeats the time on each line of a record of several lines.
    text = get_dmesg(session.prog).decode(errors="replace")
    lines = iter([_TIME.sub("", line).strip() for line in text.splitlines()])
    wanted = [_TIME.sub("", line).strip() for line in facts["dmesg"]]
    return [f"not in the dump, in order: {line}" for line in wanted if line not in lines][:3]


def _btf(session: Session, facts: Facts) -> list[str]:
    """The very bytes of /sys/kernel/btf, of the kernel and of each module."""
    here = {name: btf.raw for name, btf in session.modules.items()}
    here["vmlinux"] = session.vmlinux.raw
    wrong = []
    for name, there in facts.get("btf", {}).items():
        found = here.get(name)
        if found is None or hashlib.sha256(found).hexdigest() != there["sha256"]:
            wrong.append(f"{name}: {'none' if found is None else 'differs'}")
    return wrong


def _kallsyms(session: Session, facts: Facts) -> list[str]:
    wrong = []
    count = facts.get("kallsyms_count", {}).get("vmlinux")
    assert session.symbols is not None
    extra = sum(1 for s in session.symbols if s.source != "kallsyms")
    names = sum(1 for _ in session.symbols) - extra
    if count is not None and names != count:
        wrong.append(f"guest has {count} symbols, dump {names}")
    for s in facts.get("kallsyms", ()):
        found = [sym.address for sym in session.lookup_symbols(s["name"])]
        if s.get("module") is None and int(s["address"], 16) not in found:
            wrong.append(f"{s['name']}: guest {s['address']}, dump {[hex(a) for a in found]}")
    return wrong


def _stacks(session: Session, row: Row) -> list[str]:
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import task_state_to_char

    wrong = []
    for task in for_each_task(session.prog):
        if task_state_to_char(task) in "ZX":
            continue  # Its stack is another's by now.
        row.tasks += 1
        try:
            names = frame_names(session, task)
        except (drgn.FaultError, LookupError, ValueError, BtfdbgError) as e:
            wrong.append(f"{task.pid.value_()} {task.comm.string_().decode()}: {e}")
            continue
        if len(names) > 1 and _is_whole(session, names):
            row.unwound += 1
        else:
            wrong.append(f"{task.pid.value_()} {task.comm.string_().decode()}: {names[-3:]}")
    return wrong


def _is_whole(session: Session, names: list[str]) -> bool:
    if any(n.startswith(_ROOTS) for n in names[-4:]):
        return True
    # On arm64 the last frame record (of kthread, called by ret_from_fork) has no
    # frame pointer in old kernels (5.10), and drgn takes it for the end.
    platform = session.prog.platform
    assert platform is not None
    return platform.arch is drgn.Architecture.AARCH64 and names[-1] in (
        "kthread",
        "kthreadd",
        "kernel_init",
    )


def frame_names(session: Session, task: drgn.Object) -> list[str]:
    """Names of the functions of a task's stack, innermost first; ``?`` outside of the kernel."""
    prog = session.prog
    platform = prog.platform
    assert platform is not None
    if platform.arch is drgn.Architecture.RISCV64:
        from btfdbg.program.unwind_riscv64 import stack

        pcs = [f.pc - (not f.interrupted) for f in stack(task)]
    else:
        trace = prog.stack_trace(task)
        pcs = [f.pc - (not f.interrupted) for f in trace]
    names = []
    for pc in pcs:
        try:
            names.append(prog.symbol(pc & _ALL_ONES).name)
        except LookupError:
            names.append("?")
    # Behind the entry into the kernel drgn tries the program's own frame pointers.
    while names and names[-1] == "?":
        names.pop()
    return names


_CHECKS: dict[str, Callable[[Session, Facts], list[str]]] = {
    "tasks": _tasks,
    "modules": _modules,
    "mounts": _mounts,
    "dmesg": _dmesg,
    "btf": _btf,
    "kallsyms": _kallsyms,
}
