"""Where a kdump's header says that VMCOREINFO is may be damaged: it is a note as well."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from btfdbg.commands import execute
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core
from btfdbg.vmcore.kdumpfile import Kdump

_PLACE = 4096 + 32  # offset_vmcoreinfo of the sub-header, in the file's second block


def _damaged(core: Path, folder: Path, offset: int) -> Path:
    data = bytearray(core.read_bytes())
    header = Kdump(core).header
    assert header.notes[1]
    assert struct.unpack_from("<Q", data, _PLACE)[0] == header.vmcoreinfo[0]
    struct.pack_into("<Q", data, _PLACE, offset)
    path = folder / "damaged.vmcore"
    path.write_bytes(data)
    return path


def _opened(path: Path) -> Session:
    prog, info = open_core(path)
    return attach(prog, None, info)


@pytest.mark.parametrize("offset", [0, 4096, 500_000])
def test_the_text_is_that_of_the_note(offset: int, x86_core: Path, tmp_path: Path) -> None:
    text = Kdump(x86_core).vmcoreinfo()
    found = Kdump(_damaged(x86_core, tmp_path, offset)).vmcoreinfo()
    assert text is not None
    assert found is not None
    assert found.rstrip(b"\0") == text.rstrip(b"\0")


@pytest.mark.parametrize("offset", [0, 500_000])
def test_registers_and_stack_are_as_before(
    offset: int, oops_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made anew from the kernel's image, the text let all registers count as never saved."""
    assert execute.run_commands(_opened(oops_core), ["bt"]) == 0
    whole = capsys.readouterr().out
    assert execute.run_commands(_opened(_damaged(oops_core, tmp_path, offset)), ["bt"]) == 0
    assert capsys.readouterr().out == whole
    assert whole.count(" #") > 3
