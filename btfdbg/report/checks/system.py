"""The machine and its kernel: release, build, uptime, hardware, taint decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

# include/linux/panic.h and kernel/panic.c: taint_flags[].
_TAINTS = {
    "P": "a proprietary module was loaded", "F": "a module was loaded by force",
    "S": "the CPU is out of specification", "R": "a module was unloaded by force",
    "M": "a machine check was seen", "B": "a bad page was met", "U": "user space asked for it",
    "D": "the kernel died before (oops or BUG)", "A": "an ACPI table was overridden",
    "W": "a warning was printed before", "C": "a staging driver is loaded",
    "I": "a firmware bug is worked around", "O": "a module from outside the tree is loaded",
    "E": "an unsigned module is loaded", "L": "a CPU was locked up before",
    "K": "the kernel was live-patched", "X": "the distribution's own mark",
    "T": "built with struct randomization", "N": "a test was run", "J": "fwctl was used",
}  # fmt: skip


_LATEST = 1 << 33  # seconds since 1970


@check("system", "System", more=("sys", "info"), order=10)
def system(look: Look) -> Iterator[Item]:
    """Print what the machine is."""
    rows: list[tuple[str, str]] = []
    unread = []
    for label, tell in _ROWS:
        try:
            said = tell(look)
        except (*UNREADABLE, ImportError):
            look.pass_over()
            unread.append(label)
            continue
        if said:
            rows.append((label, said))
    yield Table(("", ""), tuple(rows))
    if unread:
        yield Line(f"Cannot be read: {', '.join(unread)}.", "note")
    yield from _taint(look)


def _name(look: Look, member: str) -> str:
    name: bytes = getattr(look.prog["init_uts_ns"].name, member).string_()
    return name.decode("utf-8", "replace")


def _cpus(look: Look) -> str:
    from drgn.helpers.linux.cpumask import num_online_cpus, num_present_cpus

    present = int(num_present_cpus(look.prog))
    offline = present - int(num_online_cpus(look.prog))
    return f"{present}, {offline} of them offline" if offline > 0 else str(present)


def _memory(look: Look) -> str:
    from drgn.helpers.linux.mm import totalram_pages

    size = int(totalram_pages(look.prog)) * int(look.prog["PAGE_SIZE"])
    return f"{size / 2**20:,.0f} MiB"


def _date(look: Look) -> str:
    from datetime import datetime, timezone

    from drgn.helpers.linux.timekeeping import ktime_get_real_seconds

    seconds = int(ktime_get_real_seconds(look.prog))
    if not 0 < seconds < _LATEST:
        raise ValueError("the clock cannot be right")
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _uptime(look: Look) -> str:
    from drgn.helpers.linux.timekeeping import uptime

    return _duration(float(uptime(look.prog)))


def _load(look: Look) -> str:
    from drgn.helpers.linux.sched import loadavg

    return ", ".join(f"{value:.2f}" for value in loadavg(look.prog))


def _tasks(look: Look) -> str:
    return f"{len(look.tasks):,}, without the idle ones of CPUs"


def _command_line(look: Look) -> str:
    line: bytes = look.prog["saved_command_line"].string_()
    return line.decode("utf-8", "replace")


_ROWS: tuple[tuple[str, Callable[[Look], str]], ...] = (
    ("kernel", lambda look: look.session.release),
    ("build", lambda look: _name(look, "version")),
    ("host", lambda look: _name(look, "nodename")),
    ("architecture", lambda look: look.machine),
    ("build id", lambda look: look.session.build_id or ""),
    ("CPUs", _cpus),
    ("memory", _memory),
    ("date", _date),
    ("up for", _uptime),
    ("load", _load),
    ("tasks", _tasks),
    ("command line", _command_line),
)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    return f"{f'{days} d ' if days else ''}{hours:02}:{rest // 60:02}:{rest % 60:02}"


def _taint(look: Look) -> Iterator[Item]:
    from btfdbg.report.taints import tainted

    try:
        letters = [letter for letter in tainted(look.prog) if letter.isalpha()]
    except UNREADABLE as e:
        look.pass_over()
        yield Line(f"Whether the kernel is tainted cannot be told: {e}", "note")
        return
    if not letters or letters == ["G"]:
        yield Line("Not tainted.")
        return
    meant = [f"{letter}: {_TAINTS[letter]}" for letter in letters if letter in _TAINTS]
    yield Line(f"Tainted: {'; '.join(meant)}.", "note")
