"""The scripts of ``examples/`` answer on a bundled dump what is known of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import bundled_dumps

ROOT = Path(__file__).parents[2]
DUMPS = {path.name.partition(".vmcore")[0]: path for path, _ in bundled_dumps()}
BTFDBG = ("-m", "btfdbg.cli.main")


def said(*argv: str | Path) -> str:
    """What a script prints; it must end well and print no traceback."""
    command = [sys.executable, *map(str, argv)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def script(name: str, dump: Path, *args: str) -> str:
    return said(*BTFDBG, dump, f"examples/{name}", *args)


def test_which_tasks_wait_for_a_lock_names_holder_and_waiter() -> None:
    out = said("examples/which_tasks_wait_for_lock.py", DUMPS["6.12-arm64-deadlock"], "cf_left")
    assert out == "mutex cf_left: held by cf_ab(219)\n    cf_ba(220) waits for 30.0 s\n"


def test_which_tasks_wait_for_a_lock_that_nobody_wants() -> None:
    out = said("examples/which_tasks_wait_for_lock.py", DUMPS["6.12-arm64-deadlock"], "other")
    assert out == "no blocked task waits for other\n"


def test_nothing_was_in_flight_on_a_disk_that_had_answered_all() -> None:
    out = script("in_flight_on_disk.py", DUMPS["6.1-amd64-hung"], "loop0")
    assert out == "loop0: 0 in flight\n1 disk has nothing in flight\n"


@pytest.mark.skipif("BTFDBG_DUMPS" not in os.environ, reason="BTFDBG_DUMPS is not set")
def test_the_request_that_a_slow_disk_owes_is_shown() -> None:
    dump = Path(os.environ["BTFDBG_DUMPS"]) / "6.1-amd64-slow-disk-qemu-elf.vmcore"
    if not dump.exists():
        pytest.skip("no dump of a slow disk")
    out = script("in_flight_on_disk.py", dump, "vda")
    assert out.startswith("vda: 1 in flight\n")
    assert "READ  sector 1280  65536 bytes" in out


def test_who_fills_a_slab_cache_is_told_by_what_its_objects_point_to() -> None:
    out = script("slab_users.py", DUMPS["6.12-amd64-null"], "filp")
    assert out.startswith("filp: 33 objects of 184 bytes\n")
    assert "13 hold a pointer to shmem_file_operations" in out


def test_a_slab_cache_whose_pages_were_left_out_is_said_to_be_unreadable() -> None:
    done = subprocess.run(
        [sys.executable, *BTFDBG, DUMPS["6.1-amd64-hung"], "examples/slab_users.py", "filp"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "its objects cannot be told" in done.stderr
    assert "Traceback" not in done.stderr
