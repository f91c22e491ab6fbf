"""Ctrl-C at chosen steps inside a command: it ends, and the session answers as before."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import signal
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _drgn_util import plugins  # type: ignore[import-untyped]

import btfdbg
from btfdbg.commands import evaluate, namespace
from btfdbg.interrupts import held, is_interrupt, not_lost, pass_on
from btfdbg.vmcore import open_core

STEPS = 40


def answer(session: Any, line: str) -> tuple[bool, str]:
    """Whether a command succeeded, and what it printed."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        good = namespace.run(session, line, evaluate.prepare(session).globals)
    return good, out.getvalue()


def steps(session: Any, line: str) -> list[tuple[str, str, int]]:
    """The places at which Python calls, or comes back from C, while a command runs for once."""
    found: dict[tuple[str, str, int], None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_return"):
            found[event, frame.f_code.co_filename, frame.f_lineno] = None

    sys.setprofile(note)
    try:
        answer(session, line)
    finally:
        sys.setprofile(None)
    return list(found)


def interrupted(session: Any, line: str, step: tuple[str, str, int]) -> bool:
    """Run a command with one Ctrl-C at a step; whether it ended by it."""
    waiting = [step]

    def interrupt(frame: FrameType, event: str, _: Any) -> None:
        if waiting and (event, frame.f_code.co_filename, frame.f_lineno) == waiting[0]:
            waiting.clear()
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    try:
        answer(session, line)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def in_child(queue: Any, core: Path, line: str, begin: int) -> None:
    """
    Interrupt a command at one in so many of its steps, each time in a fresh process.

    Its place among the steps decides; ``begin`` chooses which.
    """
    session = btfdbg.session(btfdbg.program_from_core_dump(core))
    context = multiprocessing.get_context("fork")

    def forked(call: Any) -> Any:
        pipe, other = context.Pipe(duplex=False)
        child = context.Process(target=lambda: other.send(call()))
        child.start()
        other.close()
        result = pipe.recv()
        child.join()
        return result

    plain = forked(lambda: answer(session, line))
    places = forked(lambda: steps(session, line))
    every = max(1, len(places) // STEPS)
    wrong = []
    ended = 0
    for step in itertools.islice(places, begin % every, None, every):
        stopped, after = forked(
            lambda step=step: (interrupted(session, line, step), answer(session, line))
        )
        ended += stopped
        if after != plain:
            wrong.append((step, after))
    queue.put((plain, ended, wrong))


@pytest.mark.parametrize("line", ["mod", "ps", "bt"])
def test_after_a_ctrl_c_anywhere_the_next_answer_is_whole(oops_core: Path, line: str) -> None:
    # A process of its own: this one may have threads, and a fork of it could hang.
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue, oops_core, line, 7))
    child.start()
    plain, ended, wrong = queue.get(timeout=900)
    child.join()
    assert plain[0]
    assert plain[1]
    assert ended > STEPS // 2
    assert not wrong


def lost() -> BaseException:
    error = SystemError("<function find> returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (lost(), True),
        (KeyboardInterrupt(), True),
        (Exception("couldn't read next module: KeyboardInterrupt"), True),
        (SystemError("error return without exception set"), False),
        (ValueError("KeyboardInterrupt"), False),
        (Exception("KeyboardInterrupt is no answer"), False),
    ],
)
def test_what_drgn_makes_of_an_interrupt_is_one(error: BaseException, wanted: bool) -> None:
    assert is_interrupt(error) is wanted
    if wanted:
        with pytest.raises(KeyboardInterrupt):
            pass_on(error)
    else:
        pass_on(error)


def test_a_lost_interrupt_ends_a_command_and_is_no_absent_type(oops_core: Path) -> None:
    prog = btfdbg.program_from_core_dump(oops_core)

    def find(*_: Any) -> None:
        raise lost()

    session = btfdbg.session(prog)
    evaluate.prepare(session)
    prog.register_type_finder("lost", find, enable_index=0)
    for line in ("struct nosuch_struct_here", "p (struct nosuch_struct_here *)0"):
        with pytest.raises(KeyboardInterrupt):
            answer(session, line)


def test_a_ctrl_c_waits_for_what_must_be_whole_and_a_second_does_not() -> None:
    done = []

    def make(signals: int) -> None:
        with held():
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
            done.append(signals)

    for signals in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            make(signals)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_while_drgn_calls_its_plugins_is_not_lost(
    oops_core: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """drgn prints it as an exception that nobody can be told, and opens the dump."""
    called = []

    def interrupt(*_: object) -> None:
        called.append(True)
        signal.raise_signal(signal.SIGINT)

    hook = sys.unraisablehook
    monkeypatch.setitem(plugins._hooks, "drgn_prog_set", [("mine", interrupt)])
    with pytest.raises(KeyboardInterrupt):
        open_core(oops_core)
    assert called
    assert capsys.readouterr() == ("", "")
    assert sys.unraisablehook is hook
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_else_is_dropped_is_still_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    seen: list[object] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda dropped: seen.append(dropped.exc_value)
    try:
        with not_lost():
            Broken()
    finally:
        sys.unraisablehook = hook
    assert [str(error) for error in seen] == ["broken"]


def test_outside_the_main_thread_nothing_is_held() -> None:
    ran = []

    def inside() -> None:
        with held():
            ran.append(True)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert ran == [True]
