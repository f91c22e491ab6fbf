"""``waitq``: refuse what is no wait queue, before drgn calls it an empty one.

drgn reads a ``struct list_head`` behind the address that it is given. Behind a mutex, or at
the start of a structure that has its queue further on, there is none, and what it says then
is that nobody waits.

Facts: ``include/linux/wait.h`` (struct wait_queue_head; commit 2055da97389a renamed
``task_list`` to ``head``), ``include/linux/list.h`` (an entry's neighbours name it).
"""

from __future__ import annotations

from typing import Any

import drgn
from drgn import FaultError, offsetof
from drgn.commands import CommandError

from btfdbg.commands import kernel_names, values
from btfdbg.commands.candidates import underlying
from btfdbg.commands.crash.call import Call
from btfdbg.commands.crash.operands import hexadecimal

_INSIDE = "of a queue inside of a structure: waitq STRUCT.MEMBER ADDRESS"


def plain(call: Call) -> Any:
    """drgn's ``waitq``, of an expression as well."""
    words = list(call.args.posargs or ())
    if not 1 <= len(words) <= 2:
        return call.drgns()  # it says what is missing, or too many
    address = words[-1] = hexadecimal(call.session, words[-1])
    call.args.posargs = words
    start = int(values.address(call.session, address))
    if len(words) == 2:
        offset = _offset(call, words[0])
        if offset is None:
            call.args.posargs = words = [address]
        else:
            start += offset
    _check(call.prog, start, " ".join(words))
    return call.drgns()


def _offset(call: Call, text: str) -> int | None:
    """The offset of STRUCT.MEMBER, a wait queue; None for a member of the queue's own."""
    root, _, path = text.partition(".")
    type_ = kernel_names.find_type(call.session, root)
    if _is_queue(type_):
        return None
    found = drgn.Object(call.prog, type_, address=0).subobject_(path).type_
    if not _is_queue(found):
        raise CommandError(f"{text} is {found.type_name()}, no wait queue")
    return int(offsetof(type_, path))


def _is_queue(type_: drgn.Type) -> bool:
    return getattr(underlying(type_), "tag", None) in ("wait_queue_head", "__wait_queue_head")


def _check(prog: drgn.Program, start: int, words: str) -> None:
    """
    Raise unless one of the neighbours of the queue's head names it.

    One is enough: a queue that is damaged on one side is walked from the other.
    """
    queue = drgn.Object(prog, "wait_queue_head_t", address=start)
    try:
        head = queue.head
    except AttributeError:
        head = queue.task_list
    at = head.address_
    for way, back in (("next", "prev"), ("prev", "next")):
        try:
            if head.member_(way).member_(back).value_() == at:
                return
        except FaultError:
            continue
    raise CommandError(f"{words} is no wait queue, or its entries cannot be read; {_INSIDE}")
