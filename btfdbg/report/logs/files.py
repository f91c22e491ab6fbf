"""Logs as files: read piece by piece, compressed or not, and what cannot be read named.

Owns the opening and the bounds. What the text says is text.py's matter.

Facts: fs/pstore/platform.c (parts of a dump are numbered from the newest);
Documentation/admin-guide/ramoops.rst; kdump-utils and makedumpfile --dump-dmesg.
"""

from __future__ import annotations

import os
import re
import stat
import sys

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.report.logs.text import CHUNK, Reader
from btfdbg.report.logs.wall_clock import Mark, WallClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Literal

    from btfdbg.report.event import Event

MAX_TEXT = 4 << 30  # characters of one log that are looked at
_GAP = 64  # zeros from which on a file begins with a gap
_MAX_GAP = 64 << 20  # zeros in front of a text
_FEW = 1 << 10
_PACKED = 1 << 14  # bytes that are unpacked at once
_MAX_PARTS = 64 << 20  # of a pstore's text, which is put in order as a whole

_UNPACKERS = ("zlib", "_lzma", "lzma", "zstd", "zstandard")
_MAGICS = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd")
_DUMPS = (b"KDUMP   ", b"makedumpfile", b"DISKDUMP", b"EMiL")
_ELF, _ET_CORE = b"\x7fELF", 4
_AT_LINES = pattern(r"\0+(?=[\r\n])|(?<=[\r\n])\0+")
_GAPS = pattern(r"^\0+|\0{8,}|\0+(?=[\r\n])|(?<=[\r\n])\0+")
_PART = pattern(r"^(?:\w+#\d+ Part(\d+))\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Log:
    """
    The events of a file, and whether not all of it was looked at (``cut``: why).

    :ivar clock: What tells when they were, if the log has its boot.
    """

    events: tuple[Event, ...]
    left_out: int
    cut: str = ""
    clock: tuple[Mark, ...] = ()


def in_order(text: str) -> str:
    """
    Put the parts of a pstore's text into the order of time.

    A dump is kept in parts of which the first is the newest; files that were simply
    joined stand in the order of their numbers.

    >>> in_order("Panic#1 Part1\\nlast\\nPanic#1 Part2\\nfirst\\n")
    'first\\nlast\\n'
    """
    marks = list(_PART.finditer(text))
    if len(marks) < 2:
        return text
    numbers = [int(mark[1]) for mark in marks]
    if numbers != sorted(numbers):
        return text  # put in order by somebody already
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    parts = [text[mark.end() : end].lstrip("\r\n") for mark, end in zip(marks, ends, strict=True)]
    return text[: marks[0].start()] + "".join(reversed(parts))


def is_dump(start: bytes) -> bool:
    """Say whether a file's first bytes are those of a dump."""
    if start.startswith(_ELF):  # not a module or a program
        order: Literal["big", "little"] = "big" if start[5:6] == b"\2" else "little"
        return int.from_bytes(start[16:18], order) == _ET_CORE
    return start.startswith(_DUMPS)


def beginning(path: str) -> bytes:
    """
    Return a file's first bytes, unpacked if it is packed and anything of it can be.

    Zeros in front of a text are passed over.

    :raises OSError: It cannot be read.
    """
    with open(path, "rb", opener=_open_file) as f:
        start = f.read(1 << 12)
        try:
            return _first(_unpacked(f, start)) or start
        except Exception:  # damaged packing: reading it will say so
            return start


def _first(pieces: Iterator[bytes]) -> bytes:
    """The first bytes that are no zeros, else zeros; bzip2 begins with pieces of nothing."""
    zeros = 0
    for piece in pieces:
        if piece.strip(b"\0"):
            gap = zeros or not piece[:_GAP].strip(b"\0")
            return (piece.lstrip(b"\0") if gap else piece)[: 1 << 12]
        zeros += len(piece)
        if zeros > _MAX_GAP:
            break
    return bytes(min(zeros, 1 << 12))


def is_packed(start: bytes) -> bool:
    """Say whether a file's first bytes are those of what :func:`read_log` unpacks."""
    return start.startswith(_MAGICS)


def read_log(path: str) -> Log:
    """
    Read the events of a log.

    :param path: A file, compressed with gzip, xz, zstd or bzip2 or not; ``-`` for standard input.
    :raises DebugInfoError: It is no file, cannot be read, or is a dump.
    """
    try:
        if path == "-":
            return _read(sys.stdin.buffer, "standard input")
        with open(path, "rb", opener=_open_file) as f:
            return _read(f, path)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="log") from e


def _open_file(path: str, flags: int) -> int:
    # O_NONBLOCK: a fifo without a writer must not hold us up before it is refused.
    fd = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DebugInfoError(f"{path}: not a file", step="log", hint="give a log, or - for stdin")
    return fd


def _read(f: BinaryIO, name: str) -> Log:
    start = f.read(1 << 12)
    if is_dump(start):
        raise DebugInfoError(f"{name}: a dump, not a log", step="log", hint="give it without --log")
    reader, clock = Reader(), WallClock()
    cut = ""
    size = 0
    try:
        for piece in _of_kernel(_texts(_bounded(_unpacked(f, start)))):
            size += len(piece)
            if size > MAX_TEXT:
                cut = f"only the first {MAX_TEXT >> 20} MiB were looked at"
                break
            reader.feed(piece)
            clock.feed(piece)
    except (EOFError, OSError, ValueError) as e:
        cut = f"reading ended after {size} characters: {e}"
    except Exception as e:  # zlib, lzma and zstandard have errors of their own
        if type(e).__module__.partition(".")[0] not in _UNPACKERS:
            raise
        cut = f"reading ended after {size} characters: {e}"
    return Log(tuple(reader.finish()), reader.left_out, cut, tuple(clock.marks))


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces up to a bound: a gap of any size is next to no text."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_TEXT:
            raise ValueError(f"only the first {MAX_TEXT >> 20} MiB were looked at")
        yield piece


def _of_kernel(texts: Iterator[str]) -> Iterator[str]:
    """Texts as they are, or the kernel's messages out of what other programs keep them in."""
    from itertools import chain

    from btfdbg.report.logs.journal import from_export, from_verbose, is_export, is_verbose

    first = next(texts, "")
    whole = chain((first,), texts)
    if is_export(first):
        return from_export(whole)
    if first[:64].lstrip("\x1e \t\r\n").startswith(("{", "[", "data:")):
        from btfdbg.report.logs.json_lines import from_json, is_json

        if is_json(first):
            return from_json(whole)
    if is_verbose(first[:8192]):
        return from_verbose(whole)
    from btfdbg.report.logs.unwrap import unwrapped

    return unwrapped(whole, first)


def _texts(pieces: Iterator[bytes]) -> Iterator[str]:
    """Decode pieces; the parts of a pstore's text are put in order first."""
    from codecs import getincrementaldecoder

    start = next(pieces, b"")
    decoder = getincrementaldecoder(_encoding(start))("replace")
    first = _without_gaps(decoder.decode(start))
    if "\r" in first[:4096] and "\n" not in first:  # a terminal that never fed a line
        yield first.replace("\r", "\n")
        for piece in pieces:
            yield _without_gaps(decoder.decode(piece)).replace("\r", "\n")
        return
    if _PART.match(first):
        texts = [first]
        size = len(first)
        for piece in pieces:
            texts.append(decoder.decode(piece))
            size += len(piece)
            if size > _MAX_PARTS:
                break
        yield in_order("".join(texts))
    else:
        yield first
    for piece in pieces:
        yield _without_gaps(decoder.decode(piece))
    yield decoder.decode(b"", final=True)


def _encoding(start: bytes) -> str:
    """The encoding of a text: what Windows' terminals record is UTF-16 as often as not."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    head = start[:64]
    if len(head) >= 16 and b"\0" not in head[0::2] and not head[1::2].strip(b"\0"):
        return "utf-16-le"
    return "utf-8"


def text_at_start(start: bytes) -> str | None:
    """
    Return a file's first bytes as the text that :func:`read_log` reads, ``None`` if it is none.

    >>> text_at_start("[    1.000000] x".encode("utf-16-le"))
    '[    1.000000] x'
    """
    if not start.strip(b"\0"):
        return None
    text = _AT_LINES.sub("\n", start.decode(_encoding(start), "replace"))
    return None if "\0" in text[:256] else text


def _without_gaps(text: str) -> str:
    """
    Return a text without what is no text in it.

    A machine that loses its power leaves zeros where the file's last blocks were to be written,
    a rotation behind the writer's back leaves them at the start, and terminals get some after
    each line.
    """
    return text if "\0" not in text else _GAPS.sub("\n", text)


def _unpacked(f: BinaryIO, start: bytes) -> Iterator[bytes]:
    """Yield a file's bytes in pieces, unpacked."""
    source = _Joined(start, f)
    if start.startswith(b"\x1f\x8b"):
        import zlib

        yield from _inflate(source, lambda: zlib.decompressobj(31))
    elif start.startswith(b"\xfd7zXZ\x00"):
        import lzma

        yield from _inflate(source, lambda: lzma.LZMADecompressor(memlimit=256 << 20))
    elif start.startswith(b"BZh"):
        import bz2

        yield from _inflate(source, bz2.BZ2Decompressor)
    elif start.startswith(b"\x28\xb5\x2f\xfd"):
        yield from _of_zstd(source)
    else:
        while piece := source.read(CHUNK):
            yield piece


def _of_zstd(source: _Joined) -> Iterator[bytes]:
    """
    Unpack frames one behind the other.

    zstandard's reader of streams takes a file that is cut for one that ends. What it gives
    otherwise for some bytes it gives at once: 128 KiB for 4 of them, so they are few.
    """
    import zstandard

    unpacker = None
    while whole := source.read(_PACKED):
        for at in range(0, len(whole), _FEW):
            packed = whole[at : at + _FEW]
            while packed:
                if unpacker is None:
                    frames = zstandard.ZstdDecompressor(max_window_size=1 << 27)
                    unpacker = frames.decompressobj()
                yield unpacker.decompress(packed)
                packed = b""
                if unpacker.eof:
                    packed, unpacker = unpacker.unused_data, None
    if unpacker is not None:
        raise EOFError("it ends inside its compressed data")


def _inflate(source: _Joined, unpacker_of: Callable[[], Any]) -> Iterator[bytes]:
    """
    Unpack in bounded pieces, whatever the ratio.

    What was packed in parts, or had another file appended, is several streams one behind the
    other; zeros behind the last fill a block.
    """
    unpacker = unpacker_of()
    keeps_rest = hasattr(unpacker, "needs_input")  # xz's and bzip2's; zlib's gives it back
    begun = False
    packed = source.read(_PACKED)
    while packed:
        if not begun:
            packed = packed.lstrip(b"\0")
        begun = begun or bool(packed)
        yield unpacker.decompress(packed, CHUNK)
        if keeps_rest:
            while not unpacker.eof and not unpacker.needs_input:
                yield unpacker.decompress(b"", CHUNK)
        else:
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, CHUNK)
        packed = b""
        if unpacker.eof:
            packed = unpacker.unused_data
            unpacker, begun = unpacker_of(), False
        packed = packed or source.read(_PACKED)
    if begun:
        raise EOFError("it ends inside its compressed data")


class _Joined:
    """The bytes that were read already, then the rest of the file."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        if self._start:
            piece, self._start = self._start, b""
            return piece
        return self._rest.read(size)
