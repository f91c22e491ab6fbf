"""What a prompt says before anybody asked: the crash's name, whose it was, what to type.

Owns three short lines, made without the parts of a report that cost time (the code, the
other tasks' stacks unless the crash is about them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.report.look import UNREADABLE, Look

if TYPE_CHECKING:
    from btfdbg.program.session import Session


def first_lines(session: Session) -> list[str]:
    """
    Return the crash's title, the task that panicked with its CPU and uptime, the next step.

    :return: Nothing for a running kernel; what cannot be told is left out.
    """
    from btfdbg.report.happened import Happened

    try:
        look = Look(session)
        happened = Happened(look)
        title = happened.signature.title
        task = look.panic_task
        who = "" if task is None else str(look.who(task))
    except UNREADABLE:
        return []
    lines = [title[:1].upper() + title[1:]]
    where = [f"{who} on CPU {look.panic_cpu}" if who else "no task panicked"]
    try:
        from drgn.helpers.linux.timekeeping import uptime

        seconds = int(uptime(session.prog))
        where.append(f"after {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}")
    except (*UNREADABLE, ImportError):
        pass
    lines.append(" ".join(where))
    lines.append("report says what happened and why, ctx shows where")
    return lines
