"""``btfdbg trim CORE OUT``: write a small dump that holds only what a session needs.

Symbols, types, page tables, the kernel's data, and what the given commands read are in it;
no page of a user program, of the page cache or of free memory is, unless asked for.

Owns the command line, the commands that are run by default, and the words. What
is written is decided in ``btfdbg.trim``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from btfdbg.errors import BtfdbgError

if TYPE_CHECKING:
    from btfdbg.program.session import Session
    from btfdbg.trim import Result
    from btfdbg.trim.touching import Need

# What people look at in the first quarter of an hour. A command that this
# kernel does not answer is no loss.
DEFAULT_COMMANDS = (
    "sys",
    "sys config",
    "log",
    "log -T",
    "ps",
    "ps -t",
    "ps -l",
    "ps -g",
    "ps -p",
    "ps -c",
    "ps -m",
    "ps -r",
    "ps -S",
    "bt -a",
    "bt -a -f",
    "foreach bt",
    "foreach bt -f",
    "foreach files",
    "foreach vm",
    "foreach sig",
    "foreach task -R stack",
    "mod",
    "mod -t",
    "mount",
    "dev",
    "dev -d",
    "dev -i",
    "dev -p",
    "irq",
    "irq -a",
    "irq -b",
    "irq -s",
    "runq",
    "runq -t",
    "runq -m",
    "runq -g",
    "timer",
    "timer -r",
    "net",
    "net -a",
    "ipcs",
    "swap",
    "bpf",
    "kmem -i",
    "kmem -n",
    "kmem -z",
    "kmem -V",
    "kmem -g",
    "kmem -h",
    "kmem -o",
    "kmem -s",
    "kmem -v",
    "task",
    "files",
    "vm",
)

PURPOSES = ("corelens", "report", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CORE, OUT and what is kept."""
    parser.add_argument("core", metavar="CORE")
    parser.add_argument("out", metavar="OUT", help="kdump-compressed, opens wherever CORE does")
    parser.add_argument(
        "-x",
        dest="commands",
        metavar="COMMAND",
        action="append",
        default=[],
        help="keep what this command of the prompt reads too; may be repeated",
    )
    parser.add_argument(
        "--for",
        dest="purposes",
        metavar="WHAT",
        action="append",
        choices=PURPOSES,
        default=[],
        help="keep what corelens' walks or the report read too, or all of both; may be repeated",
    )
    parser.add_argument(
        "--only", action="store_true", help="do not run the usual commands, only those of -x"
    )
    parser.add_argument(
        "--include-user",
        action="store_true",
        help="keep pages of user programs, page cache and free memory if they are read",
    )
    parser.add_argument("--btf", metavar="FILE", help="the kernel's BTF, if CORE lacks it")
    parser.add_argument("--kallsyms", metavar="FILE", help="symbols, if CORE lacks them")
    parser.add_argument("--vmcoreinfo", metavar="FILE", help="VMCOREINFO text, goes into OUT")
    parser.add_argument("--architecture", metavar="ARCH", help="if the dump does not say")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing about success")


def run(args: argparse.Namespace) -> int:
    """
    Write the small dump; return the exit status.

    :raises BtfdbgError: the dump cannot be used, or OUT not written.
    """
    from btfdbg.cli.main import optional_path, read_vmcoreinfo
    from btfdbg.cli.outputs import require_file
    from btfdbg.cli.sigbus import end_with_a_message
    from btfdbg.program.attach import Options
    from btfdbg.trim import trim

    require_file(args.out)
    vmcoreinfo = read_vmcoreinfo(args.vmcoreinfo)
    end_with_a_message(args.core)
    usual = () if args.only else DEFAULT_COMMANDS
    failed: list[str] = []
    run_commands = run_all((*usual, *args.commands), failed, set(args.commands))
    purposes = PURPOSES if "all" in args.purposes else args.purposes
    more: tuple[tuple[str, Need], ...] = ()
    if "corelens" in purposes:
        from btfdbg.trim.purposes import CORELENS

        more = CORELENS

    def exercise(session: Session) -> None:
        run_commands(session)
        # Four pages beyond what the commands read: else its queues and devices are cut short.
        if "report" in purposes:
            run_report(session, failed)
        elif usual:
            run_report(session, [])  # as of a usual command that fails: no loss
        if "corelens" in purposes:
            run_corelens(session)

    result = trim(
        args.core,
        args.out,
        exercise,
        more=more,
        include_user=args.include_user,
        options=Options(btf=optional_path(args.btf), kallsyms=optional_path(args.kallsyms)),
        architecture=args.architecture,
        vmcoreinfo=vmcoreinfo,
        before_done=_hold_interrupts,
    )
    for line in failed:
        print(f"btfdbg trim: {line}", file=sys.stderr)
    if not args.quiet:
        print(summary(args.core, args.out, result))
    return 1 if failed else 0


def _hold_interrupts() -> None:
    """
    Take no Ctrl-C any more: OUT is written, and what is left is to say so.

    Else one that comes now would end with "interrupted" and a whole file beside it.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_all(
    commands: Iterable[str], failed: list[str], asked: set[str]
) -> Callable[[Session], None]:
    """
    A function that runs commands for their reads and throws their output away.

    :param failed: Gets a line for each command of ``asked`` that failed.
    """

    def exercise(session: Session) -> None:
        from btfdbg.commands.globals import all_globals
        from btfdbg.commands.namespace import run
        from btfdbg.vmcore.progress import Progress

        globals_ = all_globals(session.prog)
        lines = [line if line in asked else _over_examples(session, line) for line in commands]
        with Progress("recording", len(lines), unit="commands") as progress:
            for done, line in enumerate(lines):
                progress(done)
                said = io.StringIO()
                # Looking for types in code reads most of the kernel's: 9 MB of a dump of 17.
                session.reads_code = line in asked
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                    ok = run(session, line, globals_)
                if not ok and line in asked:
                    failed.append(f"-x {line!r}: {' '.join(said.getvalue().split())}")

    return exercise


def _over_examples(session: Session, line: str) -> str:
    """
    A command over all tasks as one over those that stand for the others, if there are many.

    Each task is recorded whole with its stack; 20,000 threads that wait at one place are
    shown in minutes and lead to nothing that the first of them does not.
    """
    from btfdbg.trim.stacks import examples

    name, _, rest = line.partition(" ")
    if name not in ("foreach", "ps") or line == "ps -S":
        return line
    tasks = examples(session.prog)
    if tasks is None:
        return line
    named = " ".join(f"{task.value_():x}" for task in tasks)
    return f"foreach {named} {rest}" if name == "foreach" else f"{line} {named}"


def run_report(session: Session, failed: list[str]) -> None:
    """
    Make the report for its reads.

    :param failed: Gets a line if it failed.
    """
    from btfdbg.program.watched import watch
    from btfdbg.report.as_json import as_dict
    from btfdbg.report.whole import report

    watch(session)
    session.reads_code = True  # the report names arguments, which the code tells
    try:
        as_dict(report(session))
    except BtfdbgError as e:
        failed.append(f"--for report: {e}")


def run_corelens(session: Session) -> None:
    """
    Run those of corelens' modules that its own report runs, if drgn-tools is installed.

    One that fails here fails over the whole dump, too.
    Facts: drgn-tools, ``drgn_tools/corelens.py`` (default_corelens_modules()).
    """
    try:
        corelens = importlib.import_module("drgn_tools.corelens")
    except ImportError:
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for module, arguments in corelens.default_corelens_modules():
            with contextlib.suppress(Exception, SystemExit):
                module.run(session.prog, arguments)


def summary(core: str, out: str, result: Result) -> str:
    """What was done, in a few lines."""
    whole = Path(core).stat().st_size
    lines = [
        f"{out}: {result.pages:,} pages, {result.size / 1e6:.1f} MB"
        f" ({100 * result.size / whole:.1f} % of {core})"
    ]
    if result.left_out:
        owners = ", ".join(f"{n} {o.value}" for o, n in result.left_out.items())
        lines.append(f"pages that were read, but left out as not the kernel's: {owners}")
    lines += [f"not recorded: {p}" for p in result.problems]
    return "\n".join(lines)
