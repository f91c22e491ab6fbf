"""Sizes of modules' notes, looked at before drgn allocates that much.

drgn enumerates the kernel's modules in C. For the build id it reads the notes of
each, as many bytes as ``struct bin_attribute`` says: on a damaged dump that is
any number, and memory for it is allocated first.

Facts: drgn ``libdrgn/linux_kernel.c``, ``kernel_module_set_build_id()``;
``kernel/module/sysfs.c``, ``add_notes_attrs()``.
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn

from btfdbg.errors import BtfError

# A module's notes have some 100 bytes.
_MAX_NOTES = 1 << 20
_MAX_ATTRS = 64
_MAX_MODULES = 1 << 14


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
    except (LookupError, drgn.FaultError, OverflowError, TypeError, BtfError):
        pass  # what drgn says about it becomes a note
    return None


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
