"""``mod -g``: where a module's sections are.

Facts: ``kernel/module/sysfs.c`` (struct module.sect_attrs); ``struct module.mem`` since v6.4.
"""

from __future__ import annotations

from typing import Any

from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call


def sections(call: Call) -> None:
    """A row for each section of each module, as far as the kernel remembers them."""
    session = call.session
    session.ensure_modules()
    wanted = call.args.load[0] if call.args.load else None
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
