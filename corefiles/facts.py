"""
What a guest says about itself before it dies: shell to print it, and a parser.

Owns: the probes, their framing on the console, the structured record. The
record is made of what the kernel's own interfaces print; no debugger is
involved. Must not know: how a guest is booted.
Facts: proc(5) for every file read here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Data symbols whose addresses are worth knowing; a kernel prints those it has.
SYMBOLS = """
    _text _stext _etext _end __start_BTF __stop_BTF init_task init_mm init_net init_uts_ns
    init_pid_ns modules btf_idr super_blocks slab_caches linux_banner saved_command_line
    jiffies jiffies_64 runqueues __per_cpu_start __per_cpu_offset __cpu_online_mask
    nr_cpu_ids swapper_pg_dir init_top_pgt kallsyms_names mem_section node_data
    contig_page_data net_namespace_list inet_hashinfo tcp_hashinfo vmcoreinfo_data
    log_first_idx prb console_drivers chrdevs all_bdevs root_cpuacct cgrp_dfl_root schedule
    panic cf_widgets cf_left cf_right cf_hits cf_level3
"""

# name -> shell command. Everything here is quick, also under emulation.
PROBES: dict[str, str] = {
    "uname": "uname -a",
    "version": "cat /proc/version",
    "cmdline": "cat /proc/cmdline",
    "cpus": "cat /sys/devices/system/cpu/online",
    "modules": "cat /proc/modules",
    "sections": "cd /sys/module && for s in .text .data .bss; do"
    " for m in *; do test -r $m/sections/$s && echo $m $s $(cat $m/sections/$s); done; done",
    "mounts": "cat /proc/self/mountinfo",
    "interfaces": "ip -o addr",
    "tcp": "cat /proc/net/tcp",
    "udp": "cat /proc/net/udp",
    "unix": "cat /proc/net/unix",
    "iomem": "cat /proc/iomem",
    "filesystems": "cat /proc/filesystems",
    "slabs": "cat /proc/slabinfo | cut -d: -f1",
    "sysctl": "cd /proc/sys/kernel && for f in hostname ostype osrelease version pid_max"
    " threads-max tainted random/boot_id; do echo $f $(cat $f); done",
    "kallsyms_count": "awk '{ n[NF > 3 ? $4 : \"vmlinux\"]++ } END { for (m in n) print m, n[m] }'"
    " /proc/kallsyms",
    "kallsyms": "grep -E ' (" + "|".join(SYMBOLS.split()) + ")([[:space:]]|$)' /proc/kallsyms",
    "btf": "cd /sys/kernel/btf && for f in *; do echo $f $(wc -c <$f) $(sha256sum <$f); done",
    "vmcoreinfo": "cat /sys/kernel/vmcoreinfo",
    "notes": "xxd -p /sys/kernel/notes",
}
_BPF_BTF = "$(bpftool map show name cf_counters | sed -n 's/.*btf_id \\([0-9]*\\).*/\\1/p')"
# In a guest that has bpftool and the programs of programs/cf_bpf.bpf.c.
BPF_PROBES: dict[str, str] = {
    "bpf_progs": "bpftool prog show",
    "bpf_maps": "bpftool map show",
    "bpf_btfs": "bpftool btf show",
    "bpf_counters": "bpftool map dump name cf_counters",
    "bpf_btf_raw": f"bpftool btf dump id {_BPF_BTF}",
    "bpf_btf_sha": f"bpftool btf dump id {_BPF_BTF} | sha256sum",
}
# Those of PROBES that a scenario's setup may change.
VOLATILE_PROBES: dict[str, str] = {
    name: PROBES[name] for name in ("modules", "mounts", "interfaces", "tcp", "udp", "unix")
}
# In a guest whose tasks are of interest: where each of them sleeps, and with which files open.
TASK_PROBES: dict[str, str] = {
    # Number of the system call, its arguments, stack pointer and program counter.
    "syscalls": "for t in /proc/[0-9]*/task/*; do read -r s <$t/syscall && echo $t $s; done",
    "stacks": "grep . /proc/[0-9]*/stack",
    "fds": "ls -l /proc/[0-9]*/fd",
    "locks": "cat /proc/locks",
}
# Taken last, as late as possible: what changes from moment to moment.
LATE_PROBES: dict[str, str] = {
    "meminfo": "cat /proc/meminfo",
    "uptime": "cat /proc/uptime",
    # Running and existing tasks, threads among them.
    "loadavg": "cat /proc/loadavg",
    "dmesg": "dmesg | tail -n 60",
    # The observer is gone a moment later; it names itself so that the parser leaves it out.
    "tasks": "echo observer $$; exec cat /proc/[0-9]*/stat",
}

# A block says how many lines it has and their digest: the console also carries
# the kernel's own messages, and a block that one fell into must not be believed.
SHELL = r"""
fact() {
  sh -c "$2" >/tmp/.fact 2>/dev/null
  echo "@@@ begin $1"
  cat /tmp/.fact
  echo "@@@ end $1 $(wc -l </tmp/.fact) $(sha256sum </tmp/.fact | cut -c1-16)"
}
"""


def shell(probes: Mapping[str, str]) -> str:
    """Return the lines of an init script that print facts; ``SHELL`` comes before them."""
    lines = ["dmesg -n 1"]
    for name, command in probes.items():
        quoted = command.replace("'", "'\\''")
        lines.append(f"fact {name} '{quoted}'")
    lines.append("dmesg -n 8")
    return "\n".join(lines) + "\n"


def blocks(console: str) -> dict[str, list[str]]:
    """
    Find the facts on a console, verified.

    :return: Name of the probe and its lines; a block whose length or digest is
        not what the guest said is left out, of two with one name the last stays.
    """
    found: dict[str, list[str]] = {}
    name = ""
    lines: list[str] = []
    for raw in console.split("\n"):
        line = raw.rstrip("\r")
        if begin := re.fullmatch(r"@@@ begin (\S+)", line):
            name, lines = begin[1], []
        elif end := re.fullmatch(r"@@@ end (\S+) (\d+) ([0-9a-f]{16})", line):
            text = "".join(f"{entry}\n" for entry in lines)
            digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
            if end[1] == name and int(end[2]) == len(lines) and digest.startswith(end[3]):
                found[name] = lines
            name = ""
        elif name:
            lines.append(line)
    return found


# include/linux/sched.h
_PF_WQ_WORKER = 0x00000020
_PF_KTHREAD = 0x00200000


def _comm(name: str, flags: int) -> str:
    """
    Return task_struct.comm for a name as /proc prints it.

    For kernel threads /proc has the whole name, for workers also what they
    work on (proc_task_name() in fs/proc/array.c).
    """
    # Rescuers are called as their queue is, which may hold a dash.
    if flags & _PF_WQ_WORKER and re.match("kworker/(?!R-)", name):
        name = re.split("[-+]", name, maxsplit=1)[0]
    return name[:15]


def _tasks(lines: list[str]) -> list[dict[str, Any]]:
    observer = 0
    found = []
    for line in lines:
        if line.startswith("observer "):
            observer = int(line.split()[1])
            continue
        # The name may hold blanks and brackets: it ends at the last bracket.
        head, _, rest = line.rpartition(")")
        pid, _, comm = head.partition(" (")
        fields = rest.split()
        if not pid.isdigit() or int(pid) == observer:
            continue
        flags = int(fields[6])
        found.append(
            {
                "pid": int(pid),
                "ppid": int(fields[1]),
                "state": fields[0],
                "comm": _comm(comm, flags),
                "name": comm,
                "kthread": bool(flags & _PF_KTHREAD),
            }
        )
    return sorted(found, key=lambda task: int(task["pid"]))


def _modules(lines: list[str]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        name, size, references, users, state, address = line.split()[:6]
        found.append(
            {
                "name": name,
                "size": int(size),
                "references": int(references),
                "users": [user for user in users.split(",") if user not in ("", "-")],
                "state": state,
                "address": address,
            }
        )
    return found


def _mounts(lines: list[str]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        fields = line.split()
        dash = fields.index("-")
        found.append(
            {
                "id": int(fields[0]),
                "parent": int(fields[1]),
                "device": fields[2],
                "root": fields[3],
                "target": fields[4],
                "type": fields[dash + 1],
                "source": fields[dash + 2],
            }
        )
    return found


def _numbers(lines: Iterable[str]) -> dict[str, int]:
    return {
        match[1]: int(match[2]) for line in lines if (match := re.match(r"(\S+?):?\s+(\d+)", line))
    }


def _symbols(lines: list[str]) -> list[dict[str, str]]:
    found = []
    for line in lines:
        address, kind, name, *module = line.split()
        entry = {"name": name, "address": address, "type": kind}
        if module:
            entry["module"] = module[0].strip("[]")
        found.append(entry)
    return found


def _btf(lines: list[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {"size": int(size), "sha256": digest}
        for name, size, digest, *_ in (line.split() for line in lines)
    }


def _build_id(lines: list[str]) -> str:
    """Find NT_GNU_BUILD_ID (3) of owner GNU among ELF notes of either byte order."""
    data = bytes.fromhex("".join(lines))
    for order in ("little", "big"):
        at = 0
        while at + 12 <= len(data):
            name_size, size, kind = (
                int.from_bytes(data[at + 4 * i : at + 4 * i + 4], order) for i in range(3)
            )
            name = data[at + 12 : at + 12 + name_size]
            start = at + 12 + (name_size + 3) // 4 * 4
            if kind == 3 and name == b"GNU\0":
                return data[start : start + size].hex()
            at = start + (size + 3) // 4 * 4
    return ""


_PARSERS: dict[str, Callable[[list[str]], Any]] = {
    "tasks": _tasks,
    "modules": _modules,
    "mounts": _mounts,
    "meminfo": _numbers,
    "kallsyms_count": _numbers,
    "kallsyms": _symbols,
    "btf": _btf,
    "uname": lambda lines: lines[0] if lines else "",
    "version": lambda lines: lines[0] if lines else "",
    "cmdline": lambda lines: lines[0] if lines else "",
    "cpus": lambda lines: lines[0] if lines else "",
    "vmcoreinfo": lambda lines: lines[0] if lines else "",
    "sysctl": lambda lines: dict(line.split(" ", 1) for line in lines if " " in line),
}


def parse(console: str) -> dict[str, Any]:
    """
    Turn a console log into the record of what the guest said.

    :return: A value for JSON: probe name and its lines, or something more
        structured for the probes that tests compare most; ``build_id`` is the
        kernel's, in hexadecimal.
    """
    record: dict[str, Any] = {}
    for name, lines in blocks(console).items():
        if name == "notes":
            record["build_id"] = _build_id(lines)
        else:
            record[name] = _PARSERS.get(name, list)(lines)
    return record
