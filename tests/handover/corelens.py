"""corelens over a dump, with DWARF and with nothing but the dump through the plugin.

    python -m tests.handover.corelens DUMP --vmlinux FILE [--modules FOLDER] [--tools FOLDER]
        [--trimmed FILE]

Needs drgn-tools: installed, or its source in ``--tools``. Each invocation that corelens' own
verbose report makes runs in a process of its own, in both ways; the table says what came out.
``--trimmed`` names what ``btfdbg trim`` made of DUMP: a second table holds it against the whole,
both through the plugin. The exit status is 1 if one that works with DWARF does not work without,
or one that works on the whole does not work trimmed, and the reason of each stands beside it.
Outputs that differ are shown with ``-v``.

DUMP had better be no ELF file of QEMU's: its segments claim that address 0 is readable, so that
drgn by itself follows NULL pointers there, and what it prints of them differs.

Facts: drgn-tools, ``drgn_tools/corelens.py`` (default_corelens_modules() gives modules and their
arguments; run(prog, args) prints); drgn, ``libdrgn/python/plugins.c`` (plugins are called when a
Program's core dump is set, DRGN_DISABLE_PLUGINS names those that are not).
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.handover.corelens_frames import bare

CPU_SECONDS = 300
WAYS = ("dwarf", "dump")
# "same stacks" are the same but for inlined functions and source places.
VERDICTS = ("same", "same stacks", "more", "both fail", "differs", "fails")


class Outcome(NamedTuple):
    """
    What one invocation did.

    :ivar output: What it printed.
    :ivar error: Why it failed, or "".
    """

    output: str
    error: str


def verdict(dwarf: Outcome, dump: Outcome) -> str:
    """What two outcomes are beside each other: one of ``VERDICTS``."""
    if dump.error:
        return "both fail" if dwarf.error else "fails"
    if dwarf.error:
        return "more"
    if dump.output == dwarf.output:
        return "same"
    lines = bare(dwarf.output, dump.output)
    return "same stacks" if lines[0] == lines[1] else "differs"


def _program(core: str, debug: Sequence[str]) -> Any:
    import drgn

    # It warns of each file of a folder that no loaded module wants.
    logging.getLogger("drgn").setLevel(logging.ERROR)
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


def _run_way(args: argparse.Namespace, core: str, way: str) -> dict[str, Outcome]:
    """All invocations in a process whose drgn has, or has not, the plugin."""
    environment = dict(os.environ)
    environment["DRGN_DISABLE_PLUGINS"] = "btfdbg" if way == "dwarf" else ""
    if args.tools:
        paths = (args.tools, environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    words = [sys.executable, "-m", __spec__.name, core, "--way", way]
    if way == "dwarf":
        modules = (p for folder in args.modules for p in Path(folder).rglob("*.ko*"))
        words += ["--debug", json.dumps([args.vmlinux, *sorted(map(str, modules))])]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {k: Outcome(*v) for k, v in json.loads(done.stdout).items()}


def _table(
    names: tuple[str, str], known: dict[str, Outcome], asked: dict[str, Outcome], verbose: bool
) -> int:
    """Print what became of each invocation; the status."""
    nothing = Outcome("", "is not there")
    counts = dict.fromkeys(VERDICTS, 0)
    print(f"{names[1]} beside {names[0]}")
    for name in dict.fromkeys((*known, *asked)):
        one, other = known.get(name, nothing), asked.get(name, nothing)
        said = verdict(one, other)
        counts[said] += 1
        print(f"{said:14} {name}" + (f": {other.error}" if other.error else ""))
        if verbose and said == "differs":
            lines = bare(one.output, other.output)
            print("\n".join(difflib.unified_diff(*lines, *names, n=0, lineterm="")))
    print(", ".join(f"{n} {said}" for said, n in counts.items() if n))
    return 1 if counts["fails"] else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The comparison; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("core", metavar="DUMP")
    parser.add_argument("--vmlinux", help="with DWARF")
    parser.add_argument(
        "--modules", action="append", default=[], help="a folder of modules with DWARF"
    )
    parser.add_argument("--trimmed", metavar="FILE", help="what trim made of DUMP")
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
    dump = _run_way(args, args.core, "dump")
    status = _table(("DWARF", "the dump"), _run_way(args, args.core, "dwarf"), dump, args.verbose)
    if args.trimmed:
        trimmed = _run_way(args, args.trimmed, "dump")
        status |= _table(("the dump", "trimmed"), dump, trimmed, args.verbose)
    return status


if __name__ == "__main__":
    sys.exit(main())
