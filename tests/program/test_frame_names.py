"""Frames of functions that the compiler made copies of, under the names of the source."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.program.attach import Options, register
from btfdbg.program.frame_names import Function, copies, dwarf_of, source_name
from tests.conftest import bundled_dumps
from tests.patience import limited

CORES = {path.name: path for path, _ in bundled_dumps()}
DEADLOCK = CORES["6.12-arm64-deadlock.vmcore"]
NULL = CORES["6.12-amd64-null.vmcore"]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("__mutex_lock.constprop.0", "__mutex_lock"),
        ("watchdog.cold", "watchdog"),
        ("a.isra.0.cold", "a"),
        ("a.constprop.1.isra.2", "a"),
        ("swap_attrs.llvm.2938462", "swap_attrs"),
        ("a.lto_priv.0", "a"),
        ("vfs_read", "vfs_read"),
        # A static variable, a section, a number, and what no compiler says of a copy.
        ("descriptor.12", "descriptor.12"),
        (".text.cold", ".text.cold"),
        ("a.coldness", "a.coldness"),
        ("a.cold.b", "a.cold.b"),
        ("", ""),
    ],
)
def test_what_a_symbol_says_of_the_functions_name(symbol: str, name: str) -> None:
    assert source_name(symbol) == name


def _plain(core: Path) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(core)
    return prog


def _named(core: Path) -> drgn.Program:
    prog = _plain(core)
    register(prog, Options(frame_names=True)).ensure_modules()
    return prog


def _frames(prog: drgn.Program) -> list[tuple[int, str, str]]:
    from drgn.helpers.linux.pid import for_each_task

    found = []
    for task in for_each_task(prog):
        for frame in prog.stack_trace(task):
            try:
                found.append((frame.pc, frame.name, frame.symbol().name))
            except LookupError:
                continue
    return found


@pytest.mark.parametrize(
    ("core", "wanted"),
    [
        (DEADLOCK, ("__mutex_lock", "__mutex_lock.constprop.0")),
        (CORES["6.1-amd64-hung.vmcore"], ("watchdog", "watchdog.cold")),
    ],
)
def test_frames_have_the_functions_name_and_their_symbols_theirs(
    core: Path, wanted: tuple[str, str]
) -> None:
    named = _frames(_named(core))
    prog = _plain(core)
    btfdbg.attach(prog)
    plain = _frames(prog)
    assert [(pc, symbol) for pc, _, symbol in named] == [(pc, symbol) for pc, _, symbol in plain]
    assert wanted in {(name, symbol) for _, name, symbol in named}
    assert all(name == symbol for _, name, symbol in plain)
    assert {(n, s) for _, n, s in named if n != s} == {
        (source_name(s), s) for _, _, s in plain if source_name(s) != s
    }


def test_what_was_to_be_had_by_name_is_what_it_was() -> None:
    prog = _named(DEADLOCK)
    with pytest.raises(KeyError):
        prog["__mutex_lock"]
    [symbol] = prog.symbols("__mutex_lock.constprop.0")
    assert prog.symbol(symbol.address).name == symbol.name
    with pytest.raises(LookupError):
        prog.stack_trace_from_pcs([symbol.address + 4])[0].source()


def test_a_script_that_looks_for_who_waits_finds_them_through_the_plugin() -> None:
    script = """
import sys
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    for frame in prog.stack_trace(task):
        if frame.name == "__mutex_lock":
            print(task.comm.string_().decode(), "lock" in frame.locals())
"""
    done = subprocess.run(
        [sys.executable, "-m", "drgn", "-q", "-c", str(DEADLOCK), "-e", script],
        capture_output=True, text=True, preexec_fn=limited(),
        env={**os.environ, "DRGN_DISABLE_PLUGINS": "", "DEBUGINFOD_URLS": ""},
    )  # fmt: skip
    assert done.stderr.count("Traceback") == 0
    # With DWARF the argument is there too; who asks for one that is not there is told.
    assert len(done.stdout.splitlines()) >= 2
    assert {line.split()[-1] for line in done.stdout.splitlines()} == {"False"}


def test_nothing_overlaps_and_every_address_leads_to_one_unit() -> None:
    functions = [
        Function(0x1000 + 0x10 * n, 0x10, f"f{n}") for n in range(100)
    ]  # more than one unit
    wrong = [
        Function(0x1008, 0x10, "inside_of_another"),
        Function(0xF00, 0x10, "before"),
        Function(0x1FF8, 0x10, "over_the_end"),
        Function(0x1E00, 0, "empty"),
    ]
    prog = _plain(NULL)
    module = prog.main_module("kernel", create=True)
    module.address_range = (0, 1 << 48)
    from btfdbg.program.bare_dwarf import give

    give(module, dwarf_of([*wrong, *functions], 0x1000, 0x2000))
    bias = module.debug_file_bias
    assert bias is not None

    def name(pc: int) -> str | None:
        # drgn takes what it is given for return addresses.
        found: str | None = prog.stack_trace_from_pcs([pc + bias + 1])[0].function_name
        return found

    assert [name(f.start) for f in functions] == [f.name for f in functions]
    assert [name(f.start + f.size - 1) for f in functions] == [f.name for f in functions]
    for pc in (0xF00, 0x1000 + 0x640, 0x1E00, 0x1FF8, 0x2000):
        assert name(pc) is None


def test_a_place_with_copies_of_two_functions_has_neither_name() -> None:
    prog = _plain(NULL)
    session = register(prog)
    names = session.all_names()
    assert names is not None
    found = {function.start for function in copies(session)}
    offset = session.vmcoreinfo.kernel_offset
    assert offset is not None
    shared = [
        symbol
        for name in ("do_compat_epoll_pwait.part.0", "quirk_nvidia_hda_pm.part.0")
        for symbol in session.lookup_symbols(name)
    ]
    assert shared
    for symbol in shared:
        assert (symbol.address - offset) % (1 << 64) not in found


def _dumps() -> list[Path]:
    folder = os.environ.get("BTFDBG_DUMPS", "")
    return sorted(Path(folder).glob("*-busy-qemu-elf.vmcore")) if folder else []


@pytest.mark.oracle
@pytest.mark.parametrize("dump", _dumps(), ids=lambda path: path.name)
def test_dwarf_calls_them_so(dump: Path) -> None:
    """``BTFDBG_DUMPS=FOLDER BTFDBG_DEBUG=FOLDER python -m pytest -m oracle tests/program``"""
    session = btfdbg.attach(btfdbg.program_from_core_dump(dump))
    vmlinux = Path(os.environ.get("BTFDBG_DEBUG", "")) / session.release / "vmlinux"
    if not vmlinux.exists():
        pytest.skip(f"no vmlinux of {session.release}")
    offset = session.vmcoreinfo.kernel_offset
    assert offset is not None
    given = {(f.start + offset) % (1 << 64): f.name for f in copies(session)}
    try:
        prog = _plain(dump)
    except ValueError:
        pytest.skip("drgn alone does not open it")
    try:
        prog.load_debug_info([vmlinux])
    except drgn.MissingDebugInfoError:
        pytest.skip("of another build")
    named = {}
    for address in given:
        frames = prog.stack_trace_from_pcs([address + 1])
        function = [frame for frame in frames if not frame.is_inline][-1].function_name
        if function is not None:
            named[address] = function
    print(f"{dump.name}: {len(given)} given, {len(named)} known to DWARF")
    assert len(named) > len(given) // 5
    assert {a: (given[a], name) for a, name in named.items() if given[a] != name} == {}
