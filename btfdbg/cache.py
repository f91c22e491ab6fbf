"""Derived kernel tables kept between runs: ``$XDG_CACHE_HOME/btfdbg`` (by default ``~/.cache``).

Owns the folder, the file format and the bounds. Knows nothing of what is stored; whoever
stores it keeps these rules:

* Only what is derived from the kernel's own tables (positions, sizes, offsets). Nothing of
  the dump's data, of its tasks or of its users.
* What is loaded is a hint and never an answer: dumps may lie, and one dump's entry must not
  decide another's results. Hold each item against the dump when it is used (read the name
  at the cached position and compare), and fall back to the search as if nothing was cached.
* The kind's name ends in the version of the payload's layout: ``symbols-1``.

    cache = Cache.default()
    key = CacheKey.of(build_id, sizes=(count, length), pages=(first_page, last_page))
    data = cache.load(key, "symbols-1")
    if data is None:
        data = search()
        cache.store(key, "symbols-1", data)

What cannot be held against the dump item by item (that a list is whole, say) is kept
together with the very bytes that it was computed from, and found only where the dump has
the same: :meth:`Cache.load_of` compares all of them, so that no crafted dump's entry is
another's. That takes a third of the time of a digest that nobody can forge.

Nothing here raises: a folder that is missing, full, read-only, somebody else's or switched
off (``--no-cache``, or ``BTFDBG_NO_CACHE`` in the environment) means that nothing is found
and nothing is kept. The folder may be deleted at any time. Runs at the same time are safe:
a file appears whole, by rename, and is never changed after that.

Why files and not a database: one entry is one read of some hundred KB, and a lock or a
journal would be one more thing that can be broken.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from stat import S_ISREG

from btfdbg.lazy_dataclass import dataclass

try:  # as the random module does: OpenSSL takes longer to load than a dump to open
    from _blake2 import blake2b as blake2b
except ImportError:
    from hashlib import blake2b as blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from typing import Generic, Protocol, TypeVar

    _Key = TypeVar("_Key", bound=Hashable)
    _Answer = TypeVar("_Answer")

    class Growing(Protocol):
        """
        What is added to while a dump is looked at.

        :ivar is_new: Whether something was added since it was read.
        """

        is_new: bool

        def pack(self) -> bytes:
            """Return what an entry holds of it."""

else:  # typing takes longer to import than an entry to read

    class Generic:
        def __class_getitem__(cls, _of):
            return cls

    _Key = _Answer = None

_MAGIC = b"btfdbgC\n"
# An entry that ends in the bytes that it is about.
_MAGIC_OF = b"btfdbgO\n"
_VERSION = 1
# magic, version, CRC-32 of the payload, bytes of payload, digest of key and kind
_HEADER = struct.Struct("<8sIIQ32s")
_SUFFIX = ".cache"
_TEMPORARY = ".new-"
_PIECE = 1 << 16  # below what malloc takes from the system and gives back each time

MAX_ENTRY = 16 << 20
MAX_TOTAL = 64 << 20
MAX_ENTRIES = 512
_MAX_KIND = 32
_KIND_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
# An unfinished file this old was left by a process that died.
_ABANDONED_SECONDS = 3600
# How old the record of the last use may be; most loads then write nothing.
_TOUCH_SECONDS = 6 * 3600

NO_CACHE_VARIABLE = "BTFDBG_NO_CACHE"


class Latest(Generic[_Key, _Answer]):
    """
    Answers of this run and of earlier ones; where there is no room, the longest unused go.

    Without that whoever once asked for all names of a kernel would fill the room for good,
    and the names of every later command were searched anew in each run.

    >>> kept = Latest(2, {"a": 1, "b": 2})
    >>> kept.get("a"), kept.add("c", 3), list(kept.items())
    (1, True, [('a', 1), ('c', 3)])

    :param limit: So many at most; what this run itself asked for is not dropped for more.
    :param before: Of earlier runs, the last used first.
    """

    __slots__ = ("_before", "_limit", "_now")

    def __init__(self, limit: int, before: dict[_Key, _Answer] | None = None) -> None:
        self._limit = limit
        self._now: dict[_Key, _Answer] = {}
        self._before = {} if before is None else before

    def get(self, key: _Key) -> _Answer | None:
        """An answer, which is used by that."""
        found = self._now.get(key)
        if found is None and key in self._before:
            found = self._now[key] = self._before.pop(key)
        return found

    def add(self, key: _Key, answer: _Answer) -> bool:
        """Keep an answer in place of an older one; whether there was room for it."""
        self._before.pop(key, None)
        if key not in self._now and len(self._now) + len(self._before) >= self._limit:
            if not self._before:
                return False
            self._before.popitem()
        self._now[key] = answer
        return True

    def clear(self) -> None:
        """Drop all."""
        self._now.clear()
        self._before.clear()

    def items(self) -> Iterator[tuple[_Key, _Answer]]:
        """All that there is, the last used first."""
        yield from self._now.items()
        yield from self._before.items()


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What an entry belongs to: a digest of everything that must be the same."""

    digest: bytes

    @classmethod
    def of(
        cls, build_id: str, *, sizes: Iterable[int] = (), pages: Iterable[bytes | memoryview] = ()
    ) -> CacheKey:
        """
        Make the key of a kernel or of a file.

        :param build_id: Of the kernel, as the dump says; may be empty.
        :param sizes: Sizes, counts and addresses that must agree.
        :param pages: Bytes of the dump that must agree; each part's length counts too.
        """
        digest = blake2b(digest_size=32, person=b"btfdbg-key")
        name = build_id.encode("utf-8", "surrogateescape")
        digest.update(struct.pack("<I", len(name)) + name)
        for size in sizes:
            digest.update(b"s%d;" % size)
        for page in pages:
            digest.update(struct.pack("<cQ", b"p", len(page)))
            digest.update(page)
        return cls(digest.digest())


class Cache:
    """
    One folder of entries.

    :param folder: Made when something is first stored; ``None`` keeps nothing.
    """

    def __init__(self, folder: str | None) -> None:
        self.folder = folder

    @classmethod
    def default(cls) -> Cache:
        """The user's cache, or one that keeps nothing if it is switched off or has no place."""
        if os.environ.get(NO_CACHE_VARIABLE):
            return cls(None)
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG base directory specification: a relative path is to be ignored.
        if not os.path.isabs(base):
            base = os.path.join(os.path.expanduser("~"), ".cache")
        return cls(os.path.join(base, "btfdbg") if os.path.isabs(base) else None)

    def load(self, key: CacheKey, kind: str) -> bytes | None:
        """
        Return what was stored under a key and kind, whole and undamaged, or ``None``.

        It is a hint: see the rules in this file's header.
        """
        folder = self._open(create=False)
        if folder is None:
            return None
        try:
            return _read(folder, _name(key, kind), _digest(key, kind))
        except OSError:
            return None
        finally:
            os.close(folder)

    def store(self, key: CacheKey, kind: str, data: bytes) -> bool:
        """
        Keep an entry, replacing an older one; drop the longest unused beyond the bounds.

        :return: Whether it was kept.
        """
        if len(data) > MAX_ENTRY:
            return False
        return self._keep(_MAGIC, key, kind, data)

    def store_in_the_end(self, owner: object, key: CacheKey, kind: str, kept: Growing) -> None:
        """Store what was added to something, once its owner goes or the process ends."""
        import weakref

        weakref.finalize(owner, self._store_new, key, kind, kept)

    def _store_new(self, key: CacheKey, kind: str, kept: Growing) -> None:
        if kept.is_new:
            kept.is_new = False
            self.store(key, kind, kept.pack())

    def _keep(
        self,
        magic: bytes,
        key: CacheKey,
        kind: str,
        data: bytes,
        subject: bytes | memoryview = b"",
    ) -> bool:
        folder = self._open(create=True)
        if folder is None:
            return False
        try:
            header = _HEADER.pack(magic, _VERSION, zlib.crc32(data), len(data), _digest(key, kind))
            _write(folder, _name(key, kind), header + data, subject)
            _evict(folder)
        except OSError:
            return False
        finally:
            os.close(folder)
        return True

    def load_of(self, subject: bytes | memoryview, key: CacheKey, kind: str) -> bytes | None:
        """
        Return what :meth:`store_of` kept about these very bytes, or ``None``.

        :param subject: Bytes of the dump; each is compared, and none is kept in memory.
        """
        folder = self._open(create=False)
        if folder is None:
            return None
        try:
            return _read_of(folder, _name(key, kind), _digest(key, kind), subject)
        except OSError:
            return None
        finally:
            os.close(folder)

    def store_of(self, subject: bytes | memoryview, key: CacheKey, kind: str, data: bytes) -> bool:
        """
        Keep an entry with the bytes that it is about; otherwise as :meth:`store`.

        >>> cache.store_of(blob, key, "index-1", index_of(blob))
        True

        :param subject: They count in the size of the entry.
        """
        if len(data) + len(subject) > MAX_ENTRY:
            return False
        return self._keep(_MAGIC_OF, key, kind, data, subject)

    def forget(self, key: CacheKey, kind: str) -> None:
        """Drop an entry, for one that did not hold against the dump."""
        folder = self._open(create=False)
        if folder is None:
            return
        try:
            os.unlink(_name(key, kind), dir_fd=folder)
        except OSError:
            pass
        finally:
            os.close(folder)

    def _open(self, create: bool) -> int | None:
        """The folder, if it is ours alone: others must not choose what we read."""
        if self.folder is None:
            return None
        try:
            if create:
                os.makedirs(self.folder, mode=0o700, exist_ok=True)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            os.close(folder)
            return None
        return folder


def _digest(key: CacheKey, kind: str) -> bytes:
    """The digest of key and kind, which the file repeats."""
    if not 0 < len(kind) <= _MAX_KIND or not _KIND_CHARACTERS.issuperset(kind):
        raise ValueError(f"{kind!r}: a kind has small letters, digits and hyphens only")
    return blake2b(key.digest, digest_size=32, key=kind.encode()).digest()


def _name(key: CacheKey, kind: str) -> str:
    return f"{kind}-{_digest(key, kind)[:16].hex()}{_SUFFIX}"


def _read(folder: int, name: str, digest: bytes) -> bytes | None:
    fd = _open_entry(folder, name)
    if fd is None:
        return None
    try:
        # Read, not mapped: a file that is cut under a mapping kills the process.
        return _payload(fd, os.fstat(fd).st_size - _HEADER.size, _MAGIC, digest)
    finally:
        os.close(fd)


def _payload(fd: int, size: int, magic: bytes, digest: bytes) -> bytes | None:
    """What follows the header, where a file is at its start; not a view, which callers copy."""
    if not 0 <= size <= MAX_ENTRY:
        return None
    header = os.read(fd, _HEADER.size)
    if len(header) != _HEADER.size:
        return None
    found, version, crc, written, written_for = _HEADER.unpack(header)
    if (found, version, written, written_for) != (magic, _VERSION, size, digest):
        return None
    data = os.read(fd, size)
    return data if len(data) == size and zlib.crc32(data) == crc else None


def _read_of(folder: int, name: str, digest: bytes, subject: bytes | memoryview) -> bytes | None:
    fd = _open_entry(folder, name)
    if fd is None:
        return None
    try:
        rest = os.fstat(fd).st_size - _HEADER.size - len(subject)
        data = _payload(fd, rest, _MAGIC_OF, digest)
        if data is None:
            return None
        for at in range(0, len(subject), _PIECE):
            # As bytes: two views are compared item by item, which takes 20 times as long.
            piece = bytes(subject[at : at + _PIECE])
            if os.read(fd, len(piece)) != piece:
                return None
        return data
    finally:
        os.close(fd)


def _open_entry(folder: int, name: str) -> int | None:
    """An entry's file, noted as used, if it is ours alone."""
    # Not a link out of the folder, and not a pipe that would never answer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=folder)
    status = os.fstat(fd)
    if not S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(fd)
        return None
    if time.time() - status.st_mtime > _TOUCH_SECONDS:
        try:
            os.utime(fd)
        except OSError:
            pass  # read-only: the entry is as good
    return fd


def _write(folder: int, name: str, *parts: bytes | memoryview) -> None:
    """A file that is there as a whole or not at all."""
    temporary = f"{_TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:  # an interrupt too must not leave it behind
        try:
            os.unlink(temporary, dir_fd=folder)
        except OSError:
            pass
        raise


def _evict(folder: int) -> None:
    """Drop the longest unused entries beyond the bounds, and what dead processes left."""
    entries: list[tuple[float, int, str]] = []
    now = time.time()
    with os.scandir(folder) as found:
        for entry in found:
            unfinished = entry.name.startswith(_TEMPORARY)
            if not unfinished and not entry.name.endswith(_SUFFIX):
                continue  # not ours
            try:
                status = entry.stat(follow_symlinks=False)
                if not unfinished:
                    entries.append((status.st_mtime, status.st_size, entry.name))
                elif now - status.st_mtime > _ABANDONED_SECONDS:
                    os.unlink(entry.name, dir_fd=folder)
            except OSError:
                continue  # another run was faster
    entries.sort(reverse=True)
    total = 0
    for position, (_, size, name) in enumerate(entries):
        total += size
        if position and (total > MAX_TOTAL or position >= MAX_ENTRIES):
            try:
                os.unlink(name, dir_fd=folder)
            except OSError:
                continue
