"""The verdict in one sentence, and the sentences that it rests on.

Owns words. What they are about is decided in ``happened``; a name that is not known is
left out of the sentence, never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.report.blame.names import base_name
from btfdbg.report.counts import counted
from btfdbg.report.kinds import FAULT, KINDS
from btfdbg.report.logs.log_report import warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from btfdbg.report.blocked import Blocked
    from btfdbg.report.happened import Happened

_NAMED = 3
_SERIOUS = 40  # severity from which an event is no mere remark


def _names(blocked: tuple[Blocked, ...]) -> str:
    names = [str(one.task) for one in blocked[:_NAMED]]
    rest = len(blocked) - len(names)
    return ", ".join(names) + (f" and {rest:,} more" if rest else "")


def _where(h: Happened) -> str:
    found = h.signature
    if not found.function:
        return ""
    return f" in {found.function}" + (f" of the module {found.module}" if found.module else "")


# What interrupts enter the kernel by, and what they enter their handlers by: arch/x86/entry
# (idtentry.h; entry_64.S before v5.8), arch/arm64/kernel/entry.S, arch/riscv/kernel/traps.c,
# arch/s390/kernel/irq.c, arch/powerpc/kernel/irq.c.
_INTERRUPTS = (
    "asm_sysvec_", "sysvec_", "asm_common_interrupt", "common_interrupt", "apic_timer_interrupt",
    "do_IRQ", "ret_from_intr", "el1h_64_irq", "el0t_64_irq", "el1_irq", "el0_irq", "do_irq",
    "handle_riscv_irq", "do_ext_irq", "do_io_irq", "timer_interrupt",
)  # fmt: skip


def _in_interrupt(h: Happened) -> bool:
    """Whether what happened is no doing of the task that was running."""
    return any(call.name.startswith(_INTERRUPTS) for call in h.calls)


def _while(h: Happened) -> str:
    """Who was running, and what for."""
    task = h.look.panic_task
    if task is None:
        return ""
    who = h.look.who(task)
    where = f" in an interrupt on CPU {h.look.panic_cpu}" if _in_interrupt(h) else ""
    if who.pid == 0:
        return f"{where or f' on CPU {h.look.panic_cpu}'}, which was idle"
    if where:
        return f"{where}, where {who} was running"
    if h.syscall is not None:
        return f" while {who} was {h.syscall.sentence}"
    return f" in the task {who}"


def verdict(h: Happened) -> str:
    """Return the one sentence that says what happened."""
    special = _SENTENCES.get(h.kind)
    if special is not None:
        return special(h)
    kind = KINDS[h.kind]
    if kind.choice == FAULT:
        return _fault(h)
    return f"{_capital(kind.words)}{_where(h)}{_while(h)}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _fault(h: Happened) -> str:
    access = h.access
    where = _where(h)
    if access is None or h.kind not in (
        "null-dereference",
        "bad-access",
        "general-protection-fault",
    ):
        return f"{_capital(KINDS[h.kind].words)}{where}{_while(h)}."
    verb = {"read": "read", "write": "wrote", "execute": "called"}[access.kind]
    if access.value == 0:
        pointer = "a NULL pointer"
    elif access.state:
        pointer = f"a bad pointer ({access.state})"
    elif access.value is not None:
        pointer = f"the pointer {access.value:#x}"
    else:
        pointer = ""
    if access.kind == "execute":
        did = ", ".join(word for word in (access.what, pointer or "a bad pointer") if word)
    else:
        did = f"{access.what or 'memory'}{f' through {pointer}' if pointer else ''}"
    origin = f" ({access.origin})" if access.origin else ""
    place = f"{h.signature.function or access.function}"
    module = f" of the module {h.signature.module}" if h.signature.module else ""
    return f"{place}{module} {verb} {did}{origin}{_while(h)}."


def _deadlock(h: Happened) -> str:
    circle = h.blockage.cycles[0] if h.blockage.cycles else ()
    if not circle:
        return f"Deadlock{_where(h)}."
    start = min(range(len(circle)), key=lambda i: circle[i].task.comm)
    ordered = [*circle[start:], *circle[:start]]
    words = f"Deadlock: {ordered[0].task} waits for the {ordered[0].lock}"
    for one in ordered[1:]:
        words += f", held by {one.task}, which waits for the {one.lock}"
    more = len(h.blockage.tasks) - len(circle)
    also = f"; {counted(more, 'more tasks are', 'more task is')} blocked" if more else ""
    return f"{words}, held by {ordered[0].task}{also}."


def _hung(h: Happened) -> str:
    first = h.waiting
    if first is None:
        return f"A hung task{_where(h)}: the kernel panicked because it waited too long."
    blockage = h.blockage
    same = tuple(one for one in blockage.tasks if one.what == first.what)
    frozen = blockage.frozen_for(first.lock)
    count = counted(len(same), "tasks wait", "task waits")
    longest = f" for {first.seconds:.0f} s" if first.seconds is not None else ""
    if frozen is not None:
        return f"{frozen} is frozen, and {count} for it{longest} ({_names(same)})."
    if first.lock is not None and not first.lock.shared and len(same) > 1:
        each = f"each for a {first.lock.kind} of its own"
        locks = {one.lock.address for one in same if one.lock is not None}
        what = each if len(locks) > 1 else f"for the {first.lock}"
        return f"{count}{longest}{_where(h)}, {what} ({_names(same)})."
    if first.lock is not None:
        holder = blockage.holder(first.lock)
        held = f", held by {holder}" if holder is not None else ", whose holder is not recorded"
        return f"{count}{longest} for the {first.lock}{held} ({_names(same)})."
    nobody = "no lock is involved and nobody holds anything"
    files = {one.file for one in same if one.file}
    on = f" with {files.pop()} open" if len(files) == 1 else ""
    return f"{count}{longest}{_where(h)} ({_names(same)}){on}; {nobody}."


def _besides(h: Happened) -> str:
    """What else was wrong at that moment."""
    found = [] if h.trouble is None else [h.trouble.sentence]
    blocked = len(h.blockage.tasks)
    if blocked:
        found.append(counted(blocked, "tasks were blocked", "task was blocked"))
    titles = dict.fromkeys(
        event.title + warned(event)
        for event in h.look.events
        if event is not h.event and KINDS[event.kind].severity >= _SERIOUS
    )
    if titles:
        named = ", ".join(list(titles)[:_NAMED])
        found.append(f"the log had reported {named}")
    return f" At that moment {', and '.join(found)}." if found else ""


def _sysrq(h: Happened) -> str:
    return _by_hand(h) + _besides(h)


def _by_hand(h: Happened) -> str:
    task = h.look.panic_task
    if task is None:
        return "Somebody panicked this machine on purpose."
    who = h.look.who(task)
    names = {base_name(call.name) for call in h.stack}
    if "write_sysrq_trigger" in names:
        return f"Somebody panicked this machine on purpose: {who} wrote to /proc/sysrq-trigger."
    if names & {"unknown_nmi_error", "hpwdt_pretimeout"}:
        return (
            "An NMI that nobody claimed panicked this machine: a button, a watchdog or a"
            " hypervisor sent it."
        )
    if names & {"system_reset_exception", "pnv_system_reset_exception", "do_restart"}:
        return "A hypervisor or console panicked this machine, by a reset or restart."
    if "sysrq_handle_crash" in names:
        return "Somebody panicked this machine on purpose, by the SysRq key."
    return "Somebody panicked this machine on purpose."


def _snapshot(h: Happened) -> str:
    blocked = len(h.blockage.tasks)
    also = f" {counted(blocked, 'tasks were', 'task was')} blocked." if blocked else ""
    if not h.look.panic_is_told:
        return f"The log reports no crash, and whether there was one cannot be told.{also}"
    return f"No crash: the kernel was running when this dump was taken.{also}"


def _oom(h: Happened) -> str:
    task = h.look.panic_task
    who = f": {h.look.who(task)} asked for more" if task is not None else ""
    return f"The kernel ran out of memory and was told to panic then{who}."


def _lockup(words: str) -> Callable[[Happened], str]:
    def say(h: Happened) -> str:
        culprit = h.culprit
        if culprit is not None and culprit.task is not None:
            about = h.look.who(culprit.task)
            if culprit.cpu is None:
                return f"{about}, {culprit.words}, {words}{_where(h)}."
            return f"{culprit.words} {words}{_where(h)}, running {about}."
        cpu = h.event.cpu if h.event is not None and h.event.cpu is not None else h.look.panic_cpu
        where = "A CPU" if cpu is None else f"CPU {cpu}"
        task = h.event if h.event is not None and h.event.comm else None
        who = f", running {task.comm}({task.pid})" if task is not None else ""
        return f"{where} {words}{_where(h)}{who}."

    return say


def _warning(h: Happened) -> str:
    said = warned(h.event) if h.event is not None else ""
    return f"A WARNING{_where(h)}{_while(h)}{said}; the kernel was told to panic then."


_SENTENCES: dict[str, Callable[[Happened], str]] = {
    "deadlock": _deadlock,
    "hung-task": _hung,
    "sysrq": _sysrq,
    "snapshot": _snapshot,
    "out-of-memory": _oom,
    "soft-lockup": _lockup("did not schedule for too long"),
    "hard-lockup": _lockup("took no interrupts for too long"),
    "rcu-stall": _lockup("held up RCU for too long"),
    "warning": _warning,
}


def evidence(h: Happened) -> Iterator[str]:
    """Yield what the verdict rests on, a sentence each."""
    look = h.look
    if look.panic_cpu is not None:
        task = look.panic_task
        who = f", running {look.who(task)}" if task is not None else ""
        names = filter(look.session.lookup_symbols, ("panic_cpu", "crashing_cpu"))
        # Without a symbol the log has told which CPU it was.
        yield f"CPU {look.panic_cpu} panicked{who} ({next(names, 'so the log')})."
    elif h.kind == "snapshot" and look.panic_is_told:
        yield "No CPU has panicked (panic_cpu is -1), and the log reports nothing that ended it."
    if h.witness is not None:
        name = next(
            (c.name for c in h.stack if c.name and h.witness.functions and _is(h, c.name)), ""
        )
        yield f"{name or 'A function'} stands on its stack ({h.witness.why})."
    if h.event is not None:
        yield f"The log says: {h.event.message}"
        if h.event.said:
            yield f"The WARNING says: {h.event.said}"
    if h.access is not None:
        yield f"The code says: {h.access}."
    if h.kind == "rcu-stall" and h.culprit is not None and h.culprit.task is not None:
        about = look.who(h.culprit.task)
        reader = h.culprit.cpu is None
        whom = f"{about}, {h.culprit.words}" if reader else f"{h.culprit.words}, running {about}"
        yield f"RCU waits for {whom} (rcu_state)."
    if h.kind in ("hung-task", "deadlock"):
        for circle in h.blockage.cycles:
            for one in circle:
                if one.lock is not None:
                    yield (
                        f"{one.task} waits for {one.lock} ({one.lock.how}), whose owner is"
                        f" {h.blockage.holder(one.lock)}."
                    )
        first = h.waiting
        if first is not None and not h.blockage.cycles:
            if first.lock is not None:
                yield f"{first.task} waits for {first.lock} ({first.lock.how})."
            for frozen in h.blockage.frozen:
                yield f"s_writers.frozen of {frozen} is set."


def _is(h: Happened, name: str) -> bool:
    from btfdbg.report.witness import witness

    return witness([name]) is h.witness
