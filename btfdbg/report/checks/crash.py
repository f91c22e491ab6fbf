"""The task that panicked: its call, its stack, its registers, the access that faulted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from btfdbg.program import annotate
from btfdbg.report.happened import DecidedLook
from btfdbg.report.parts import Item, Line, Stack, Table, part_of_stack
from btfdbg.report.place import is_about_another
from btfdbg.report.registry import check

_FRAMES = 24


@check("crash", "The task that panicked", more=("ctx", "bt", "dis"), order=20)
def crash(look: DecidedLook) -> Iterator[Item]:
    """Print who, where and with what."""
    task = look.panic_task
    if task is None:
        yield _nobody(look)
        return
    happened = look.happened
    who = look.who(task)
    yield Line(f"{who} at {who.address:#x} on CPU {look.panic_cpu}.")
    if happened.syscall is not None:
        call = happened.syscall
        yield Line(f"It is in {call}: {call.sentence}." if call.file else f"It is in {call}.")
    if happened.access is not None:
        access = happened.access
        yield Line(f"{access}.", "bad")
        yield Line(f"{access.function}+{access.offset:#x}: {access.instruction}")
        yield from _what_fits(look)
    yield from _registers(look)
    calls = happened.stack
    if not calls:
        look.pass_over()
        yield Line("Its stack cannot be unwound.", "note")
        return
    story = calls if is_about_another(happened) else happened.calls
    if story and len(story) < len(calls):
        yield Stack(tuple(map(str, story)), "where it happened, innermost first")
        yield Stack(tuple(map(str, calls[: len(calls) - len(story)])), "how it came to the panic")
    else:
        yield Stack(tuple(map(str, calls)), "innermost first")
    yield from _another(look)


def _another(look: DecidedLook) -> Iterator[Item]:
    """Whom a stall is about that this task only noticed."""
    culprit = look.happened.culprit
    if culprit is None or culprit.task is None:
        return
    who = look.who(culprit.task)
    where = "" if culprit.cpu is None else f" on {culprit.words}"
    yield Line(f"It only noticed: what did not get on is {who}{where}.", "bad")
    yield part_of_stack(look.happened.calls, _FRAMES, f"stack of {who}", who.pid)


def _nobody(look: DecidedLook) -> Line:
    """Why no task is shown: none panicked, or the dump does not tell."""
    if not look.panic_is_told or look.panic_cpu is not None:
        look.pass_over()
    if not look.panic_is_told:
        return Line("Whether a task panicked, and which, cannot be told.", "note")
    if look.panic_cpu is not None:
        return Line(f"CPU {look.panic_cpu} panicked; which task cannot be told.", "note")
    return Line("No task panicked.")


def _what_fits(look: DecidedLook) -> Iterator[Item]:
    """Members that the access may have been to, if the type of its pointer is not known."""
    from btfdbg.frames.own_structs import fitting_members

    happened = look.happened
    access = happened.access
    if access is None or access.type is not None or not access.register:
        return
    module = happened.signature.module
    btf = look.session.modules.get(module) if module else None
    if btf is None:
        return
    found = fitting_members(btf, access.displacement, access.size)
    if found:
        yield Line(
            f"what {access.origin or access.register} points to is not known; of {module}'s own"
            f" structs this fits {' and '.join(found)}",
            "note",
        )


def _registers(look: DecidedLook) -> Iterator[Item]:
    """The registers at the exception, not those of panic()."""
    from btfdbg.frames.exception import registers_at
    from btfdbg.report.place import frame_of

    task = look.panic_task
    trace = look.trace(task) if task is not None else None
    number = None if is_about_another(look.happened) else frame_of(look.happened)
    values = None if trace is None or number is None else registers_at(look.prog, trace, number)
    if values is None:
        return
    cache: dict[Any, Any] = {}
    rows = tuple(
        (name, f"{value:#018x}", annotate.short(look.session, value, cache))
        for name, value in values.items()
    )
    yield Table(("register", "value", "points to"), rows, "registers where it happened")
