"""The ``btfdbg`` command: what to open and what to do with it.

Owns the command line and the exit status: 0; 1 when the script or command
failed; 2 when the input cannot be used, with one line on stderr that says what,
where and what to try. Imports nothing heavy until it knows what is wanted, so
``btfdbg btf …`` loads no drgn.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import btfdbg
from btfdbg.errors import BtfdbgError, DebugInfoError

if TYPE_CHECKING:
    import drgn

    from btfdbg.debuginfo.session import Session

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2

_USAGE = """\
btfdbg [options] CORE                     look at a dump interactively
       btfdbg [options] CORE -e CODE             run Python code with `prog` bound
       btfdbg [options] CORE -x 'COMMAND'        run a command of the prompt (repeatable)
       btfdbg [options] CORE SCRIPT [ARG...]     run a Python script with `prog` bound
       btfdbg info CORE [--json]                 what the dump holds and how it was found
       btfdbg trim CORE OUT [-x COMMAND]         a small dump, only what a session needs
       btfdbg btf VERB ...                       the BTF toolkit
       btfdbg vars VERB ...                      the database of variable types"""


def _subcommands() -> dict[str, Callable[[Sequence[str]], int]]:
    return {"info": _info, "trim": _trim, "btf": _btf, "vars": _vars}


class _Parser(argparse.ArgumentParser):
    """Options that may stand before CORE or between CORE and SCRIPT, never after SCRIPT."""

    def __init__(self) -> None:
        super().__init__(
            prog="btfdbg",
            usage=_USAGE,
            description="Debug any Linux kernel crash dump with nothing but the dump.",
            allow_abbrev=False,
        )
        self.takes_value: dict[str, bool] = {"-h": False, "--help": False}
        self.option("--version", action="version", version=f"btfdbg {btfdbg.__version__}")
        run = self.add_argument_group("what to run")
        self.option("-e", dest="code", metavar="CODE", help="run Python code", group=run)
        self.option(
            "-x",
            dest="commands",
            metavar="COMMAND",
            action="append",
            help="run a command of the prompt and exit; may be repeated",
            group=run,
        )
        add_core_options(self)

    def option(
        self, *names: str, group: argparse._ActionsContainer | None = None, **kwargs: object
    ) -> None:
        """Add an option and remember whether a value follows it."""
        (group or self).add_argument(*names, **kwargs)  # type: ignore[arg-type] # passed through
        flag = kwargs.get("action") in ("store_true", "store_const", "version", "count")
        for name in names:
            self.takes_value[name] = not flag

    def split(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """Split into (options, positionals); all that follows the second positional is its own."""
        options: list[str] = []
        positionals: list[str] = []
        i = 0
        while i < len(argv):
            token = argv[i]
            if token == "--":
                positionals.extend(argv[i + 1 :])
                break
            if token.startswith("-") and token != "-":
                options.append(token)
                name = token.partition("=")[0]
                short = token[:2]
                value_follows = self.takes_value.get(name, False) and "=" not in token
                if not token.startswith("--") and len(token) > 2 and self.takes_value.get(short):
                    value_follows = False  # -sFILE
                if value_follows and i + 1 < len(argv):
                    i += 1
                    # argparse would take a value like "-1" for an option.
                    if token.startswith("--"):
                        options[-1] = f"{token}={argv[i]}"
                    else:
                        options[-1] = token + argv[i]
            else:
                positionals.append(token)
                script_at = 1 if {"-k", "--live"} & set(options) or _qemu(options) else 2
                if len(positionals) == script_at or token in _subcommands():
                    positionals.extend(argv[i + 1 :])
                    break
            i += 1
        return options, positionals


def _qemu(options: Sequence[str]) -> bool:
    return any(o.startswith("--qemu") for o in options)


def add_core_options(parser: _Parser) -> None:
    """Options about the dump, the same for every way in."""
    given = parser.add_argument_group("what the dump may lack")

    def option(*names: str, **kwargs: object) -> None:
        parser.option(*names, group=given, **kwargs)

    option("--btf", metavar="FILE", help="the kernel's BTF: raw, vmlinux or vmlinuz")
    option("--btf-extra", metavar="FILE", help="BTF of global variables (btf encode-vars)")
    option("--kallsyms", metavar="FILE", help="symbols: System.map or /proc/kallsyms")
    option("--vmcoreinfo", metavar="FILE", help="VMCOREINFO text, overrides the dump's")
    option("--architecture", metavar="ARCH", help="if the dump does not say")
    option("--modules-dir", metavar="DIR", help="where the modules' .ko files are")
    option("-k", "--live", action="store_true", help="look at the running kernel; no CORE is given")
    option("--qemu", metavar="ADDRESS", help="look at a QEMU guest (QMP socket); no CORE is given")
    option(
        "-s",
        "--symbols",
        metavar="FILE",
        action="append",
        default=[],
        help="a file with DWARF, used before BTF; may be repeated",
    )
    look = parser.add_argument_group("how to say it")
    parser.option("--color", choices=("auto", "always", "never"), default="auto", group=look)
    parser.option(
        "--log-level",
        choices=("debug", "info", "warning", "error", "critical", "none"),
        default="warning",
        group=look,
        help="messages on stderr of at least this level (default: warning)",
    )
    parser.option(
        "-q", "--quiet", dest="log_level", action="store_const", const="none", group=look,
        help="no messages, no banner",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``btfdbg`` script; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except BrokenPipeError:
        # The reader of our output went away: not our failure, and Python must
        # not report it a second time when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        print("btfdbg: interrupted", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    parser = _Parser()
    options, positionals = parser.split(argv)
    if positionals and positionals[0] in _subcommands():
        return _run_subcommand(positionals[0], [*options, *positionals[1:]])
    args = parser.parse_args(options)
    core = None
    if not args.live and args.qemu is None:
        if not positionals:
            parser.print_usage(sys.stderr)
            print("btfdbg: which dump? give CORE, or --help", file=sys.stderr)
            return EXIT_UNUSABLE
        core, *positionals = positionals
    try:
        prog, session = open_for(args, core)
    except BtfdbgError as e:
        return unusable(e)
    return _run(args, prog, session, positionals)


def _run_subcommand(name: str, argv: Sequence[str]) -> int:
    try:
        return _subcommands()[name](argv)
    except BtfdbgError as e:
        return unusable(e)


def unusable(e: BtfdbgError) -> int:
    """Print the one line about input that cannot be used; return the exit status for it."""
    from btfdbg.commands.text import one_line

    hint = getattr(e, "hint", "")
    # The message may quote the dump, which must not reach the terminal raw.
    print(one_line(f"btfdbg: {e}{'; ' + hint if hint else ''}", 2000), file=sys.stderr)
    return EXIT_UNUSABLE


def open_for(args: argparse.Namespace, core: str | None) -> tuple[drgn.Program, Session]:
    """
    Open CORE, or the live target, as the options say.

    Kernel modules are left to ``Session.ensure_modules()``.

    :raises BtfdbgError: it cannot be used.
    """
    from pathlib import Path

    set_log_level(args.log_level)
    from btfdbg.debuginfo.plugins import skip_own_plugins

    skip_own_plugins()
    from btfdbg.debuginfo.attach import Options, register
    from btfdbg.debuginfo.vmcore import open_core, open_live, open_qemu

    def path(value: str | None) -> Path | None:
        return None if value is None else Path(value)

    vmcoreinfo = None
    if args.vmcoreinfo is not None:
        try:
            vmcoreinfo = Path(args.vmcoreinfo).read_bytes()
        except OSError as e:
            raise DebugInfoError(f"--vmcoreinfo {args.vmcoreinfo}: {e.strerror}") from e
    if args.live:
        prog, info = open_live()
    elif args.qemu is not None:
        prog, info = open_qemu(args.qemu, vmcoreinfo=vmcoreinfo)
    else:
        assert core is not None  # asked for by the caller
        prog, info = open_core(core, architecture=args.architecture, vmcoreinfo=vmcoreinfo)
    if args.symbols:
        _load_symbols(prog, args.symbols)
    if info.is_mapped:
        from btfdbg.commands.shrunk import end_with_a_message

        end_with_a_message(info.path)
    session = register(
        prog,
        Options(
            btf=path(args.btf),
            btf_extra=path(args.btf_extra),
            kallsyms=path(args.kallsyms),
            modules_dir=path(args.modules_dir),
        ),
        info,
    )
    return prog, session


def _load_symbols(prog: drgn.Program, files: Sequence[str]) -> None:
    import drgn

    try:
        prog.load_debug_info(files)
    except (OSError, ValueError, drgn.MissingDebugInfoError) as e:
        raise DebugInfoError(f"-s {' '.join(files)}: {e}", step="symbols") from e


class _SafeFormatter(logging.Formatter):
    """Shows control characters escaped: a message may quote the dump."""

    def format(self, record: logging.LogRecord) -> str:
        from btfdbg.commands.text import escape

        return escape(super().format(record))


def set_log_level(level: str) -> None:
    """Route btfdbg's and drgn's log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_SafeFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    number = logging.CRITICAL + 1 if level == "none" else getattr(logging, level.upper())
    for name in ("drgn", "btfdbg"):
        logging.getLogger(name).setLevel(number)


def _run(
    args: argparse.Namespace, prog: drgn.Program, session: Session, rest: Sequence[str]
) -> int:
    import drgn

    drgn.set_default_prog(prog)
    if args.code is not None or args.commands or rest:
        if args.log_level != "none":
            for note in session.notes:
                logging.getLogger("btfdbg").info("%s", note)
        from btfdbg.commands import execute

        status = EXIT_OK
        if args.code is None or args.commands:
            session.ensure_modules()
        if args.commands:
            status = execute.run_commands(session, args.commands, color=args.color)
        if args.code is not None:
            return execute.run_code(session, args.code, ["-e", *rest]) or status
        if rest:
            return execute.run_script(session, rest) or status
        return status
    if not sys.stdin.isatty():
        from btfdbg.commands import execute

        session.ensure_modules()
        return execute.run_stdin(session)
    from btfdbg.repl import interact

    return interact(session, quiet=args.log_level == "none", color=args.color)


def _info(argv: Sequence[str]) -> int:
    parser = _Parser()
    parser.prog = "btfdbg info"
    parser.usage = "btfdbg info [options] CORE"
    parser.add_argument("core", metavar="CORE", nargs="?", help="the dump")
    parser.option("--json", action="store_true", help="machine-readable")
    parser.option(
        "--save-vmcoreinfo", metavar="OUT", help="write the VMCOREINFO text, found or recovered"
    )
    args = parser.parse_args(list(argv))
    if args.core is None and not args.live and args.qemu is None:
        parser.error("which dump? give CORE")
    _, session = open_for(args, args.core)
    if args.save_vmcoreinfo is not None:
        _save(args.save_vmcoreinfo, session.vmcoreinfo.raw)
    from btfdbg.commands import info
    from btfdbg.commands.text import escape

    print(info.as_json(session) if args.json else escape(info.as_text(session)))
    return EXIT_OK


def _save(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as f:
            f.write(data)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror}", step="vmcoreinfo") from e


def _trim(argv: Sequence[str]) -> int:
    from btfdbg.commands import trim

    return trim.main(argv)


def _btf(argv: Sequence[str]) -> int:
    if argv and argv[0] == "encode-vars":
        # Reads DWARF, and so needs drgn, which the other verbs do without.
        from btfdbg.commands.vars import encode

        encoder = argparse.ArgumentParser(
            prog="btfdbg btf encode-vars",
            description=(encode.__doc__ or "").partition("\n\n")[2],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        encode.add_arguments(encoder)
        return encode.run(encoder.parse_args(list(argv[1:])))
    from btfdbg.commands import btftool

    parser = argparse.ArgumentParser(
        prog="btfdbg btf", description="The BTF toolkit; also encode-vars: variables from DWARF."
    )
    btftool.register(parser.add_subparsers(dest="verb", metavar="VERB", required=True))
    args = parser.parse_args(list(argv))
    status: int = args.run(args)
    return status


def _vars(argv: Sequence[str]) -> int:
    from btfdbg.commands import vars as vars_

    parser = argparse.ArgumentParser(prog="btfdbg vars", description="Types of global variables.")
    vars_.register(parser.add_subparsers(dest="verb", metavar="VERB", required=True))
    args = parser.parse_args(list(argv))
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
