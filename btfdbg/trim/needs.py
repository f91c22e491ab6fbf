"""What any session reads of a dump, whatever it is asked: touched, so that it is recorded.

Owns the list of those things. A session reads most of them lazily (symbol names
on the first question for one, ORC tables on the first stack trace), so that
attaching alone would not record them.

To add one: a function in ``NEEDS``.

Facts: kernel ``include/asm-generic/vmlinux.lds.h`` for the section symbols,
``include/linux/module.h`` (struct module_memory, struct module_layout).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import drgn
from drgn import FaultError, Object

from btfdbg.kallsyms import CombinedTable, KallsymsTable
from btfdbg.program.session import Session
from btfdbg.trim import others, walks
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.stacks import stacks_of
from btfdbg.trim.touching import SKIPPED, Need
from btfdbg.vmcore.paging import NotMappedError, ways_to_translate
from btfdbg.vmcore.platforms import byte_order

_MAX_TABLES = 1 << 17
_MAX_SECTION = 256 << 20
_MAX_MODULE = 64 << 20
_CODE_BYTES = 64
_MAX_FUNCTION = 64 << 10
# Facts: crash's x86_64.c (x86_64_thread_return_init(), search_for_switch_to(),
# x86_64_get_framesize()): it asks gdb for as many instructions as there are bytes, of a function
# or up to a place in it, and takes none if one cannot be read.
_READ_AHEAD = 8
_CALL_BYTES = 8
_CODE_OF_CRASH = (
    "schedule", "__schedule", "thread_return", "ret_from_fork", "ret_from_fork_asm",
    "__do_sys_fork", "ksys_read", "sys_read", "sys_fork",
)  # fmt: skip

# Sections whose content drgn or btfdbg interprets, or a user prints variables of.
_SECTIONS = (
    ("__start_BTF", "__stop_BTF"),
    ("__start_orc_unwind_ip", "__stop_orc_unwind_ip"),
    ("__start_orc_unwind", "__stop_orc_unwind"),
    ("__start_orc_header", "__stop_orc_header"),
    ("orc_lookup", "orc_lookup_end"),  # crash finds a function's entry by it
    ("__start___ksymtab", "__stop___ksymtab"),
    ("__start___ksymtab_gpl", "__stop___ksymtab_gpl"),
    ("__start_notes", "__stop_notes"),
    ("__start___ex_table", "__stop___ex_table"),  # these two tell where code may go on
    ("__start___jump_table", "__stop___jump_table"),
    # What others read first: crash stops at page_offset_base and __per_cpu_offset, which are
    # read-only after boot; corelens at saved_command_line and at names among the constants.
    ("__start_ro_after_init", "__end_ro_after_init"),
    ("__start_data_ro_after_init", "__end_data_ro_after_init"),  # s390x, loongarch
    ("__start___bug_table", "__stop___bug_table"),
    ("__start___param", "__stop___param"),  # types of variables are known by it
    ("__start___modver", "__stop___modver"),
    ("_sdata", "_edata"),
    ("__bss_start", "__bss_stop"),
)


def page_tables(recorder: Recorder, session: Session) -> None:
    """
    Every page table of the kernel's half.

    libkdumpfile looks at more of them than a reader of single addresses: it
    finds out the layout of the address space by walking.
    """
    platform = recorder.prog.platform
    assert platform is not None

    def read(address: int, size: int) -> bytes:
        data: bytes = recorder.prog.read(address, size, True)
        return data

    anchor = session.vmcoreinfo.symbols.get("init_uts_ns", 0)
    for way in ways_to_translate(platform.arch, session.vmcoreinfo):
        try:
            way.translate(read, anchor)
        except NotMappedError:
            continue
        # Counting what is damaged means visiting every table.
        way.damage(read, _MAX_TABLES)
        return


def symbols(recorder: Recorder, session: Session) -> None:
    """
    The kernel's symbol tables: names, addresses, and the index by name.

    They lie side by side in the read-only data; what is between them is theirs.
    """
    table = session.symbols
    if isinstance(table, CombinedTable):
        # The search for the export tables reads what lies before them, so that
        # another search finds them again.
        table.by_name("init_task")
        table = table.first
    if not isinstance(table, KallsymsTable):
        return
    layout = table.layout
    starts = [layout.names, layout.token_table, layout.addresses]
    if layout.seqs is not None:
        starts.append(layout.seqs)
    # The last of them may be the addresses, of 8 bytes each at most.
    begin = min(starts) - recorder.page_size
    end = max(layout.names_end, max(starts) + 8 * layout.num_syms)
    if 0 <= begin < end <= begin + _MAX_SECTION:
        recorder.touch(begin, end - begin)


def sections(recorder: Recorder, session: Session) -> None:
    """Sections of the kernel image, code and file-backed constants left out."""
    for start_name, stop_name in _SECTIONS:
        start, stop = session.between(start_name, stop_name) or (0, 0)
        if 0 < stop - start <= _MAX_SECTION:
            recorder.touch(start, stop - start)


def per_cpu(recorder: Recorder, session: Session) -> None:
    """The static per-CPU area of each CPU."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    start, end = session.between("__per_cpu_start", "__per_cpu_end") or (0, 0)
    if not 0 < end - start < 1 << 24:
        return
    area = Object(recorder.prog, "void *", start)
    for cpu in for_each_possible_cpu(recorder.prog):
        recorder.touch(per_cpu_ptr(area, cpu).value_(), end - start)


def modules(recorder: Recorder, session: Session) -> None:
    """Of each module symbols, ORC, data; its code where crash reads all of it at once."""
    from drgn.helpers.linux.module import for_each_module

    for module in for_each_module(recorder.prog):
        for address, size in _module_data(module):
            if address and 0 < size <= _MAX_MODULE:
                recorder.touch(address, size)


def _module_data(module: Object) -> Iterator[tuple[int, int]]:
    prog = module.prog_
    yield module.value_(), drgn.sizeof(module.type_.type)
    try:
        memory = module.mem
    except AttributeError:
        # Linux kernel commit ac3b43283923 ("module: replace module_layout with
        # module_memory") (in v6.4).
        # Its code too: crash reads all of it in one piece, and names nothing of a module of
        # which a page is missing.
        layout = module.core_layout
        yield layout.base.value_(), layout.size.value_()
        return
    text = prog.constant("MOD_TEXT").value_()
    for i in range(memory.type_.length or 0):
        if i != text:
            yield memory[i].base.value_(), memory[i].size.value_()


def module_btf(recorder: Recorder, session: Session) -> None:
    """The split BTF of each module."""
    for name in session.modules:
        session.modules.get(name)


def source_files(recorder: Recorder, session: Session) -> None:
    """The bug tables, dynamic debug's tables, and the strings of both: files and lines."""
    from btfdbg.frames.sources.find import Regions

    regions = Regions(session)
    for region in regions.all():
        bugs = region.bugs
        for number in range(0 if bugs is None else len(bugs)):
            assert bugs is not None
            bugs.at(bugs.address(number))
        len(region.records)


def running_code(recorder: Recorder, session: Session) -> None:
    """
    The functions that the tasks are in, and what crash disassembles to open a dump.

    crash finds by their code how large frames are, and by that of schedule() where a task
    that does not run goes on.
    """
    prog = recorder.prog
    functions: set[tuple[int, int]] = set()
    for name in _CODE_OF_CRASH:
        functions.update((s.address, _READ_AHEAD * s.size) for s in session.lookup_symbols(name))
    for pc in stacks_of(prog).counters:
        try:
            symbol = prog.symbol(pc)
        except LookupError:
            functions.add((max(0, pc - _CODE_BYTES), 2 * _CODE_BYTES))
        else:
            ahead = _READ_AHEAD * (pc - symbol.address)
            functions.add((symbol.address, max(symbol.size, ahead)))
    for address, size in functions:
        recorder.touch(address, min(max(size, _CODE_BYTES), _MAX_FUNCTION))


def code_on_stacks(recorder: Recorder, session: Session) -> None:
    """
    The calls before each address of code that a task's stack holds, of old ones too.

    Where crash cannot tell how large a frame is, it looks for the next return address, and
    believes one if the call before it is of the function that it comes from (x86_64.c,
    x86_64_function_called_by()): else what an earlier call left there is a frame.
    """
    prog = recorder.prog
    text = session.between("_stext", "_etext")
    if text is None:
        return
    code = range(text[0] + _CALL_BYTES, text[1])
    order = byte_order(prog.platform)
    seen: set[int] = set()
    for task, place in stacks_of(prog).pointers:
        try:
            stack = int(task.stack.value_())
            end = stack + others.stack_size(session, task)
            if not stack <= place < end:
                continue  # in an interrupt's
            data: bytes = prog.read(place, end - place)
        except SKIPPED:
            continue  # of one task; the others are recorded all the same
        for at in range(0, len(data) - 7, 8):
            address = int.from_bytes(data[at : at + 8], order)
            if address in code and address not in seen:
                seen.add(address)
                recorder.touch(address - _CALL_BYTES, _CALL_BYTES)


def stacks(recorder: Recorder, session: Session) -> None:
    """The stack of every task where drgn's own commands, run afterwards, do not unwind."""
    platform = recorder.prog.platform
    if platform is not None and platform.arch is drgn.Architecture.RISCV64:
        stacks_of(recorder.prog)


def machine_name(recorder: Recorder, session: Session) -> None:
    """``uname`` of the machine."""
    recorder.prog["init_uts_ns"].name.read_()


NEEDS: tuple[tuple[str, Need], ...] = (
    ("page tables", page_tables),
    ("symbols", symbols),
    ("sections", sections),
    ("per-CPU areas", per_cpu),
    ("modules", modules),
    ("module BTF", module_btf),
    ("source files", source_files),
    ("running code", running_code),
    ("code on stacks", code_on_stacks),
    ("stacks", stacks),
    ("machine name", machine_name),
    *others.NEEDS,
    *walks.NEEDS,
)


def touch_all(
    recorder: Recorder, session: Session, more: Iterable[tuple[str, Need]] = ()
) -> list[str]:
    """
    Touch what any session needs.

    :param more: What is wanted beside, as ``trim.purposes`` has it.
    :return: What could not be had wholly, one line each. A page that the dump itself lacks is
        no such thing: the new dump is as good without it.
    """
    problems = []
    for name, need in (*NEEDS, *more):
        try:
            need(recorder, session)
        except FaultError:
            continue
        except (*SKIPPED, NotImplementedError) as e:  # drgn unwinds no riscv64
            problems.append(f"{name}: {e}")
    return problems
