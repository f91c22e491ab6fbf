"""SIGINT and SIGTERM at any moment; several sessions at once."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

import pytest

from btfdbg.repl.history import SharedHistory, decode

from .support import Result, check, environment, files_below, finish, run, start

MOMENTS = 6


def moments(seconds: float) -> list[float]:
    """Moments spread over the whole run, not at the same places each time."""
    return [seconds * (i + random.random()) / MOMENTS for i in range(MOMENTS)]


def died_as_python_does(result: Result, number: signal.Signals) -> bool:
    """Whether the signal came before main() ran, where Python dies as any program of its does."""
    return result.status == -number or (
        # SIGINT while -m looks for the module: said in C, Modules/main.c, pymain_run_module.
        number is signal.SIGINT
        and result.status == 1
        and result.err.startswith("Could not import runpy module")
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_at_any_moment_ends_it_without_a_traceback(
    oops_core: Path, tmp_path: Path, number: signal.Signals
) -> None:
    commands = ["-x", "ps", "-x", "foreach bt", "-x", "mod"]
    begin = time.monotonic()
    whole = run(oops_core, *commands, env=environment(tmp_path))
    seconds = time.monotonic() - begin
    seen = set()
    for moment in moments(seconds * 1.1):
        process = start(oops_core, *commands, env=environment(tmp_path))
        time.sleep(moment)
        process.send_signal(number)
        result = finish(process)
        seen.add(result.status)
        if died_as_python_does(result, number):
            continue
        check(result)
        if result.status == 0:
            assert result.out == whole.out
        else:
            assert result.status == 130
            assert number is signal.SIGINT
            assert result.error_lines[-1:] == ["btfdbg: interrupted"]
    assert seen - {0}


_AT_EXIT = """
import atexit, os, signal, sys
from btfdbg.cli import main
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    print("the end")
atexit.register(interrupted)
sys.exit(main.main())
"""


def test_interrupting_it_after_the_answer_changes_nothing(
    oops_core: Path, env: dict[str, str]
) -> None:
    program = (sys.executable, "-c", _AT_EXIT)
    done = run(oops_core, "-e", "print('answered')", env=env, program=program)
    assert (done.status, done.out, done.err) == (0, "answered\nthe end\n", "")


def test_interrupting_trim_leaves_no_file(
    oops_core: Path, env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    begin = time.monotonic()
    assert run("trim", oops_core, folder / "whole", "--only", "-x", "ps", env=env).status == 0
    seconds = time.monotonic() - begin
    for moment in moments(seconds):
        process = start("trim", oops_core, folder / "small", "--only", "-x", "ps", env=env)
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        result = finish(process)
        if result.status == 0:
            # Which pages it keeps depends on what the cache spared it to read.
            assert (folder / "small").read_bytes().startswith(b"KDUMP   ")
            (folder / "small").unlink()
        else:
            if not died_as_python_does(result, signal.SIGINT):
                assert result.status == 130
                assert "Traceback" not in result.err
        assert files_below(folder) == ["whole"]


_INTERRUPT = """
import os, pathlib, signal, sys
from btfdbg.cli import main
replace = pathlib.Path.replace
def interrupted(path, target):
    {before}
    found = replace(path, target)
    {after}
    return found
pathlib.Path.replace = interrupted
sys.argv[1:1] = ["trim"]
sys.exit(main.main())
"""
_NOW = "os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize(("before", "after"), [("pass", _NOW), (_NOW, "pass")])
def test_trim_interrupted_at_its_very_end_says_what_it_left(
    oops_core: Path, env: dict[str, str], tmp_path: Path, before: str, after: str
) -> None:
    """Status 0 with the file, or 130 without: never one and not the other."""
    out = tmp_path / "out" / "small"
    out.parent.mkdir()
    program = (sys.executable, "-c", _INTERRUPT.format(before=before, after=after))
    done = run(oops_core, out, "--only", "-x", "sys", env=env, program=program)
    assert (done.status, files_below(out.parent)) == (0, ["small"]), done.err
    assert out.name in done.out


def test_sessions_at_once_do_not_disturb_each_other(oops_core: Path, tmp_path: Path) -> None:
    commands = ["-x", "ps", "-x", "mod", "-x", "sym jiffies"]
    alone = run(oops_core, *commands, env=environment(tmp_path / "alone"))
    shared = environment(tmp_path / "shared")
    for _ in range(2):
        several = [start(oops_core, *commands, env=shared) for _ in range(4)]
        for process in several:
            result = finish(process)
            assert (result.status, result.out, result.err) == (0, alone.out, alone.err)
    left = files_below(tmp_path / "shared") if (tmp_path / "shared").exists() else []
    assert not [name for name in left if "/.new-" in name]


def test_sessions_at_once_share_one_history(tmp_path: Path) -> None:
    import multiprocessing

    path = tmp_path / "history"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_entries, args=(path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    entries = list(decode(path.read_bytes()))
    assert sorted(entries) == sorted(f"{n} entry {i}" for n in range(4) for i in range(50))


def write_entries(path: Path, number: int) -> None:
    history = SharedHistory(path)
    for i in range(50):
        history.store_string(f"{number} entry {i}")
