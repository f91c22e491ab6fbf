"""Framing of gdb's remote protocol: bytes to packets, and back.

Owns ``$...#xx``, acknowledgement and escapes. A client may send anything: what is no
packet is skipped, and one that is longer than :data:`MAX_PACKET` ends the connection.

Facts: the GDB manual, "Remote Protocol", sections Overview and Packet Acknowledgment.
"""

from __future__ import annotations

from typing import Protocol

MAX_PACKET = 1 << 16
"""Bytes of a packet that are taken, or sent."""

INTERRUPT = b"\x03"
_ESCAPED = b"$#}*"


class Stream(Protocol):
    """Both directions of a connection."""

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end."""

    def write(self, data: bytes) -> None:
        """Send all of it."""


class Connection:
    """
    Packets of one client.

    :ivar acknowledges: Whether each packet is answered with ``+``; the client turns it off.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held = bytearray()
        self._last = b""
        self.acknowledges = True

    def receive(self) -> bytes | None:
        """
        The next packet, without its frame; :data:`INTERRUPT` for Ctrl-C.

        :return: ``None`` at the end, or after more than a packet's worth of bytes without one.
        """
        while True:
            if not self._held and not self._fill():
                return None
            first = self._held[:1]
            if first == INTERRUPT:
                del self._held[:1]
                return INTERRUPT
            if first == b"-":
                del self._held[:1]
                if self.acknowledges and self._last:
                    self._stream.write(self._last)
                continue
            if first != b"$":
                del self._held[:1]
                continue
            packet = self._whole()
            if packet is None:
                return None
            data, good = packet
            if self.acknowledges:
                self._stream.write(b"+" if good else b"-")
            if good:
                return data

    def _whole(self) -> tuple[bytes, bool] | None:
        while True:
            end = self._held.find(b"#")
            if end >= 0 and len(self._held) >= end + 3:
                break
            if len(self._held) > MAX_PACKET or not self._fill():
                return None
        packet = bytes(self._held[: end + 3])
        del self._held[: len(packet)]
        # A client that waits for an acknowledgement sends a packet again, as gdb does every
        # two seconds while a dump is being opened; it waits for one answer.
        while self.acknowledges and self._held.startswith(packet):
            del self._held[: len(packet)]
        data, given = packet[1:end], packet[end + 1 :]
        return unescape(data), given.lower() == checksum(data)

    def _fill(self) -> bool:
        data = self._stream.read(4096)
        self._held += data
        return bool(data)

    def send(self, data: bytes) -> None:
        """Send a packet."""
        text = escape(data)
        self._last = b"$" + text + b"#" + checksum(text)
        self._stream.write(self._last)


def checksum(data: bytes) -> bytes:
    """The two digits that stand after ``#``."""
    return b"%02x" % (sum(data) & 0xFF)


def escape(data: bytes) -> bytes:
    """Bytes as they may stand in a packet."""
    out = bytearray()
    for byte in data:
        if byte in _ESCAPED:
            out += bytes((0x7D, byte ^ 0x20))
        else:
            out.append(byte)
    return bytes(out)


def unescape(data: bytes) -> bytes:
    """The reverse of :func:`escape`."""
    if b"}" not in data:
        return data
    out = bytearray()
    at = 0
    while at < len(data):
        if data[at] == 0x7D and at + 1 < len(data):
            at += 1
            out.append(data[at] ^ 0x20)
        else:
            out.append(data[at])
        at += 1
    return bytes(out)
