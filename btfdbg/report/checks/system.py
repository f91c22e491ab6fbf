"""The machine and its kernel: release, build, uptime, hardware, taint decoded."""

from __future__ import annotations

from collections.abc import Iterator

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


@check("system", "System", more=("sys", "info"), order=10)
def system(look: Look) -> Iterator[Item]:
    """Print what the machine is."""
    prog, session = look.prog, look.session
    rows: list[tuple[str, str]] = [("kernel", session.release)]
    try:
        names = prog["init_uts_ns"].name
        rows.append(("build", names.version.string_().decode("utf-8", "replace")))
        rows.append(("host", names.nodename.string_().decode("utf-8", "replace")))
    except UNREADABLE:
        look.pass_over()
    rows.append(("architecture", look.machine))
    if session.build_id:
        rows.append(("build id", session.build_id))
    try:
        from drgn.helpers.linux.cpumask import num_present_cpus

        rows.append(("CPUs", str(num_present_cpus(prog))))
    except UNREADABLE:
        look.pass_over()
    try:
        from drgn.helpers.linux.mm import totalram_pages

        size = int(totalram_pages(prog)) * int(prog["PAGE_SIZE"])
        rows.append(("memory", f"{size / 2**20:,.0f} MiB"))
    except UNREADABLE:
        look.pass_over()
    try:
        from drgn.helpers.linux.timekeeping import uptime

        rows.append(("up for", _duration(float(uptime(prog)))))
    except (*UNREADABLE, ImportError):
        look.pass_over()
    try:
        line = prog["saved_command_line"].string_().decode("utf-8", "replace")
        rows.append(("command line", line))
    except UNREADABLE:
        look.pass_over()
    yield Table(("", ""), tuple(rows))
    yield from _taint(look)


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
