"""A compressed dump is unpacked into the cache, after a question or with ``--unpack``.

Owns the question, the folder (``$XDG_CACHE_HOME/btfdbg/unpacked``, readable by its owner
only: a dump holds other people's secrets), and the bound: a file may unpack to any size,
so that writing stops while the disk still has room. What nobody opened for two weeks is
removed when the next one is unpacked.

Facts: RFC 1952 (gzip), RFC 8878 (Zstandard), the .xz file format, bzip2's ``BZh``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Protocol

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.progress import Progress

_PIECE = 1 << 20
_HOLE = 1 << 16
# Zeros unpack to 10,000 times their size.
_ZSTD_PIECE = 1 << 12
_UNUSED_SECONDS = 14 * 86400
# Left free on the disk, whatever is unpacked.
_RESERVE = 1 << 30


class Reader(Protocol):
    """What unpacks as it is read."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; empty at the end."""


def _gzip(file: BinaryIO) -> Reader:
    import gzip

    return gzip.GzipFile(fileobj=file)


def _xz(file: BinaryIO) -> Reader:
    import lzma

    return lzma.LZMAFile(file)


def _bzip2(file: BinaryIO) -> Reader:
    import bz2

    return bz2.BZ2File(file)


class _Zstd:
    """Frames of Zstandard one behind the other; the library's reader takes a torn one for whole."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        # A window of a dump made with zstd --long is larger than the default allows.
        self._library = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._file = file
        self._frame = self._library.decompressobj()
        self._begun = False

    def read(self, size: int, /) -> bytes:
        """What the next piece of the file gives; empty only at the end."""
        while True:
            data = self._file.read(_ZSTD_PIECE)
            if not data:
                if self._begun and not self._frame.eof:
                    raise EOFError("a frame is not whole")
                return b""
            out = []
            while data:
                if self._frame.eof:
                    self._frame = self._library.decompressobj()
                self._begun = True
                out.append(self._frame.decompress(data))
                data = self._frame.unused_data if self._frame.eof else b""
            if any(out):
                return b"".join(out)


def _zstd(file: BinaryIO) -> Reader:
    return _Zstd(file)


_FORMATS: tuple[tuple[bytes, str, str, Callable[[BinaryIO], Reader]], ...] = (
    (b"\x1f\x8b", "gzip", "gunzip -c", _gzip),
    (b"\xfd7zXZ\0", "xz", "unxz -c", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd -c", _zstd),
    (b"BZh", "bzip2", "bunzip2 -c", _bzip2),
)


def unpacked(core: str, wanted: bool) -> str | None:
    """
    The path of what a compressed dump unpacks to; it is unpacked if it was not before.

    :param wanted: ``--unpack`` was given; else the user is asked, on a terminal.
    :return: ``None`` if the file is not compressed in a way that is known here.
    :raises DebugInfoError: it is not to be unpacked, or cannot be.
    """
    try:
        with open(core, "rb") as file:
            head = file.read(8)
    except OSError:
        return None
    found = next((row for row in _FORMATS if head.startswith(row[0])), None)
    if found is None:
        return None
    _, name, command, opener = found
    target = _target(core)
    if target is not None and target.exists():
        with suppress(OSError):
            os.utime(target)
        return str(target)
    quoted = shlex.quote(core)
    by_hand = f"{command} {quoted} > {shlex.quote(_plain_name(core))}"
    if target is None:
        raise DebugInfoError(
            f"{core} is {name}-compressed, and there is no cache to unpack it to",
            step="open",
            hint=by_hand,
        )
    if not wanted and not _asked(core, name, target.parent):
        raise DebugInfoError(
            f"{core} is {name}-compressed, not a dump",
            step="open",
            hint=f"btfdbg --unpack {quoted}, or by hand: {by_hand}",
        )
    _unpack(core, name, opener, target)
    return str(target)


def _plain_name(core: str) -> str:
    name = os.path.basename(core)
    base, dot, ending = name.rpartition(".")
    return base if dot and ending in ("gz", "xz", "zst", "bz2", "lzma") and base else f"{name}.raw"


def _asked(core: str, name: str, folder: Path) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    size = os.path.getsize(core) / (1 << 20)
    # The name is the user's own; it is shown as the shell would need it.
    question = f"{shlex.quote(core)} is {name}-compressed ({size:.1f} MiB). Unpack it to {folder}?"
    try:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        print(file=sys.stderr)  # what is said next begins a line
        return False


def _target(core: str) -> Path | None:
    """Where a dump of this path, size and age belongs; ``None`` without a cache."""
    if os.environ.get("BTFDBG_NO_CACHE"):
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):
        return None
    status = os.stat(core)
    key = f"{os.path.realpath(core)}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    return Path(base) / "btfdbg" / "unpacked" / f"{digest}.vmcore"


def _unpack(core: str, name: str, opener: Callable[[BinaryIO], Reader], target: Path) -> None:
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_unused(target.parent)
        with open(core, "rb") as packed:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                _copy(core, name, packed, opener(packed), out, target.parent)
        part.rename(target)
    except OSError as e:
        raise DebugInfoError(f"{core}: cannot be unpacked to {target.parent}: {e.strerror or e}",
                             step="open") from None  # fmt: skip
    finally:
        part.unlink(missing_ok=True)


def _copy(
    core: str, name: str, packed: BinaryIO, unpacker: Reader, out: BinaryIO, folder: Path
) -> None:
    """Write what is unpacked; what is zeros becomes a hole."""
    written = 0
    with Progress("unpacking", os.path.getsize(core)) as progress:
        while True:
            try:
                data = unpacker.read(_PIECE)
            # zlib.error, lzma.LZMAError, EOFError, OSError, ZstdError: no common class.
            except Exception as e:
                raise DebugInfoError(
                    f"{core}: the {name} stream is damaged or ends early, {written} bytes in: {e}",
                    step="open",
                    hint="copy the file again",
                ) from None
            if not data:
                break
            if shutil.disk_usage(folder).free < _RESERVE + len(data):
                raise DebugInfoError(
                    f"{core}: unpacked to {written} bytes and not at its end, with less than"
                    " 1 GiB left on the disk",
                    step="open",
                    hint="set XDG_CACHE_HOME to a folder with more room",
                )
            for at in range(0, len(data), _HOLE):
                block = data[at : at + _HOLE]
                if block.count(0) == len(block):
                    out.seek(len(block), os.SEEK_CUR)
                else:
                    out.write(block)
            written += len(data)
            progress(packed.tell())
    out.truncate(written)


def _remove_unused(folder: Path) -> None:
    limit = time.time() - _UNUSED_SECONDS
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()
