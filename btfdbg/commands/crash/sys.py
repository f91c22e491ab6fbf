"""``sys`` with crash's options: system calls, taints, DMI strings; its table as JSON.

Facts: ``include/linux/syscalls.h`` (sys_call_table, an array of functions);
``kernel/panic.c`` (taint_flags: letters of a taint when set and when not);
``include/linux/mod_devicetable.h`` (enum dmi_field), ``drivers/firmware/dmi_scan.c``
(dmi_ident, pointers by that enum); ``init/Kconfig`` (IKCONFIG).
"""

from __future__ import annotations

from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, absent, name_of

_MAX_CALLS = 4096


def plain(call: Call) -> Any:
    """drgn's ``sys``; for ``config`` without CONFIG_IKCONFIG one line that says so."""
    if getattr(call.args, "config", None) and not call.args.drgn:
        found = call.session.lookup_symbols("kernel_config_data")
        if not found:
            raise CommandError(
                "this kernel was built without CONFIG_IKCONFIG, so that its configuration is not"
                " in the dump; it is in /boot/config-"
                f"{call.session.release} of a machine that runs it"
            )
    return call.drgns()


def syscalls(call: Call) -> None:
    """``-c``: number and function of each system call."""
    from btfdbg.frames.sources import source_file

    wanted = str(call.option("-c"))
    prog, session = call.prog, call.session
    table = session.lookup_symbols("sys_call_table")
    if not table:
        raise absent(prog, "-c", "sys_call_table", "this dump has no symbol sys_call_table")
    size = prog.address_size()
    count = min(max(table[0].size // size, 0), _MAX_CALLS)
    number = int(wanted, 0) if wanted[:1].isdecimal() else None
    rows: list[tuple[Any, ...]] = [("NUM", "SYSTEM CALL", "ADDRESS", "FILE")]
    try:
        names = _call_names(call, table[0].address, count)
    except drgn.FaultError as e:
        raise CommandError(
            f"-c: the table of system calls is not in the dump ({e.address:#x} cannot be read)"
        ) from None
    for i, (address, name) in enumerate(names):
        if number is None:
            if wanted not in name:
                continue
        elif i != number:
            continue
        file = source_file(session, address)
        rows.append((i, name, tables.hexadecimal(address), str(file) if file else None))
    if len(rows) == 1:
        raise CommandError(f"-c {wanted}: no system call of this kernel (it has {len(names)})")
    tables.section(rows)


def _call_names(call: Call, start: int, count: int) -> list[tuple[int, str]]:
    """Address and name of each entry, up to the first that is no function."""
    from btfdbg.commands.crash.stack import code_at

    found = []
    for i in range(count):
        address = call.prog.read_word(start + i * call.prog.address_size())
        function = code_at(call.session, address)
        # Behind the table may lie another; its entries are functions as well, but the
        # symbol's extent ends there. What is left are padding words.
        if function is None or function.address != address:
            break
        found.append((address, function.name))
    return found


def taint(call: Call) -> None:
    """``-t``: the mask, and the letter of each bit that is set."""
    prog = call.prog
    try:
        mask = prog["tainted_mask"].value_()
    except LookupError:
        otherwise = "this dump has no variable tainted_mask"
        raise absent(prog, "-t", "tainted_mask", otherwise) from None
    letters = []
    names = _taint_names(prog)
    for bit in range(mask.bit_length()):
        if mask >> bit & 1:
            letters.append((bit, *names.get(bit, ("?", ""))))
    if not tables.wanted():
        print(f"TAINTED_MASK: {mask:x}  {''.join(letter for _, letter, _ in letters)}")
    if letters:
        tables.section([("BIT", "LETTER", "MEANS"), *letters])
    elif tables.wanted():
        tables.section([("BIT", "LETTER", "MEANS")])


_MEANINGS = (
    "proprietary module", "module loaded by force", "kernel out of specification",
    "module unloaded by force", "machine check", "bad page", "by request of user space",
    "kernel died (oops or BUG)", "ACPI table overridden", "a warning was printed",
    "staging driver", "workaround for firmware bug", "out-of-tree module", "unsigned module",
    "soft lockup", "live patched", "distribution's own", "structure layout randomised",
    "in-kernel test was run", "fwctl mutated the device",
)  # fmt: skip


def _taint_names(prog: drgn.Program) -> dict[int, tuple[str, str]]:
    """Bit to letter, from the kernel's own table where a dump has it, and what it means."""
    letters = "PFSRMBUDAWCIOELKXTNJ"
    found = {i: (c, _MEANINGS[i]) for i, c in enumerate(letters)}
    try:
        flags = prog["taint_flags"]
        for i in range(min(flags.type_.length or 0, 64)):
            letter = flags[i].c_true.value_()
            if 32 < letter < 127:
                found[i] = (chr(letter), _MEANINGS[i] if i < len(_MEANINGS) else "")
    except (LookupError, AttributeError, drgn.FaultError, TypeError):
        pass  # the letters have been the same since they exist
    return found


def dmi(call: Call) -> None:
    """``-i``: strings of the firmware about the machine."""
    prog = call.prog
    try:
        strings = prog["dmi_ident"]
        last = prog.constant("DMI_STRING_MAX").value_()
        field = prog.type("enum dmi_field")
    except LookupError:
        otherwise = (
            "this kernel has no DMI strings (dmi_ident): not every architecture has a firmware"
            " that gives them"
        )
        raise absent(prog, "-i", "dmi_ident", otherwise) from None
    rows: list[tuple[Any, ...]] = [("FIELD", "VALUE")]
    for enumerator in field.enumerators or ():
        if not 0 < enumerator.value < last:
            continue
        text = strings[enumerator.value]
        if text:
            rows.append((enumerator.name, name_of(text)))
    if len(rows) == 1:
        raise CommandError("-i: the firmware of this machine gave no DMI strings")
    tables.section(rows)
