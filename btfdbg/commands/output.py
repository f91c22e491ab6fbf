"""Where a command's output goes: terminal, pager, file or a shell's pipe.

Owns ``sys.stdout`` while a command or a line of Python runs. All that is
printed passes ``text.escape``, into files and pipes as well: what is saved
today is shown on a terminal tomorrow. Our own colours come in by ``emit()``.

Why not drgn's redirection: it hands the raw stream to the command, knows no
colours, and starts the pager for output of any length.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING

from btfdbg.commands.text import Fragment, Table, escape, paint, terminal_columns
from btfdbg.errors import BtfdbgError

if TYPE_CHECKING:
    from drgn.commands import ShellRedirection

    from btfdbg.commands.state import PromptState

# Output that takes longer than this to fill a screen is shown as it comes.
_HOLD_SECONDS = 0.4
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))
_LESS = ("less", "-R", "-X", "-F")


class OutputError(BtfdbgError):
    """Output cannot go where it was sent."""


class Output(io.TextIOBase):
    """
    A text stream that escapes what is written to it.

    :param sink: Where the text goes.
    :param color: Whether ``emit()`` colours.
    :param columns: Width to format for, 0 for no limit.
    """

    def __init__(self, sink: IO[str], *, color: bool = False, columns: int = 0) -> None:
        self.sink = sink
        self.color = color
        self.columns = columns

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute in typeshed
        return getattr(self.sink, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self.sink.isatty()

    def write(self, text: str, /) -> int:
        # drgn writes its tables cell by cell: a kernel's pages are a million writes, nearly all
        # plain. ASCII can be encoded by all encodings that a terminal has.
        if text.isascii() and (text.isprintable() or text == "\n"):
            self.sink.write(text)
        else:
            self.raw(escape(text))
        return len(text)

    def emit(self, *fragments: Fragment | str) -> None:
        """Write fragments; only their styles become control sequences."""
        self.raw(paint(fragments, self.color))

    def raw(self, text: str) -> None:
        """Write text that is known to be safe."""
        try:
            self.sink.write(text)
        except UnicodeEncodeError:
            encoding = self.encoding
            self.sink.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        self.sink.flush()

    def close(self) -> None:
        """The sink stays its owner's: Python closes streams that it collects."""


def current() -> Output:
    """The stream that the running command writes to."""
    stream = sys.stdout
    return stream if isinstance(stream, Output) else Output(stream)


def emit(*fragments: Fragment | str) -> None:
    """Print fragments and a newline."""
    current().emit(*fragments, "\n")


@contextlib.contextmanager
def broken_lines(*, code: bool) -> Iterator[None]:
    """
    Break lines that are wider than the terminal; what does not go to one is left as it is.

    :param code: They are C.
    """
    if not current().columns:
        yield
        return
    from btfdbg.commands.wrapping import wrapped

    with wrapped(code=code):
        yield


def print_error(state: PromptState, message: str) -> None:
    """One red line on stderr."""
    from btfdbg.commands.text import wants_color
    from btfdbg.commands.wrapping import for_stream

    color = wants_color(state.color, sys.stderr)
    text = for_stream(paint([("error", message)], color), sys.stderr)
    print(text, file=sys.stderr, flush=True)


def show(table: Table, *, as_json: bool = False, as_lines: bool = False) -> None:
    """Print a table; what prints commands breaks its lines to the terminal's width."""
    out = current()
    if as_lines:
        for row in table.as_json_lines():
            print(row)
        return
    if as_json:
        print(table.as_json())
        return
    from btfdbg.commands import tables

    if tables.are_taken() and tables.given_away(table.cells()):
        return
    if not table.rows and table.none:
        out.emit(("dim", table.none), "\n")
        return
    for line in table.lines():
        out.emit(*line, "\n")


class Pager(io.TextIOBase):
    """
    A terminal behind a pager that starts only when the output is longer than the screen.

    Output that fills no screen within a moment is shown at once, and as it
    comes from then on: nobody should stare at an empty screen while memory is
    searched. A loop that prints slowly ends with its Ctrl-C; in a pager it would
    wait there for a ``q``.
    """

    def __init__(self, terminal: IO[str], command: Sequence[str], rows: int) -> None:
        self._terminal = terminal
        self._command = list(command)
        self._rows = rows
        self._held: list[str] = []
        self._lines = 0
        self._process: subprocess.Popen[str] | None = None
        self._through = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._held_until = 0.0
        self._closed_by_reader = False

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute in typeshed
        return getattr(self._terminal, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def write(self, text: str, /) -> int:
        with self._lock:
            if self._through:
                self._terminal.write(text)
            elif self._process is not None:
                self._feed(text)
            else:
                self._hold(text)
        return len(text)

    def flush(self) -> None:
        if self._through:
            self._terminal.flush()

    def close(self) -> None:
        """The terminal stays its owner's; see ``finish()``."""

    def _hold(self, text: str) -> None:
        self._held.append(text)
        self._lines += text.count("\n")
        if self._timer is not None and time.monotonic() >= self._held_until:
            # On a busy machine the timer's thread may come late.
            self._cancel()
            self._release()
        elif self._lines >= self._rows:
            self._cancel()
            self._start()
        elif self._timer is None:
            self._held_until = time.monotonic() + _HOLD_SECONDS
            # Only writes held text; it never sees a drgn object.
            self._timer = threading.Timer(_HOLD_SECONDS, self._let_through)
            self._timer.daemon = True
            self._timer.start()

    def _let_through(self) -> None:
        with self._lock:
            if self._process is None and not self._through:
                self._release()

    def _release(self) -> None:
        self._through = True
        self._terminal.write("".join(self._held))
        self._terminal.flush()
        self._held.clear()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        env = dict(os.environ)
        env.pop("LESS", None)
        # The pager shows text of a dump: it must not offer a shell, open files
        # by name or run the user's input preprocessor on it.
        env["LESSSECURE"] = "1"
        env.pop("LESSOPEN", None)
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, text=True, errors="backslashreplace", env=env
            )
        except OSError:
            self._release()
            return
        held = "".join(self._held)
        self._held.clear()
        self._feed(held)

    def _feed(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
        except (BrokenPipeError, ValueError):
            # The reader has seen enough: end the command as well.
            self._closed_by_reader = True
            raise BrokenPipeError from None

    def finish(self) -> None:
        """Show what is held back, or wait until the reader leaves the pager."""
        self._cancel()
        with self._lock:
            process = self._process
            if process is None:
                if not self._through:
                    self._release()
                return
        assert process.stdin is not None
        try:
            process.stdin.close()
        except OSError:
            pass
        # Ctrl-C belongs to the pager now.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def pager_command(chosen: str = "") -> list[str] | None:
    """
    The pager to use: ``$BTFDBG_PAGER``, ``$PAGER``, less; None for none.

    :param chosen: A program of ``set scroll``, which comes before the environment's.
    """
    if chosen:
        import shutil  # with bz2 and lzma, for what only terminals need

        words = _LESS if chosen == "less" else [chosen]
        return list(words) if shutil.which(chosen) else None
    import shlex
    import shutil

    for variable in ("BTFDBG_PAGER", "PAGER"):
        value = os.environ.get(variable)
        if value is not None:
            try:
                words = shlex.split(value)
            except ValueError:
                return None
            if not words or words == ["cat"] or shutil.which(words[0]) is None:
                return None
            if os.path.basename(words[0]) == "less" and len(words) == 1:
                break
            return words
    return list(_LESS) if shutil.which("less") else None


@contextlib.contextmanager
def captured(
    *, color: str = "auto", paged: bool = False, pager_program: str = ""
) -> Iterator[Output]:
    """
    Send ``sys.stdout`` through an ``Output`` for a while.

    :param paged: Long output goes through a pager if stdout is a terminal.
    :param pager_program: As of :func:`pager_command`.
    """
    from btfdbg.commands.text import wants_color

    before = sys.stdout
    if isinstance(before, Output):
        yield before
        return
    columns = terminal_columns(before)
    pager = None
    sink: IO[str] = before
    if paged and columns and os.environ.get("TERM") != "dumb":
        command = pager_command(pager_program)
        if command is not None:
            import shutil

            rows = shutil.get_terminal_size((80, 24)).lines - 1
            pager = Pager(before, command, max(rows, 2))
            sink = pager  # type: ignore[assignment] # a text stream, if not typing's IO
    output = Output(sink, color=wants_color(color, before), columns=columns)
    sys.stdout = output
    try:
        yield output
    finally:
        sys.stdout = before
        if pager is not None:
            pager.finish()
        before.flush()


@contextlib.contextmanager
def redirected(redirections: Sequence[ShellRedirection], pipeline: str | None) -> Iterator[None]:
    """
    Send stdout and stderr where a command line says.

    :raises OutputError: a file cannot be opened or a pipeline failed.
    """
    if not redirections and pipeline is None:
        yield
        return
    before = sys.stdin, sys.stdout, sys.stderr
    opened: list[IO[str]] = []
    process: subprocess.Popen[str] | None = None
    try:
        if pipeline is not None:
            with contextlib.suppress(ValueError, OSError):
                before[1].flush()
            # The command line is the user's own; nothing of the dump is in it.
            process = subprocess.Popen(
                ["sh", "-c", pipeline],
                stdin=subprocess.PIPE,
                stdout=None,
                text=True,
                errors="backslashreplace",
            )
            assert process.stdin is not None
            sys.stdout = Output(process.stdin)
        for redirection in redirections:
            _redirect(redirection, opened)
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            pass
        except OSError as e:
            raise _unwritten(e, redirections) from e
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for file in opened:
            with contextlib.suppress(OSError):
                file.close()
        if process is not None:
            _wait(process)
    if process is not None and process.returncode not in (0, 1, -signal.SIGPIPE):
        # 1 is how grep says "nothing matched".
        raise OutputError(f"{pipeline!r} exited with status {process.returncode}")


def _unwritten(error: OSError, redirections: Sequence[ShellRedirection]) -> OSError | OutputError:
    """An error of writing, with the file that takes no more; any other as it is."""
    paths = [r.path for r in redirections if r.op != "<" and r.fd == 1]
    if error.errno not in _FULL or not paths:
        return error
    return OutputError(f"{paths[-1]}: {error.strerror}")


def _redirect(redirection: ShellRedirection, opened: list[IO[str]]) -> None:
    mode = {"<": "r", ">": "w", ">>": "a"}[redirection.op]
    path = os.path.expanduser(redirection.path)
    try:
        file = open(path, mode, errors="backslashreplace")  # noqa: SIM115 # closed by the caller
    except OSError as e:
        raise OutputError(f"{redirection.path}: {e.strerror}") from e
    opened.append(file)
    if redirection.op == "<" and redirection.fd == 0:
        sys.stdin = file
    elif redirection.op != "<" and redirection.fd == 1:
        sys.stdout = Output(file)
    elif redirection.op != "<" and redirection.fd == 2:
        sys.stderr = Output(file)
    else:
        raise OutputError(f"cannot redirect file descriptor {redirection.fd}")


def _wait(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    deadline = None
    while True:
        try:
            process.wait(deadline)
            return
        except KeyboardInterrupt:
            # The terminal sent it to the pipeline as well; give it a moment.
            deadline = 1.0
        except subprocess.TimeoutExpired:
            process.kill()


def lines(fragment_lines: Iterable[Sequence[Fragment]]) -> None:
    """Print lines of fragments."""
    out = current()
    for line in fragment_lines:
        out.emit(*line, "\n")
