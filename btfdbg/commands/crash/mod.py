"""``mod``; ``mod -g``: where a module's sections are.

Facts: ``kernel/module/sysfs.c`` (struct module.sect_attrs); ``struct module.mem`` since v6.4.
"""

from __future__ import annotations

import os
from typing import Any

from drgn.commands import CommandError

from btfdbg.commands import failure, output, tables
from btfdbg.commands.crash.call import Call
from btfdbg.patches.mod import fitted
from btfdbg.program.modules import wanting


def plain(call: Call) -> Any:
    """drgn's ``mod``; a module that is not loaded fails, and a file that is not taken."""
    with fitted(output.current().columns):
        return _plain(call)


def _plain(call: Call) -> Any:
    name = _named(call)
    if name is None or len(call.args.load) < 2:
        return call.drgns()
    path = str(call.args.load[1])
    if not os.path.isfile(path):
        raise CommandError(f"-s {name} {path}: there is no such file")
    with wanting(call.session, name):
        found = call.drgns()
    taken = [m.debug_file_path for m in call.session.loaded if m.name == name]
    if not any(at is not None and os.path.samefile(at, path) for at in taken):
        raise CommandError(
            f"-s {name} {path}: not taken: the module has one already, or the file's build ID"
            " is not the module's"
        )
    return found


def _named(call: Call) -> str | None:
    """
    The module that ``-s`` names, as the kernel writes it.

    :raises CommandError: it is not loaded.
    """
    if not call.args.load or call.args.drgn:
        return None
    name = str(call.args.load[0]).replace("-", "_")
    call.session.ensure_modules()
    known = [module.name for module in call.session.loaded]
    if name not in known:
        near = failure.did_you_mean(name, known)
        raise CommandError(f"-s {name}: the module is not loaded{near or '; mod lists modules'}")
    call.args.load[0] = name
    return name


def sections(call: Call) -> None:
    """A row for each section of each module, as far as the kernel remembers them."""
    session = call.session
    session.ensure_modules()
    wanted = _named(call)
    rows: list[tuple[Any, ...]] = [("MODULE", "SECTION", "ADDRESS")]
    for module in session.loaded:
        if wanted is not None and module.name != wanted:
            continue
        addresses = getattr(module, "section_addresses", None) or {}
        for name, address in sorted(addresses.items(), key=lambda item: item[1]):
            rows.append((module.name, name, tables.hexadecimal(address)))
    if len(rows) == 1:
        what = f"module {wanted}" if wanted else "any module"
        raise CommandError(f"-g: this dump has no section addresses of {what}")
    tables.section(rows)
