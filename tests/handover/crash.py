"""crash over a dump, with the kernel's real vmlinux and with the one that we make of it.

    python -m tests.handover.crash DUMP REAL_VMLINUX --crash PATH [--ours FILE] [--keep FOLDER]
        [--kallsyms FILE] [--machdep OPTION] [--without COMMAND]

Prints, for each command, whether both gave the same bytes, and how much start-up cost with
each. Commands about source lines differ by nature and are counted apart. "Same" means the
same; where both fail in the same way, that is said.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = """
sys
sys -c
sys config
sys -i
ps
ps -a
ps -g
ps -l
ps -m
ps -p
ps -s
ps -t
ps -S
ps -A
bt
bt -a
bt -f
bt -F
bt -e
bt -r
bt -s
bt -t
foreach bt
foreach files
foreach sig
foreach vm
foreach task -R stack
log
log -t
log -m
log -T
mod
files
kmem -i
kmem -s
kmem -p
kmem -z
kmem -v
kmem -V
kmem -n
kmem -h
kmem -o
kmem -g
kmem -m flags
net
net -a
net -n
mount
mount -f
vm
vm -m
irq
irq -a
irq -b
irq -s
dev
dev -p
dev -i
dev -d
timer
timer -r
timer -C 0
runq
runq -t
runq -T
runq -m
runq -g
runq -c 0
struct task_struct
struct -o task_struct
struct page
struct list_head init_task.tasks
struct task_struct.comm,pid init_task
struct super_block
union thread_union
task
task -R comm
list -H super_blocks -l super_block.s_list -s super_block.s_id
list task_struct.tasks -h init_task -s task_struct.comm
tree -t rb vmap_area_root
swap
ipcs
mach
mach -m
mach -c
sig
sig -l
set
set -v
waitq log_wait
sym schedule
sym -q schedule_timeout
sym init_task
dis -r schedule
dis -x schedule
p jiffies
p linux_banner
p init_mm
p runqueues
p runqueues:0
p super_blocks
p init_uts_ns
p saved_command_line
px nr_threads
whatis init_task
whatis schedule
whatis runqueues
vtop init_task
vtop linux_banner
rd linux_banner 8
rd -s init_task 16
rd jiffies
search -c panic=
bpf
fuser /
ascii
eval 0x1000 + 3
help -m
help -v
help -t
""".strip().splitlines()
LINES = """
bt -l
dis -l schedule
sym -l
help -k
p init_task
dis schedule
""".strip().splitlines()
"""What shows source lines, or the list of symbols itself."""

_ERROR = re.compile(
    r"(^|\n)(\S+: (invalid|cannot|symbol|WARNING|seek|read|gdb|\S* ?not|unknown|structure).*"
    r"|Error|No symbol|.*: (command not|not (supported|found|applicable)).*)"
)


def run(program: list[str], dump: str, vmlinux: str, commands: list[str], folder: Path) -> str:
    """Run the commands, each into a file of its number; return what crash itself said."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{command} > {folder}/{number}" for number, command in enumerate(commands)]
    script = folder / "input"
    script.write_text("\n".join([*lines, "quit"]) + "\n")
    done = subprocess.run(
        [*program, "-s", "--no_scroll", "-i", str(script), vmlinux, dump],
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout + done.stderr


def cost(program: list[str], dump: str, vmlinux: str, folder: Path) -> tuple[float, int]:
    """CPU seconds and peak KiB of a crash that starts and quits."""
    script = folder / "quit"
    script.write_text("quit\n")
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execvp(program[0], [*program, "-s", "-i", str(script), vmlinux, dump])
    _, _, usage = os.wait4(child, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def text(folder: Path, number: int, other: str, own: str) -> str:
    """A command's output, with the name of the vmlinux that it was given left out."""
    try:
        found = (folder / str(number)).read_text(errors="replace")
    except OSError:
        return "(no output: crash ended)"
    return (
        re.sub(r"0x[0-9a-f]+(?= \(nil\))", "", found.replace(own, "VMLINUX"))
        .replace(os.path.basename(own), "VMLINUX")
        .replace(str(folder), "")
    )


def main(argv: list[str] | None = None) -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.handover.crash")
    parser.add_argument("dump", metavar="DUMP")
    parser.add_argument("vmlinux", metavar="REAL_VMLINUX")
    parser.add_argument("--crash", default="crash", metavar="PATH")
    parser.add_argument("--ours", metavar="FILE", help="made before with export-vmlinux")
    parser.add_argument("--kallsyms", metavar="FILE", help="for export-vmlinux")
    parser.add_argument("--machdep", metavar="OPTION", help="for crash: -m OPTION")
    parser.add_argument(
        "--without", metavar="COMMAND", action="append", default=[], help="one that has no end"
    )
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep all output there")
    parser.add_argument(
        "--again", action="store_true", help="take the real one's output from --keep's folder"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        ours = args.ours
        if ours is None:
            ours = str(folder / "vmlinux.ours")
            command = [sys.executable, "-m", "btfdbg.cli.main", "export-vmlinux", args.dump]
            if args.kallsyms:
                command += ["--kallsyms", args.kallsyms]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "-o", ours], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(f"export: {after.ru_utime - before.ru_utime:.2f} s of CPU")
        commands = [c for c in COMMANDS + LINES if c not in args.without]
        program = [args.crash, *(("-m", args.machdep) if args.machdep else ())]
        said = {}
        for kind, vmlinux in (("real", args.vmlinux), ("ours", ours)):
            if kind == "real" and args.again:
                continue
            said[kind] = run(program, args.dump, vmlinux, commands, folder / kind)
            seconds, peak = cost(program, args.dump, vmlinux, folder)
            print(f"{kind}: start-up {seconds:.2f} s of CPU, {peak >> 10} MiB")
        compare(commands, folder, args.vmlinux, ours)
        for kind, output in said.items():
            tail = [line for line in output.splitlines() if line.strip()][:4]
            print(f"{kind} said: {tail}")
    return 0


def compare(commands: list[str], folder: Path, real: str, ours: str) -> None:
    """Print each command's verdict, and the sums."""
    counts: dict[str, int] = {}
    for number, command in enumerate(commands):
        theirs = text(folder / "real", number, ours, real)
        mine = text(folder / "ours", number, real, ours)
        failed = bool(_ERROR.search(theirs)), bool(_ERROR.search(mine))
        if theirs == mine:
            verdict = "same error" if failed[0] else "same"
        elif failed[1] and not failed[0]:
            verdict = "ours fails"
        elif failed[0] and not failed[1]:
            verdict = "real fails"
        else:
            verdict = "differ"
        if command in LINES:
            verdict = f"lines: {verdict}"
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict not in ("same",):
            print(f"{verdict:12} {command}   ({len(theirs)} / {len(mine)} bytes)")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))


if __name__ == "__main__":
    sys.exit(main())
