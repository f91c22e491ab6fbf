"""Network: packets that wait to be sent or received, and queues that are stopped.

Facts: ``include/linux/netdevice.h`` (``__QUEUE_STATE_DRV_XOFF`` is bit 0, ``STACK_XOFF``
bit 1; ``softnet_data.input_pkt_queue``), ``include/net/sch_generic.h`` (qdisc_qlen_sum: a
qdisc without a lock counts per CPU in ``cpu_qstats``, and only the sum means something),
``include/uapi/linux/if.h`` (IFF_UP is 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import drgn

from btfdbg.program.up_cpus import for_each_up_cpu
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

_DEVICES = 1 << 12
_QUEUES = 1 << 12
_CPUS = 1 << 12
_SHOWN = 30
_UP = 1
_STOPPED = ((1, "by the driver"), (2, "by the stack's limit"))
_MASK = 0xFFFFFFFF


@check(
    "network",
    "Network queues",
    needs=("net_namespace_list", "struct netdev_queue"),
    more=("net",),
    order=77,
)
def network(look: Look) -> Iterator[Item]:
    """Print the devices' queues that hold packets or are stopped, and the CPUs' backlogs."""
    from drgn.helpers.linux.net import for_each_net, for_each_netdev, netdev_name

    rows: list[tuple[str | int, ...]] = []
    devices = lost = 0
    every = (dev for net in for_each_net(look.prog) for dev in for_each_netdev(net))
    for device in itertools.islice(every, _DEVICES):
        devices += 1
        try:
            name = netdev_name(device).decode("utf-8", "backslashreplace")
            if int(device.flags) & _UP:
                rows += _queues(look, device, name)
        except UNREADABLE:
            lost += 1
            look.pass_over()
    if rows:
        head = ("device", "queue", "packets", "stopped")
        left_out = max(len(rows) - _SHOWN, 0)
        yield Table(head, tuple(rows[:_SHOWN]), "queues to send", left_out)
    else:
        yield Line(f"Devices that were read: {devices - lost}; nothing waits to be sent on them.")
    if lost:
        yield Line(f"Devices that cannot be read: {lost}.", "note")
    backlogs = tuple(_backlogs(look))
    if backlogs:
        yield Table(("CPU", "packets"), backlogs[:_SHOWN], "received, not looked at yet")


def _queues(look: Look, device: drgn.Object, name: str) -> Iterator[tuple[str | int, ...]]:
    from drgn.helpers.linux.net import netdev_for_each_tx_queue

    seen = set()
    queues = itertools.islice(netdev_for_each_tx_queue(device), _QUEUES)
    for number, queue in enumerate(queues):
        state = int(queue.state)
        stopped = ", ".join(words for bit, words in _STOPPED if state & bit)
        # Queues of one device may share a qdisc.
        qdisc = queue.qdisc.read_()
        waiting = 0 if qdisc.value_() in seen else _length(look, qdisc)
        seen.add(qdisc.value_())
        if waiting or stopped:
            yield name, number, waiting, stopped


def _length(look: Look, qdisc: drgn.Object) -> int:
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    length = int(qdisc.q.qlen)
    if qdisc.cpu_qstats:
        for cpu in itertools.islice(for_each_possible_cpu(look.prog), _CPUS):
            length += int(per_cpu_ptr(qdisc.cpu_qstats, cpu).qlen)
    return length & _MASK


def _backlogs(look: Look) -> Iterator[tuple[int, int]]:
    from drgn.helpers.linux.percpu import per_cpu

    for cpu in itertools.islice(for_each_up_cpu(look.prog), _CPUS):
        try:
            data = per_cpu(look.prog["softnet_data"], cpu)
            count = int(data.input_pkt_queue.qlen) + int(data.process_queue.qlen)
        except UNREADABLE:
            look.pass_over()
            continue
        if count:
            yield cpu, count
