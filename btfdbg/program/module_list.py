"""The loaded modules as drgn's Module objects, out of a few large reads.

drgn makes the same list in C. It reads the names of the modules' sections letter by letter,
each through the page tables: 117,000 system calls and 0.07 s of CPU for 41 modules of an ELF
dump. Here a page of names is read once. What comes out is the same, value by value; for all
that is out of the ordinary - a list that does not close, a page that is missing, a module that
is still being loaded, two sections of one name - there is no answer, and drgn makes the list.

Facts: drgn ``libdrgn/linux_kernel.c`` (what of a module it sets); ``kernel/module/sysfs.c``:
``struct module_sect_attrs`` has a ``nsections`` and ``struct module_sect_attr`` before Linux
kernel commits d8959b947a8d and 4b2c11e4aaf7 ("module: sysfs: ...") (in v6.14), a list of
``struct bin_attribute`` that ends in NULL since; a section's ``name`` is in its ``battr`` since
ed66f991bb19 ("module: Refactor section attr into bin attribute") (in v5.8). Notes likewise.
``struct module`` has ``mem`` since ac3b432839234 ("module: replace module_layout with
module_memory") (in v6.4), ``core_layout`` before.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import NamedTuple

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.vmcore.elfcore import NT_GNU_BUILD_ID, parse_notes

_MAX_MODULES = 1 << 12
_MAX_SECTIONS = 1 << 10
_MAX_NOTES = 1 << 16  # a module's notes have some 100 bytes
_MAX_NAME = 256
_PAGE = 4096
_MODULE_STATE_LIVE = 0


class Found(NamedTuple):
    """
    What drgn's Module has.

    :ivar at: Address of the ``struct module``.
    :ivar ranges: Its memory, start and end, in the order of the kernel.
    :ivar sections: Name to address.
    """

    at: int
    name: str
    ranges: tuple[tuple[int, int], ...]
    build_id: bytes | None
    sections: dict[str, int]


class _Odd(Exception):
    """Not what is read here."""


def read_list(prog: drgn.Program) -> list[Found] | None:
    """The loaded modules, in the order of the kernel's list; None if drgn has to make it."""
    try:
        flags = drgn.PlatformFlags.IS_LITTLE_ENDIAN | drgn.PlatformFlags.IS_64_BIT
        if prog.platform is None or prog.platform.flags & flags != flags:
            return None
        found = list(_Reader(prog).modules())
        ranges = sorted(one for module in found for one in module.ranges)
        if any(end > start for (_, end), (start, _) in itertools.pairwise(ranges)):
            return None  # damaged; what drgn has no room for it leaves out with a word
        return found
    except (_Odd, LookupError, AttributeError, TypeError, ValueError, OverflowError):
        return None
    except (drgn.FaultError, BtfdbgError, struct.error):
        return None


def create(prog: drgn.Program, found: Found) -> drgn.RelocatableModule:
    """Make drgn's Module of it, as drgn makes it."""
    module = prog.relocatable_module(found.name, found.ranges[0][0], create=True)
    module.object = drgn.Object(prog, "struct module *", value=found.at)
    module.address_ranges = found.ranges
    module.build_id = found.build_id
    module.section_addresses.update(found.sections)
    return module


class _Reader:
    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self._pages: dict[int, bytes] = {}
        offset, module = drgn.offsetof, prog.type("struct module")
        self._size = drgn.sizeof(module)
        self._link = offset(module, "list")
        self._state = offset(module, "state")
        self._name = offset(module, "name")
        self._sections = offset(module, "sect_attrs")
        self._notes = offset(module, "notes_attrs")
        # CONFIG_SMP
        self._percpu = offset(module, "percpu") if module.has_member("percpu") else None
        self._name_size = drgn.sizeof(module.member("name").type)
        self._regions = list(_regions(prog, module))
        attribute = prog.type("struct bin_attribute")
        self._attribute_name = offset(attribute, "attr.name")
        self._attribute_size = offset(attribute, "size")
        self._attribute_private = offset(attribute, "private")
        self._each_attribute = drgn.sizeof(attribute)

    def modules(self) -> Iterator[Found]:
        head = self._prog["modules"].address_
        if head is None:
            raise _Odd
        node, seen = self._word(head), {head}
        while node != head:
            if node in seen or len(seen) > _MAX_MODULES:
                raise _Odd
            seen.add(node)
            at = node - self._link
            data = self._prog.read(at, self._size)
            yield self._module(at, data)
            node = _pointer(data, self._link)

    def _module(self, at: int, data: bytes) -> Found:
        if struct.unpack_from("<I", data, self._state)[0] != _MODULE_STATE_LIVE:
            raise _Odd
        name = data[self._name : self._name + self._name_size].partition(b"\0")[0]
        ranges = []
        for base_at, size_at, is_init in self._regions:
            base, (size,) = _pointer(data, base_at), struct.unpack_from("<I", data, size_at)
            if size and (is_init or base + size >= 1 << 64):
                raise _Odd
            if size:
                ranges.append((base, base + size))
        if not ranges or not name or ranges[0][0] != _pointer(data, self._regions[0][0]):
            raise _Odd
        sections: dict[str, int] = {}
        percpu = 0 if self._percpu is None else _pointer(data, self._percpu)
        if percpu:
            sections[".data..percpu"] = percpu  # has no file in sysfs
        for section, address in self._section_addresses(_pointer(data, self._sections)):
            if sections.setdefault(section, address) != address:
                raise _Odd
        notes = _pointer(data, self._notes)
        return Found(at, name.decode("ascii"), tuple(ranges), self._build_id(notes), sections)

    # Sections and notes

    def _section_addresses(self, attrs: int) -> Iterator[tuple[str, int]]:
        own = self._prog.type("struct module_sect_attrs")
        if not own.has_member("nsections"):
            for data in self._attributes(attrs, own):
                name = self._text(_pointer(data, self._attribute_name))
                yield name, _pointer(data, self._attribute_private)
            return
        each = self._prog.type("struct module_sect_attr")
        if each.has_member("battr"):
            name_at = drgn.offsetof(each, "battr.attr.name")
        else:
            name_at = drgn.offsetof(each, "name")
        address_at, size = drgn.offsetof(each, "address"), drgn.sizeof(each)
        (count,) = struct.unpack("<I", self._read(attrs + drgn.offsetof(own, "nsections"), 4))
        if count > _MAX_SECTIONS:
            raise _Odd
        data = self._prog.read(attrs + drgn.offsetof(own, "attrs"), count * size)
        for at in range(0, count * size, size):
            yield self._text(_pointer(data, at + name_at)), _pointer(data, at + address_at)

    def _build_id(self, attrs: int) -> bytes | None:
        if not attrs:
            return None
        own = self._prog.type("struct module_notes_attrs")
        for data in self._attributes(attrs, own):
            size = _pointer(data, self._attribute_size)
            if size > _MAX_NOTES:
                raise _Odd
            notes = self._read(_pointer(data, self._attribute_private), size)
            for note in parse_notes(notes, "<"):
                if note.name == "GNU" and note.type == NT_GNU_BUILD_ID and note.desc:
                    return bytes(note.desc)
        return None

    def _attributes(self, attrs: int, own: drgn.Type) -> Iterator[bytes]:
        """Each ``struct bin_attribute`` of a module's notes, or (since 6.14) of its sections."""
        if own.has_member("notes"):
            (count,) = struct.unpack("<I", self._read(attrs + drgn.offsetof(own, "notes"), 4))
            if count > _MAX_SECTIONS:
                raise _Odd
            first = attrs + drgn.offsetof(own, "attrs")
            for at in range(first, first + count * self._each_attribute, self._each_attribute):
                yield self._read(at, self._each_attribute)
            return
        array = self._word(attrs + drgn.offsetof(own, "grp.bin_attrs"))
        if not array:
            raise _Odd
        for number in range(_MAX_SECTIONS):
            at = self._word(array + 8 * number)
            if not at:
                return
            yield self._read(at, self._each_attribute)
        raise _Odd

    # Memory: a page is read once, as what is read here lies close together

    def _read(self, address: int, size: int) -> bytes:
        page, start = address & -_PAGE, address % _PAGE
        if start + size > _PAGE:
            whole: bytes = self._prog.read(address, size)
            return whole
        data = self._pages.get(page)
        if data is None:
            data = self._pages[page] = self._prog.read(page, _PAGE)
        return data[start : start + size]

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 8), "little")

    def _text(self, address: int) -> str:
        data = self._read(address, min(_MAX_NAME, _PAGE - address % _PAGE))
        text, end, _ = data.partition(b"\0")
        if not end or not text:
            raise _Odd
        return text.decode("ascii")


def _pointer(data: bytes, at: int) -> int:
    number: int = struct.unpack_from("<Q", data, at)[0]
    return number


def _regions(prog: drgn.Program, module: drgn.Type) -> Iterator[tuple[int, int, bool]]:
    """Where in ``struct module`` address and size of each part are, and whether init code uses it.

    The first one is the text: a module's address is where that begins.
    """
    if not module.has_member("mem"):
        for part in ("core_layout", "init_layout"):
            base, size = f"{part}.base", f"{part}.size"
            yield drgn.offsetof(module, base), drgn.offsetof(module, size), part != "core_layout"
        return
    memory = prog.type("struct module_memory")
    each, first = drgn.sizeof(memory), drgn.offsetof(module, "mem")
    base, size = drgn.offsetof(memory, "base"), drgn.offsetof(memory, "size")
    kinds = {
        name: int(prog.constant(f"MOD_{name}"))
        for name in ("TEXT", "INIT_TEXT", "INIT_DATA", "INIT_RODATA", "MEM_NUM_TYPES")
    }
    if kinds["TEXT"]:
        raise _Odd
    for number in range(kinds["MEM_NUM_TYPES"]):
        at = first + number * each
        is_init = number in (kinds["INIT_TEXT"], kinds["INIT_DATA"], kinds["INIT_RODATA"])
        yield at + base, at + size, is_init
