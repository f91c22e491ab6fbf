"""Run what was given on the command line: code, a script, commands, standard input.

Owns the globals that code sees and the exit status. The commands themselves are
drgn's and our own.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from btfdbg.commands.globals import attributes, basic_globals, code_globals
from btfdbg.errors import DebugInfoError
from btfdbg.interrupts import pass_on
from btfdbg.program.session import Session

EXIT_OK = 0
EXIT_FAILED = 1
_MAX_SCRIPT = 1 << 24
_HEAD = 512
# As files call themselves since Python 3.11, which freezes it, and before.
_RUNPY = ("<frozen runpy>", "runpy.py")

# What reaches drgn's own idea of modules without asking our finders: attributes of
# Program, Thread and the drgn module that unwind or enumerate, or run other code.
_NEEDS_MODULES = frozenset(
    (
        "stack_trace",
        "stack_trace_from_pcs",
        "thread",
        "threads",
        "main_thread",
        "crashed_thread",
        "module",
        "modules",
        "main_module",
        "loaded_modules",
        "create_loaded_modules",
        "linux_kernel_loadable_module",
        "relocatable_module",
        "load_module_debug_info",
        "load_debug_info",
        "load_default_debug_info",
        "execscript",
        "helpers",
        "commands",
        "cli",
        "internal",
    )
)


def run_code(session: Session, source: str, argv: Sequence[str]) -> int:
    """Run Python code as ``drgn -e`` does; return the exit status."""
    sys.path.insert(0, "")
    return _exec(session, source, "<string>", argv)


def run_stdin(session: Session) -> int:
    """
    Run standard input: a Python script, or lines as typed at the prompt.

    Valid Python that uses no command's name as a statement of its own is run as
    a script, whole; anything else line by line.
    """
    sys.path.insert(0, "")
    text = sys.stdin.read()
    if _is_script(session, text):
        return _exec(session, text, "<stdin>", [""])
    from btfdbg.commands import evaluate

    try:
        return EXIT_OK if evaluate.run_text(session, text) else EXIT_FAILED
    except SystemExit as e:
        return _status(e)


def _is_script(session: Session, text: str) -> bool:
    import ast

    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    words = []
    for statement in tree.body:
        node = statement.value if isinstance(statement, ast.Expr) else None
        # ``ps | head -3`` and ``ps > file`` are expressions to Python.
        while isinstance(node, (ast.BinOp, ast.Compare)):
            node = node.left
        if isinstance(node, ast.Name):
            words.append(node.id)
    if not words:
        return True
    from btfdbg.commands.namespace import is_command

    return not any(is_command(session.prog, word) for word in words)


def _status(e: SystemExit) -> int:
    if e.code is None:
        return EXIT_OK
    if isinstance(e.code, int):
        return e.code
    print(e.code, file=sys.stderr)
    return EXIT_FAILED


def _exec(session: Session, source: str, filename: str, argv: Sequence[str]) -> int:
    sys.argv = list(argv)
    try:
        code = compile(source, filename, "exec")
    except (SyntaxError, ValueError) as e:
        traceback.print_exception(type(e), e, None)
        return EXIT_FAILED
    if any("helpers" in name for name in attributes(code)):
        _keep_walks()
    globals_ = code_globals(session.prog, code, source)
    if len(globals_) > len(basic_globals(session.prog)) or not _NEEDS_MODULES.isdisjoint(
        attributes(code)
    ):
        session.ensure_modules()
    return _guarded(session, lambda: exec(code, globals_))


def run_script(session: Session, argv: Sequence[str]) -> int:
    """Run a script with ``prog`` bound and ``sys.argv`` set, as drgn does."""
    sys.argv = list(argv)
    path = argv[0]
    if not os.path.exists(path):
        print(f"btfdbg: {path}: no such script", file=sys.stderr)
        return EXIT_FAILED
    import pkgutil
    import runpy

    if pkgutil.get_importer(path) is None:
        sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    if _mentions_helpers(path):
        _keep_walks()
    return _guarded(
        session,
        lambda: runpy.run_path(path, init_globals={"prog": session.prog}, run_name="__main__"),
    )


def check_script(path: str) -> None:
    """
    Look at a script before the dump is opened: a second dump is taken for one.

    :raises DebugInfoError: it is neither Python's source nor what Python runs besides.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return  # a folder may be a package; what cannot be read is told when it is run
    import importlib.util

    if b"\0" not in head or head.startswith((importlib.util.MAGIC_NUMBER, b"PK\x03\x04")):
        return
    raise DebugInfoError(
        f"{path} is no Python script: one dump at a time is opened, btfdbg CORE [SCRIPT]",
        hint="btfdbg triage reads several dumps",
    )


def _keep_walks() -> None:
    from btfdbg.patches import install

    install.install_helpers()


def _mentions_helpers(path: str) -> bool:
    """Whether a script may import drgn's helpers; importing them takes longer than most dumps."""
    try:
        with open(path, "rb") as file:
            return b"helpers" in file.read(_MAX_SCRIPT)
    except OSError:
        return False  # it is a folder, or cannot be read: whoever runs it says so


def run_commands(session: Session, commands: Sequence[str], *, color: str = "auto") -> int:
    """
    Run lines of the prompt one after the other; stop at none, fail if one fails.

    A line whose first word is no command is taken as the prompt would take it.
    """
    from btfdbg.commands import namespace, where
    from btfdbg.commands.state import state_of

    status = EXIT_OK
    for line in commands:
        words = line.strip().lstrip("%").split(None, 1)
        if not words:
            continue
        state = state_of(session.prog)
        state.color = color
        word = words[0]
        alone = namespace.stands_alone(word, state)
        if not alone or where.needs_modules(word, line):
            session.ensure_modules()
        if alone:
            if not state.given and state.bind is None:
                state.bind = functools.partial(_bind, session)
            if not namespace.run(session, line, state.bound):
                status = EXIT_FAILED
            sys.stdout.flush()
            continue
        from btfdbg.commands import evaluate, implicit, language

        evaluate.prepare(session)
        line_ = language.Line(language.Language.PYTHON, line)
        if namespace.is_command(session.prog, word) or (
            word.isidentifier() and implicit.command(session, line_) is line_
        ):
            good = namespace.run(session, line, state.globals)
        else:
            good = evaluate.run_line(session, line)
        if not good:
            status = EXIT_FAILED
        sys.stdout.flush()
    return status


def were_only_ours(commands: Sequence[str]) -> bool:
    """
    Whether lines that were run have run nothing but our code and drgn's.

    Not where one is the user's or Python, or evaluates what the user wrote.
    """
    from btfdbg.commands import namespace, where

    words = [line.split(None, 1)[0] for line in commands if line.strip()]
    # What does not stand alone has all commands loaded, the user's among them.
    return where.RUN_NO_CODE.issuperset(words) and not namespace.are_loaded()


def _bind(session: Session) -> None:
    from btfdbg.commands import evaluate

    evaluate.prepare(session)


def run_texts(
    session: Session, texts: Sequence[tuple[str, str]], *, color: str = "auto"
) -> int | None:
    """
    Run files of command lines before anything else; what fails is said, and the next line run.

    :param texts: Name and content of each.
    :return: The exit status if a line asks to leave, else ``None``.
    """
    from btfdbg.commands import evaluate

    state = evaluate.prepare(session)
    state.color = color
    state.depth += 1
    try:
        for _, text in texts:
            evaluate.run_text(session, text)
    except SystemExit as e:
        return _status(e)
    finally:
        state.depth -= 1
    sys.stdout.flush()
    return None


def _guarded(session: Session, call: Callable[[], object]) -> int:
    from btfdbg.commands import reads

    with reads.counted(session, ""):
        try:
            return _caught(session, call)
        finally:
            # Nothing was put in place of drgn's unless the code asked for its helpers.
            install = sys.modules.get("btfdbg.patches.install")
            if install is not None:
                install.note_on(session)


def _caught(session: Session, call: Callable[[], object]) -> int:
    from btfdbg.commands import reads

    try:
        call()
    except SystemExit as e:
        return _status(e)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except BaseException as e:
        pass_on(e)
        # The user's own code: the traceback is theirs to read, less our frames.
        tb = e.__traceback__
        while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
            tb = tb.tb_next
        while tb is not None and tb.tb_frame.f_code.co_filename.endswith(_RUNPY):
            tb = tb.tb_next
        traceback.print_exception(type(e), e, tb)
        reads.count_error(session, e)
        return EXIT_FAILED
    return EXIT_OK
