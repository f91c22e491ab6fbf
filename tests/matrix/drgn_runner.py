"""Runs drgn's own tests of a live kernel inside of a guest: with DWARF, or with btfdbg's types.

``python3 drgn_runner.py dwarf|btfdbg FOLDER``: FOLDER has drgn's ``tests`` and ``util.py``, the
test module and what describes it. One line of JSON a test goes to FOLDER/out/WAY.jsonl. Run
again it goes on behind the test that was under way, which ended the process.

Stands alone: in the guest, ``tests`` is drgn's package.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

# Of one test; software emulation is slow.
_SECONDS = 300
_MODULE = "drgn_test.ko"


def with_dwarf(folder: Path, prog: Any) -> None:
    """As drgn's tests have it, with the files that are there."""
    import drgn

    files = [*sorted((folder / "dwarf").iterdir()), folder / _MODULE]
    try:
        prog.load_debug_info([str(file) for file in files], True)
    except drgn.MissingDebugInfoError:
        pass  # of modules that no test asks for


def with_btfdbg(folder: Path, prog: Any) -> None:
    """Not a byte of DWARF; the test module's variables by its own extra BTF."""
    from btfdbg.program.attach import Options, attach

    attach(prog, Options(btf_extra=(folder / "drgn_test.btf-extra",)))


def each_test(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite, without those that read /proc/vmcore."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        elif ".vmcore." not in test.id():
            yield test


class TookTooLongError(BaseException):
    """No test catches it."""


def alarm(*_: object) -> None:
    raise TookTooLongError(f"took more than {_SECONDS} s")


class Outcomes(unittest.TestResult):
    """Writes down the outcome of each test as it ends."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out = out
        self.ended: set[str] = set()

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        if test.id() not in self.ended:
            self.write(test, "skipped", "its parts were")

    def write(self, test: Any, outcome: str, why: str = "") -> None:
        if outcome != "started":
            self.ended.add(test.id())
        line = {"test": test.id(), "outcome": outcome, "why": why[-4000:]}
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()

    def addSuccess(self, test: Any) -> None:
        self.write(test, "passed")

    def addSkip(self, test: Any, reason: str) -> None:
        self.write(test, "skipped", reason)

    def addError(self, test: Any, err: Any) -> None:
        self.write(test, "error", "".join(traceback.format_exception(*err)))

    def addFailure(self, test: Any, err: Any) -> None:
        self.write(test, "failed", "".join(traceback.format_exception(*err)))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.addFailure(test, err)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.write(test, "passed")


def main(way: str, folder: Path) -> int:
    """Run what was not run yet; 1 if there was nothing."""
    os.environ["DRGN_TEST_KMOD"] = str(folder / _MODULE)
    os.environ["DRGN_RUN_LINUX_KERNEL_TESTS"] = "1"
    sys.path.insert(0, str(folder))
    kernel: Any = import_module("tests.linux_kernel")

    load = {"dwarf": with_dwarf, "btfdbg": with_btfdbg}[way]
    kernel.LinuxKernelTestCase._load_debug_info = staticmethod(lambda prog: load(folder, prog))
    path = folder / "out" / f"{way}.jsonl"
    done = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            done[row["test"]] = row["outcome"]
    found = unittest.defaultTestLoader.discover(
        str(folder / "tests/linux_kernel"), top_level_dir=str(folder)
    )
    signal.signal(signal.SIGALRM, alarm)
    count = 0
    with path.open("a") as out:
        result = Outcomes(out)
        for name, outcome in done.items():
            if outcome == "started":
                out.write(json.dumps({"test": name, "outcome": "ended the process"}) + "\n")
        classes: dict[type, str] = {}
        for test in each_test(found):
            if test.id() in done:
                continue
            count += 1
            result.write(test, "started")
            kind = type(test)
            signal.alarm(_SECONDS)
            try:
                if kind not in classes:
                    classes[kind] = ""
                    try:
                        kind.setUpClass()
                    except unittest.SkipTest as e:
                        classes[kind] = str(e)
                if classes[kind]:
                    result.addSkip(test, classes[kind])
                else:
                    test.run(result)
            except (TookTooLongError, Exception):
                result.addError(test, sys.exc_info())
            finally:
                signal.alarm(0)
            print(f"{way} {count} {test.id()}", flush=True)
    return int(not count)


if __name__ == "__main__":
    status = main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    # Not sys.exit(): that waits for the threads and children that failed tests left behind.
    os._exit(status)
