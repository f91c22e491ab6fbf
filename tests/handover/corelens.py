"""corelens over a dump, with DWARF and with nothing but the dump through the plugin.

    python -m tests.handover.corelens DUMP --vmlinux FILE [--modules FOLDER] [--tools FOLDER]

Needs drgn-tools: installed, or its source in ``--tools``. Each invocation that corelens' own
verbose report makes runs in a process of its own, in both ways; the table says what came out.
The exit status is 1 if one that works with DWARF does not work without, and the reason of each
stands below the table. Outputs that differ are shown with ``-v``.

Facts: drgn-tools, ``drgn_tools/corelens.py`` (default_corelens_modules() gives modules and their
arguments; run(prog, args) prints); drgn, ``libdrgn/python/plugins.c`` (plugins are called when a
Program's core dump is set, DRGN_DISABLE_PLUGINS names those that are not).
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CPU_SECONDS = 300
WAYS = ("dwarf", "dump")


class Outcome(NamedTuple):
    """
    What one invocation did.

    :ivar output: What it printed.
    :ivar error: Why it failed, or "".
    """

    output: str
    error: str


def verdict(dwarf: Outcome, dump: Outcome) -> str:
    """What two outcomes are beside each other: same, differs, fails, as with DWARF, more."""
    if dump.error:
        return "as with DWARF" if dwarf.error else "fails"
    if dwarf.error:
        return "more"
    return "same" if dump.output == dwarf.output else "differs"


def _program(core: str, debug: Sequence[str]) -> Any:
    import drgn

    prog = drgn.Program()
    prog.set_core_dump(core)
    if debug:
        prog.load_debug_info(debug)
    else:
        prog.load_default_debug_info()
    return prog


def _apart(prog: Any, module: Any, arguments: object) -> Outcome:
    """Run one invocation in a process of its own: what it changes, or ends, is its own."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            try:
                os.dup2(out.fileno(), 1)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 # for the whole process
                most = resource.getrlimit(resource.RLIMIT_CPU)[1]
                seconds = CPU_SECONDS if most < 0 else min(CPU_SECONDS, most)
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, most))
                module.run(prog, arguments)
            except (Exception, SystemExit) as e:
                where = traceback.extract_tb(e.__traceback__)[-1]
                err.write(f"{type(e).__name__}: {e} ({Path(where.filename).name}, {where.name})")
            sys.stdout.flush()
            err.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        error = err.read()
        if os.WIFSIGNALED(status):
            error = f"ended by signal {os.WTERMSIG(status)}"
        return Outcome(out.read(), error)


def _run_all(core: str, debug: Sequence[str]) -> dict[str, Outcome]:
    """Every invocation of corelens' verbose report, by its name and arguments."""
    corelens = importlib.import_module("drgn_tools.corelens")
    prog = _program(core, debug)
    outcomes = {}
    for module, arguments in corelens.default_corelens_modules(verbose=True):
        words = [f"{k}={v}" for k, v in sorted(vars(arguments).items()) if v]
        outcomes[" ".join((module.name, *words))] = _apart(prog, module, arguments)
    return outcomes


def _both(args: argparse.Namespace) -> list[dict[str, Outcome]]:
    debug = [args.vmlinux]
    if args.modules:
        debug += sorted(str(p) for p in Path(args.modules).rglob("*.ko*"))
    found = []
    for way in WAYS:
        environment = dict(os.environ)
        environment["DRGN_DISABLE_PLUGINS"] = "btfdbg" if way == "dwarf" else ""
        if args.tools:
            paths = (args.tools, environment.get("PYTHONPATH", ""))
            environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
        words = [sys.executable, "-m", __spec__.name, args.core, "--way", way]
        if way == "dwarf":
            words += ["--debug", json.dumps(debug)]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found.append({k: Outcome(*v) for k, v in json.loads(done.stdout).items()})
    return found


def _table(rows: Iterable[tuple[str, Outcome, Outcome]], verbose: bool) -> int:
    counts: dict[str, int] = {}
    for name, dwarf, dump in rows:
        said = verdict(dwarf, dump)
        counts[said] = counts.get(said, 0) + 1
        print(f"{said:14} {name}" + (f": {dump.error}" if dump.error else ""))
        if verbose and said == "differs":
            lines = dwarf.output.splitlines(), dump.output.splitlines()
            print("\n".join(difflib.unified_diff(*lines, "DWARF", "dump", n=0, lineterm="")))
    print(", ".join(f"{n} {said}" for said, n in sorted(counts.items())))
    return 1 if counts.get("fails") else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The comparison; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("core", metavar="DUMP")
    parser.add_argument("--vmlinux", help="with DWARF")
    parser.add_argument("--modules", help="a folder of modules with DWARF")
    parser.add_argument("--tools", help="a checkout of drgn-tools")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what differs")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--debug", type=json.loads, default=[], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.way:
        json.dump(_run_all(args.core, args.debug), sys.stdout)
        return 0
    if not args.vmlinux:
        parser.error("--vmlinux FILE is needed, to compare with")
    dwarf, dump = _both(args)
    nothing = Outcome("", "is not there")
    names = dict.fromkeys((*dwarf, *dump))
    return _table(((n, dwarf.get(n, nothing), dump.get(n, nothing)) for n in names), args.verbose)


if __name__ == "__main__":
    sys.exit(main())
