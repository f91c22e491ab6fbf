"""Every form of crash 9's subsystem commands that its help pages name, and what it does here.

Owns the list. ``{…}`` stands for what a dump has: a pid, a task, an area; see ``places()``.
A form works, or says in one line why it has no meaning here and what to type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drgn

from btfdbg.program.session import Session


@dataclass(frozen=True, slots=True)
class Form:
    """
    A command line of crash.

    :ivar weekly: What people use week by week.
    :ivar answers: Whether a dump can answer; if not, one line says what to do.
    :ivar if_any: It works where the dump has such a thing, and says so where it has none.
    """

    line: str
    weekly: bool = False
    answers: bool = True
    if_any: bool = False

    @property
    def command(self) -> str:
        """Name of the command."""
        return self.line.split()[0]


_WEEKLY = """
bt; bt -a; bt -c 0; bt -p; bt -f; bt -F; bt -FF; bt -l; bt -s; bt -s -x; bt -e; bt -t; bt -T
bt -r; bt -v; ?bt -a -n idle; bt -g {pid}; bt {pid}; bt {task}; kmem -i; kmem -s; kmem -s {cache}
kmem -S {cache}; kmem {object}; kmem -p {page}; kmem -z; kmem -v; kmem -V; kmem -n; kmem -f
kmem -o; kmem -g; kmem -h; net; net -s {pid}; net -S {pid}; net -a; net -n; log; log -t; log -T
log -m; log -d; log -c; vm {pid}; vm -p {pid}; vm -m {pid}; vm -v {pid}; vm -f 75; sys; sys -c
sys -t; ?sys -i; search -t {text}; search -k {text}; ?search -u 7f; search -m ff {text}
vtop {symbol}; vtop -u {user} -c {pid}; vtop -k {symbol}; mod; mod -t; mount; mount -n {pid}
dev; dev -d; dev -p; dev -i; set; set {pid}; set -c 0; set -p; set -v; set radix 16
set radix 10; ps; ps -k; ps -u; ps -G; ps -p {pid}; ps -c {pid}; ps -t {pid}; ps -l; ps -m
ps -a {pid}; ps -g {pid}; ps -r {pid}; ps -S; ps -A; ps {pid}; ps {task}; ps -s; ps -y NORMAL
ps -H; ps -m -C 0; foreach bt; ?foreach UN bt; foreach bt -t; foreach vm; foreach files
foreach ps; foreach net -s; foreach task -R pid; foreach set; foreach sig; foreach RU bt
foreach kernel bt; foreach user vm; files; files {pid}; files -c {pid}; files -d {dentry}
files -p {inode}; irq; irq -u; irq -s; irq -b; irq -a; runq; runq -t; runq -m; runq -g; runq -T
runq -c 0; sig; sig -l; sig -s 9; sig {pid}; task; task -R pid; task -x; timer; timer -r
timer -C 0; swap; ipcs; mach; mach -m
"""
_OTHERS = """
bt -s -d; bt -E; bt -o; bt -R {function}; bt -I {text}; bt -S {sp}; kmem -F; kmem -p
kmem -m flags {page}; kmem -s list; kmem -S; kmem -S=0 {cache}; kmem -s -I {cache}; kmem -g 80
kmem -P {physical}; kmem -s {object}; kmem -S {object}; kmem -s -I {cache} {cache}; net -n {pid}
net -N 0100007f; net -s; net -S -x {pid}; net -S -d {pid}; log -a; vm -P {vma} {pid}
vm -x -m {pid}; vm -d -v {pid}; vm -R {vma} {pid}; sys -c read; sys -c 3; search -K {text}
search -V {text}; search -p {text}; search -T {text}; search -c Linux -s {symbol} -l 4096
search -s {symbol} -e {behind} {text}; search -w 57ac6e9d -s {symbol} -l 4096
search -x 2 -s {symbol} -l 4096 {text}; search -h 6e9d -s {symbol} -l 4096; search ({symbol})
mod -g; mount /; mount {superblock}; mount {dentry}; dev -D; set {task}; extend
extend -s; set scroll off
set scroll on; ps init; ps '.*'; foreach bt -s -x; foreach bt -e; foreach bt -r; foreach bt -f
foreach bt -o; foreach bt -R {function}; foreach vm -p; foreach vm -m; foreach vm -v -x
foreach vm -R {vma}; foreach net -S; foreach files -c; foreach files -R /
foreach vtop -u {user}; foreach gleader ps; foreach active bt; foreach sig -g; foreach {pid} bt
foreach ps -t; foreach ps -p; foreach task -x -R pid; files -R / {pid}; fuser {inode}; ipcs -s
ipcs -m; ipcs -q; ipcs -n {pid}; irq 1; irq -s -c 0; sig -g {pid}; task -d; mach -c; mach -c -x
mach -c -d
"""
_IF_ANY = """
bpf; bpf -P; bpf -M; bpf -PM -s
fuser /; net -s -R 3 {pid}; ipcs -M; ipcs 0; irq -d; dev -V; log -s; sys config; waitq {waitq}
sbitmapq {sbitmap}; kmem -r; pte {entry}; pte 8000000000000063
waitq wait_queue_head.head {waitq}
"""
_REFUSED = """
bpf -P -j; bpf -P -t; bpf -P -T
bt -O; bt -A; kmem -c; kmem -C; kmem -i=shared; log -R; vm -M {mm} {pid}; sys -panic
mod -d ext4; mod -D; mod -r; mod -R; mod -o; mount -f; mount -i; dev -v 0; set -a {pid}
set gdb on; set refresh on; set print_max 10; set debug 1; set hash off; set console x
set core on; set silent on; set edit vi; set namelist x; set zero_excluded on; set null-stop on
set scope x; set offline show; set redzone on; set error default; set unwind on
set print_array on; mach -o
"""


def _split(text: str, *, if_any: bool = False, **more: bool) -> tuple[Form, ...]:
    """Forms of a list; a question mark stands before one that works if the dump has any."""
    lines = (line.strip() for row in text.strip().splitlines() for line in row.split(";"))
    return tuple(
        Form(line.lstrip("?"), if_any=if_any or line[0] == "?", **more) for line in lines if line
    )


FORMS = (
    *_split(_WEEKLY, weekly=True),
    *_split(_OTHERS),
    *_split(_IF_ANY, if_any=True),
    *_split(_REFUSED, answers=False),
)
"""All forms."""


def places(session: Session) -> dict[str, str]:
    """What stands for the names in braces, of one dump; what it has not is left out."""
    prog = session.prog
    found: dict[str, str] = {"symbol": "init_task", "cache": "kmalloc-64"}
    for name, make in _MAKERS.items():
        try:
            value = make(prog)
        except (drgn.FaultError, LookupError, ValueError, TypeError, AttributeError):
            continue
        if value is not None:
            found[name] = value if isinstance(value, str) else f"{value:x}"
    return found


def _user_task(prog: drgn.Program) -> drgn.Object:
    from drgn.helpers.linux.mm import for_each_vma
    from drgn.helpers.linux.pid import for_each_task

    for task in for_each_task(prog):
        try:
            if task.mm and task.files and next(iter(for_each_vma(task.mm)), None) is not None:
                return task
        except drgn.FaultError:
            continue
    raise LookupError("no task with user memory")


def _vma(prog: drgn.Program) -> drgn.Object:
    from drgn.helpers.linux.mm import for_each_vma

    return next(iter(for_each_vma(_user_task(prog).mm)))


def _object(prog: drgn.Program) -> int:
    return int(_user_task(prog).mm.value_())


def _page(prog: drgn.Program) -> int:
    from drgn.helpers.linux.mm import virt_to_page

    return int(virt_to_page(prog, _object(prog)).value_())


def _frames(prog: drgn.Program) -> list[drgn.StackFrame]:
    """Frames of the task that bt is about, which lie in its own stack."""
    from drgn.helpers.linux.stack import kernel_stack_trace

    task = prog.crashed_thread().object
    start, size = task.stack.value_(), prog["THREAD_SIZE"].value_()
    found = []
    for segment in kernel_stack_trace(task).segments:
        for frame in segment.frames:
            try:
                if start <= frame.sp < start + size:
                    found.append(frame)
            except LookupError:
                continue
    return found


def _function(prog: drgn.Program) -> str | None:
    found = _frames(prog)
    return str(found[-1].name) if found else None


def _sp(prog: drgn.Program) -> int | None:
    found = _frames(prog)
    return int(found[0].sp) if found else None


def _sbitmap(prog: drgn.Program) -> int | None:
    from drgn.helpers.linux.block import for_each_disk

    for disk in for_each_disk(prog):
        tags = disk.queue.tag_set
        if tags:
            return int(tags.tags[0].bitmap_tags.address_of_().value_())
    return None


def _physical(prog: drgn.Program) -> int:
    from drgn.helpers.linux.mm import virt_to_phys

    return int(virt_to_phys(prog, _object(prog)).value_())


_MAKERS: dict[str, Any] = {
    "pid": lambda p: str(_user_task(p).pid.value_()),
    "task": lambda p: _user_task(p).value_(),
    "mm": lambda p: _user_task(p).mm.value_(),
    "vma": lambda p: _vma(p).value_(),
    "user": lambda p: _vma(p).vm_start.value_(),
    "dentry": lambda p: _user_task(p).fs.root.dentry.value_(),
    "inode": lambda p: _user_task(p).fs.root.dentry.d_inode.value_(),
    "superblock": lambda p: _user_task(p).fs.root.dentry.d_sb.value_(),
    "object": _object,
    "page": _page,
    "physical": _physical,
    "text": lambda p: p.symbol("schedule").address,
    "behind": lambda p: p.symbol("init_task").address + 4096,
    "sp": _sp,
    "function": _function,
    "waitq": lambda p: _user_task(p).signal.wait_chldexit.address_of_().value_(),
    "sbitmap": _sbitmap,
    "entry": lambda p: "63",
}


def command_line(form: Form, known: dict[str, str]) -> str | None:
    """The line for one dump; ``None`` if the dump has not what it is about."""
    try:
        return form.line.format(**known)
    except KeyError:
        return None
