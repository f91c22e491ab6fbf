"""Live targets that are not there give one line, soon."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import drgn
import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import Format, live, open_live, open_qemu


@pytest.fixture
def listening() -> Iterator[tuple[socket.socket, str]]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as s:
        path = f"{folder}/s"
        s.bind(path)
        s.listen()
        yield s, path


def test_no_socket_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match="No such file") as e:
        open_qemu(str(tmp_path / "nothing"))
    assert "-qmp" in e.value.hint


def test_refused_connection_is_said_so() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(DebugInfoError, match="refused"):
        open_qemu(f"127.0.0.1:{port}")


def test_silent_listener_does_not_hang(
    listening: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_TIMEOUT", 0.2)
    with pytest.raises(DebugInfoError, match="no answer within"):
        open_qemu(listening[1])


def test_what_is_no_qmp_monitor_is_said_so(listening: tuple[socket.socket, str]) -> None:
    server, path = listening
    pid = os.fork()
    if pid == 0:
        connection, _ = server.accept()
        connection.sendall(b"SSH-2.0-hello\r\n")
        connection.close()
        os._exit(0)
    with pytest.raises(DebugInfoError) as e:
        open_qemu(path)
    os.waitpid(pid, 0)
    assert "\n" not in str(e.value)


@pytest.mark.skipif(os.access("/proc/kcore", os.R_OK), reason="the running kernel can be read here")
def test_running_kernel_that_cannot_be_read_is_said_so() -> None:
    with pytest.raises(DebugInfoError, match="/proc/kcore") as e:
        open_live()
    assert "\n" not in str(e.value)
    assert e.value.hint


@pytest.mark.skipif(not os.access("/proc/kcore", os.R_OK), reason="/proc/kcore cannot be read")
def test_running_kernel_opens() -> None:
    prog, info = open_live()
    assert info.format is Format.KCORE
    assert prog["UTS_RELEASE"].string_().decode() == os.uname().release


class _Interrupted:
    """A Program whose steps end as drgn's do where Ctrl-C comes inside of a callback."""

    platform, flags = None, drgn.ProgramFlags(0)

    def __init__(self, failing: str) -> None:
        self._failing = failing

    def __getattr__(self, step: str) -> Callable[..., None]:
        def run(*_: object) -> None:
            if step == self._failing:
                raise Exception("couldn't read next module: KeyboardInterrupt")

        return run


@pytest.mark.parametrize("failing", ["set_kernel", "set_qemu_qmp", "set_linux_kernel_custom"])
def test_a_ctrl_c_is_no_error_of_the_target(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drgn, "Program", lambda **_: _Interrupted(failing))
    monkeypatch.setattr(live, "_connect", lambda address: -1)
    with pytest.raises(KeyboardInterrupt):
        _ = open_live() if failing == "set_kernel" else open_qemu("here", vmcoreinfo=b"OSRELEASE=1")
