"""Modules of drgn's that are put off are what drgn made of them when they are used."""

from __future__ import annotations

import subprocess
import sys

_CALLED = """
import os, sys
import drgn
from btfdbg.patches import packages
packages.put_off("drgn.internal.sudohelper", "open_via_sudo")
from drgn.internal.sudohelper import open_via_sudo
import drgn.cli
assert drgn.cli.open_via_sudo is open_via_sudo
print("pickle" in sys.modules, "socket" in sys.modules)
import subprocess
def refuse(command, **more):
    print(command[0], command[-3])
    raise SystemExit(7)
subprocess.check_call = refuse
try:
    open_via_sudo("no file", os.O_RDONLY)
except SystemExit as e:
    print(e.code)
print("pickle" in sys.modules, sys.modules["drgn.internal.sudohelper"].open_via_sudo.__module__)
print(type(sys.modules["drgn.internal.sudohelper"]).__name__)
"""


def test_a_function_of_a_module_that_is_put_off_is_drgns_when_it_is_called() -> None:
    made = subprocess.run(
        [sys.executable, "-c", _CALLED], capture_output=True, text=True, check=False
    )
    assert made.stderr == ""
    assert made.stdout.splitlines() == [
        "False False",
        "sudo no file",
        "7",
        "True drgn.internal.sudohelper",
        "module",
    ]
