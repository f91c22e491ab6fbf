"""``dev -i``; ``dev -V``, ``dev -v``: dumps that drivers left in the vmcore.

Owns the tree of resources, whose lines stand alone; finding device dumps among the notes of
the file, and writing one out.

Facts: ``include/linux/ioport.h`` (struct resource: parent, sibling, child);
``include/uapi/linux/vmcore.h`` (struct vmcoredd_header: n_namesz, n_descsz, n_type, name[8],
dump_name[44]); NT_VMCOREDD is 0x700 and its note's name ``LINUX``. Linux kernel commit
7efe48df8a3d ("vmcore: append device dumps to vmcore as elf notes") (in v4.18).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, name_of
from btfdbg.errors import BtfdbgError
from btfdbg.program.walks import remark
from btfdbg.vmcore.identify import Format
from btfdbg.vmcore.read_failures import unread

_NT_VMCOREDD = 0x700
_NAME_SIZE = 44
_MAX_SHOWN = 1 << 20
_MAX_RESOURCES = 1 << 16


def plain(call: Call) -> Any:
    """drgn's ``dev``; ``-i`` with I/O memory below the I/O ports, as crash has it."""
    args = call.args
    if not getattr(args, "ioport", False) or args.drgn:
        return call.drgns()
    shown = 0
    for name in ("ioport_resource", "iomem_resource"):
        try:
            root = call.prog[name].address_of_()
        except LookupError:
            continue
        # As wide as the last port; memory as in /proc/iomem.
        width = 8 if shown else len(f"{root.end.value_():x}")
        if shown and not tables.wanted():
            print()
        shown += 1
        rows: list[tuple[Any, ...]] = [("RESOURCE", "RANGE", "NAME")]
        rows += (_row(resource, width) for resource in _resources(root))
        tables.section(rows)
    if not shown:
        return call.drgns()
    return None


def _row(resource: drgn.Object, width: int) -> tuple[Any, ...]:
    address = tables.hexadecimal(resource.value_())
    try:
        start, end = resource.start.value_(), resource.end.value_()
    except drgn.FaultError:
        return address, "?", "?"
    return address, f"{start:0{width}x}-{end:0{width}x}", name_of(resource.name)


def _resources(root: drgn.Object) -> Iterator[drgn.Object]:
    """
    A resource and all below it, in order; one that is not in the dump ends its own level only.

    :param root: ``struct resource *``.
    """
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        resource = waiting.pop()
        place = resource.value_()
        if not place or place in seen or len(seen) >= _MAX_RESOURCES:
            continue
        seen.add(place)
        yield resource
        try:
            behind, below = resource.sibling.read_(), resource.child.read_()
        except drgn.FaultError as e:
            # The read is told as others are; what hangs on it is nowhere else.
            unread(root.prog_).note_fault(e)
            remark(root.prog_, "what is behind and below a resource is unknown", f"{place:#x}")
            continue
        # Nothing is behind the root.
        waiting += [below] if place == root.value_() else [behind, below]


def _notes(call: Call) -> list[tuple[str, bytes]]:
    """Name and data of each device dump."""
    dump = call.session.dump
    if dump is None:
        raise CommandError("the dump's file is not known, so that its notes cannot be read")
    notes: Any = ()
    try:
        if dump.format is Format.ELF:
            from btfdbg.vmcore.elfcore import read_elf

            notes = read_elf(dump.path).notes()
        elif dump.format.value.startswith("kdump"):
            from btfdbg.vmcore.kdumpfile import Kdump

            notes = Kdump(dump.path).notes()
        return [
            (n.desc[:_NAME_SIZE].split(b"\0")[0].decode("utf-8", "backslashreplace"),
             n.desc[_NAME_SIZE:])
            for n in notes
            if n.type == _NT_VMCOREDD and n.name in ("LINUX", "VMCOREDD")
        ]  # fmt: skip
    except (OSError, BtfdbgError) as e:
        raise CommandError(f"the notes of {dump.path} cannot be read: {e}") from None


def dumps(call: Call) -> None:
    """``-V``: the list."""
    found = _notes(call)
    if not found:
        raise CommandError(
            "-V: no device dump in this vmcore (drivers add them when the crash kernel starts)"
        )
    rows: list[tuple[Any, ...]] = [("INDEX", "SIZE", "NAME")]
    rows += [(i, len(data), name) for i, (name, data) in enumerate(found)]
    tables.section(rows)


def dump(call: Call) -> None:
    """``-v INDEX [FILE]``: one of them."""
    words = list(call.option("-v"))
    found = _notes(call)
    if len(words) > 2 or not words[0].isdecimal():
        raise CommandError("-v takes the index of a device dump (dev -V), and a file to copy to")
    index = int(words[0])
    if index >= len(found):
        raise CommandError(f"-v {index}: this vmcore has {len(found)} device dumps")
    name, data = found[index]
    if len(words) == 2:
        # Nothing of the user's is overwritten.
        try:
            handle = os.open(words[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as e:
            raise CommandError(f"{words[1]}: {e.strerror}") from None
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        print(f"{name}: {len(data)} bytes written to {words[1]}")
        return
    print(f"DEVICE: {name}  SIZE: {len(data)}")
    for at in range(0, min(len(data), _MAX_SHOWN), 16):
        part = data[at : at + 16]
        text = "".join(chr(c) if 32 <= c < 127 else "." for c in part)
        print(f"{at:8x}:  {part.hex(' ', 8):<36}  {text}")
    if len(data) > _MAX_SHOWN:
        print(f"({len(data) - _MAX_SHOWN} bytes more; dev -v {index} FILE copies all)")
