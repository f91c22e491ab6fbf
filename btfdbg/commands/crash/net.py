"""``net``: sockets of tasks, and devices of a namespace.

Owns what of a socket is shown. drgn's own ``net`` shows devices and the ARP cache.

Facts: ``include/net/sock.h`` (struct sock_common), ``include/linux/socket.h`` (AF_*),
``include/linux/net.h`` (enum sock_type), ``net/socket.c`` (socket_file_ops).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, absent, header
from btfdbg.vmcore.platforms import byte_order

_FAMILIES = (
    "UNSPEC", "UNIX", "INET", "AX25", "IPX", "APPLETALK", "NETROM", "BRIDGE", "ATMPVC", "X25",
    "INET6", "ROSE", "DECNET", "NETBEUI", "SECURITY", "KEY", "NETLINK", "PACKET", "ASH",
    "ECONET", "ATMSVC", "RDS", "SNA", "IRDA", "PPPOX", "WANPIPE", "LLC", "IB", "MPLS", "CAN",
    "TIPC", "BLUETOOTH", "IUCV", "RXRPC", "ISDN", "PHONET", "IEEE802154", "CAIF", "ALG", "NFC",
    "VSOCK", "KCM", "QIPCRTR", "SMC", "XDP", "MCTP",
)  # fmt: skip
_TYPES = {
    1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 6: "DCCP", 10: "PACKET",
}  # fmt: skip
_INET, _INET6 = 2, 10

_HEAD = ("FD", "SOCKET", "SOCK", "FAMILY:TYPE", "SOURCE-PORT", "DESTINATION-PORT")


def sockets(call: Call) -> None:
    """``-s``, ``-S``: what sockets a task has open."""
    wanted = call.option("-R")
    shown = 0
    for task in call.tasks():
        found = [
            (fd, sock, sk)
            for fd, sock, sk in _sockets_of(task)
            if wanted is None or _is(str(wanted), fd, sock, sk)
        ]
        if wanted is not None and not found:
            continue
        if shown and not tables.wanted():
            print()
        shown += 1
        if not tables.wanted():
            header(task)
        if call.has("-S"):
            _structs(call, found)
        elif found:
            rows = [_row(fd, sock, sk) for fd, sock, sk in found]
            if tables.wanted():
                pid = task.pid.value_()
                tables.section([("PID", *_HEAD), *((pid, *row) for row in rows)])
            else:
                tables.section([_HEAD, *rows])
        if not found and not tables.wanted():
            print("No open sockets.")
    if wanted is not None and not shown:
        raise CommandError(f"-R {wanted}: no open socket, sock or file descriptor is that")


def _is(wanted: str, fd: int, sock: drgn.Object, sk: drgn.Object) -> bool:
    try:
        address = int(wanted, 16)
    except ValueError:
        raise CommandError(f"-R {wanted}: neither a number nor an address") from None
    return wanted == str(fd) or address in (sock.value_(), sk.value_())


def _sockets_of(task: drgn.Object) -> Iterator[tuple[int, drgn.Object, drgn.Object]]:
    """File descriptor, struct socket and struct sock of each socket that is open."""
    from drgn.helpers.linux.fs import for_each_file

    prog = task.prog_
    try:
        operations = prog.symbol("socket_file_ops").address
    except LookupError:
        otherwise = "this dump has no symbol socket_file_ops"
        raise absent(prog, "-s", "socket_file_ops", otherwise) from None
    # A kernel thread and a task that has exited have no files.
    if not task.files.read_():
        return
    for fd, file in for_each_file(task):
        try:
            if file.f_op.value_() == operations:
                sock = drgn.cast("struct socket *", file.private_data)
                yield fd, sock.read_(), sock.sk.read_()
        except drgn.FaultError:
            continue


def _row(fd: int, sock: drgn.Object, sk: drgn.Object) -> tuple[object, ...]:
    if not sk:
        return (fd, tables.hexadecimal(sock.value_()), None, "(closed)", "", "")
    common = sk.member_("__sk_common")
    family = common.skc_family.value_()
    kind = sk.sk_type.value_()
    name = _FAMILIES[family] if family < len(_FAMILIES) else str(family)
    source = destination = ""
    if family in (_INET, _INET6):
        local, remote = common.skc_num.value_(), _port(common.skc_dport)
        if family == _INET:
            a, b = _ipv4(common.skc_rcv_saddr), _ipv4(common.skc_daddr)
        else:
            a, b = _ipv6(common, "skc_v6_rcv_saddr"), _ipv6(common, "skc_v6_daddr")
        source, destination = f"{a}-{local}", f"{b}-{remote}"
    return (
        fd, tables.hexadecimal(sock.value_()), tables.hexadecimal(sk.value_()),
        f"{name}:{_TYPES.get(kind, kind)}", source, destination,
    )  # fmt: skip


def _port(obj: drgn.Object) -> int:
    return int.from_bytes(obj.to_bytes_(), "big")


def _ipv4(obj: drgn.Object) -> str:
    return str(ipaddress.IPv4Address(obj.to_bytes_()))


def _ipv6(common: drgn.Object, member: str) -> str:
    try:
        return str(ipaddress.IPv6Address(common.member_(member).to_bytes_()))
    except LookupError:
        return "?"  # CONFIG_IPV6 is off


def _structs(call: Call, found: list[tuple[int, drgn.Object, drgn.Object]]) -> None:
    radix = 16 if call.has("-x") else 10 if call.has("-d") else None
    for i, (fd, sock, sk) in enumerate(found):
        if i:
            print()
        tables.section([_HEAD, _row(fd, sock, sk)])
        for obj in (sock, sk):
            if obj:
                print(obj[0].format_(**({} if radix is None else {"integer_base": radix})))


def plain(call: Call) -> Any:
    """drgn's ``net``; where the variable ``init_net`` is not known, init_task's namespace."""
    args = call.args
    if call.has("-R"):
        raise CommandError("-R goes with -s or -S")
    if args.arp or args.drgn:
        return call.drgns()
    try:
        call.prog["init_net"]
    except LookupError:
        _devices(call.prog["init_task"].nsproxy.net_ns)
        return None
    return call.drgns()


def devices(call: Call) -> None:
    """``-n``: the network devices of a task's namespace."""
    task = call.task()
    proxy = task.nsproxy.read_()
    if not proxy:
        raise CommandError(f"-n: pid {task.pid.value_()} has left its namespaces (it exits)")
    _devices(proxy.net_ns)


def _devices(namespace: drgn.Object) -> None:
    # kernel/nsproxy.c: init_nsproxy has no net_ns without CONFIG_NET, nor has a copy of it.
    if not namespace.read_():
        raise CommandError("this kernel was built without networking (CONFIG_NET)")
    from drgn.helpers.linux.net import (
        for_each_netdev,
        netdev_ipv4_addrs,
        netdev_ipv6_addrs,
        netdev_name,
    )

    rows: list[tuple[object, ...]] = [("NET_DEVICE", "NAME", "IP ADDRESS(ES)")]
    for device in for_each_netdev(namespace):
        addresses = [str(a) for a in (*netdev_ipv4_addrs(device), *netdev_ipv6_addrs(device))]
        name = netdev_name(device).decode("utf-8", "backslashreplace")
        rows.append((tables.hexadecimal(device.value_()), name, ", ".join(addresses)))
    tables.section(rows)


def ipv4(call: Call) -> None:
    """``-N``: a number, as memory has it, in numbers and dots."""
    text = str(call.option("-N"))
    try:
        # crash takes what has a letter or 0x as hexadecimal, the rest as decimal.
        number = int(text, 10) if text.isdecimal() and not text.startswith("0") else int(text, 16)
        data = number.to_bytes(4, byte_order(call.prog.platform))
    except (ValueError, OverflowError):
        raise CommandError(f"-N {text}: no number of 32 bits") from None
    print(ipaddress.IPv4Address(data))
