"""``btfdbg export-vmlinux``: put sections, symbols, DWARF and frames together.

Owns the order of things in the file and what is said about it. What a symbol's or a
variable's type is, is :mod:`btfdbg.handover.kernel`'s.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter, le
from typing import TYPE_CHECKING, BinaryIO

import drgn

from btfdbg.btf import Btf, Kind
from btfdbg.btf.names import functions_by_name
from btfdbg.errors import BtfError, DebugInfoError
from btfdbg.handover.kernel import Kernel, gather
from btfdbg.handover.symbols import is_offset
from btfdbg.handover.vmlinux import crash, elf, orc, records
from btfdbg.handover.vmlinux.about import add_note, producer
from btfdbg.handover.vmlinux.dwarf import Function, Variable, Writer
from btfdbg.handover.vmlinux.sections import (
    CODE,
    PERCPU,
    TEXT_STARTS,
    WRITABLE,
    Contents,
    Index,
    Missing,
    cut,
)
from btfdbg.handover.vmlinux.symtab import FUNC, OBJECT, Symtab, kind_of
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym, try_read
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.noise import NOISE_NAMES
from btfdbg.vmcore.elfcore import NT_GNU_BUILD_ID, Note
from btfdbg.vmcore.platforms import machine_of, row_of

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_MASK64 = (1 << 64) - 1
_MAX_PERCPU = 64 << 20
_MAX_MODULE = 64 << 20
_MAX_ORC = 1 << 22
# Where a task or a CPU of arm64 begins (arch/arm64/kernel/entry.S and head.S): nothing calls it.
_BEGINNINGS = ("ret_from_fork", "__primary_switched", "__secondary_switched")
_HERTZ = range(50, 10001)


@dataclass(frozen=True, slots=True)
class Exported:
    """
    What was written.

    :ivar types: Entries of BTF types in the DWARF.
    :ivar missing: What the file has no contents of.
    :ivar frames: Rows of .debug_frame's source, ORC's or of functions; 0 without.
    :ivar untyped: Data symbols whose type is not known.
    :ivar frame_source: What those rows are.
    :ivar needed: What crash reads whole while it opens a dump, and the dump has not.
    :ivar unnamed: Symbols without which crash does not take the file.
    """

    size: int
    symbols: int
    functions: int
    variables: int
    types: int
    lost: int
    frames: int
    untyped: int
    missing: tuple[Missing, ...]
    frame_source: str
    needed: tuple[Missing, ...]
    unnamed: tuple[str, ...]


def export(session: Session, path: str, *, runtime: bool = False, every: bool = False) -> Exported:
    """
    Write a vmlinux.

    :param runtime: Addresses as in memory, for gdb; else as the kernel was linked, which
        crash and drgn want.
    :param every: Also type the variables that macros make by the thousand (tracepoints,
        initcalls and the like).
    :raises DebugInfoError: no symbols, no BTF, or no KERNELOFFSET in the dump; or the file
        cannot be written.
    """
    kernel = gather(session, () if every else NOISE_NAMES)
    temporary = f"{path}.part"
    try:
        with open(temporary, "wb") as file:
            done = _Export(session, kernel, file, runtime).run()
        os.replace(temporary, path)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="export-vmlinux") from e
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return done


class _Export:
    def __init__(self, session: Session, kernel: Kernel, file: BinaryIO, runtime: bool) -> None:
        self.session = session
        self.kernel = kernel
        self.file = file
        self.runtime = runtime
        self.shift = 0 if runtime else kernel.offset
        row = row_of(session.prog.platform)
        if row is None:
            raise DebugInfoError(
                f"no ELF machine is known for {machine_of(session.prog.platform)}",
                step="export-vmlinux",
            )
        self.arch = row
        self.elf = elf.Writer(file, row.e_machine, row.little_endian)
        self.contents = Contents(session.prog.read, self._percpu())
        self.held: dict[str, tuple[int, bytes]] = {}
        # Pieces of arm64 code that can be read, with their addresses in memory.
        self.code: list[tuple[int, bytes]] = []
        # Address, bytes and code of modules' code ("" if it cannot be read), and functions.
        self.modules: list[tuple[int, int, bytes, Sequence[Sym]]] = []

    def address(self, sym: Sym) -> int:
        if self.kernel.percpu_absolute and is_offset(sym):
            return sym.address
        return (sym.address - self.shift) & _MASK64

    def run(self) -> Exported:
        constants = self._constants()
        if self.session.variables is not None:
            self.session.variables.forget()  # the last variable was asked for
        places = self._image()
        text = self._text()
        btf = self.kernel.btf
        writer = Writer(btf, producer(self.session), text)
        dwarf = writer.write(self._functions(btf), self._variables(), constants)
        for name, data in (
            (".debug_info", dwarf.info),
            (".debug_abbrev", dwarf.abbrev),
            (".debug_str", dwarf.strings),
        ):
            self.elf.add(name, data)
        types, lost = btf.type_cnt - 1, dwarf.lost
        functions, variables = dwarf.functions, dwarf.variables
        del dwarf, writer
        frames = self._frames()
        symbols = self._symbols(places)
        missing = tuple(self.contents.missing)
        said = {
            "build_id": self.session.build_id,
            "kernel_offset": self.kernel.offset,
            "addresses": "link-time" if self.shift or not self.kernel.offset else "runtime",
        }
        add_note(self.elf, self.session, missing, said)
        self.elf.finish(text[0])
        self.file.seek(0, os.SEEK_END)
        return Exported(
            self.file.tell(), symbols, functions, variables, types, lost, frames,
            self.kernel.untyped, missing,
            "functions" if self.arch.name == "aarch64" else "ORC entries",
            tuple(
                crash.unread(
                    self.session.prog.read, self.kernel.first, self.kernel.types, self.kernel.btf
                )
            ),
            crash.unnamed(self.kernel.named),
        )  # fmt: skip

    # The image.

    def _image(self) -> Index:
        kernel = self.kernel
        places: list[tuple[int, int, int]] = []
        begun = False
        for piece, data in self.contents.pieces(cut(self._boundary, self._last_address())):
            if not begun and piece.base == ".text" and not piece.readable:
                # crash moves no symbol below the section of this name: one without bytes, then.
                start = (piece.start - self.shift) & _MASK64
                flags = elf.Flag.ALLOC | elf.Flag.EXECINSTR
                self.elf.add(".text", flags=flags, address=start)
                self.contents.name_used(".text")
            begun = True
            flags = elf.Flag.ALLOC
            if piece.base in WRITABLE or not piece.readable:
                flags |= elf.Flag.WRITE
            if piece.base in CODE:
                flags |= elf.Flag.EXECINSTR
            type_ = elf.Type.NOBITS
            if piece.readable:
                type_ = elf.Type.NOTE if piece.base == ".notes" else elf.Type.PROGBITS
            if len(self.elf) >= elf.MAX_SECTIONS:
                break
            address = (piece.start - self.shift) & _MASK64
            if piece.readable and self._is_read_again(piece.base):
                data = (b"".join(data),)
                if piece.base == ".text":
                    self.code.append((piece.start, *data))
                else:
                    self.held.setdefault(piece.base, (piece.start, *data))
            number = self.elf.add(
                piece.name, data, type_=type_, flags=flags, address=address, size=piece.size,
                # Notes of another alignment are read with another padding.
                align=4 if type_ == elf.Type.NOTE else 8 if piece.readable else 1,
            )  # fmt: skip
            self.elf.add_segment(number)
            places.append((address, address + self.elf.size_of(number), number))
        percpu_end = kernel.first("__per_cpu_end")
        if kernel.percpu_absolute and percpu_end is not None:
            size = percpu_end.address
            # Behind the image: crash takes the first section's address for the first that moves.
            held = self.contents.percpu(0, min(size, _MAX_PERCPU))
            type_ = elf.Type.PROGBITS if held else elf.Type.NOBITS
            flags = elf.Flag.ALLOC | elf.Flag.WRITE
            number = self.elf.add(PERCPU, held, type_=type_, flags=flags, size=size)
            self.elf.add_segment(number)
            places.append((0, size, number))
        unread = any(m.section == ".notes" for m in self.contents.missing)
        if self.session.build_id and (unread or self._boundary("__start_notes") is None):
            self._build_id()
        if self.runtime:
            self._modules(places)
        return Index(places)

    def _is_read_again(self, base: str) -> bool:
        """Whether stacks are made from a part of the image."""
        if base == ".text":
            return self.arch.name == "aarch64"
        return base in (".orc_unwind", ".orc_unwind_ip")

    def _build_id(self) -> None:
        """The build id that VMCOREINFO states; .notes could not be read, or has no name."""
        note = Note("GNU", NT_GNU_BUILD_ID, bytes.fromhex(self.session.build_id))
        data = note.packed(self.elf.prefix)
        self.elf.add(".note.gnu.build-id", data, type_=elf.Type.NOTE, align=4)

    def _percpu(self) -> int | None:
        """``__per_cpu_offset[0]``."""
        sym = self.kernel.first("__per_cpu_offset")
        try:
            return None if sym is None else self.session.prog.read_u64(sym.address)
        except drgn.FaultError:
            return None

    def _last_address(self) -> int:
        symbols = self.kernel.symbols
        last = max(symbols, key=attrgetter("address"), default=None)
        if last is not None and self._is_absolute(last):
            return max((s.address for s in symbols if not self._is_absolute(s)), default=0)
        return 0 if last is None else last.address

    def _boundary(self, name: str) -> int | None:
        sym = self.kernel.first(name)
        return None if sym is None else sym.address

    def _is_absolute(self, sym: Sym) -> bool:
        return sym.type_letter in "aA" or (self.kernel.percpu_absolute and is_offset(sym))

    def _text(self) -> tuple[int, int]:
        known = map(self.kernel.first, TEXT_STARTS)
        start, end = next(filter(None, known), None), self.kernel.first("_etext")
        if start is None or end is None or end.address <= start.address:
            return 0, 0
        return self.address(start), end.address - start.address

    # DWARF.

    def _functions(self, btf: Btf) -> Iterator[Function]:
        known = functions_by_name(btf)
        btf.forget_functions()
        kinds = b"\0" + b"".join(part.own_kinds() for part in btf.chain())
        end = len(kinds)
        for sym in self.kernel.symbols:
            if not is_text(sym):
                continue
            found = known.get(sym.name)
            if found is None:
                continue
            place, *protos = found
            # Damaged BTF may say that something else is a prototype.
            protos = [p for p in protos if p < end and kinds[p] == Kind.FUNC_PROTO]
            if len(protos) == 1:
                yield Function(
                    place, protos[0], self.address(sym), sym.size or 1, sym.type_letter.isupper()
                )

    def _variables(self) -> Iterator[Variable]:
        types = self.kernel.types
        for sym in self.kernel.symbols:
            type_id = None if is_text(sym) else types.get((sym.name, sym.address))
            if type_id is not None:
                yield Variable(sym.name, type_id, self.address(sym), sym.type_letter.isupper())
        for own in self.kernel.tables:
            type_id = types.get((own.name, own.address))
            if type_id is not None:
                yield Variable(own.name, type_id, (own.address - self.shift) & _MASK64, True)

    def _constants(self) -> list[tuple[str, int]]:
        """``write_expire``, which is 5 * HZ and by which crash learns HZ."""
        if "write_expire" in self.kernel.named:
            return []
        try:
            clock = self.session.prog["clocksource_jiffies"]
            tick = clock.mult.value_() >> clock.shift.value_()
        except (LookupError, AttributeError, drgn.FaultError):
            return []
        hertz = round(1_000_000_000 / tick) if tick > 0 else 0
        return [("write_expire", 5 * hertz)] if hertz in _HERTZ else []

    def _frames(self) -> int:
        if self.arch.name == "aarch64":
            return self._records()
        if self.arch.name != "x86_64" or len(self.held) != 2:
            return 0
        table, ips = self.held.pop(".orc_unwind_ip")
        _, entries = self.held.pop(".orc_unwind")
        layout = orc.layout_of(entries)
        text = self._text()
        if layout is None or not text[1]:
            return 0
        starts = orc.rows(ips, table - self.shift)
        made = orc.Frames(layout)
        out = [orc.head(), *made.entries(starts, entries, text[0] + text[1])]
        count = len(starts)
        del starts, entries, ips
        for rows, its_entries, end in self._module_orc():
            out += made.entries(rows, its_entries, end)
            count += len(rows)
        self.elf.add(".debug_frame", out, align=8)
        return count

    def _module_orc(self) -> Iterator[tuple[Sequence[int], bytes, int]]:
        """
        ORC of the modules whose functions are in the file: addresses, entries, end.

        Facts: struct mod_arch_specific (arch/x86/include/asm/module.h).
        """
        table, read = self.session.module_symbols, self.session.prog.read
        ends = {low: low + size for low, size, _, _ in self.modules}
        for module in table.modules() if table is not None and self.modules else ():
            try:
                arch = module.object.arch
                ip, entry, number = (
                    getattr(arch, name).value_()
                    for name in ("orc_unwind_ip", "orc_unwind", "num_orcs")
                )
            except (AttributeError, LookupError, drgn.FaultError):
                continue
            if not 0 < number <= _MAX_ORC:
                continue
            ips, entries = try_read(read, ip, 4 * number), try_read(read, entry, 6 * number)
            if ips is None or entries is None:
                continue
            rows = orc.rows(ips, ip)
            if not all(map(le, rows, rows[1:])):
                continue
            for low, _ in module.ranges:
                # What was freed after boot has rows as well.
                first, last = bisect_left(rows, low), bisect_left(rows, ends.get(low, low))
                if first < last:
                    yield rows[first:last], entries[orc.ENTRY * first : orc.ENTRY * last], ends[low]

    def _records(self) -> int:
        """Frames of arm64; how many functions have some."""
        mask = self.session.vmcoreinfo.numbers.get("KERNELPACMASK", 0) & _MASK64
        try:
            at = self.kernel.btf.offset_of
            regs = at("pt_regs", "regs") // 8
            end = at("pt_regs", "stackframe") // 8 + 16
            found = records.Saved(
                regs + 8 * 29 - end, regs + 8 * 30 - end, at("pt_regs", "pc") // 8 - end
            )
        except BtfError:
            found = None
        begin = map(self.kernel.first, _BEGINNINGS)
        beginnings = {sym.address for sym in begin if sym is not None}
        out, count = [records.head()], 0
        kernel = _extents(self.kernel.symbols)
        pieces = ((start, text, _inside(kernel, start, len(text))) for start, text in self.code)
        modules = ((low, text, _extents(inside)) for low, _, text, inside in self.modules)
        for start, text, functions in (*pieces, *modules):
            made = records.Records(
                text, start, self.shift, mask, found, beginnings, omits_ends=not self.runtime
            )
            out.append(made.entries(functions))
            count += made.count
        if count:
            self.elf.add(".debug_frame", b"".join(out), align=8)
        return count

    def _modules(self, places: list[tuple[int, int, int]]) -> None:
        """
        Code of the loaded modules: a section for each, without contents, for its symbols.

        Only in a file of addresses in memory, where there is one place for it: a debugger's
        stacks go through modules.
        """
        table = self.session.module_symbols
        self.session.ensure_modules()
        for module in table.modules() if table is not None else ():
            found = table.table_of(module) if table is not None else None
            symbols = [sym for sym in found or () if is_text(sym) and sym.size]
            for low, high in module.ranges:
                inside = [s for s in symbols if low <= s.address < high]
                if not inside or high - low > _MAX_MODULE or len(self.elf) >= elf.MAX_SECTIONS:
                    continue
                flags = elf.Flag.ALLOC | elf.Flag.EXECINSTR
                number = self.elf.add(
                    f".text.{module.name}", type_=elf.Type.NOBITS, flags=flags, address=low,
                    size=high - low,
                )  # fmt: skip
                places.append((low, high, number))
                text = try_read(self.session.prog.read, low, high - low)
                self.modules.append((low, high - low, text or b"", inside))

    # Symbols.

    def _symbols(self, places: Index) -> int:
        kernel, shift = self.kernel, self.shift
        table = Symtab(self.elf)
        absolute = kernel.percpu_absolute
        add, section_at = table.add, places.at
        for sym in kernel.symbols:
            name, letter, address = sym.name, sym.type_letter, sym.address
            if absolute and is_offset(sym):
                # kallsyms calls them absolute; they are variables of .data..percpu.
                number = section_at(address)
                kind = OBJECT if sym.percpu else 0
            else:
                address = (address - shift) & _MASK64
                number = elf.SHN_ABS if letter in "aA" else section_at(address)
                kind = kind_of(name, letter)
            add(name, letter, kind, number, address, sym.size)
        for own in kernel.tables:
            address = (own.address - shift) & _MASK64
            table.add(own.name, "r", OBJECT, places.at(address), address, own.size)
        functions = [sym for *_, inside in self.modules for sym in inside]
        for sym in functions:
            number = places.at(sym.address)
            table.add(sym.name, sym.type_letter, FUNC, number, sym.address, sym.size)
        table.write()
        return len(kernel.symbols) + len(kernel.tables) + len(functions)


def _extents(symbols: Iterable[Sym]) -> list[tuple[int, int]]:
    """Address and bytes of each function, ascending."""
    return sorted({s.address: s.size for s in symbols if is_text(s) and s.size}.items())


def _inside(functions: Sequence[tuple[int, int]], start: int, size: int) -> list[tuple[int, int]]:
    """The functions that lie in a piece as a whole."""
    first = bisect_left(functions, (start, 0))
    last = bisect_left(functions, (start + size, 0))
    return [(at, length) for at, length in functions[first:last] if at + length <= start + size]
