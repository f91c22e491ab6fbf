"""``python -m tests.bench.btf VMLINUX_BTF [...]``: the BTF toolkit next to bpftool and libbpf.

    python -m tests.bench.btf VMLINUX_BTF [--module BTF] [--slow BASE_BTF MODULE_BTF]
        [--raw BTF] [--bpftool CMD] [--libbpf CMD] [-n N]

Whole processes, in turn, each writing a regular file. CMD may be several words; --libbpf
is the program that tests/btf_tools/oracle.c makes. --slow is a base and a module that
take long to dedup; --raw is BTF of a vmlinux's size before its dedup, made out of
VMLINUX_BTF if none is given. What is kept of a base from one run to the next is in a
folder of its own, which the first, uncounted round fills; "nothing kept" has none.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from btfdbg.cache import NO_CACHE_VARIABLE
from tests.bench.processes import Run, table

_NOTHING_KEPT = "btfdbg, nothing kept"


def run_once(argv: list[str], out: str, *, keeps: bool = True) -> Run:
    """
    Run a command with its output in a file.

    :param keeps: It may use what earlier runs kept.
    """
    started = time.perf_counter()
    with open(out, "wb") as file, open(os.devnull, "r+b") as null:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            {
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "",
                NO_CACHE_VARIABLE: "" if keeps else "1",
            },
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, file.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, null.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    cpu = usage.ru_utime + usage.ru_stime
    return Run(wall, cpu, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


def compare(commands: Mapping[str, Sequence[list[str]]], rounds: int) -> dict[str, list[Run]]:
    """Run all in turn; a command of several processes counts as their sum. The first is warm-up."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as where:
        for round_ in range(rounds + 1):
            for name, processes in commands.items():
                out = os.path.join(where, "out")
                keeps = name != _NOTHING_KEPT
                parts = [run_once(argv, out, keeps=keeps) for argv in processes]
                if round_:
                    runs[name].append(
                        Run(
                            sum(p.wall for p in parts),
                            sum(p.cpu for p in parts),
                            max(p.peak for p in parts),
                            max((p.status for p in parts), key=abs),
                        )
                    )
    return runs


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.btf", description=__doc__)
    parser.add_argument("vmlinux")
    parser.add_argument("--module")
    parser.add_argument("--slow", nargs=2, metavar=("BASE", "MODULE"))
    parser.add_argument("--raw")
    parser.add_argument("--bpftool", type=shlex.split, default=[])
    parser.add_argument("--libbpf", type=shlex.split, default=[])
    parser.add_argument("-n", "--rounds", type=int, default=9)
    args = parser.parse_args()
    scratch = tempfile.mkdtemp()
    os.environ["XDG_CACHE_HOME"] = os.path.join(scratch, "cache")
    ours = [sys.executable, "-m", "btfdbg.cli.main", "btf"]
    vmlinux, module = args.vmlinux, args.module

    def at(name: str) -> str:
        return os.path.join(scratch, name)

    index = f"from btfdbg.btf.btf import Btf; Btf.parse(open({vmlinux!r}, 'rb').read())"
    mapped = (
        "from mmap import ACCESS_READ, mmap; from btfdbg.btf.btf import Btf; "
        f"f = open({vmlinux!r}, 'rb'); Btf.parse(mmap(f.fileno(), 0, access=ACCESS_READ))"
    )
    kept = mapped.replace("btf.btf import Btf", "cli.btf.remembered import parse")
    kept = kept.replace("Btf.parse(", "parse(")
    c_dump = [[*ours, "dump", "--format", "c", vmlinux, "-o", at("h")]]
    plans: dict[str, dict[str, list[list[str]]]] = {
        "floor: the interpreter": {"python": [[sys.executable, "-c", "pass"]]},
        "index": {
            "btfdbg, file mapped": [[sys.executable, "-c", mapped]],
            "btfdbg, file read": [[sys.executable, "-c", index]],
            "btfdbg, file mapped, a base of earlier verbs": [[sys.executable, "-c", kept]],
        },
        "raw dump": {"btfdbg": [[*ours, "dump", vmlinux, "-o", at("raw")]]},
        "C dump": {"btfdbg, of a BTF seen before": c_dump, _NOTHING_KEPT: c_dump},
    }
    if args.bpftool:
        dump = [*args.bpftool, "btf", "dump", "file", vmlinux, "format"]
        plans["raw dump"]["bpftool"] = [[*dump, "raw"]]
        plans["C dump"]["bpftool"] = [[*dump, "c"]]
    if args.libbpf:
        plans["index"]["libbpf"] = [[*args.libbpf, "load", at("l"), vmlinux]]
    if module:
        distill = ["distill", module, "-B", vmlinux, "-o", at("s"), "--output-base", at("b")]
        relocate = ["relocate", at("s"), "-B", at("b"), "-t", vmlinux, "-o", at("r")]
        both = [[*ours, *distill], [*ours, *relocate]]
        dedup = [[*ours, "dedup", module, "-B", vmlinux, "-o", at("d")]]
        plans["distill and relocate"] = {"btfdbg": both, _NOTHING_KEPT: both}
        plans["dedup of a module"] = {"btfdbg": dedup, _NOTHING_KEPT: dedup}
        if args.libbpf:
            plans["distill and relocate"]["libbpf"] = [
                [*args.libbpf, "distill", at("lb"), at("ls"), module, vmlinux],
                [*args.libbpf, "relocate", at("lr"), vmlinux, at("ls"), at("lb")],
            ]
            plans["dedup of a module"]["libbpf"] = [
                [*args.libbpf, "dedup", at("ld"), module, vmlinux]
            ]
    if args.slow:
        base, split = args.slow
        plans["dedup of a slow module"] = {
            "btfdbg": [[*ours, "dedup", split, "-B", base, "-o", at("d")]]
        }
        if args.libbpf:
            plans["dedup of a slow module"]["libbpf"] = [
                [*args.libbpf, "dedup", at("ld"), split, base]
            ]
    raw = args.raw
    if not raw:
        raw = at("undeduplicated")
        # By a process of its own: what is measured inherits the peak of this one.
        maker = [sys.executable, "-m", "tests.bench.undeduplicated", vmlinux, raw]
        subprocess.run(maker, check=True)
    plans["dedup of a whole vmlinux"] = {"btfdbg": [[*ours, "dedup", raw, "-o", at("w")]]}
    if args.libbpf:
        plans["dedup of a whole vmlinux"]["libbpf"] = [[*args.libbpf, "dedup", at("lw"), raw]]
    for title, commands in plans.items():
        print(f"\n{title}")
        print(table(compare(commands, args.rounds), list(commands)[-1]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
