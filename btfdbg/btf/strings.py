"""The string section: offsets to names and names to offsets.

Owns how a name is found in bytes. Offsets are those of one section; the chain of
bases is the business of ``btf``. Names may hold any byte but NUL: they are UTF-8
with undecodable bytes kept as surrogates, so decoding loses nothing.

Why no table: a kernel's section holds 100,000 strings, and a table of them costs
as much as the whole index. ``bytes.find`` answers in well under a millisecond.
Facts: Documentation/bpf/btf.rst, "String encoding".
"""

from __future__ import annotations

from collections.abc import Iterator


def encode_name(name: str) -> bytes:
    """Return the bytes of a name; the reverse of :func:`decode_name`."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(data: bytes) -> str:
    """Return the name that bytes spell; any bytes do."""
    return data.decode("utf-8", "surrogateescape")


class Strings:
    """A string section, checked by its reader to be empty or to end in NUL."""

    __slots__ = ("data", "find")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.find = data.find

    def __len__(self) -> int:
        return len(self.data)

    def bytes_at(self, offset: int) -> bytes:
        """
        Return the string that starts at an offset, without its NUL.

        An offset may point into the middle of another string.

        :raises IndexError: the offset is outside of the section.
        """
        if not 0 <= offset < len(self.data):
            raise IndexError(offset)
        return self.data[offset : self.find(0, offset)]

    def first(self, name: bytes) -> int:
        """Return the first offset at which a whole string reads ``name``, or -1."""
        if not name:
            return 0 if self.data[:1] == b"\0" else -1
        if b"\0" in name:
            return -1
        if self.data.startswith(name + b"\0"):
            return 0
        at = self.find(b"\0" + name + b"\0")
        return at + 1 if at >= 0 else -1

    def offsets_of(self, name: bytes) -> Iterator[int]:
        """
        Yield every offset at which a string reads ``name``, in order.

        That includes tails of longer strings, at which a writer that merges
        tails may point; and a section that was not deduplicated repeats itself.
        """
        if b"\0" in name:
            return
        needle = name + b"\0"
        at = self.find(needle)
        while at >= 0:
            yield at
            at = self.find(needle, at + 1)
