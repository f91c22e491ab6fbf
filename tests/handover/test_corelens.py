"""The comparison of corelens with DWARF and without tells what it is to tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import bundled_dumps
from tests.handover.corelens import Outcome, verdict
from tests.handover.corelens_frames import bare
from tests.patience import limited

DUMP = next(str(path) for path, _ in bundled_dumps() if "6.12-amd64" in path.name)

# Stands for drgn-tools, as far as the comparison knows it: a module's name, its arguments, run().
_TOOLS = """
import argparse, os, signal

class Module:
    def __init__(self, name, run):
        self.name, self._run = name, run
    def run(self, prog, args):
        self._run(prog, args)

def tasks(prog, args):
    from drgn.helpers.linux.pid import for_each_task
    for task in for_each_task(prog):
        print(task.pid.value_(), task.comm.string_().decode())

def nothing(prog, args):
    print(prog["no_such_variable_at_all"])

def kills(prog, args):
    os.kill(os.getpid(), signal.SIGKILL)

def default_corelens_modules(verbose=False):
    assert verbose
    some = argparse.Namespace
    return [
        (Module("tasks", tasks), some(all=True, none=None)),
        (Module("nothing", nothing), some()),
        (Module("kills", kills), some()),
    ]
"""


@pytest.mark.parametrize(
    ("dwarf", "dump", "said"),
    [
        (Outcome("a", ""), Outcome("a", ""), "same"),
        (Outcome("a", ""), Outcome("b", ""), "differs"),
        (Outcome("a", ""), Outcome("a", "LookupError"), "fails"),
        (Outcome("a", "LookupError"), Outcome("", "LookupError"), "both fail"),
        (Outcome("a", "LookupError"), Outcome("a", ""), "more"),
    ],
)
def test_what_two_outcomes_are_beside_each_other(dwarf: Outcome, dump: Outcome, said: str) -> None:
    assert verdict(dwarf, dump) == said


_WITH_DWARF = """\
CPU 1
 # 0 [ff10] context_switch at 0xff81 kernel/sched/core.c:5363:2
 # 1 [ff10] __schedule at 0xff81 kernel/sched/core.c:6752:8
 # 2 [ff20] take [some_module] at 0xffc0 drivers/some.c:12:0
!# 3 [ff30] entry at 0xff90 arch/x86/entry/entry_64.S:121:0
 -- continuing to previous stack --
!# 4 [0] 0x0 at 0x0

CPU 2"""
_WITHOUT = """\
CPU 1
 # 0 [ff10] __schedule at 0xff81
 # 1 [ff20] take [some_module] at 0xffc0
!# 2 [ff30] entry_after_frame at 0xff90

CPU 2"""


def test_a_stack_is_the_same_without_what_only_dwarf_tells() -> None:
    assert verdict(Outcome(_WITH_DWARF, ""), Outcome(_WITHOUT, "")) == "same stacks"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("take [", "give ["),
        ("0xffc0", "0xffc8"),
        ("[ff20]", "[ff28]"),
        ("!#", " #"),
        ("CPU 2", "CPU 3"),
        (" # 1 [ff20] take [some_module] at 0xffc0\n", ""),
    ],
)
def test_a_stack_that_is_another_is_not_the_same(old: str, new: str) -> None:
    other = _WITHOUT.replace(old, new)
    assert other != _WITHOUT
    assert verdict(Outcome(_WITH_DWARF, ""), Outcome(other, "")) == "differs"
    one, two = bare(_WITH_DWARF, other)
    assert one != two


def test_each_invocation_runs_apart_through_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "drgn_tools").mkdir()
    (tmp_path / "drgn_tools" / "__init__.py").touch()
    (tmp_path / "drgn_tools" / "corelens.py").write_text(_TOOLS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "DRGN_DISABLE_PLUGINS": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.handover.corelens", DUMP, "--way", "dump"],
        env=environment, capture_output=True, text=True, check=True, preexec_fn=limited(),
    )  # fmt: skip
    outcomes = {name: Outcome(*one) for name, one in json.loads(done.stdout).items()}
    assert list(outcomes) == ["tasks all=True", "nothing", "kills"]
    assert outcomes["tasks all=True"].error == ""
    assert outcomes["tasks all=True"].output.startswith("1 ")
    assert outcomes["nothing"].error.startswith("ObjectNotFoundError: ")
    assert "no_such_variable_at_all" in outcomes["nothing"].error
    assert outcomes["kills"].error == "ended by signal 9"
