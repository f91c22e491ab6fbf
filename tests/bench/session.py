"""``python -m tests.bench.session CORE --vmlinux VMLINUX``: an open session, next to drgn's.

    python -m tests.bench.session CORE [--vmlinux VMLINUX] [-n ROUNDS] [--only WORD]

Two processes hold the dump open, ours with nothing but the dump and drgn with DWARF, and
are asked the same in turn. For each question the CPU time of the first answer, and of the
fastest of ROUNDS more ("warm"). A question of a lookup asks 1,000 times; its figures are for one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

LOOKUPS: Mapping[str, str] = {
    "prog.type(name)": 'prog.type("struct task_struct")',
    "prog[name]": 'prog["init_task"]',
    "prog.constant(name)": 'prog.constant("PIDTYPE_PID")',
    "prog.function(name)": 'prog.function("vfs_read")',
    "prog.symbol(name)": 'prog.symbol("init_task")',
    "absent name": '"no_such_name" in prog',
    "absent type": "absent_type(prog)",
    "prog.symbol(address)": "prog.symbol(address)",
}
COMMANDS = (
    "ps", "runq", "kmem -s", "kmem -V", "bt", "foreach bt", "mount", "dev", "sym -q vfs_rea",
    "p init_tsak",
)  # fmt: skip
_TIMES = 1000


def _absent_type(prog: Any) -> None:
    try:
        prog.type("struct no_such_type")
    except LookupError:
        pass


def _ours(core: str) -> tuple[Any, Callable[[str], object]]:
    from btfdbg.commands import evaluate
    from btfdbg.program.attach import register
    from btfdbg.program.plugins import skip_own_plugins
    from btfdbg.vmcore.open import open_core

    skip_own_plugins()
    prog, info = open_core(core)
    session = register(prog, None, info)

    def command(line: str) -> object:
        # As the prompt does before its first command: a stack without them ends at a module.
        session.ensure_modules()
        return evaluate.run_line(session, line)

    return prog, command


def _with_dwarf(core: str, vmlinux: str) -> tuple[Any, Callable[[str], object]]:
    import drgn
    from drgn.cli import default_globals
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    prog = drgn.Program()
    prog.set_core_dump(core)
    prog.load_debug_info([vmlinux], main=True)
    drgn.set_default_prog(prog)
    names = default_globals(prog)
    return prog, lambda line: CRASH_COMMAND_NAMESPACE.run(prog, line, globals=names)


def _serve(core: str, vmlinux: str | None) -> None:
    """Answer questions of standard input, each with the CPU seconds it took."""
    prog, command = _ours(core) if vmlinux is None else _with_dwarf(core, vmlinux)
    names = {"prog": prog, "absent_type": _absent_type}
    names["address"] = prog.symbol("schedule").address + 16
    sys.stdout.write("\n")
    sys.stdout.flush()
    for line in sys.stdin:
        question = json.loads(line)
        with contextlib.redirect_stdout(io.StringIO()):
            if question["lookup"]:
                code = compile(f"for _ in range(TIMES): {question['text']}", "<bench>", "exec")
                before = time.process_time()
                exec(code, {**names, "TIMES": question["times"]})
            else:
                before = time.process_time()
                try:
                    command(question["text"])
                except Exception:  # a peer's own failure costs it one row
                    before = float("nan")
            taken = time.process_time() - before
        sys.stdout.write(f"{taken / question['times']}\n")
        sys.stdout.flush()


@dataclass(slots=True)
class _Peer:
    """A process that holds the dump open."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, core: str, vmlinux: str | None, disabled: str) -> _Peer:
        argv = [sys.executable, "-m", "tests.bench.session", "--serve", core]
        argv += ["--vmlinux", vmlinux] if vmlinux is not None else []
        environment = {**os.environ, "DRGN_DISABLE_PLUGINS": disabled}
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        peer = cls(process)
        peer._pipe(process.stdout).readline()
        return peer

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def ask(self, text: str, lookup: bool, times: int) -> float:
        """CPU seconds of one answer."""
        question = json.dumps({"text": text, "lookup": lookup, "times": times})
        into = self._pipe(self.process.stdin)
        into.write(question + "\n")
        into.flush()
        return float(self._pipe(self.process.stdout).readline())

    def end(self) -> None:
        self._pipe(self.process.stdin).close()
        self.process.wait()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.session",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("core")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="questions with this word in them")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        _serve(args.core, args.vmlinux)
        return
    peers = {"btfdbg": _Peer.start(args.core, None, "btfdbg")}
    if args.vmlinux is not None:
        peers["drgn"] = _Peer.start(args.core, args.vmlinux, "btfdbg")
    print(f"load {os.getloadavg()[0]:.1f}; {args.rounds} rounds\n")
    print("| what | first | warm | drgn first | drgn warm | ratio warm |")
    print("|---|---|---|---|---|---|")
    questions = [(name, text, True) for name, text in LOOKUPS.items()]
    questions += [(f"`{line}`", line, False) for line in COMMANDS]
    for name, text, lookup in questions:
        if args.only not in name:
            continue
        first = {who: peer.ask(text, lookup, 1) for who, peer in peers.items()}
        warm = dict.fromkeys(peers, float("inf"))
        for _ in range(args.rounds):
            for who, peer in peers.items():
                taken = peer.ask(text, lookup, _TIMES if lookup else 1)
                warm[who] = min(taken, warm[who])
        unit, scale = ("us", 1e6) if lookup else ("ms", 1e3)
        cells = []
        for who in peers:
            cells += [f"{first[who] * scale:.1f} {unit}", f"{warm[who] * scale:.2f} {unit}"]
        if "drgn" in peers:
            cells.append(f"{warm['btfdbg'] / warm['drgn']:.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for peer in peers.values():
        peer.end()


if __name__ == "__main__":
    main()
