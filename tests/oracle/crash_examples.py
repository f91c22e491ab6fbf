"""How many of the command lines in crash's help pages run at btfdbg's prompt as typed?

    python -m tests.oracle.crash_examples --crash CRASH DUMP [DUMP…] [--failed FILE]

Owns the adapting of names: an address, pid or name of the page's own machine becomes one of
the dump's (``TOKENS``, ``LINES``); options, their order, pipes and spelling stay as they
stand in the page. The lines are read out of the crash that is given (``crash -h COMMAND``).

A line *runs* if it ends without an error. One that has no meaning on a dump (``mod -S``, ``dev
-V``) and says so is counted apart (``NO_MEANING``), as is one that only another machine could
answer (``ELSEWHERE``).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import drgn

from tests.commands.forms import places

COMMANDS = [
    "alias",
    "ascii",
    "bpf",
    "bt",
    "btop",
    "dev",
    "dis",
    "eval",
    "extend",
    "files",
    "foreach",
    "fuser",
    "gdb",
    "ipcs",
    "irq",
    "kmem",
    "list",
    "log",
    "mach",
    "mod",
    "mount",
    "net",
    "p",
    "ps",
    "pte",
    "ptob",
    "ptov",
    "rd",
    "repeat",
    "runq",
    "sbitmapq",
    "search",
    "set",
    "sig",
    "struct",
    "swap",
    "sym",
    "sys",
    "task",
    "timer",
    "tree",
    "union",
    "vm",
    "vtop",
    "waitq",
    "whatis",
    "wr",
    "*",
]

_PROMPT = re.compile(r"^ *crash> *(?P<line>\S.*)$")

LINES = {
    "bt f2814000 1592": "bt {task} {pid}",
    "dis -r (do_no_page+65)": "dis -r (vfs_read+65)",
    "dis -u 81ec624 10": "dis -u {user} 10",
    "foreach bash task": "foreach init task",
    "foreach 'event.*' task -R state": "foreach 'kworker.*' task -R flags",
    "list 136 c169a000": "list 0 super_blocks",
    "list 60 -H runqueue_head": "list 0 -H modules",
    "list task_struct.run_list -H runqueue_head": "list module.list -H modules",
    "list -H vfsmntlist vfsmount.mnt_list -s vfsmount":
        "list -H super_blocks super_block.s_list -s super_block.s_id",
    "list file_system_type.next -s file_system_type.name,fs_flags c03adc90":
        "list file_system_type.next -s file_system_type.name,fs_flags {filesystem}",
    "list 0xffff880109b8e3d0 -l task_struct.tasks -s task_struct.comm":
        "list 0x{tasks} -l task_struct.tasks -s task_struct.comm",
    "mount c5000aa8": "mount {super_block}",
    "mount ffff8801f4245e40": "mount {mount}",
    "ps 1 f9dec000 nfsd": "ps 1 {task} kthreadd",
    "search anon_inode_inode (__down_interruptible+191)": "search init_task (vfs_read+191)",
    "struct tcp_sl_timer tcp_slt_array 4": "struct list_head super_blocks 4",
    "tcp_sl_timer tcp_slt_array 4": "list_head super_blocks 4",
    "struct disk_stats 0x60fdb48026c8:a": "struct rq runqueues:a",
    "union bdflush_param": "union sigval",
    "union bdflush_param bdf_prm": "union sigval {stack}",
    "bdflush_param": "sigval",
    "bdflush_param bdf_prm": "sigval {stack}",
    "sbitmapq c0000000e118c808": "sbitmapq {sbitmap}",
    "rd c009bf2c -e c009bf60": "rd {task} -e {task_end}",
    "runq -g -c3": "runq -g -c1",
    "irq -c 0,2 -s": "irq -c 0,1 -s",
    "kmem -m slab_cache | grep ffff880215802e00": "kmem -m lru | grep {page}",
    "page.flags,virtual c101196c 4": "page.flags,lru {page} 4",
    "task -R ngroups,groups 2958": "task -R pid,comm {pid}",
    "vm -v c47d4000": "vm -v {task}",
    "vm -R 75": "vm -R {user} {pid}",
    "search -s c532c000 -l 4096 ffffffff": "search -s {task} -l 4096 ffffffff",
    "search -t ffff81002c0a3050": "search -t {text}",
    "task -R pids[2]": "task -R pid_links[2]",
    "task_struct.thread_info ffff8100181190c0 -p": "task_struct.thread_pid {task} -p",
    "task_struct.se.on_rq,pids[2] ffff88011653e250": "task_struct.se.on_rq,pid_links[2] {task}",
    "sym f88878d1": "sym {text}",
    "sym c0213ae0": "sym init_task",
    "sym c0109944": "sym {text}",
    "tree -t maple 0xffff9034c006aec0 -v": "tree -t maple 0x{maple} -v",
    "tree -t maple 0xffff9034c006aec0 -p -x -s vm_area_struct.vm_start,vm_end":
        "tree -t maple 0x{maple} -p -x -s vm_area_struct.vm_start,vm_end",
    "waitq c3534098": "waitq {waitq}",
    "waitq task_struct.wait_chldexit c5496000": "waitq signal_struct.wait_chldexit {signal}",
    "whatis kdev_t": "whatis dev_t",
    "*page c02943c0": "*page {page}",
}  # fmt: skip
"""Whole lines of the pages, about what no kernel has any more, to the dump's."""

TOKENS = {
    r"\bc169a000\b|\bc2fe8000\b|\bffff88012b98e040\b|\bffff8800b66a0000\b": "{task}",
    r"\bffff8100145d2080\b|\bc20ab0b0\b": "{task}",
    r"\bp_pptr\b": "real_parent",
    r"\brun_list\b": "tasks",
    r"\b(1592|462|1954|2618|2517|4249|10318|13896|8970|2578|2958|386|75|4777|3875|1359)\b":
        "{pid}",
    r"\bsys_signal\b|\bdentry_kill\b|\bdo_no_page\b": "vfs_read",
    r"\bsys_read\b": "ksys_read",
    r"0xffffffff811dcfb4": "vfs_read",
    r"\bf745fd60\b": "{dentry}",
    r"\bf59b90fc\b": "{inode}",
    r"\bffffea0001dafb20\b|\bc40425b0\b|\bc25a9c00\b|\bc101196c\b": "{page}",
    r"\bffff880215802e00\b": "{object}",
    r"\b1fe0000\b": "{physical}",
    r"\bc3fbdb60\b": "{object}",
    r"\barp_cache\b|\bkmalloc-8192\b": "{cache}",
    r"\bc1e44f10\b|\bf5604f2c\b|\bc47d4000\b": "{vma}",
    r"\bffff810022e7d080\b": "{object}",
    r"\b0xe813cb4\b": "{dentry}",
    r"\b0x3661344\b": "{dentry_child}",
    r"\bd_child\b": "{sibling}",
    r"\bd_subdirs\b": "{children}",
    r"\bffff9c585b81a180\b": "{dentry}",
    r"\bffff9c585b81a220\b": "{dentry_children}",
    r"\bf6e31f70\b": "{sp}",
    r"\bkernel_version\b": "linux_banner",
    r"\b(f|F)irefox\b|\bkwm\b|\bautomount\b": "init",
    r"\bmulti-thread\b": "init",
    r"\bhd_struct\.dkstats\b": "block_device.bd_stats",
    r"\bffff8802450e2848\b": "{bdev}",
    r"\bdm_mod\b|\buart401\b": "{module}",
    r"\bffff88012d364de0\b|\b0xffff94c235e76828\b": "{mapping}",
    r"\bpage_tree\b": "i_pages",
    r"\b40121000\b|\b80b4000\b|\b40104000\b": "{user}",
    r"\bc806e000\b": "{task}",
    r"\bbuffer_wait\b": "log_wait",
    r"\bkmem_bufctl_s\b": "kmem_cache",
    r"\bkmem_bufctl_t\b": "gfp_t",
    r"\b0xffff9034c006aec0\b": "0x{object}",
    r"\bc08ea3cc\b": "1",
    r"/usr/lib/libkfm\.so\.2\.0\.0": "/dev/console",
    r"\bbpf -p \d+": "bpf -p {program}",
    r"\bbpf -m \d+": "bpf -m {map}",
    r"\birq (18|21)\b": "irq 1",
    r"\bpts/4\b": "console",
    r"\b1041236234\b": "0100007f",
    r"\bc2d400eb\b": "{task}",
    r"-P f5604f2c": "-P {vma}",
}  # fmt: skip
"""Words of the pages' own machines to the dump's; the first that matches."""

NO_MEANING = re.compile(
    r"^(extend|gdb|mod -[sSdr]|mount -[fi]|kmem -[cC]|log -R|log -s|dev -[vV]|wr|mach -o|!"
    r"|set scroll|dis -s|rd -f|bpf .*-[jtT])"
)
"""What crash does and a reader of a dump does not: write, load, or answer of old kernels."""

ELSEWHERE = re.compile(
    r"se_session|iscsi_cmd|sbitmapq -s|ipcs -M \S|rbtree -r mm_struct|vm_rb|tree .*-N 0x"
    r"|crash> echo|-t radix|echo hello|^!|vmap_area_root|net -s -R|^sys config"
)
"""
What only the page's own machine has: iSCSI targets, an rbtree of areas (before v6.1) and of
vmalloc areas (before v6.9), a socket of that number, the configuration in the kernel; and what
would run a program of the machine that the test runs on.
"""


def lines_of(crash: str) -> list[str]:
    """Command lines below EXAMPLES of each help page, each once."""
    found: dict[str, None] = {}
    for command in COMMANDS:
        said = subprocess.run(
            [crash, "-h", command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", check=False,
        ).stdout  # fmt: skip
        _, _, examples = said.partition("EXAMPLE")
        for row in examples.splitlines():
            match = _PROMPT.match(row)
            if match:
                found.setdefault(match["line"].strip())
    return list(found)


def adapted(line: str, known: dict[str, str]) -> str | None:
    """The line about the dump, ``None`` if the dump lacks what it is about."""
    text = LINES.get(line)
    if text is None:
        text = line.rstrip("\\").strip()
        for old, new in TOKENS.items():
            text = re.sub(old, lambda _, new=new: new, text)  # type: ignore[misc]
    try:
        return re.sub(r"\{(\w+)\}", lambda m: known[m[1]], text)
    except KeyError:
        return None


def _more(dump_places: dict[str, str], prog: drgn.Program) -> dict[str, str]:
    """Places that the pages' lines are about, and forms are not."""
    makers: dict[str, Callable[[drgn.Program], int | str]] = {
        "task_end": lambda p: int(dump_places["task"], 16) + 0x34,
        "tasks": lambda p: int(p["init_task"].tasks.address_of_()),
        "stack": lambda p: int(p["init_task"].stack),
        "filesystem": lambda p: int(p["file_systems"]),
        "super_block": lambda p: int(_init(p).fs.root.mnt.mnt_sb),
        "mount": lambda p: int(_init(p).fs.root.mnt) - _offset(p, "struct mount", "mnt"),
        "mapping": lambda p: int(_init(p).mm.exe_file.f_mapping),
        "maple": lambda p: int(_init(p).mm.mm_mt.address_of_()),
        "signal": lambda p: int(_init(p).signal),
        "waitq": lambda p: int(_init(p).signal.wait_chldexit.address_of_()),
        "dentry_children": lambda p: int(_init(p).fs.root.dentry.d_children.address_of_()),
        "bdev": lambda p: int(_first_disk(p).part0),
        # The members have other names since v6.8.
        "sibling": lambda p: _member(p, "struct dentry", "d_sib", "d_child"),
        "children": lambda p: _member(p, "struct dentry", "d_children", "d_subdirs"),
        "module": _first_module,
        "text": lambda p: p.symbol("vfs_read").address + 4,
    }
    found = dict(dump_places)
    for name, make in makers.items():
        try:
            value = make(prog)
        except (drgn.FaultError, LookupError, ValueError, TypeError, AttributeError):
            continue  # what a dump has not is left out
        found[name] = value if isinstance(value, str) else f"{value:x}"
    return found


def _init(prog: drgn.Program) -> drgn.Object:
    from drgn.helpers.linux.pid import find_task

    return find_task(prog, 1)


def _offset(prog: drgn.Program, type_: str, member: str) -> int:
    return int(drgn.offsetof(prog.type(type_), member))


def _member(prog: drgn.Program, type_: str, *names: str) -> str:
    """The first of some members that a type has."""
    has = prog.type(type_).has_member
    return next(name for name in names if has(name))


def _first_disk(prog: drgn.Program) -> drgn.Object:
    from drgn.helpers.linux.block import for_each_disk

    return next(iter(for_each_disk(prog)))


def _first_module(prog: drgn.Program) -> str:
    from drgn.helpers.linux.module import for_each_module

    name: bytes = next(iter(for_each_module(prog))).name.string_()
    return name.decode()


def main() -> int:
    """Print the counts for each dump."""
    import btfdbg
    from btfdbg.commands.evaluate import prepare, run_line

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crash", required=True, help="crash 9's executable")
    parser.add_argument("--failed", type=Path, help="file for the lines that failed")
    parser.add_argument("dumps", nargs="+", metavar="DUMP")
    args = parser.parse_args()
    lines = lines_of(args.crash)
    failures = []
    for dump in args.dumps:
        session = btfdbg.session(btfdbg.program_from_core_dump(dump))
        prepare(session)
        known = _more(places(session), session.prog)
        counts = dict.fromkeys(("runs", "fails", "no meaning on a dump", "not of this dump"), 0)
        for line in lines:
            text = adapted(line, known)
            if text is None or ELSEWHERE.search(line):
                counts["not of this dump"] += 1
                continue
            out, problem = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(problem):
                works = run_line(session, text)
            verdict = "runs" if works else "fails"
            if not works and NO_MEANING.search(line):
                verdict = "no meaning on a dump"
            counts[verdict] += 1
            if verdict == "fails":
                failures.append(f"{line}  ->  {text}: {' '.join(problem.getvalue().split())[:160]}")
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(f"{Path(dump).name}: {len(lines)} lines: {said}")
    if args.failed:
        args.failed.write_text("\n".join(failures) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
