"""``log`` with what a message's record has beside its text, and the logs beside the log.

Owns the form of a line with level, caller and dictionary. The records are drgn's.

Facts: ``kernel/printk/printk_ringbuffer.h``; ``kernel/audit.c`` (audit_queue, auditd_conn);
``kernel/printk/printk_safe.c`` until v5.15 (safe_print_seq, nmi_print_seq).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, absent
from btfdbg.program.log_records import caller_of

_MAX_RECORD = 1 << 20


def plain(call: Call) -> Any:
    """drgn's ``log``; as JSON a row per record."""
    return records(call) if tables.wanted() else call.drgns()


def records(call: Call) -> None:
    """``-m``, ``-d``, ``-c`` in any combination, with ``-t`` and ``-T``."""
    from drgn.helpers.linux.printk import get_printk_records

    stamps = call.args.timestamps
    booted = _boot_time(call.prog) if stamps == "human" and not tables.wanted() else 0
    rows: list[tuple[Any, ...]] = [
        ("seq", "timestamp", "level", "facility", "caller", "text", "dictionary")
    ]
    for record in get_printk_records(call.prog):
        text = record.text.decode("utf-8", "backslashreplace")
        caller = caller_of(record)
        if tables.wanted():
            pairs = {_text(k): _text(v) for k, v in record.context.items()}
            rows.append((
                record.seq, record.timestamp / 1e9, record.level, record.facility,
                caller or None, text, pairs,
            ))  # fmt: skip
            continue
        head = f"[{record.timestamp // 1000 / 1e6:>12.6f}] " if stamps else ""
        if stamps == "human":
            head = f"[{_date(booted + record.timestamp)}] "
        if call.has("-c") and caller:
            head += f"[{caller:>6}] "
        level = f"<{record.level | record.facility << 3:x}>" if call.has("-m") else ""
        indent = " " * len(head)
        for i, line in enumerate(text.split("\n")):
            print(f"{indent if i else head}{'' if i else level}{line}")
        if call.has("-d"):
            for key, value in record.context.items():
                print(f"{indent}{_text(key)}={_text(value)}")
    if tables.wanted():
        tables.section(rows)


def _boot_time(prog: drgn.Program) -> int:
    """When the kernel booted, in nanoseconds since 1970, as drgn's ``log -T`` has it."""
    from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_get_coarse_real_ns

    booted: int = ktime_get_coarse_real_ns(prog).value_() - ktime_get_coarse_ns(prog).value_()
    return booted


def _date(nanoseconds: int) -> str:
    date = datetime.fromtimestamp(nanoseconds // 1_000_000_000)
    return date.astimezone().strftime("%a %b %e %T %Z %Y")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def audit(call: Call) -> None:
    """``-a``: struct sk_buff of the audit queues, whose data is a netlink message."""
    prog = call.prog
    rows: list[tuple[Any, ...]] = [("queue", "skb", "type", "text")]
    known = False
    for name in ("audit_queue", "audit_retry_queue", "audit_hold_queue"):
        try:
            queue = prog[name]
        except LookupError:
            continue
        known = True
        head = queue.address_of_().value_()
        at, left = queue.next.read_(), queue.qlen.value_() + 1
        while at.value_() != head and left > 0:
            left -= 1
            rows.append((name, tables.hexadecimal(at.value_()), *_netlink(at)))
            at = at.next.read_()
    if not known:
        otherwise = "this kernel has no audit queues (or no type is known for them)"
        raise absent(prog, "-a", "audit_queue", otherwise)
    if tables.wanted():
        tables.section(rows)
        return
    for _, _, kind, text in rows[1:]:
        print(f"type={kind} {text}")
    if len(rows) == 1:
        print("log: kernel audit log is empty")


def _netlink(skb: drgn.Object) -> tuple[int, str]:
    """Type and text of the netlink message that an sk_buff holds."""
    size = min(skb.len.value_(), _MAX_RECORD)
    data = skb.prog_.read(skb.data.value_(), size) if size else b""
    type_ = skb.prog_.type("struct nlmsghdr")
    start = drgn.sizeof(type_)
    if len(data) < start:
        return 0, ""
    header = drgn.Object.from_bytes_(skb.prog_, type_, data)
    return header.nlmsg_type.value_(), _text(data[start:].rstrip(b"\0"))


def safe_buffers(call: Call) -> None:
    """``-s``: printk's per-CPU buffers for messages from unsafe places."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    found = False
    for name in ("nmi_print_seq", "safe_print_seq"):
        try:
            variable = call.prog[name]
        except LookupError:
            continue
        found = True
        for cpu in for_each_possible_cpu(call.prog):
            buffer = per_cpu(variable, cpu)
            size = min(buffer.len.counter.value_(), drgn.sizeof(buffer.buffer))
            print(f"CPU: {cpu}  {name}: {size} bytes")
            text = bytes(buffer.buffer.to_bytes_()[: max(size, 0)])
            if text:
                print(_text(text))
    if not found:
        raise CommandError(
            "-s: this kernel has no per-CPU printk buffers (they went in v5.15); type log"
        )
