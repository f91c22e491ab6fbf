"""What the first prompt costs, in instructions: ``python -m tests.bench.first_prompt DUMP...``.

Under valgrind's callgrind, until the prompt is there and Ctrl-D ends it: with the first screen's
words and without any (``-q``), and their ratio. CPU time on a loaded machine swings by a
third; instructions do not. Needs valgrind; each line takes a minute or two.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench.processes import as_installed, counted, under_callgrind
from tests.repl.test_session_in_a_terminal import Terminal

_PATIENCE = 900  # seconds for a prompt that takes one without valgrind


def instructions(dump: str, folder: Path, *options: str) -> int:
    """Count the instructions of a session that is ended at its first prompt."""
    command = [*under_callgrind(folder), sys.executable, "-m", "btfdbg.cli.main", *options, dump]
    terminal = Terminal(command, 24, 80)
    terminal.wait("btfdbg>", _PATIENCE)
    os.write(terminal.fd, b"\x04")
    try:
        while os.read(terminal.fd, 1 << 16):
            pass
    except OSError:
        pass  # its end is closed
    os.waitpid(terminal.pid, 0)
    os.close(terminal.fd)
    return counted(folder)


def main() -> None:
    """Print a line per dump."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_installed(name)
        os.environ["XDG_STATE_HOME"] = f"{name}/state"
        for dump in sys.argv[1:]:
            session = Terminal([sys.executable, "-m", "btfdbg.cli.main", dump], 24, 80)
            session.wait("btfdbg>", _PATIENCE)  # compiles, and leaves what a first look finds out
            os.write(session.fd, b"\x04")
            os.waitpid(session.pid, 0)
            os.close(session.fd)
            quiet = instructions(dump, folder, "-q")
            told = instructions(dump, folder)
            print(f"{Path(dump).name:28} -q {quiet / 1e6:7.0f} M, with words {told / 1e6:7.0f} M:"
                  f" {told / quiet:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
