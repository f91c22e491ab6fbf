"""drgn plugin: ``drgn -c CORE`` works without debug info when btfdbg is installed.

Registers a debug-info finder and nothing else, as the last one: DWARF wins
where it is found, ``--no-symbols-by=btfdbg`` turns it off, and
``--no-default-symbols`` loads nothing. An exception here would end the drgn
command with a traceback, so every one is caught and becomes a log message.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import drgn

_NAME = "btfdbg"

logger = logging.getLogger("drgn.btfdbg")


def drgn_prog_set(prog: drgn.Program) -> None:
    """Called by drgn when a Program's target was set."""
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        return
    if _NAME in prog.registered_debug_info_finders():
        return
    prog.register_debug_info_finder(_NAME, partial(_find, prog), enable_index=-1)


def _find(prog: drgn.Program, modules: Sequence[drgn.Module]) -> None:
    try:
        for module in modules:
            if not module.wants_debug_file():
                continue
            if isinstance(module, drgn.MainModule):
                _attach(prog)
            elif isinstance(module, drgn.RelocatableModule) and _attached(prog):
                # Its types come from the kernel's own copy of its BTF.
                module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
    except Exception as e:  # drgn's command line would end with a traceback
        logger.warning("btfdbg: %s", e)
        logger.debug("", exc_info=True)


def _attach(prog: drgn.Program) -> None:
    from btfdbg.program.attach import Options, register

    session = register(prog, Options(frame_names=True))
    session.modules_created = True  # drgn is about to do that itself
    for note in session.notes:
        logger.info("%s", note)


def _attached(prog: drgn.Program) -> bool:
    from btfdbg.program.session import find_session

    session = find_session(prog)
    return session is not None and session.has_btf
