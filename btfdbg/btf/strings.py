"""The string section: offsets to names and names to offsets.

Owns how a name is found in bytes. Offsets are those of one section; ``btf`` knows the
chain of bases. Names may hold any byte but NUL: they are UTF-8
with undecodable bytes kept as surrogates, so decoding loses nothing.

Why no table: a kernel's section holds 100,000 strings, and a table of them costs
as much as the whole index. ``bytes.find`` answers in well under a millisecond.
Facts: Documentation/bpf/btf.rst, "String encoding".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Look-ups of whole strings (0.2 to 1 ms each) after which a table of them (40 ms, 13 MB) is made.
_TABLE_AFTER = 128


def encode_name(name: str) -> bytes:
    """Return the bytes of a name; the reverse of :func:`decode_name`."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(data: bytes) -> str:
    """Return the name that bytes spell; any bytes do."""
    return data.decode("utf-8", "surrogateescape")


class Strings:
    """
    A string section, checked by its reader to be empty or to end in NUL.

    :ivar data: Its bytes. A section inside a larger blob is copied when it is first asked
        for: counting or renumbering types needs no string.
    :ivar find: Their ``find()``.
    """

    __slots__ = ("_section", "_table", "asked", "data", "find")

    data: bytes
    find: Callable[..., int]

    def __init__(self, section: bytes | memoryview) -> None:
        self.asked = 0
        self._table: dict[bytes, int] | None = None
        self._section = section

    def __getattr__(self, name: str) -> object:
        # Only an attribute that is not there gets here: once for each object.
        if name not in ("data", "find"):
            raise AttributeError(name)
        self.data = data = bytes(self._section)
        self.find = data.find
        self._section = data
        return getattr(self, name)

    def __len__(self) -> int:
        return len(self._section)

    def bytes_at(self, offset: int) -> bytes:
        """
        Return the string that starts at an offset, without its NUL.

        An offset may point into the middle of another string.

        :raises IndexError: the offset is outside of the section.
        """
        if not 0 <= offset < len(self._section):
            raise IndexError(offset)
        return self.data[offset : self.find(0, offset)]

    def all_at(self, offsets: Sequence[int]) -> list[str]:
        """Return the strings at many offsets, decoded, in a third of the time."""
        data, find = self.data, self.find
        if offsets and not (min(offsets) >= 0 and max(offsets) < len(data)):
            raise IndexError(max(offsets))
        return [
            data[offset : find(0, offset)].decode("utf-8", "surrogateescape") for offset in offsets
        ]

    def are_whole(self, offsets: Iterable[int]) -> bool:
        """Return whether strings start at all offsets, none the tail of a longer one."""
        from operator import itemgetter

        # By offset, what comes before each string: a NUL, if it is a whole one.
        before = b"\0" + self.data[:-1]
        try:
            # The byte of offset 0 is asked for in any case; of one it would return no tuple.
            return not any(itemgetter(0, 0, *offsets)(before))
        except IndexError:
            return False

    def first(self, name: bytes) -> int:
        """Return the first offset at which a whole string reads ``name``, or -1."""
        if self._table is not None or self.asked >= _TABLE_AFTER:
            return self.table().get(name, -1)
        self.asked += 1
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

    def table(self) -> dict[bytes, int]:
        """Return every whole string with its first offset; kept, for all who build on it."""
        if self._table is None:
            out: dict[bytes, int] = {}
            at = 0
            for string in self.data[:-1].split(b"\0") if self.data else ():
                out.setdefault(string, at)
                at += len(string) + 1
            self._table = out
        return self._table
