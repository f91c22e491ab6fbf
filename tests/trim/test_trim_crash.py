"""crash over a trimmed dump answers as it does over the whole one.

    BTFDBG_CRASH=/usr/bin/crash BTFDBG_CRASH_DUMP=DUMP BTFDBG_CRASH_VMLINUX=VMLINUX \\
        pytest -m oracle tests/trim/test_trim_crash.py

DUMP is whole, of a kernel that the crash given opens (version 9: 6.12, four levels of page
tables), VMLINUX is that kernel's with DWARF.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from tests.handover import crash

pytestmark = pytest.mark.oracle

NAMES = ("BTFDBG_CRASH", "BTFDBG_CRASH_DUMP", "BTFDBG_CRASH_VMLINUX")
# Not among them: bt -a. Of a CPU beside the panicked one crash takes the registers from
# QEMU's notes in a kdump file, and in an ELF core those that it finds on the stack.
COMMANDS = (
    *("sys", "ps", "log", "mod", "kmem -i", "net", "dev", "irq", "timer", "runq", "sig", "vm"),
    *("task", "struct task_struct", "sym schedule", "mach", "swap", "kmem -v"),
    *("p linux_banner", "p init_task", "p runqueues:0"),
    *("bt", "bt -f", "foreach UN bt", "foreach IN bt", "files", "foreach files", "mount"),
    *("kmem -s", "dev -d"),
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    given = [os.environ.get(name) for name in NAMES]
    if not all(given):
        pytest.skip(f"{', '.join(NAMES)} name no crash, dump and vmlinux")
    program, dump, vmlinux = (str(name) for name in given)
    folder = tmp_path_factory.mktemp("crash")
    small = folder / "small.vmcore"
    assert main(["trim", dump, str(small), "-q"]) == 0
    assert small.stat().st_size < Path(dump).stat().st_size // 10
    found = []
    said = []
    for name, core in (("whole", dump), ("trimmed", str(small))):
        said.append(crash.run([program], core, vmlinux, list(COMMANDS), folder / name))
        texts = [_text(folder / name, n, core) for n in range(len(COMMANDS))]
        found.append(texts)
    warnings = [_warnings(text) for text in said]
    return {
        "warnings": (warnings[0], warnings[1]),
        **{c: (a, b) for c, a, b in zip(COMMANDS, *found, strict=True)},
    }


def _warnings(said: str) -> str:
    """What crash itself warns of while it opens a dump."""
    return "\n".join(line for line in said.splitlines() if "WARNING" in line)


def _text(folder: Path, number: int, core: str) -> str:
    """A command's output without the dump's name, and without what a small dump is called."""
    return crash.text(folder, number, "", core).replace("  [PARTIAL DUMP]", "")


def test_crash_opens_a_trimmed_dump(answers: dict[str, tuple[str, str]]) -> None:
    ended = [command for command, (_, own) in answers.items() if "crash ended" in own]
    assert not ended


def test_crash_answers_as_over_the_whole_dump(answers: dict[str, tuple[str, str]]) -> None:
    assert len(COMMANDS) >= 20
    differ = [command for command, (whole, own) in answers.items() if whole != own]
    assert not differ
