"""What each packet is answered with, and the loop that does it.

Owns the protocol's words. A packet that is not known gets the empty answer, one that would
write or run gets an error, and one that is nonsense gets an error too; none ends the
server.

Facts: the GDB manual, "Remote Protocol", sections Packets, General Query Packets.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.handover.gdb import registers as registers_
from btfdbg.handover.gdb.packets import INTERRUPT, MAX_PACKET, Connection
from btfdbg.handover.gdb.threads import Thread, Threads
from btfdbg.program.memory_search import Search, searched

if TYPE_CHECKING:
    from btfdbg.program.session import Session

logger = logging.getLogger("btfdbg.gdb")

DEFAULT_PORT = 1234
_PAGE = 4096
_MAX_READ = 1 << 14
_MAX_CHUNK = 1 << 14
_MAX_REGISTER = 512
_EFAULT, _EINVAL, _EROFS = b"E0e", b"E16", b"E1e"
_TARGET = '<?xml version="1.0"?>\n<target version="1.0"><architecture>{}</architecture></target>\n'
_READ_ONLY = (b"G", b"P", b"M", b"X", b"c", b"C", b"s", b"S", b"R", b"vRun", b"vCont;", b"i")


class Stub:
    """
    The answers for one dump.

    :raises DebugInfoError: gdb's order of this architecture's registers is not known here.
    """

    def __init__(self, session: Session) -> None:
        prog = session.prog
        platform = prog.platform
        assert platform is not None  # a Session has one
        found = registers_.BY_ARCHITECTURE.get(platform.arch.name)
        if found is None:
            raise DebugInfoError(
                f"gdb's registers of {platform.arch.name} are not known",
                step="gdbserver",
                hint=f"known: {', '.join(registers_.BY_ARCHITECTURE).lower()}",
            )
        session.ensure_modules()
        self._prog = prog
        self._held = searched(session) or []
        self._registers = found
        self._little = bool(platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN)
        self.threads = Threads(prog)
        self._xml = self.threads.xml()
        self._target = _TARGET.format(found.gdb).encode()
        self._first = next(iter(self.threads.by_id), 1)
        self._current = self._first
        self._listed: Iterator[int] = iter(())

    def serve(self, connection: Connection) -> None:
        """Answer a client until it leaves."""
        self._current = self._first
        while (packet := connection.receive()) is not None:
            if packet == INTERRUPT:
                connection.send(self._stopped())
                continue
            if packet[:1] == b"k" or packet[:5] == b"vKill":
                if packet[:1] == b"v":
                    connection.send(b"OK")
                return
            if packet == b"QStartNoAckMode":
                connection.send(b"OK")
                connection.acknowledges = False
                continue
            connection.send(self.answer(packet))
            if packet[:1] == b"D":
                return

    def answer(self, packet: bytes) -> bytes:
        """What a packet is answered with; never raises."""
        try:
            for start, method in _ANSWERS:
                if packet.startswith(start):
                    return method(self, packet[len(start) :])
            if packet.startswith(_READ_ONLY):
                return _EROFS
        except (ValueError, LookupError, OverflowError):
            return _EINVAL
        except drgn.FaultError:
            return _EFAULT
        except Exception as e:  # drgn's own, of a damaged dump; the server lives
            logger.debug("%r: %r", packet[:40], e)
            return _EINVAL
        return b""

    # Queries.

    def _supported(self, _: bytes) -> bytes:
        return (
            b"PacketSize=%x;QStartNoAckMode+;qXfer:threads:read+;qXfer:features:read+;vContSupported-"
            % MAX_PACKET
        )

    def _stopped(self, _: bytes = b"") -> bytes:
        return b"T05thread:%x;" % self._first

    def _current_thread(self, _: bytes) -> bytes:
        return b"QC%x" % self._current

    def _first_threads(self, _: bytes) -> bytes:
        self._listed = iter(self.threads.by_id)
        return self._more_threads(b"")

    def _more_threads(self, _: bytes) -> bytes:
        found = []
        for id_ in self._listed:
            found.append(b"%x" % id_)
            if len(found) == 256:
                break
        return b"m" + b",".join(found) if found else b"l"

    def _extra(self, rest: bytes) -> bytes:
        return self._thread(rest).label.encode("utf-8", "replace").hex().encode()

    def _alive(self, rest: bytes) -> bytes:
        self._thread(rest)
        return b"OK"

    def _select(self, rest: bytes) -> bytes:
        id_ = int(rest, 16)
        self._current = self._first if id_ in (0, -1) else self._thread(rest).id
        return b"OK"

    def _thread(self, text: bytes) -> Thread:
        return self.threads.by_id[int(text, 16)]

    def _ok(self, _: bytes) -> bytes:
        return b"OK"

    def _attached(self, _: bytes) -> bytes:
        return b"1"

    def _transfer(self, what: bytes, rest: bytes) -> bytes:
        offset, _, length = rest.partition(b",")
        start, size = int(offset, 16), min(int(length, 16), _MAX_CHUNK)
        if start < 0 or size <= 0:
            return _EINVAL
        part = what[start : start + size]
        return (b"m" if start + size < len(what) else b"l") + part

    def _read_threads(self, rest: bytes) -> bytes:
        return self._transfer(self._xml, rest)

    def _read_target(self, rest: bytes) -> bytes:
        return self._transfer(self._target, rest)

    # What a dump has.

    def _all_registers(self, _: bytes) -> bytes:
        thread = self.threads.by_id[self._current]
        values: dict[str, int] = {}
        try:
            values = dict(self.threads.registers(thread))
        except (ValueError, LookupError, drgn.FaultError) as e:
            # A thread without registers is shown without, and does not end the session.
            logger.debug("thread %d: %s", thread.id, e)
        return registers_.packet(self._registers, values, self._little)

    def _one_register(self, rest: bytes) -> bytes:
        number = int(rest, 16)
        if not 0 <= number < _MAX_REGISTER:
            return _EINVAL
        if number >= len(self._registers.names):
            # One that gdb knows of this architecture, and no dump has: floating point and the
            # like. An error would end its "info frame".
            return b"xx"
        start = sum(2 * size for _, size in self._registers.names[:number])
        return self._all_registers(b"")[start : start + 2 * self._registers.names[number][1]]

    def _memory(self, rest: bytes) -> bytes:
        text, _, length = rest.partition(b",")
        address, size = int(text, 16), min(int(length, 16), _MAX_READ)
        if address < 0 or size < 0 or address + size > 1 << 64:
            return _EINVAL
        try:
            return bytes(self._prog.read(address, size)).hex().encode()
        except drgn.FaultError:
            # As much as there is: the protocol allows less than was asked for.
            first = min(_PAGE - address % _PAGE, size)
            if first == size:
                return _EFAULT
            return bytes(self._prog.read(address, first)).hex().encode()

    def _search(self, rest: bytes) -> bytes:
        # Without an answer gdb reads in pieces itself, and gives up each that has a hole.
        text, length, pattern = rest.split(b";", 2)
        first, size = int(text, 16), int(length, 16)
        if first < 0 or size <= 0 or first + size > 1 << 64 or not pattern:
            return _EINVAL
        escaped = re.escape(pattern)
        search = Search(self._prog, self._held, lambda prog: prog.search_memory_regex(escaped))
        for address, _ in search.set_address_range(first, first + size - 1):
            return b"1,%x" % address
        return b"0"


_ANSWERS: tuple[tuple[bytes, Callable[[Stub, bytes], bytes]], ...] = (
    (b"qSupported", Stub._supported),
    (b"?", Stub._stopped),
    (b"qC", Stub._current_thread),
    (b"qfThreadInfo", Stub._first_threads),
    (b"qsThreadInfo", Stub._more_threads),
    (b"qThreadExtraInfo,", Stub._extra),
    (b"qXfer:threads:read::", Stub._read_threads),
    (b"qXfer:features:read:target.xml:", Stub._read_target),
    (b"qAttached", Stub._attached),
    (b"qSymbol", Stub._ok),
    (b"Hg", Stub._select),
    (b"Hc", Stub._ok),
    (b"T", Stub._alive),
    (b"D", Stub._ok),
    (b"g", Stub._all_registers),
    (b"p", Stub._one_register),
    (b"m", Stub._memory),
    (b"qSearch:memory:", Stub._search),
)


class _Pipe:
    """Standard input and output as one stream."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink

    def read(self, size: int) -> bytes:
        read1 = getattr(self._source, "read1", self._source.read)
        data: bytes = read1(size)
        return data

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        self._sink.flush()


class _Socket:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def read(self, size: int) -> bytes:
        return self._socket.recv(size)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)


def serve_pipe(stub: Stub, source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one client, for gdb's ``target remote | btfdbg gdbserver --stdio CORE``."""
    try:
        stub.serve(Connection(_Pipe(source, sink)))
    except (BrokenPipeError, ConnectionError):
        pass  # it left


def listen(host: str, port: int) -> socket.socket:
    """
    A socket that listens.

    :raises DebugInfoError: it cannot.
    """
    try:
        return socket.create_server((host, port), backlog=1)
    except (OSError, OverflowError) as e:
        raise DebugInfoError(f"cannot listen on {host}:{port}: {e}", step="gdbserver") from e


def serve_socket(stub: Stub, listening: socket.socket, *, once: bool = False) -> None:
    """Serve clients one after another, whatever any of them does."""
    while True:
        connected, peer = listening.accept()
        logger.info("gdb at %s", peer)
        with closing(connected):
            # An answer is two packets for a client that wants acknowledgements: the second would
            # wait until the first is acknowledged by TCP, 40 ms each time.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                stub.serve(Connection(_Socket(connected)))
            except OSError as e:
                logger.info("%s: %s", peer, e)
        if once:
            return
