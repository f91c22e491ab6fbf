"""Live targets, only ever on request: the running kernel and a QEMU guest.

Owns opening them and the words of what goes wrong. Nothing falls back to them.
A QEMU guest that was not started with ``-device vmcoreinfo`` gets its VMCOREINFO
as a dump without one does: from its memory.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.interrupts import not_lost, pass_on
from btfdbg.vmcore.identify import DumpInfo, Format
from btfdbg.vmcore.recover import candidates, choose

_KCORE = Path("/proc/kcore")
_TIMEOUT = 5
_PAGE = 4096
_STEP = 2 << 20
_WINDOW = 4 << 20
# RAM is looked for below this; beyond it guests need -device vmcoreinfo.
_PROBE_END = 1 << 38


def open_live() -> tuple[drgn.Program, DumpInfo]:
    """
    The running kernel, through /proc/kcore.

    :raises DebugInfoError: no permission, or the kernel has no /proc/kcore.
    """
    prog = drgn.Program()
    try:
        with not_lost():
            prog.set_kernel()
    except PermissionError as e:
        raise DebugInfoError(f"{_KCORE}: {e.strerror}", step="open", hint="run it as root") from e
    except OSError as e:
        raise DebugInfoError(
            f"{_KCORE}: {e.strerror}", step="open", hint="the kernel needs CONFIG_PROC_KCORE=y"
        ) from e
    except Exception as e:  # drgn raises plain Exception for what it has no class for
        pass_on(e)
        raise DebugInfoError(f"{_KCORE}: {_one_line(e)}", step="open") from e
    platform = prog.platform
    return prog, DumpInfo(
        str(_KCORE),
        Format.KCORE,
        platform.arch if platform is not None else None,
        vmcoreinfo_source=str(_KCORE),
    )


Otherwise = Callable[["GuestMemory", drgn.Architecture | None], tuple[bytes | None, str]]
"""Makes a text for a guest that has none: the text and where it is from, or None and why not."""


def open_qemu(
    address: str, *, vmcoreinfo: bytes | None = None, otherwise: Otherwise | None = None
) -> tuple[drgn.Program, DumpInfo]:
    """
    A running QEMU guest.

    :param address: Path of a QMP UNIX socket, or ``host:port``.
    :param vmcoreinfo: VMCOREINFO text to use in place of the guest's own.
    :param otherwise: what to ask if the guest has no text; QEMU talks to one at a time, so
        it cannot be opened once more with one.
    :raises DebugInfoError: QEMU does not answer, or the guest runs no Linux.
    """
    fd = _connect(address)
    try:
        prog = drgn.Program(vmcoreinfo=vmcoreinfo)
        with not_lost():
            prog.set_qemu_qmp(fd)
    except Exception as e:  # drgn raises plain Exception for what it has no class for
        pass_on(e)
        raise DebugInfoError(f"{address}: {_one_line(e)}", step="open") from e
    platform = prog.platform
    source = "--vmcoreinfo" if vmcoreinfo is not None else "QEMU (-device vmcoreinfo)"
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        text = vmcoreinfo
        if text is None:
            text, source = _from_memory(prog, address, otherwise)
        try:
            with not_lost():
                prog.set_linux_kernel_custom(text, True)
        except Exception as e:  # as above
            pass_on(e)
            raise DebugInfoError(f"{address}: {_one_line(e)}", step="open") from e
    return prog, DumpInfo(
        str(Path(address)),
        Format.QEMU,
        platform.arch if platform is not None else None,
        vmcoreinfo_source=source,
    )


def _connect(address: str) -> int:
    """
    Connect to QEMU's monitor and wait for its greeting, which is left unread.

    drgn would wait forever for a greeting that does not come, as when somebody
    else is connected already.

    :return: A file descriptor for drgn, which closes it.
    """
    host, colon, port = address.rpartition(":")
    try:
        if colon and port.isdecimal() and not address.startswith(("/", ".")):
            s = socket.create_connection((host or "localhost", int(port)), _TIMEOUT)
        else:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with s:
            if s.family == socket.AF_UNIX:
                s.settimeout(_TIMEOUT)
                s.connect(address)
            if not s.recv(1, socket.MSG_PEEK):
                raise ConnectionError(errno.ECONNRESET, "QEMU closed the connection")
            s.settimeout(None)
            return s.detach()
    except TimeoutError as e:
        raise DebugInfoError(
            f"{address}: no answer within {_TIMEOUT} s",
            step="open",
            hint="is it a QMP monitor, and is nobody else connected to it?",
        ) from e
    except (OSError, OverflowError) as e:
        raise DebugInfoError(
            f"{address}: {getattr(e, 'strerror', None) or _one_line(e)}",
            step="open",
            hint="start QEMU with -qmp unix:PATH,server=on,wait=off and give PATH",
        ) from e


def _from_memory(
    prog: drgn.Program, address: str, otherwise: Otherwise | None
) -> tuple[bytes, str]:
    memory = GuestMemory(prog)
    texts = candidates(memory, f"looking for VMCOREINFO in the guest at {address}")
    architecture = prog.platform.arch if prog.platform is not None else None
    found = choose(texts, lambda _: iter((memory,)), architecture)
    if found is not None:
        where = found.candidate.address
        return found.candidate.text, f"note in the guest's memory at physical {where:#x}"
    text, why = (None, "") if otherwise is None else otherwise(memory, architecture)
    if text is not None:
        return text, why
    raise DebugInfoError(
        f"{address}: no Linux kernel was found in the guest's memory{why and f'; {why}'}",
        step="open",
        hint="start QEMU with -device vmcoreinfo and load qemu_fw_cfg in the guest,"
        " or give --vmcoreinfo FILE",
    )


class GuestMemory:
    """Physical memory of a guest whose RAM is where reads succeed."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self._runs = list(self._probe())

    def read(self, address: int, size: int) -> bytes:
        """See :class:`btfdbg.vmcore.memory.PhysicalMemory`."""
        data: bytes = self._prog.read(address, size, physical=True)
        return data

    def _readable(self, address: int) -> bool:
        try:
            self.read(address, 1)
        except drgn.FaultError:
            return False
        return True

    def _probe(self) -> Iterator[tuple[int, int]]:
        """RAM in steps of 2 MiB; a long stretch of nothing is skipped in longer ones."""
        start, at, step = -1, 0, _STEP
        while at < _PROBE_END:
            if self._readable(at):
                if start < 0:
                    start = at
                step = _STEP
            else:
                if start >= 0:
                    yield start, at - start
                    start = -1
                elif at % (1 << 30) == 0:
                    step = 1 << 30
            at += step
        if start >= 0:
            yield start, at - start

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and address >= 0 and self._readable(address)

    @property
    def total(self) -> int:
        """See :class:`btfdbg.vmcore.memory.PhysicalMemory`."""
        return sum(size for _, size in self._runs)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """See :class:`btfdbg.vmcore.memory.PhysicalMemory`."""
        for start, size in self._runs:
            yield start, start + size

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """See :class:`btfdbg.vmcore.memory.PhysicalMemory`."""
        done = 0
        for start, size in self._runs:
            at, end = start, start + size
            while at < end:
                data = self._read_some(at, min(_WINDOW, end - at))
                i = data.find(pattern)
                while i >= 0:
                    yield at + i
                    i = data.find(pattern, i + 1)
                at += len(data) or _PAGE
                progress(done + at - start)
            done += size

    def _read_some(self, address: int, size: int) -> bytes:
        """Read as much as can be read at once, in halves; nothing if not even a page can."""
        while True:
            try:
                return self.read(address, size)
            except drgn.FaultError:
                if size <= _PAGE:
                    return b""
                size = max(_PAGE, size // 2 & -_PAGE)


def _one_line(e: Exception) -> str:
    return " ".join(str(e).split())
