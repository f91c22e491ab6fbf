"""
What happens in a guest before it dies.

Owns: the scenarios and the shell that brings them about. Must not know: QEMU,
packages. A scenario with a time of dying (``trigger``) ends in a kernel panic,
so that kdump works for each of them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import facts

# Loaded in every guest, where the kernel has them: enough kinds of subsystems
# to give lists, RB trees and per-CPU data something to hold.
MODULES = """
    crc32c_generic qemu_fw_cfg virtio_pci virtio_net virtio_blk virtio_console loop ext4 xfs
    overlay vfat fuse dummy veth bridge tun nf_tables nft_chain_nat dm_mod isofs squashfs
    zram brd autofs4 configfs vsock tcp_bbr sch_fq act_police msr
"""

# Words that must not be in a dump from which user pages, page cache or free
# pages were left out. The script spells them in halves, so that the only whole
# copies are where they belong.
MARKERS = {
    "user": "btfdbg-user-page-5f21c7",
    "page_cache": "btfdbg-page-cache-93ae40",
    "free": "btfdbg-free-page-d8016b",
}


def _halves(word: str) -> str:
    return f"{word[:9]}''{word[9:]}"


_START = f"""#!/usr/bin/busybox sh
/usr/bin/busybox --install -s /usr/bin
export PATH=/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=48m tmp /tmp
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/pts /mnt/disk /mnt/small /mnt/over
mount -t devpts devpts /dev/pts
hostname corefile
for m in /m/*; do insmod $m || echo "@@@ insmod failed $m"; done
rm -rf /m
{facts.SHELL}
ip link set lo up
ip link add d0 type dummy && ip addr add 10.9.8.7/24 dev d0 && ip link set d0 up
ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up
ip link add br0 type bridge && ip link set br0 up
mount -t tmpfs -o size=1m,mode=700 small /mnt/small
mkdir /tmp/lower /tmp/upper /tmp/work
mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work over /mnt/over
test -e /disk.img && mount -o loop /disk.img /mnt/disk
for i in 1 2 3 4 5 6 7 8 9; do echo {_halves(MARKERS["page_cache"])}; done >/mnt/small/file
test -e /disk.img && cp /mnt/small/file /mnt/disk/file
for i in 1 2 3 4 5 6 7 8 9; do echo {_halves(MARKERS["free"])}; done >/mnt/small/gone
rm /mnt/small/gone
sync
WORD={_halves(MARKERS["user"])} sleep 100000 &
cgroup=/sys/fs/cgroup/parent/child; mkdir -p $cgroup; echo $! >$cgroup/cgroup.procs
sh -c 'sleep 200000; :' &
(cd /mnt/small && exec tail -f file >/dev/null) &
syslogd -O /tmp/log
httpd -p 127.0.0.1:8080 -h /tmp
nc -l -p 5555 </dev/null >/dev/null 2>&1 &
mkfifo /tmp/end /tmp/fifo && cat /tmp/fifo >/dev/null &
# Pages wait in per-CPU batches, where makedumpfile knows neither user nor cache pages.
echo 1 >/proc/sys/vm/drop_caches
"""

_DYING = 'echo "@@@ dying"\n'
# Process 1 sleeps in an open() that never ends: no child that the facts do not have.
_END = "read nothing </tmp/end\nwhile :; do sleep 1000; done\n"
_HUNG = (
    "echo 1 >/proc/sys/kernel/hung_task_panic\necho 4 >/proc/sys/kernel/hung_task_timeout_secs\n"
)
_CLIENTS = """
ulimit -n 4096
i=0; while [ $i -lt @COUNT@ ]; do sleep $((100000 + i)) & i=$((i + 1)); done
i=0; while [ $i -lt 60 ]; do httpd -p 127.0.0.1:$((9000 + i)) -h /tmp; i=$((i + 1)); done
i=0; while [ $i -lt 60 ]; do
  (sleep 100000 | nc 127.0.0.1 $((9000 + i)) >/dev/null) & i=$((i + 1)); done
i=0; while [ $i -lt 20 ]; do nc -u -l -p $((7000 + i)) >/dev/null 2>&1 & i=$((i + 1)); done
"""


# struct cf_key {1, 1500} and two of struct cf_value.
_BPF = """
bpftool prog loadall /cf_bpf.o /sys/fs/bpf/cf pinmaps /sys/fs/bpf/cf_maps || echo "@@@ bpf failed"
bpftool map update name cf_counters key hex 01 00 00 00 dc 05 00 00 value hex \\
  07 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00 02 00 00 00 68 65 6c 6c 6f 00 00 00 00 00 00 00
bpftool map update name cf_totals key hex 02 00 00 00 value hex \\
  2a 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 01 00 00 00 74 6f 74 61 6c 00 00 00 00 00 00 00
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to come to an end."""

    name: str
    summary: str
    trigger: str
    """Shell that brings about the panic."""
    setup: str = ""
    """Shell that runs before the facts are taken."""
    settle: float = 2
    """Seconds between ``setup`` and the facts."""
    memory: int = 0
    """MiB that it needs more than others."""
    own_module: bool = False
    """Needs the module in modules/fault."""
    disk: bool = False
    """Needs an ext4 image at /disk.img."""
    own_program: str = ""
    """Name of a program in programs/ that it needs, as /NAME."""
    bpf: bool = False
    """Needs bpftool, and the programs of programs/cf_bpf.bpf.c as /cf_bpf.o."""
    expect: dict[str, Any] = field(default_factory=dict)
    """
    Further truths about the dump, for its manifest: ``panic_comm`` and
    ``panic_frames`` (functions on the stack of the panic task, innermost first,
    with others between them), ``later_tasks`` (names of tasks that began after
    the facts were taken), and what else a scenario has.
    """


_WIDGETS = [
    {"number": 7, "color": "CF_RED", "name": "anvil", "weight": 1234},
    {"number": -3, "color": "CF_GREEN", "name": "bolt", "weight": 17},
    {"number": 2000000000, "color": "CF_BLUE", "name": "cog", "weight": 1},
]

SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            "sysrq-panic",
            "echo c > /proc/sysrq-trigger by process 1",
            "echo c >/proc/sysrq-trigger\n",
            expect={"panic_comm": "init", "panic_frames": ["sysrq_handle_crash"]},
        ),
        Scenario(
            "null-deref",
            "a NULL dereference in our own module, three calls deep",
            "echo 1 >/proc/sys/kernel/panic_on_oops\n"
            "sh -c 'echo null >/sys/module/cf_fault/parameters/trigger' &\n",
            own_module=True,
            expect={
                "panic_comm": "sh",
                "panic_frames": ["cf_level3", "cf_level2", "cf_level1", "cf_trigger"],
                "later_tasks": ["sh"],
                "widgets": _WIDGETS,
            },
        ),
        Scenario(
            "bug",
            "BUG() in our own module",
            "echo 1 >/proc/sys/kernel/panic_on_oops\n"
            "sh -c 'echo bug >/sys/module/cf_fault/parameters/trigger' &\n",
            own_module=True,
            expect={
                "panic_comm": "sh",
                "panic_frames": ["cf_bug", "cf_trigger"],
                "later_tasks": ["sh"],
                "widgets": _WIDGETS,
            },
        ),
        Scenario(
            "hung-tasks",
            "writers in D state on a frozen ext4, panic by khungtaskd",
            _HUNG,
            setup="fsfreeze --freeze /mnt/disk\n"
            "for i in 1 2 3 4; do (echo $i >/mnt/disk/frozen$i) & done\n"
            "mkdir /mnt/disk/folder &\n",
            settle=3,
            disk=True,
            expect={"blocked_at_least": 5, "panic_comm": "khungtaskd"},
        ),
        Scenario(
            "deadlock",
            "two kernel threads of our own module, each waiting for the other's mutex",
            _HUNG,
            setup="echo deadlock >/sys/module/cf_fault/parameters/trigger\n",
            settle=3,
            own_module=True,
            expect={
                "panic_comm": "khungtaskd",
                "blocked": ["cf_ab", "cf_ba"],
                "blocked_at_least": 2,
                "owners": {"cf_left": "cf_ab", "cf_right": "cf_ba"},
                "widgets": _WIDGETS,
            },
        ),
        Scenario(
            "oom",
            "out of memory with panic_on_oom",
            "echo 2 >/proc/sys/vm/panic_on_oom\ntail /dev/zero &\n",
            expect={"panic_frames": ["out_of_memory"], "later_tasks": ["tail"]},
        ),
        Scenario(
            "many",
            "some 2000 tasks and some hundreds of sockets, then sysrq",
            "echo c >/proc/sysrq-trigger\n",
            setup=_CLIENTS.replace("@COUNT@", "1800"),
            settle=8,
            memory=512,
            expect={"panic_comm": "init", "panic_frames": ["sysrq_handle_crash"]},
        ),
        Scenario(
            "bpf",
            "bpf programs and maps that brought BTF of their own, then sysrq",
            "echo c >/proc/sysrq-trigger\n",
            setup=_BPF,
            memory=128,
            bpf=True,
            expect={"panic_comm": "init", "panic_frames": ["sysrq_handle_crash"]},
        ),
        Scenario(
            "threads",
            "more than 20000 tasks, most of them threads of 200 processes, then sysrq",
            "echo c >/proc/sysrq-trigger\n",
            # The kernel allows for fewer by the size of its memory.
            setup="echo 100000 >/proc/sys/kernel/threads-max\n"
            "echo 100000 >/proc/sys/kernel/pid_max\n"
            "/threads 200 100 || echo '@@@ threads failed'\n",
            memory=1900,
            own_program="threads",
            expect={
                "panic_comm": "init",
                "panic_frames": ["sysrq_handle_crash"],
                "tasks_at_least": 20000,
            },
        ),
    )
}


def script(scenario: Scenario, before: str = "", probes: Mapping[str, str] | None = None) -> str:
    """
    Return the init script of a guest.

    :param before: Shell that runs after the setup and before the facts (kexec).
    :param probes: Further facts, taken between those that stay and those that change.
    """
    return "".join(
        (
            _START,
            scenario.setup,
            before,
            f"sleep {scenario.settle:g}\n",
            facts.shell({**facts.PROBES, **(probes or {})}),
            facts.shell(facts.LATE_PROBES),
            _DYING,
            scenario.trigger,
            _END,
        )
    )
