"""What the first ``bt`` of an open session costs, and what of it nobody could save.

    python -m tests.bench.first_bt CORE... [--vmlinux VMLINUX] [-n ROUNDS]

Each figure is the median of processes of their own, which open the dump, list its modules, print
an expression (``p 1``) and then do what is measured; CPU time, and pages faulted in. The analyses
that a first run keeps are kept. In turn with them what ``bt`` cannot do without, each part by
itself: drgn's own stack of that task, drgn's command as it is on a dump without DWARF (no
arguments, no source files), and the import of the modules that ``bt`` brings in. With the
matching VMLINUX (its modules in ``modules/`` beside it), drgn's command with DWARF.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.bench.processes import as_installed

_MEASURE = """
import contextlib, gc, importlib, io, json, resource, sys, time
def measure(work):
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with contextlib.redirect_stdout(io.StringIO()) as out:
        before = time.process_time()
        work()
        taken = time.process_time() - before
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    print(json.dumps({"ms": taken * 1e3, "faults": faults, "lines": out.getvalue().count("\\n")}))
"""
_OURS = f"""{_MEASURE}
from btfdbg.commands import evaluate
from btfdbg.program.attach import Options, register
from btfdbg.program.plugins import skip_own_plugins
from btfdbg.vmcore.open import open_core
skip_own_plugins()
bytes(8 << 20)  # large blocks are used again, as on the command line
prog, info = open_core(sys.argv[1])
session = register(prog, Options(is_file=True), info)
session.ensure_modules()
gc.freeze()  # so does it once it has opened a dump
gc.set_threshold(200_000, 20, 50)
"""
_PROMPT = f"""{_OURS}
with contextlib.redirect_stdout(io.StringIO()):
    evaluate.run_line(session, "p 1")
loaded = set(sys.modules)
"""
_BT = 'lambda: evaluate.run_line(session, "bt")'
_STACK = "lambda: prog.stack_trace(prog.crashed_thread().object)"
_COMMAND = """
import drgn
drgn.set_default_prog(prog)
from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE
run = lambda line: CRASH_COMMAND_NAMESPACE.run(prog, line, globals={"prog": prog})
"""
_PLAIN = f"""
prog["init_task"].comm{_COMMAND}
def bt():
    import drgn.commands._crash._bt
    run("bt")
measure(bt)
"""
_DWARF = f"""{_MEASURE}
import drgn, glob, os
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
prog.load_debug_info([sys.argv[2]], main=True)
found = glob.glob(os.path.dirname(sys.argv[2]) + "/modules/**/*.ko*", recursive=True)
with contextlib.suppress(drgn.MissingDebugInfoError):
    prog.load_debug_info(found)
{_COMMAND}
import drgn.commands._crash._bt
with contextlib.redirect_stdout(io.StringIO()):
    run("p init_task.comm")
gc.freeze()
gc.set_threshold(200_000, 20, 50)
measure(lambda: run("bt"))
measure(lambda: run("bt"))
"""
_MODULES = f"""{_PROMPT}
measure({_BT})
print(json.dumps([name for name in sys.modules if name not in loaded]))
"""
_IMPORTS = (
    f"{_PROMPT}measure(lambda: [importlib.import_module(n) for n in json.loads(sys.argv[2])])"
)

_FIRST, _AGAIN = "`bt`, the first after `p 1`", "`bt` again"
_ROWS: Mapping[str, str] = {
    "floor: drgn's own stack of that task": f"{_PROMPT}measure({_STACK})",
    "floor: drgn's command as it is": _OURS + _PLAIN,
    "floor: what `bt` imports": _IMPORTS,
}
_WITH_DWARF = ("drgn with DWARF, `bt`", "drgn with DWARF, `bt` again")


def _run(code: str, *arguments: str) -> list[dict[str, float]]:
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "DRGN_DISABLE_PLUGINS": "btfdbg"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: list[dict[str, float]] = [json.loads(line) for line in done.stdout.splitlines()]
    return found


def _rounds(core: str, vmlinux: str | None, rounds: int) -> dict[str, list[dict[str, float]]]:
    """What each process said, by row; the first one of ours leaves what it found."""
    *_, modules = _run(_MODULES, core)
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        said = _run(f"{_PROMPT}measure({_BT})\nmeasure({_BT})", core)
        for title, one in zip((_FIRST, _AGAIN), said, strict=True):
            found.setdefault(title, []).append(one)
        for title, code in _ROWS.items():
            extra = [json.dumps(modules)] if code is _IMPORTS else []
            found.setdefault(title, []).append(_run(code, core, *extra)[0])
        if vmlinux is not None:
            for title, one in zip(_WITH_DWARF, _run(_DWARF, core, vmlinux), strict=True):
                found.setdefault(title, []).append(one)
    return found


def main() -> None:
    """Print a table per dump."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.first_bt",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cores", metavar="CORE", nargs="+")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    parser.add_argument("-n", "--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        as_installed(folder)
        for core in args.cores:
            print(f"load {os.getloadavg()[0]:.1f}; {args.rounds} rounds\n")
            print(f"| {Path(core).name} | CPU ms | page faults | lines |")
            print("|---|---|---|---|")
            for title, found in _rounds(core, args.vmlinux, args.rounds).items():
                ms, faults, lines = (
                    median(one[what] for one in found) for what in ("ms", "faults", "lines")
                )
                print(f"| {title} | {ms:.1f} | {faults:.0f} | {lines:.0f} |")
            print(flush=True)


if __name__ == "__main__":
    main()
