"""Names of files as a dump gives them: read with a bound, and told from what is none.

Owns what counts as a source file's name. A name is shown and compared, never opened.

Facts: ``__FILE__`` as the kernel's Makefile passes files to the compiler: relative to the
tree, or for a module built elsewhere an absolute path.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator

MAX_PATH = 512
_PAGE = 4096
_MAX_PAGES = 128
_SHORT = 64
SOURCE_ENDINGS = (".c", ".S", ".rs")
"""What functions are defined in; headers appear through what is inlined from them."""
_ENDINGS = (*SOURCE_ENDINGS, ".h", ".inc", ".cc", ".cpp", ".s")

Read = Callable[[int, int], bytes]
"""``read(address, size)``; raises if any byte is missing."""


class Strings:
    """C strings of a dump, each read once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[int, bytes | None] = {}
        # Names lie close together, and a page costs hardly more than one of them.
        self._pages: dict[int, bytes] = {}

    def at(self, address: int, limit: int = MAX_PATH) -> bytes | None:
        """The string at an address; None if it cannot be read or has no end within bounds."""
        if address in self._known:
            return self._known[address]
        found: bytes | None = None
        data = self._pages.get(address & -_PAGE)
        if data and limit >= _SHORT:  # most names are short, and of pages that were read before
            start = address % _PAGE
            end = data.find(b"\0", start, start + _SHORT)
            if end >= 0:
                found = data[start:end]
        if found is None:
            found = self._string(address, limit)
        self._known[address] = found
        return found

    def of_all(self, addresses: Iterable[int]) -> Iterator[bytes | None]:
        """What :meth:`at` says of each of many, most of which nobody will ask for again."""
        pages = self._pages
        for address in addresses:
            page = pages.get(address & -_PAGE)
            place = address % _PAGE
            end = page.find(0, place, place + _SHORT) if page else -1
            yield self.at(address) if end < 0 or page is None else page[place:end]

    def _string(self, address: int, limit: int) -> bytes | None:
        data = b""
        while len(data) < limit:
            start = address + len(data)
            part = self._piece(start, min(_SHORT if not data else limit, _PAGE - start % _PAGE))
            if part is None:
                return None
            end = part.find(b"\0")
            if end >= 0:
                return data + part[:end]
            data += part
        return None

    def _piece(self, address: int, size: int) -> bytes | None:
        """Bytes of one page, which is read as a whole if all of it is there."""
        page = address & -_PAGE
        data = self._pages.get(page)
        if data is None:
            if len(self._pages) >= _MAX_PAGES:
                self._pages.clear()
            data = self._pages[page] = self.bytes_at(page, _PAGE) or b""
        if not data:
            return self.bytes_at(address, size)
        return data[address - page : address - page + size]

    def bytes_at(self, address: int, size: int) -> bytes | None:
        """Bytes at an address, None if not all of them are there."""
        if address < 0 or size <= 0 or address + size > 1 << 64:
            return None
        try:
            return self._read(address, size)
        except Exception:  # a page that does not decompress is a bare Exception in drgn
            return None


def file_of(name: bytes | None) -> str | None:
    """
    Return a name as a path within the kernel's tree; None if it is no file's name.

    >>> file_of(b"drivers/gpu/drm/amd/amdgpu/../display/dc/core/dc.c")
    'drivers/gpu/drm/amd/display/dc/core/dc.c'
    """
    if not name or len(name) >= MAX_PATH or not name.isascii():
        return None
    text = name.decode("ascii")
    if not text.isprintable() or not text.endswith(_ENDINGS) or " " in text:
        return None
    path = posixpath.normpath(text)
    return None if path.startswith("../") else path


def is_source(file: str) -> bool:
    """Whether functions are defined in such a file."""
    return file.endswith(SOURCE_ENDINGS)
