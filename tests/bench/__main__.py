"""``python -m tests.bench CORE...``: what a session costs, next to the peers, as one table.

    python -m tests.bench CORE [CORE...] [--vmlinux VMLINUX] [--crash PATH] [--bpftool PATH]
        [-n N] [--only WORD]...

VMLINUX is the matching one with DWARF; with it drgn is timed on the same dump, and
crash if it is given or installed. bpftool is timed on the kernel's BTF, taken out of
the first dump. Medians of whole processes that ran in turn; cold is with an empty cache
of ours, warm with what the run before left; the page cache is warm for all.

Floors: the interpreter with drgn imported; drgn opening the dump, without plugins; the
same and reading the bytes of the kernel's BTF, which whoever answers from it must.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.processes import Contender, compare, markdown

_FIRST = 'print(prog["init_task"].comm)'
_TYPES = """
from btfdbg import session
s = session(prog)
for i in s.vmlinux.own_ids():
    try:
        t = s.converter.convert(i)
    except ValueError:
        continue
    for m in getattr(t, "members", None) or ():
        m.type
"""
_PLACE = """
from btfdbg import session
s = session(prog)
print(s.lookup_symbols("__start_BTF")[0].address, len(s.vmlinux.raw))
"""
_SAVE = """
from btfdbg import session
open({!r}, "wb").write(session(prog).vmlinux.raw)
"""
_OPEN = "import sys, drgn; prog = drgn.Program(); prog.set_core_dump(sys.argv[1])"
_READ = _OPEN + "; prog.read(int(sys.argv[2]), int(sys.argv[3]))"
_DWARF = "drgn with DWARF"
_OBJECT = "btfdbg, a first object"
_CRASH_ROUNDS = 1

# Byte code has to be cached for all of them, as it is once installed.
_CACHED = {"PYTHONDONTWRITEBYTECODE": ""}
_BARE = {**_CACHED, "DRGN_DISABLE_PLUGINS": "*"}
_PYTHON = sys.executable


class _Bench:
    """The contenders on one dump."""

    def __init__(self, core: str, vmlinux: str | None, crash: str | None) -> None:
        self.core, self.vmlinux, self.crash = core, vmlinux, crash
        self.btfdbg = [_PYTHON, "-m", "btfdbg.cli.main", core]

    def output(self, code: str) -> str:
        """What a piece of code prints in a session of ours."""
        argv = [*self.btfdbg, "-e", code]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def first(self) -> list[Contender]:
        address, size = self.output(_PLACE).split()
        found = [
            Contender("floor: drgn imported", [_PYTHON, "-c", "import drgn"], _BARE),
            Contender("floor: dump opened", [_PYTHON, "-c", _OPEN, self.core], _BARE),
            Contender(
                "floor: kernel BTF read", [_PYTHON, "-c", _READ, self.core, address, size], _BARE
            ),
            Contender("btfdbg, cold", [*self.btfdbg, "-e", _FIRST], _CACHED, cold=True),
            Contender("btfdbg, warm", [*self.btfdbg, "-e", _FIRST], _CACHED),
        ]
        if self.vmlinux is not None:
            argv = [_PYTHON, "-m", "drgn", "-q", "-c", self.core, "--main-symbols"]
            argv += ["-s", self.vmlinux, "-e", _FIRST]
            environment = {**_CACHED, "DRGN_DISABLE_PLUGINS": "btfdbg"}
            found.append(Contender(_DWARF, argv, environment))
        return found + self._crash("p init_task.comm")

    def command(self, line: str) -> list[Contender]:
        found = [Contender("btfdbg", [*self.btfdbg, "-x", line], _CACHED)]
        if self.vmlinux is not None:
            argv = [_PYTHON, "-m", "drgn.internal.crashcli", self.vmlinux, self.core]
            environment = {**_CACHED, "DRGN_DISABLE_PLUGINS": "btfdbg"}
            found.append(Contender(_DWARF, argv, environment, stdin=f"{line}\nquit\n"))
        return found + self._crash(line)

    def alone(self, line: str) -> list[Contender]:
        """A command of ours next to a first object."""
        return [
            Contender(_OBJECT, [*self.btfdbg, "-e", _FIRST], _CACHED),
            Contender("btfdbg", [*self.btfdbg, "-x", line], _CACHED),
        ]

    def types(self) -> list[Contender]:
        return [Contender("btfdbg", [*self.btfdbg, "-e", _TYPES], _CACHED)]

    def _crash(self, line: str) -> list[Contender]:
        if self.crash is None or self.vmlinux is None:
            return []
        argv = [self.crash, "-s", "--no_panic", self.vmlinux, self.core, "-i", "/dev/stdin"]
        return [Contender("crash", argv, stdin=f"{line}\nquit\n", rounds=_CRASH_ROUNDS)]


def _raw_dump(btf: str, bpftool: str | None) -> list[Contender]:
    read = f"open({btf!r}, 'rb').read()"
    found = [
        Contender("floor: Python reads the file", [_PYTHON, "-c", read], _CACHED),
        Contender("btfdbg", [_PYTHON, "-m", "btfdbg.cli.main", "btf", "dump", btf], _CACHED),
    ]
    if bpftool is not None:
        found.append(Contender("bpftool", [bpftool, "btf", "dump", "file", btf]))
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cores", metavar="CORE", nargs="+")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    parser.add_argument("--crash", default=shutil.which("crash"), help="the crash utility")
    parser.add_argument("--bpftool", default=shutil.which("bpftool"))
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument(
        "--only", action="append", default=[], help="of the rows those that start with this word"
    )
    args = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs,"
        f" load {os.getloadavg()[0]:.1f}; {args.rounds} rounds\n"
    )
    print("| what | who | wall s | CPU s | peak MiB | CPU ratio | peak ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for core in args.cores:
            bench = _Bench(core, args.vmlinux, args.crash)
            name = Path(core).name
            plans = {
                f"first object, {name}": (bench.first(), _DWARF),
                "`foreach bt`": (bench.command("foreach bt"), _DWARF),
                "`ps`": (bench.command("ps"), _DWARF),
                "`kmem -s`": (bench.command("kmem -s"), _DWARF),
                "`ctx`": (bench.alone("ctx"), _OBJECT),
            }
            if core == args.cores[0] and not args.only:
                btf = str(Path(folder) / "vmlinux.btf")
                bench.output(_SAVE.format(btf))
                plans["every BTF type to drgn"] = (bench.types(), "btfdbg")
                plans["vmlinux BTF as raw text"] = (_raw_dump(btf, args.bpftool), "bpftool")
            for title, (contenders, reference) in plans.items():
                if args.only and not title.strip("`").startswith(tuple(args.only)):
                    continue
                runs = compare(contenders, args.rounds)
                print("\n".join(markdown(title, runs, reference)), flush=True)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
