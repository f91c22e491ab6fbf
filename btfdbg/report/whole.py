"""``report(session)``: the verdict, what it rests on, and a section per check.

Owns running the checks, each in its own right: one that fails or lacks what it needs says
so in its section and costs the others nothing.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from btfdbg.interrupts import held
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.happened import DecidedLook, Happened
from btfdbg.report.parts import Line, Report, Section
from btfdbg.report.registry import CHECKS, Check
from btfdbg.report.sentence import evidence, verdict
from btfdbg.vmcore.read_failures import unread

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from btfdbg.program.session import Session

VERDICT = "verdict"
"""Asks for none of the sections: what stands above them is always told."""

LAST = "unread"
"""The check that says what the others could not read."""

_loaded = False


def load_checks() -> None:
    """Import our checks and the user's; cheap after the first call."""
    global _loaded
    if _loaded:
        return
    with held():
        _loaded = True
        from btfdbg.report import checks

        for module in iter_modules(checks.__path__, checks.__name__ + "."):
            import_module(module.name)
        from btfdbg.program.extensions import load

        load("checks", "btfdbg.checks")


def ordered_checks() -> list[Check]:
    """All checks, in the order of their sections."""
    load_checks()
    return sorted(CHECKS.values(), key=lambda c: (c.order, c.id))


def section_titles() -> list[tuple[str, str]]:
    """Id and title of whatever may be asked for, in order."""
    return [(VERDICT, "What happened"), *((c.id, c.title) for c in ordered_checks())]


def unknown_sections(names: Collection[str]) -> str:
    """What is wrong with ids of sections, "" if there are all of them."""
    there = [name for name, _ in section_titles()]
    unknown = set(names).difference(there)
    if not unknown:
        return ""
    return f"no section {', '.join(sorted(unknown))}; there are {', '.join(sorted(there))}"


def report(session: Session, only: Collection[str] = ()) -> Report:
    """
    Say what a dump says.

    :param session: Of a dump; see :func:`btfdbg.session`.
    :param only: Ids of checks; all if it is empty, none if it is ``verdict``.

    >>> report(session).verdict
    'Somebody panicked this machine on purpose: init(1) wrote to /proc/sysrq-trigger.'
    """
    look = DecidedLook(session)
    look.happened = Happened(look)
    return report_of(look, only)


def report_of(look: DecidedLook, only: Collection[str] = ()) -> Report:
    """
    Say what a look at a dump says, whose decision is made.

    :param only: As of :func:`report`.
    """
    checks = ordered_checks()
    happened, session = look.happened, look.session
    sentence = verdict(happened)
    grounds = tuple(evidence(happened))
    # What comes up later is a section's own, and said there: the verdict does not rest on it.
    doubts = tuple(look.doubts.said)
    first = "blocked" if happened.kind in ("hung-task", "deadlock") else "crash"
    # What could not be read is known when all the others have been asked.
    ordered = sorted(checks, key=lambda c: (c.id == LAST, c.id != first))
    sections = tuple(run(look, one) for one in ordered if not only or one.id in only)
    return Report(
        sentence,
        happened.kind,
        happened.signature,
        grounds,
        doubts,
        sections,
        str(session.dump.path) if session.dump is not None else "",
        session.release,
    )


def run(look: DecidedLook, check: Check) -> Section:
    """Run one check."""
    missing = [need for need in check.needs if not look.has(need)]
    if missing:
        why = _lacking(look, missing)
        return Section(check.id, check.title, (), check.more, why)
    remarked = unread(look.prog).remarked_of()
    doubted = len(look.doubts.said)
    items = []
    why = ""
    try:
        for item in check.run(look):
            items.append(item)
    except UNREADABLE as e:
        why = f"it ended early: {e}"
    items += [
        Line(f"Not all of it could be read: {what}.", "note") for what in _new(look, remarked)
    ]
    items += [
        Line(f"{doubt[:1].upper()}{doubt[1:]}.", "note") for doubt in look.doubts.said[doubted:]
    ]
    if why:
        look.pass_over()
    return Section(check.id, check.title, tuple(items), check.more, why)


def _new(look: DecidedLook, before: Mapping[str, int]) -> list[str]:
    """What walks have said since then about data that they lost."""
    now = unread(look.prog).remarked_of()
    return [what for what, count in now.items() if count > before.get(what, 0)]


def _lacking(look: DecidedLook, needs: Sequence[str]) -> str:
    """Why a check cannot be run: what is there, but has no type or address, is not absent."""
    from btfdbg.program.untyped import explain

    told = {need: explain(look.session, need) for need in needs if " " not in need}
    absent = [need for need in needs if not told.get(need)]
    words = [text for text in told.values() if text]
    if absent:
        words.append(f"this kernel has no {', '.join(absent)}")
    return "; ".join(words)
