"""``char`` is the kernel's, whoever made drgn settle on it before."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.program import char_type

CORES = Path(__file__).parents[2] / "corefiles"
# -funsigned-char since v6.2, and always on arm64.
SIGNED = {
    "6.1-amd64-hung.vmcore": True,
    "6.12-amd64-null.vmcore": False,
    "6.12-arm64-deadlock.vmcore": False,
}


def _opened_by_us(core: Path) -> drgn.Program:
    return btfdbg.program_from_core_dump(core)


def _read_by_another_plugin_first(core: Path) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(core)
    assert prog["UTS_RELEASE"].string_()
    btfdbg.attach(prog)
    return prog


@pytest.fixture(params=sorted(SIGNED))
def core(request: pytest.FixtureRequest) -> Path:
    return CORES / str(request.param)


@pytest.mark.parametrize("opened", [_opened_by_us, _read_by_another_plugin_first])
def test_char_by_name_is_the_members_char(core: Path, opened: object) -> None:
    assert callable(opened)
    prog = opened(core)
    wanted = SIGNED[core.name]
    assert prog.type("char").is_signed is wanted
    comm = prog.type("struct task_struct").member("comm").type
    assert comm.type.is_signed is wanted
    # A member and text mix: to C they are one type.
    member = drgn.Object(prog, comm, address=prog["init_task"].comm.address_)
    assert drgn.Object(prog, "char *", member + 0)[0].value_() == ord("s")
    value = drgn.Object(prog, "char", 0x90, bit_field_size=None)
    assert value.value_() == (0x90 - 256 if wanted else 0x90)
    assert drgn.cast("char", drgn.Object(prog, "int", 0x90)).value_() == value.value_()


def test_stacks_are_the_same_when_drgn_had_to_ask_again(core: Path) -> None:
    stacks = [
        [str(frame) for frame in prog.crashed_thread().stack_trace()]
        for prog in (_opened_by_us(core), _read_by_another_plugin_first(core))
    ]
    assert stacks[0] == stacks[1]
    assert len(stacks[0]) > 3


def test_the_file_that_makes_drgn_ask_again_describes_nothing() -> None:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.extra_module("any", create=True)
    module = module[0] if isinstance(module, tuple) else module
    assert char_type.empty_dwarf()[:4] == b"\x7fELF"
    # Only the main module's file counts: nothing changes, and that is said.
    assert prog.type("char").is_signed
    assert not char_type.settle(prog, module, False)
    assert char_type.settle(prog, module, True)


def test_a_kernel_whose_dwarf_is_loaded_keeps_its_char() -> None:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.main_module("kernel", create=True)
    module = module[0] if isinstance(module, tuple) else module
    module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
    assert prog.type("char").is_signed
    assert not char_type.settle(prog, module, False)
    assert module.debug_file_status is drgn.ModuleFileStatus.DONT_NEED
