"""
What happens in a guest before it dies.

Owns: the script of process 1, and the scenarios in which no code of ours in the
kernel is to blame. Must not know: how QEMU is run, packages.
A scenario that ends in a kernel panic works with kdump too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import facts, faults
from .run import BuildError
from .scenario import HUNG_TASK, SYSRQ, Ask, Scenario

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


def _disk(name: str) -> str:
    """Return shell for the device file of a disk."""
    return f"/dev/$(grep -l {name} /sys/block/vd*/serial | cut -d/ -f4)"


# A panic stops the serial driver: what is still in its buffer then would be lost.
_DYING = 'echo "@@@ dying"\nsleep 1\n'
# Process 1 sleeps in an open() that never ends: no child that the facts do not have.
_END = "read nothing </tmp/end\nwhile :; do sleep 1000; done\n"
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

# Frozen files, a small control group under pressure, and everything else by the program itself.
_BUSY = """
mkdir /tmp/busy
fsfreeze --freeze /mnt/disk
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/tight
echo 20M >/sys/fs/cgroup/tight/memory.max
echo 64M >/sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0
(echo 0 >/sys/fs/cgroup/tight/cgroup.procs; exec /busy memory) &
(/busy calls /tmp/busy /mnt/disk || echo '@@@ cannot: busy failed') &
"""

# One request of 512 bytes a second: those of 64 KiB take minutes.
_STALL_DISK = {
    "device": "spare",
    "bps": 0, "bps_rd": 0, "bps_wr": 0,
    "iops": 1, "iops_rd": 0, "iops_wr": 0,
    "iops_size": 512,
}  # fmt: skip
# CPU, bank, then MCi_STATUS (valid, uncorrected, enabled, address valid, context corrupt; an
# error in a data cache), MCG_STATUS (in progress), MCi_ADDR and MCi_MISC.
_MACHINE_CHECK = "mce 0 4 0xb600000000000134 0x4 0x12345000 0"

_BY_INIT = {
    "kind": "panic-by-hand",
    "panic_comm": "init",
    "panic_frames": ["sysrq_handle_crash"],
}

_OTHERS = (
    Scenario(
        "sysrq-panic",
        "echo c > /proc/sysrq-trigger by process 1",
        SYSRQ,
        expect=_BY_INIT,
    ),
    Scenario(
        "hung-tasks",
        "writers in D state on a frozen ext4, panic by khungtaskd",
        HUNG_TASK,
        setup="fsfreeze --freeze /mnt/disk\n"
        "for i in 1 2 3 4; do (echo $i >/mnt/disk/frozen$i) & done\n"
        "mkdir /mnt/disk/folder &\n",
        settle=3,
        disk=True,
        expect={
            "kind": "hung-task",
            "guilty": {"file_system": "ext4", "device": "loop0", "because": "frozen"},
            "blocked_at_least": 5,
            "panic_comm": "khungtaskd",
        },
    ),
    Scenario(
        "slow-disk",
        "readers in D state whose requests a disk has and does not answer, panic by khungtaskd",
        HUNG_TASK,
        setup=f"spare={_disk('spare')}\n"
        "echo '@@@ ask stall'\nsleep 2\n"
        "for i in 1 2 3 4; do"
        " dd if=$spare of=/dev/null bs=64k count=1 skip=$((i * 10)) & done\n"
        "dd if=$spare of=/dev/null bs=4k count=1 skip=900 &\n",
        settle=4,
        disks=("spare",),
        asks=(Ask("stall", "block_set_io_throttle", _STALL_DISK),),
        expect={
            "kind": "hung-task",
            "guilty": {"because": "requests in flight"},
            # The disk still answers the first of the five.
            "blocked": ["dd"] * 4,
            "blocked_at_least": 4,
            "in_flight_at_least": 4,
            "panic_comm": "khungtaskd",
        },
    ),
    Scenario(
        "oom",
        "out of memory with panic_on_oom",
        "echo 2 >/proc/sys/vm/panic_on_oom\ntail /dev/zero &\n",
        expect={
            "kind": "out-of-memory",
            "guilty": {"task": "tail"},
            "panic_frames": ["out_of_memory"],
            "later_tasks": ["tail"],
        },
    ),
    Scenario(
        "nmi",
        "an NMI from outside, with unknown_nmi_panic, while the CPUs are idle",
        "echo 1 >/proc/sys/kernel/unknown_nmi_panic\necho '@@@ ask nmi'\n",
        asks=(Ask("nmi", "inject-nmi"),),
        # Of the machines here only the PC has a wire for it.
        arches=("amd64",),
        expect={"kind": "panic-by-hand", "panic_frames": ["unknown_nmi_error"]},
    ),
    Scenario(
        "machine-check",
        "a fatal machine check: an uncorrected error in a data cache",
        "echo '@@@ ask mce'\n",
        asks=(Ask("mce", "human-monitor-command", {"command-line": _MACHINE_CHECK}),),
        arches=("amd64",),
        expect={"kind": "hardware", "panic_frames": ["mce_panic"]},
    ),
    Scenario(
        "snapshot",
        "a healthy guest, dumped as it is",
        "",
        panics=False,
        expect={"kind": "snapshot"},
    ),
    Scenario(
        "busy",
        "some 70 processes, each in a system call of its own, then sysrq",
        SYSRQ,
        setup=_BUSY,
        settle=6,
        memory=96,
        disk=True,
        own_program="busy",
        probes=facts.TASK_PROBES,
        expect={**_BY_INIT, "tasks_at_least": 100},
    ),
    Scenario(
        "many",
        "some 2000 tasks and some hundreds of sockets, then sysrq",
        SYSRQ,
        setup=_CLIENTS.replace("@COUNT@", "1800"),
        settle=8,
        memory=512,
        expect=_BY_INIT,
    ),
    Scenario(
        "bpf",
        "bpf programs and maps that brought BTF of their own, then sysrq",
        SYSRQ,
        setup=_BPF,
        memory=128,
        bpf=True,
        expect=_BY_INIT,
    ),
    Scenario(
        "threads",
        "more than 20000 tasks, most of them threads of 200 processes, then sysrq",
        SYSRQ,
        # The kernel allows for fewer by the size of its memory.
        setup="echo 100000 >/proc/sys/kernel/threads-max\n"
        "echo 100000 >/proc/sys/kernel/pid_max\n"
        "/threads 200 100 || echo '@@@ threads failed'\n",
        memory=1900,
        own_program="threads",
        expect={**_BY_INIT, "tasks_at_least": 20000},
    ),
)

SCENARIOS: dict[str, Scenario] = {each.name: each for each in (*_OTHERS, *faults.SCENARIOS)}


def _ending(scenario: Scenario, probes: Mapping[str, str]) -> str:
    """Return the script's end, from the facts on."""
    return "".join(
        (
            f"sleep {scenario.settle:g}\n",
            facts.shell(probes),
            facts.shell({**facts.LATE_PROBES, **scenario.probes}),
            _DYING,
            scenario.trigger,
            _END,
        )
    )


def script(scenario: Scenario, before: str = "", probes: Mapping[str, str] | None = None) -> str:
    """
    Return the init script of a guest.

    :param before: Shell that runs after the setup and before the facts (kexec).
    :param probes: Further facts, taken between those that stay and those that change.
    """
    ending = _ending(scenario, {**facts.PROBES, **(probes or {})})
    return "".join((_START, scenario.setup, before, ending))


# What a guest asks for once it has nothing more to do before any scenario begins.
BEGIN = "begin"
BEGIN_DISK = "begin"


def common(scenarios: Sequence[Scenario]) -> Scenario:
    """
    Return what several scenarios share: a guest that waits until it is told how to go on.

    It looks at a disk, on which :func:`continuation` has to appear.

    :raises BuildError: they need guests that differ.
    """
    if len({each.append for each in scenarios}) != 1:
        raise BuildError("scenarios that tell the kernel different things need guests of their own")
    programs = {each.own_program for each in scenarios} - {""}
    if len(programs) > 1 or any(each.bpf for each in scenarios):
        raise BuildError("scenarios with programs of their own need guests of their own")
    return Scenario(
        "series",
        ", ".join(each.name for each in scenarios),
        trigger="",
        setup="".join(
            (
                facts.shell(facts.PROBES),
                f"begin={_disk(BEGIN_DISK)}\necho '@@@ ask {BEGIN}'\n",
                "until dd if=$begin of=/tmp/.go bs=64k count=1 2>/dev/null",
                " && grep -q '^# go$' /tmp/.go; do sleep 1; blockdev --flushbufs $begin; done\n",
                ". /tmp/.go\n",
            )
        ),
        memory=max(each.memory for each in scenarios),
        own_module=any(each.own_module for each in scenarios),
        disk=any(each.disk for each in scenarios),
        disks=(*dict.fromkeys(name for each in scenarios for name in each.disks), BEGIN_DISK),
        own_program=next(iter(programs), ""),
        append=scenarios[0].append,
    )


def continuation(scenario: Scenario) -> bytes:
    """Return what a guest of :func:`common` has to find on its disk to play one scenario."""
    text = "# go\n" + scenario.setup + _ending(scenario, facts.VOLATILE_PROBES)
    return text.encode().ljust(64 << 10, b"\n")
