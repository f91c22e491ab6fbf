"""
A writer of cpio archives in the "newc" notation, which the kernel unpacks.

Owns: the bytes of an initramfs. Must not know: what is in it.
Facts: Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5).
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

_TRAILER = "TRAILER!!!"


def _pad(length: int) -> bytes:
    return b"\0" * (-length % 4)


@dataclass(slots=True)
class Cpio:
    """Collects files in order; parent folders are added by themselves."""

    _chunks: list[bytes] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _inode: int = 0

    def _add(self, name: str, mode: int, data: bytes, rdev: tuple[int, int] = (0, 0)) -> None:
        encoded = name.encode() + b"\0"
        self._inode += 1
        numbers = (
            self._inode,
            mode,
            0,  # uid
            0,  # gid
            2 if stat.S_ISDIR(mode) else 1,
            0,  # mtime
            len(data),
            0,  # major and minor of the device that holds the file
            0,
            rdev[0],
            rdev[1],
            len(encoded),
            0,  # checksum, unused in this notation
        )
        header = b"070701" + b"".join(b"%08x" % number for number in numbers)
        self._chunks += [header, encoded, _pad(len(header) + len(encoded)), data, _pad(len(data))]
        self._names.add(name)

    def _parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        if parent:
            self.folder(parent)

    def _claim(self, name: str) -> str:
        name = name.strip("/")
        if not name or ".." in name.split("/"):
            raise ValueError(f"{name!r}: not a name inside the archive")
        if name in self._names:
            raise ValueError(f"{name}: already in the archive")
        return name

    def folder(self, name: str) -> None:
        """Add a folder and the folders above it; one that is there already stays."""
        name = name.strip("/")
        if name in self._names or not name:
            return
        self._parents(name)
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """
        Add a regular file.

        :raises ValueError: the name is taken or leaves the archive.
        """
        name = self._claim(name)
        self._parents(name)
        self._add(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        name = self._claim(name)
        self._parents(name)
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """Add a character device; the kernel opens /dev/console before /init runs."""
        name = self._claim(name)
        self._parents(name)
        self._add(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def __contains__(self, name: str) -> bool:
        return name.strip("/") in self._names

    def bytes(self) -> bytes:
        """Return the archive with its trailer."""
        name = _TRAILER.encode() + b"\0"
        header = b"070701" + b"".join(
            b"%08x" % number for number in (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(name), 0)
        )
        return b"".join(self._chunks) + header + name + _pad(len(header) + len(name))
