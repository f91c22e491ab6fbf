"""``rd -p`` reads physical memory; ``rd`` of a range that ends in a hole shows what is before it.

Owns what ``rd`` reads with ``-p``: drgn 0.3 takes the option, refuses symbols with it, prints
``physical=True`` in its ``--drgn`` code, and reads virtual memory all the same. And where a
range stops: drgn reads all of it before it prints any; crash prints up to the bad address.

Facts: drgn ``commands/_crash/_rd.py``; crash's ``help rd``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import drgn
from drgn import FaultError

from btfdbg.errors import DebugInfoError
from btfdbg.patches.install import reach
from btfdbg.patches.program_proxy import ProgramProxy
from btfdbg.program.session import find_session
from btfdbg.vmcore.explain import explain_physical
from btfdbg.vmcore.read_failures import unread

_PAGE = 4096  # the smallest: where memory may end
_Read = Callable[[drgn.Program, int, int], bytes]


class _Physical(ProgramProxy):
    """A Program whose memory is physical memory."""

    def __init__(self, prog: drgn.Program, only_code: bool) -> None:
        super().__init__(prog)
        self._only_code = only_code

    def read(self, address: int, size: int, physical: bool = True) -> bytes:
        """
        Physical memory.

        :raises DebugInfoError: it is not in the dump. No ``FaultError``: of that drgn's ``rd``
            concludes that the address may be one of a process.
        """
        try:
            with unread(self._prog).silent():  # the error says it
                data: bytes = self._prog.read(address, size, physical=True)
            return data
        except FaultError as e:
            missing = e.address
        if self._only_code:
            return bytes(size)  # it looks only whether there is any
        session = find_session(self._prog)
        why = explain_physical(None if session is None else session.dump, missing)
        # Not within except: as its context, the fault would be counted as one of a virtual address.
        raise DebugInfoError(why.text, step="rd")


def rd(original: Callable[..., Any]) -> Callable[..., Any]:
    """``rd``, with ``-p`` on physical memory, and up to what is not in the dump."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        if find_session(prog) is None:
            return original(prog, name, args, **kwargs)
        used: Any = prog
        if getattr(args, "physical", False):
            used = _Physical(prog, bool(getattr(args, "drgn", False)))
        try:
            return original(used, name, args, **kwargs)
        except (FaultError, DebugInfoError):
            part = _before_hole(prog, args)
            if part is None:
                raise
        given, args.reverse, args.end = dict(vars(args)), False, None
        start, count = part
        args.start, args.count, args.offset = ("addr", start), count, 0
        original(used, name, args, **kwargs)
        args.start, args.count = ("addr", start + count * args.unit), 1
        try:
            return original(used, name, args, **kwargs)  # says why
        finally:
            vars(args).update(given)

    return run


def _before_hole(prog: drgn.Program, args: argparse.Namespace) -> tuple[int, int] | None:
    """
    The part of a range that can be read: address and number of units.

    :return: ``None`` if there is none, or all can be, or it is not about a range.
    """
    if args.raw or args.ascii or args.drgn:
        return None
    resolve = reach("drgn.commands._crash.common", "_resolve_addr_or_sym")
    if resolve is None:
        return None
    try:
        start = int(resolve(prog, args.start)) + args.offset
    except LookupError:
        return None
    unit = args.unit or prog.address_size()
    count = args.count or 1
    if args.end is not None:
        count = (args.end - start) // unit
    elif args.reverse:
        start -= unit * (count - 1)
    with unread(prog).silent():
        readers = (_physical,) if args.physical else (_virtual, _of_the_process)
        units = max(_readable(prog, read, start, count * unit) for read in readers) // unit
    return (start, units) if 0 < units < count else None


def _readable(prog: drgn.Program, read: _Read, start: int, size: int) -> int:
    """Bytes from an address on that can be read, at most so many; page by page."""
    at, end = start, start + size
    while 0 <= at < end <= 1 << 64:
        there = min(end, (at | _PAGE - 1) + 1)
        try:
            read(prog, at, there - at)
        except (FaultError, ValueError):
            break
        at = there
    return at - start


def _virtual(prog: drgn.Program, at: int, size: int) -> bytes:
    data: bytes = prog.read(at, size)
    return data


def _physical(prog: drgn.Program, at: int, size: int) -> bytes:
    data: bytes = prog.read(at, size, physical=True)
    return data


def _of_the_process(prog: drgn.Program, at: int, size: int) -> bytes:
    from drgn.helpers.linux.mm import access_process_vm

    context = reach("drgn.commands._crash.common", "crash_get_context")
    data: bytes = access_process_vm(context(prog), at, size) if context else b""
    return data
