"""Sizes of modules' notes and unwind tables, looked at before drgn allocates that much.

drgn enumerates the kernel's modules in C. For the build id it reads the notes of
each, as many bytes as ``struct bin_attribute`` says, for stack traces as many
entries of x86-64's ORC as ``struct mod_arch_specific`` says: on a damaged dump
that is any number, and memory for it is allocated first.

Facts: drgn ``libdrgn/linux_kernel.c``, ``kernel_module_set_build_id()``, and
``libdrgn/orc_info.c``; ``kernel/module/sysfs.c``, ``add_notes_attrs()``;
``arch/x86/include/asm/orc_types.h``.
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session

# A module's notes have some 100 bytes.
_MAX_NOTES = 1 << 20
_MAX_ATTRS = 64
_MAX_MODULES = 1 << 14
# struct orc_entry, packed.
_ORC_ENTRY = 6


def oversized_notes(prog: drgn.Program) -> int | None:
    """
    Look for a module whose notes cannot be that large.

    :return: Address of its ``struct module``, or ``None`` if there is none as far
        as their list can be followed.
    """
    try:
        module_type = prog.type("struct module")
        offset = drgn.offsetof(module_type, "notes_attrs")
        link = drgn.offsetof(module_type, "list")
        layout = _Layout(prog)
        read = prog.read_u64
        head = prog["modules"].address_
        assert head is not None  # a variable
        node = read(head)
        for _ in range(_MAX_MODULES):
            if node == head:
                break
            module: int = node - link
            try:
                attrs = read(module + offset)
                if attrs and layout.largest(attrs) > _MAX_NOTES:
                    return module
            except drgn.FaultError:
                pass  # drgn leaves this one out and goes on
            node = read(node)
    except (LookupError, drgn.FaultError, OverflowError, TypeError, BtfdbgError):
        pass  # what drgn says about it becomes a note
    return None


def leave_out_oversized_tables(session: Session) -> None:
    """Take ORC tables away from modules that have no room for them."""
    prog = session.prog
    if prog.platform is None or prog.platform.arch is not drgn.Architecture.X86_64:
        return
    for module in session.loaded:
        try:
            count = module.object.arch.num_orcs.value_()
            room = sum(end - start for start, end in module.address_ranges or ())
            if count * _ORC_ENTRY <= room:
                continue
            del module.section_addresses[".orc_unwind"]
        except (drgn.FaultError, LookupError, AttributeError):
            continue
        session.note(
            "modules",
            f"{module.name}: its {count:,} unwind entries do not fit into its {room:,} bytes and"
            " are not used",
        )


class _Layout:
    """Where in ``struct module_notes_attrs`` the sizes are."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        own = prog.type("struct module_notes_attrs")
        attribute = prog.type("struct bin_attribute")
        self._size = drgn.offsetof(attribute, "size")
        self._pointers = self._count = None
        if own.has_member("notes"):
            self._count = drgn.offsetof(own, "notes")
            self._first = drgn.offsetof(own, "attrs")
            self._each = drgn.sizeof(attribute)
        else:
            # Linux kernel commit 4723f16de64e ("module: sysfs: Add notes
            # attributes through attribute_group") (in v6.14).
            self._pointers = drgn.offsetof(own, "grp.bin_attrs")

    def largest(self, attrs: int) -> int:
        return max(
            (self._prog.read_u64(a + self._size) for a in self._attributes(attrs)), default=0
        )

    def _attributes(self, attrs: int) -> Iterator[int]:
        if self._count is not None:
            count = self._prog.read_u32(attrs + self._count)
            for i in range(min(count, _MAX_ATTRS)):
                yield attrs + self._first + i * self._each
        else:
            assert self._pointers is not None
            array = self._prog.read_u64(attrs + self._pointers)
            for i in range(_MAX_ATTRS if array else 0):
                attribute = self._prog.read_u64(array + 8 * i)
                if not attribute:
                    return
                yield attribute
