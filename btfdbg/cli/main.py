"""The ``btfdbg`` command: what to open and what to do with it.

Owns the command line and the exit status: 0; 1 when the script or command
failed; 2 when the input cannot be used, with one line on stderr that says what,
where and what to try. Imports nothing heavy until it knows what is wanted, so
``btfdbg btf …`` loads no drgn.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys

from btfdbg.errors import BtfdbgError, DebugInfoError, ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path
    from types import SimpleNamespace

    import drgn

    from btfdbg.program.session import Session

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2

# Of the environment, for this process and what it starts: the caller of main() keeps its own.
_SET_HERE = ("BTFDBG_NO_CACHE", "DRGN_DISABLE_PLUGINS")
_LARGE_BLOCK = 8 << 20  # never touched
_COLLECT_FIRST_AFTER = 200_000  # objects

# Whether no code of the user's ran, whose objects may have something to do in the end.
_ran_only_ours = False


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``btfdbg`` script; returns the exit status."""
    if argv is not None:
        collects = gc.isenabled()
        before = {name: os.environ.get(name) for name in _SET_HERE}
        try:
            return _main(list(argv))
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            if collects:  # a subcommand that ends with the process may have said otherwise
                gc.enable()
    # Nothing that opening a dump makes is garbage: it is not looked through
    # until _settle() says so.
    gc.disable()
    # glibc takes large blocks from the system, a page fault for each 4 KiB, and gives them
    # back, until one is freed: those of its size are then kept and used again. That saves
    # an eighth of all faults of foreach bt, which take 2 us each.
    bytes(_LARGE_BLOCK)
    status = _main(sys.argv[1:])
    if sys.argv[1:2] == ["btf"]:
        _leave(status)
    _ignore_interrupts()
    if _ran_only_ours and not _has_plugins():
        _keep_and_leave(status)
    return status


def _has_plugins() -> bool:
    """Whether drgn may have loaded code of others, whose objects are not ours to leave."""
    if "_drgn_util.plugins" not in sys.modules:
        return False
    from btfdbg.program.plugins import are_ours_alone

    return not are_ours_alone()


def _ignore_interrupts() -> None:
    """
    Take no Ctrl-C any more.

    What is left is a few ms: the cache's entries are written as Python ends (weakref's
    finalizers), where it would show a traceback of them instead of what was answered.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _keep_and_leave(status: int) -> None:
    """
    As :func:`_leave`, once the cache's entries are written; with threads as Python does it.

    Of 1,650 M instructions of a ``ctx`` 55 M took its objects apart, of ``export-vmlinux``'s
    2.8 s of a 6.12 0.1 s.
    """
    import threading

    if threading.active_count() == 1:
        atexit._run_exitfuncs()
        _leave(status)


def _leave(status: int) -> None:
    """
    End the process at once.

    Taking apart 100,000s of objects one by one, as Python does in the end, takes a
    twentieth of a dump.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        pass  # nobody is there to be told
    os._exit(status)


def _main(argv: list[str]) -> int:
    try:
        _open_standard_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # What the encoding lacks is shown escaped, and ends nothing.
                stream.reconfigure(errors="backslashreplace")
        status = _dispatch(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of our output went away: not our failure, and Python must
        # not report it a second time when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        print("btfdbg: interrupted", file=sys.stderr)
        return 130
    except OSError as e:
        # What reads a dump has its own errors: this is about output.
        print(f"btfdbg: {e.strerror or e}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_FAILED


def _open_standard_streams() -> None:
    """Where a standard stream is closed, a file of ours must not take its number."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode))


def _dispatch(argv: list[str]) -> int:
    from btfdbg.cli.options import SUBCOMMANDS
    from btfdbg.cli.reader import quick

    if argv and argv[0] in SUBCOMMANDS:
        return _run_subcommand(argv[0], argv[1:])
    read = quick(argv, tuple(SUBCOMMANDS))
    if read is None:
        from types import SimpleNamespace

        from btfdbg.cli.parser import Parser

        parser = Parser()
        options, operands, is_subcommand = parser.split(argv)
        if is_subcommand:
            return _run_subcommand(operands[0], [*options, *operands[1:]])
        read = SimpleNamespace(**vars(parser.parse_args(options))), operands
    args, operands = read
    core = None
    if not args.live and args.qemu is None:
        if not operands:
            from btfdbg.cli.parser import Parser

            Parser().print_usage(sys.stderr)
            print("btfdbg: which dump? give CORE, or --help", file=sys.stderr)
            return EXIT_UNUSABLE
        core, *operands = operands
    try:
        if core is not None:
            _check_word(core, operands)
        if operands and args.code is None:
            from btfdbg.commands.execute import check_script

            _check_order(core, operands[0])
            check_script(operands[0])
        if args.inputs or args.crashrc:
            from btfdbg.commands.scripts import read_all

            args.texts = read_all(args.inputs, args.crashrc)
        prog, session = open_for(args, core)
    except BtfdbgError as e:
        return unusable(e)
    _settle()
    return _run(args, prog, session, operands)


def _check_order(core: str | None, script: str) -> None:
    """
    Tell a subcommand or command behind the dump from a script, before the dump is opened.

    :raises DebugInfoError: there is no file of that name, and it is one of these.
    """
    if os.path.lexists(script):
        return
    from btfdbg.cli.options import SUBCOMMANDS

    dump = core or "-k"
    if script in SUBCOMMANDS:
        right = f"{script} {dump}"
    elif _is_command(script):
        right = f"{dump} -x {script}"
    else:
        return
    raise DebugInfoError(f"{script}: no such script", hint=f"did you mean btfdbg {right}?")


def _is_command(word: str) -> bool:
    """Whether the prompt has a command of a name, or an alias."""
    from btfdbg.commands.aliases import BUILTIN
    from btfdbg.commands.where import is_known

    return word in BUILTIN or is_known(word)


def _check_word(core: str, operands: Sequence[str]) -> None:
    """
    Tell a mistyped subcommand from a dump, before what follows it is taken for a script.

    :raises DebugInfoError: there is no file of that name, and it looks like a word.
    """
    if not core.isidentifier() or os.path.lexists(core):
        return
    from difflib import get_close_matches

    from btfdbg.cli.options import SUBCOMMANDS

    near = get_close_matches(core, SUBCOMMANDS, n=1)
    hint = f"the subcommand is {near[0]}" if near else ""
    if operands and os.path.isfile(operands[0]) and _is_command(core):
        hint = f"a command of the prompt is run by btfdbg {operands[0]} -x {core}"
    raise DebugInfoError(f"{core}: No such file or directory", hint=hint)


def _settle() -> None:
    """
    Collect garbage from here on, but not among what is there to stay.

    Types, members and symbols live as long as the Program: looking through them
    at the usual intervals made converting all types take half as long again. What a
    command keeps is some 100,000 objects more (``foreach bt`` of 75 tasks), most of them
    analyses of functions: to look through those twice was 4 % of it.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_COLLECT_FIRST_AFTER, 20, 50)
        gc.callbacks.append(_collect_sooner)
        gc.enable()


def _collect_sooner(phase: str, _: dict[str, int]) -> None:
    """What a command makes first stays; later cycles are to take no more room than needed."""
    if phase == "stop" and _collect_sooner in gc.callbacks:
        gc.callbacks.remove(_collect_sooner)
        gc.set_threshold(50_000, 20, 50)


def _run_subcommand(name: str, argv: Sequence[str]) -> int:
    global _ran_only_ours
    _settle()
    try:
        if name == "btf":
            from btfdbg.cli import btf

            status = btf.run_quick(argv)
            if status is not None:
                return status
        from importlib import import_module

        from btfdbg.cli.options import SUBCOMMANDS
        from btfdbg.cli.parser import subcommand_parser

        command = SUBCOMMANDS[name]
        args = subcommand_parser(command).parse_args(list(argv))
        result: int = import_module(command.module).run(args)
        _ran_only_ours = command.only_ours
        return result
    except BtfdbgError as e:
        return unusable(e)
    except (ImportError, AttributeError):
        # What an older drgn lacks may show before its version is asked for.
        try:
            import btfdbg.vmcore  # noqa: F401 # refuses a drgn that is too old
        except DebugInfoError as e:
            return unusable(e)
        raise


def unusable(e: BtfdbgError) -> int:
    """Print the one line about input that cannot be used; return the exit status for it."""
    from btfdbg.commands.text import one_line

    hint = getattr(e, "hint", "")
    # The message may quote the dump, which must not reach the terminal raw.
    print(one_line(f"btfdbg: {e}{'; ' + hint if hint else ''}", 2000), file=sys.stderr)
    return EXIT_UNUSABLE


def open_for(
    args: argparse.Namespace | SimpleNamespace, core: str | None
) -> tuple[drgn.Program, Session]:
    """
    Open CORE, or the live target, as the options say.

    Kernel modules are left to ``Session.ensure_modules()``.

    :raises BtfdbgError: it cannot be used.
    """
    from btfdbg.cli import logs

    logs.set_level(args.log_level)
    if args.no_cache:
        os.environ["BTFDBG_NO_CACHE"] = "1"
    from btfdbg.program.plugins import skip_own_plugins

    skip_own_plugins()
    from btfdbg.program.attach import Options, register, require_given

    vmcoreinfo = read_vmcoreinfo(args.vmcoreinfo)
    # A module is known once the kernel's types are.
    modules = [file for file in args.symbols or () if _is_module(file)]
    if args.live:
        from btfdbg.vmcore.live import open_live

        prog, info = open_live()
    elif args.qemu is not None:
        from btfdbg.program.open_dump import open_guest

        prog, info = open_guest(args.qemu, vmcoreinfo=vmcoreinfo)
    else:
        from btfdbg.program.open_dump import open_dump

        assert core is not None  # asked for by the caller
        try:
            prog, info = open_dump(core, architecture=args.architecture, vmcoreinfo=vmcoreinfo)
        except BtfdbgError:
            from btfdbg.cli.unpack import unpacked

            other = unpacked(core, args.unpack)
            if other is None:
                raise
            prog, info = open_dump(other, architecture=args.architecture, vmcoreinfo=vmcoreinfo)
    _load_symbols(prog, [file for file in args.symbols or () if file not in modules])
    if info.is_mapped:
        from btfdbg.cli.sigbus import end_with_a_message

        end_with_a_message(info.file)
    session_options = Options(
        btf=optional_path(args.btf),
        btf_extra=tuple(map(_path, args.btf_extra)),
        kallsyms=optional_path(args.kallsyms),
        modules_dir=optional_path(args.modules_dir),
        is_file=not args.live and args.qemu is None,
    )
    session = register(prog, session_options, info)
    require_given(session, session_options)
    if modules:
        from btfdbg.program.modules import wanting

        with wanting(session):
            _load_symbols(prog, modules)
    return prog, session


def optional_path(value: str | None) -> Path | None:
    """A path that an option gives, or none."""
    return None if value is None else _path(value)


def _path(value: str) -> Path:
    from pathlib import Path  # 17 M of the 480 M instructions of a first object

    return Path(value)


def read_vmcoreinfo(file: str | None) -> bytes | None:
    """
    The text that ``--vmcoreinfo FILE`` gives.

    :raises DebugInfoError: it cannot be read.
    """
    if file is None:
        return None
    try:
        with open(file, "rb") as f:
            return f.read()
    except OSError as e:
        raise DebugInfoError(f"--vmcoreinfo {file}: {e.strerror}") from e


def open_session(args: argparse.Namespace) -> Session:
    """
    What a subcommand with options about a dump looks at (``Subcommand.opens``).

    :raises BtfdbgError: it cannot be used, or CORE is missing.
    """
    if args.core is None and not args.live and args.qemu is None:
        raise DebugInfoError("which dump? give CORE, or --help")
    from btfdbg.cli.outputs import spare_inputs

    spare_inputs(args)
    return open_for(args, args.core)[1]


def _is_module(path: str) -> bool:
    """
    Whether a file is a relocatable one of ELF, as .ko files are.

    :raises DebugInfoError: it cannot be read or is no ELF file: drgn warns and goes on without it.
    """
    from btfdbg.images import elf, read_head

    try:
        head = read_head(path)
    except ImageError as e:
        raise DebugInfoError(f"-s {e}") from e
    if not head.startswith(elf.MAGIC):
        raise DebugInfoError(f"-s {path}: not an ELF file", hint="a vmlinux or .ko with DWARF is")
    return elf.is_relocatable(head)


def _load_symbols(prog: drgn.Program, files: Sequence[str]) -> None:
    import drgn

    if not files:
        return
    try:
        prog.load_debug_info(files)
    except (OSError, ValueError, drgn.MissingDebugInfoError) as e:
        raise DebugInfoError(f"-s {' '.join(files)}: {e}", step="symbols") from e


_LACKING = ("open", "btf")  # steps whose notes say that a part of the dump is not there


def _run(args: SimpleNamespace, prog: drgn.Program, session: Session, rest: Sequence[str]) -> int:
    import drgn

    global _ran_only_ours
    drgn.set_default_prog(prog)
    if args.source:
        from btfdbg.commands.state import state_of

        state_of(prog).source = args.source
    if args.inputs or args.crashrc:
        from btfdbg.commands import execute

        session.ensure_modules()
        ended = execute.run_texts(session, args.texts, color=args.color)
        if ended is not None:
            return ended
    if args.code is not None or args.commands or rest:
        if args.log_level != "none":
            import logging

            for note in session.notes:
                # What a file lacks makes each answer another one than it seems.
                level = logging.WARNING if note.step in _LACKING else logging.INFO
                logging.getLogger("btfdbg").log(level, "%s", note)
        from btfdbg.commands import execute

        status = EXIT_OK
        if args.commands:
            status = execute.run_commands(session, args.commands, color=args.color)
            alone = not rest and args.code is None and not args.inputs and not args.crashrc
            _ran_only_ours = alone and execute.were_only_ours(args.commands)
        if args.code is not None:
            return execute.run_code(session, "\n".join(args.code), ["-e", *rest]) or status
        if rest:
            session.ensure_modules()
            return execute.run_script(session, rest) or status
        return status
    if not sys.stdin.isatty():
        from btfdbg.commands import execute

        session.ensure_modules()
        return execute.run_stdin(session)
    from btfdbg.repl import interact

    return interact(session, quiet=args.log_level == "none", color=args.color)


if __name__ == "__main__":
    sys.exit(main())
