"""The compiled database: names, their candidate types, and the kernels that say so.

Owns the file format, its reading and writing, and the selection by release series.
Knows no drgn and gives no verdicts: it lists candidates.

The file is one zstd frame behind a fixed header (magic, format version, sizes, CRC of
the content), and unpacks in a few milliseconds into tables that are searched as they
are (:mod:`.layout`). Nothing is read before the first question.

Why not SQLite or JSON: 100,000 names take 4 bytes each this way, and start-up pays
nothing.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar, overload

from btfdbg.cache import Cache, CacheKey
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.layout import Column, Found, SortedList, SortedTexts, Texts
from btfdbg.vardb.name_patterns import Family, learn, patterns, prune
from btfdbg.vardb.textdb import AnnotatedType, Kernel, TextDatabase, TrailingZeros

BUILTIN = os.path.join(os.path.dirname(__file__), "data", "variables.db")
_MAGIC = b"btfdbgV\n"
_VERSION = 2
_HEADER = struct.Struct("<8sIIII")  # magic, version, bytes unpacked, bytes packed, CRC-32
_MAX_SIZE = 64 << 20
_PARTS = 19
_LENGTH_BYTES = 3
_CACHE_KIND = f"variables-{_VERSION}"
_REINSTALL = "reinstall btfdbg, or compile it again with 'btfdbg vars extract --compile'"


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A type that a variable of this name has somewhere.

    :ivar type: with its marks, see :class:`.textdb.AnnotatedType`.

    :ivar module: "" for vmlinux.
    :ivar kernels: bit i for :attr:`Database.kernels` [i]; 0 for a curated entry.
    """

    type: str
    module: str
    kernels: int


_T = TypeVar("_T")


class _Sets:
    """Sets of candidates as columns; an object is made only for the set that is asked for."""

    _STEP = 64
    _MADE = 1 << 14

    def __init__(
        self,
        types: Texts,
        modules: Texts,
        masks: Sequence[int],
        lengths: bytes,
        rows: tuple[Column, Column, Column],
    ) -> None:
        self._types, self._modules, self._masks = types, modules, masks
        self._lengths, self._rows = lengths, rows
        steps = range(0, len(lengths), self._STEP)
        # Where every 64th set starts; the lengths of the others are added up.
        self._starts = list(
            accumulate((sum(lengths[i : i + self._STEP]) for i in steps), initial=0)
        )
        if any(len(column) != self._starts[-1] for column in rows):
            raise ValueError("tables disagree")
        self._made: dict[int, tuple[Candidate, ...]] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> tuple[Candidate, ...]:
        found = self._made.get(index)
        if found is None:
            if len(self._made) >= self._MADE:
                self._made.clear()
            found = self._made[index] = self._make(index)
        return found

    def _make(self, index: int) -> tuple[Candidate, ...]:
        step, rest = divmod(index, self._STEP)
        start = self._starts[step] + sum(self._lengths[index - rest : index])
        types, modules, masks = self._rows
        return tuple(
            Candidate(self._types[types[i]], self._modules[modules[i]], self._masks[masks[i]])
            for i in range(start, start + self._lengths[index])
        )


class _Families(Mapping[str, Family]):
    """Families, each read when it is asked for."""

    def __init__(self, patterns: SortedTexts, counts: Texts, types: Texts) -> None:
        self._patterns, self._counts, self._types = patterns, counts, types
        self._read: dict[str, Family] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def __iter__(self) -> Iterator[str]:
        return (pattern.decode() for pattern in self._patterns)

    def __getitem__(self, pattern: str) -> Family:
        found = self.get(pattern)
        if found is None:
            raise KeyError(pattern)
        return found

    @overload
    def get(self, pattern: str) -> Family | None: ...
    @overload
    def get(self, pattern: str, default: Family | _T) -> Family | _T: ...
    def get(self, pattern: str, default: object = None) -> object:
        """Of ten patterns of a name hardly one is a family's: no error for each other."""
        found = self._read.get(pattern)
        if found is None:
            found = self._find(pattern)
            if found is None:
                return default
            self._read[pattern] = found
        return found

    def _find(self, pattern: str) -> Family | None:
        try:
            at = self._patterns.find(pattern.encode())
            if at < 0:
                return None
            members, *counts = self._counts[at].split("\t")
            types = []
            for item in counts:
                type_id, _, count = item.partition(":")
                types.append((self._types[int(type_id)], int(count)))
            return Family(pattern, tuple(types), int(members))
        except (ValueError, IndexError) as e:
            raise _damaged("the variable database", e) from e


class Database:
    """
    Candidates by name.

    :ivar kernels: in the order of the bits of :attr:`Candidate.kernels`.
    :ivar families: pattern to family, see :mod:`.families`.
    :ivar tails: how arrays end, by the text of their element's type.
    """

    def __init__(
        self,
        kernels: Iterable[Kernel],
        names: Found,
        sets: Sequence[int],
        candidates: Sequence[tuple[Candidate, ...]] | _Sets,
        families: Mapping[str, Family],
        tails: Mapping[str, TrailingZeros],
    ) -> None:
        self.kernels = tuple(kernels)
        self._names = names
        self._sets = sets
        self._candidates = candidates
        self.families = families
        self.tails = tails
        self._tables: dict[str, list[str]] | None = None

    def __len__(self) -> int:
        return len(self._names)

    def candidates(self, name: str) -> tuple[Candidate, ...]:
        """Return what is known of a name; empty if nothing is."""
        try:
            at = self._names.find(name.encode("utf-8", "surrogateescape"))
            return () if at < 0 else self._candidates[self._sets[at]]
        except (ValueError, IndexError) as e:
            raise _damaged("the variable database", e) from e

    def has_prefix(self, prefix: str) -> bool:
        """Whether anything is known of a name that begins so."""
        try:
            return self._names.has_prefix(prefix.encode("utf-8", "surrogateescape"))
        except (ValueError, IndexError) as e:
            raise _damaged("the variable database", e) from e

    def names_of_table(self, type_: str) -> Sequence[str]:
        """
        Return the names under which a kernel's own variables, none of a module, are such a table.

        The first question goes through all candidates, which takes 0.2 s.

        :param type_: an array of pointers, without marks.
        """
        if self._tables is None:
            self._tables = self._index_tables()
        return self._tables.get(type_, ())

    def _index_tables(self) -> dict[str, list[str]]:
        texts: dict[int, set[str]] = {}
        for number in range(len(self._candidates)):
            for c in self._candidates[number]:
                if c.type.endswith("]") and "*" in c.type and not c.module:
                    texts.setdefault(number, set()).add(AnnotatedType.parse(c.type).type)
        found: dict[str, list[str]] = {}
        for name, number in zip(self._names, self._sets, strict=True):
            for text in texts.get(number, ()):
                found.setdefault(text, []).append(name.decode("utf-8", "surrogateescape"))
        return found

    def without(self, leave_out: Callable[[Kernel], bool]) -> Database:
        """
        Return the database as it would be without some kernels.

        Families are learned anew from what is left, so nothing of those kernels remains.
        """
        left = 0
        for i, kernel in enumerate(self.kernels):
            if not leave_out(kernel):
                left |= 1 << i
        contents: dict[str, tuple[Candidate, ...]] = {}
        for name, set_id in zip(self._names, self._sets, strict=True):
            kept = tuple(
                Candidate(c.type, c.module, c.kernels & left)
                for c in self._candidates[set_id]
                if c.kernels & left or not c.kernels
            )
            if kept:
                contents[name.decode()] = kept
        return Database.build(self.kernels, contents, self.tails)

    @classmethod
    def build(
        cls,
        kernels: Iterable[Kernel],
        contents: Mapping[str, tuple[Candidate, ...]],
        tails: Mapping[str, TrailingZeros],
        families: Mapping[str, Family] | None = None,
    ) -> Database:
        """Make a database out of names and candidates; learns the families if not given."""
        sets: dict[tuple[Candidate, ...], int] = {}
        names, ids = [], []
        for name in sorted(contents, key=str.encode):
            names.append(name.encode())
            ids.append(sets.setdefault(contents[name], len(sets)))
        if families is None:
            families = _families(contents)
        return cls(kernels, SortedList(names), ids, list(sets), families, tails)

    @classmethod
    def from_text(cls, text: TextDatabase) -> Database:
        """Compile the reviewed source."""
        kernels = sorted(text.kernels.values(), key=lambda k: (k.version, k.flavour, k.release))
        bits = {kernel.release: 1 << i for i, kernel in enumerate(kernels)}
        contents: dict[str, list[Candidate]] = {}
        builtin = set()
        for entry in text:
            if not entry.module:
                builtin.add(entry.name)
            mask = sum(bits[release] for release in entry.kernels)
            contents.setdefault(entry.name, []).append(Candidate(entry.type, entry.module, mask))
        simplified = {name: _simplify(found) for name, found in contents.items()}
        families = _families(simplified)
        kept = {
            name: found
            for name, found in simplified.items()
            if name in builtin or not _is_typical(name, found, families)
        }
        return cls.build(kernels, kept, text.tails, families)

    # The file

    def pack(self) -> bytes:
        """Return the compiled file's bytes."""
        import zstandard

        types: dict[str, int] = {}
        modules: dict[str, int] = {"": 0}
        masks: dict[int, int] = {}
        lengths = bytearray()
        rows: tuple[list[int], list[int], list[int]] = ([], [], [])
        for index in range(len(self._candidates)):
            candidates = self._candidates[index][:255]
            lengths.append(len(candidates))
            for c in candidates:
                rows[0].append(types.setdefault(c.type, len(types)))
                rows[1].append(modules.setdefault(c.module, len(modules)))
                rows[2].append(masks.setdefault(c.kernels, len(masks)))
        families = sorted(self.families.values(), key=lambda family: family.pattern.encode())
        counts = [
            "\t".join(
                (str(f.members), *(f"{types.setdefault(t, len(types))}:{n}" for t, n in f.types))
            )
            for f in families
        ]
        names, name_blocks = SortedTexts.pack(self._names)
        patterns, pattern_blocks = SortedTexts.pack(f.pattern.encode() for f in families)
        parts: list[bytes] = [
            struct.pack("<II", len(self._names), len(families)),
            _lines((k.flavour, k.series, k.release, k.machine) for k in self.kernels),
            _lines((format(mask, "x"),) for mask in masks),
            _lines((str(t.zeros), str(t.agree), str(t.total), e) for e, t in self.tails.items()),
            *_with_blocks(names, name_blocks),
            Column.pack(self._sets),
            bytes(lengths),
            *(Column.pack(row) for row in rows),
            *_with_blocks(*Texts.pack(types)),
            *_with_blocks(*Texts.pack(modules)),
            *_with_blocks(patterns, pattern_blocks),
            *_with_blocks(*Texts.pack(counts)),
        ]
        content = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        packed = zstandard.ZstdCompressor(level=22).compress(content)
        header = _HEADER.pack(_MAGIC, _VERSION, len(content), len(packed), zlib.crc32(content))
        return header + packed

    @classmethod
    def unpack(cls, data: bytes, origin: str) -> Database:
        """
        Read a compiled file.

        :param origin: what to call the file in an error.
        :raises DebugInfoError: not such a file, another version, truncated or damaged.
        """
        return cls._believed(_content(data, origin), origin)

    @classmethod
    def _believed(cls, content: bytes, origin: str) -> Database:
        try:
            return cls._from_content(content)
        except (
            ValueError, LookupError, TypeError, struct.error, ArithmeticError, MemoryError,
            RecursionError,
        ) as e:  # fmt: skip
            raise _damaged(origin, e) from e

    @classmethod
    def _from_content(cls, content: bytes) -> Database:
        view = memoryview(content)
        spans = []
        at = 0
        while at < len(content):
            (size,) = struct.unpack_from("<I", content, at)
            at += 4
            spans.append((at, at + size))
            at += size
        if at != len(content) or len(spans) != _PARTS:
            raise ValueError("its parts do not fill it")
        parts = iter(spans)

        def part() -> memoryview:
            start, end = next(parts)
            return view[start:end]

        def blocks() -> tuple[bytes, int, int, Sequence[int]]:
            start, end = next(parts)
            lengths = part()
            return content, start, end, Column(lengths, len(lengths) // _LENGTH_BYTES).tolist()

        name_count, family_count = struct.unpack("<II", part())
        kernels = [Kernel(*row) for row in _rows(part(), 4)]
        masks = [int(row[0], 16) for row in _rows(part(), 1)]
        tails = {e: TrailingZeros(int(z), int(a), int(t)) for z, a, t, e in _rows(part(), 4)}
        names = SortedTexts(*blocks(), name_count)
        sets = Column(part(), name_count)
        lengths = bytes(part())  # added up in a third of the time that a view takes
        row_count = sum(lengths)
        rows = (
            Column(part(), row_count),
            Column(part(), row_count),
            Column(part(), row_count),
        )
        types, modules = Texts(*blocks()), Texts(*blocks())
        patterns = SortedTexts(*blocks(), family_count)
        families = _Families(patterns, Texts(*blocks()), types)
        candidates = _Sets(types, modules, masks, lengths, rows)
        return cls(kernels, names, sets, candidates, families, tails)

    @classmethod
    def load(cls, path: str | os.PathLike[str] = BUILTIN, cache: Cache | None = None) -> Database:
        """
        Read a compiled file.

        :param cache: keeps it unpacked, which is 9 ms less to do the next time.
        :raises DebugInfoError: it is missing, or as :meth:`unpack`.
        """
        try:
            with open(path, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                header = file.read(_HEADER.size)
                # The header has the size and checksum of what is in the file.
                key = CacheKey.of("", sizes=(size,), pages=(header,))
                kept = None if cache is None else cache.load(key, _CACHE_KIND)
                data = header + file.read() if kept is None else b""
        except OSError as e:
            raise DebugInfoError(
                f"{path}: {e.strerror}", step="vars", hint="the installation is incomplete"
            ) from e
        if cache is not None and kept is not None:
            try:
                return cls._believed(kept, str(path))
            except DebugInfoError:
                cache.forget(key, _CACHE_KIND)
                with open(path, "rb") as file:
                    data = file.read()
        content = _content(data, str(path))
        found = cls._believed(content, str(path))
        if cache is not None:
            cache.store(key, _CACHE_KIND, content)
        return found


def _families(contents: Mapping[str, tuple[Candidate, ...]]) -> dict[str, Family]:
    types = {
        name: {AnnotatedType.parse(c.type).type for c in found} for name, found in contents.items()
    }
    return {family.pattern: family for family in prune(learn(types))}


def _is_typical(
    name: str, candidates: tuple[Candidate, ...], families: Mapping[str, Family]
) -> bool:
    """Whether a variable's family alone gives its type, so that its row can be spared."""
    text = candidates[0].type
    if len(candidates) > 1 or text.endswith("]"):
        return False
    for pattern in patterns(name):
        family = families.get(pattern)
        if family is not None:
            return len(family.types) == 1 and next(family.types_for(name))[0] == text
    return False


def _simplify(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """Forget in which module a variable is where all modules agree on its type."""
    by_type: dict[str, int] = {}
    curated = 0
    for c in candidates:
        if not c.module:
            return tuple(candidates) if len({c.type for c in candidates}) > 1 else _one(candidates)
        by_type[c.type] = by_type.get(c.type, 0) | c.kernels
        curated += not c.kernels
    return _one(candidates) if len(by_type) == 1 else tuple(candidates)


def _one(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    mask = 0
    for c in candidates:
        mask |= c.kernels
    one = Candidate(candidates[0].type, "", mask)
    if mask and not all(c.kernels for c in candidates):
        return (one, Candidate(one.type, "", 0))  # also by hand, for kernels not extracted
    return (one,)


def _content(data: bytes, origin: str) -> bytes:
    """What a compiled file holds, unpacked and checked; raises DebugInfoError."""
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise DebugInfoError(f"{origin}: not a variable database", step="vars", hint=_REINSTALL)
    _, version, size, packed_size, crc = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise DebugInfoError(
            f"{origin}: variable database of version {version}, this btfdbg reads {_VERSION}",
            step="vars",
            hint=_REINSTALL,
        )
    packed = data[_HEADER.size :]
    if len(packed) != packed_size or size > _MAX_SIZE:
        raise DebugInfoError(
            f"{origin}: {len(packed)} bytes of content, its header says {packed_size}",
            step="vars",
            hint=_REINSTALL,
        )
    import zstandard

    try:
        content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        if len(content) != size or zlib.crc32(content) != crc:
            raise ValueError("checksum differs")
        return content
    except (zstandard.ZstdError, ValueError, MemoryError) as e:
        raise _damaged(origin, e) from e


def _damaged(origin: str, error: Exception) -> DebugInfoError:
    return DebugInfoError(f"{origin}: damaged ({error})", step="vars", hint=_REINSTALL)


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _rows(part: memoryview, width: int) -> Iterator[list[str]]:
    """Lines of a part, the last of ``width`` fields with the tabs that it has."""
    for line in str(part, "utf-8").splitlines():
        yield line.split("\t", width - 1)


def _with_blocks(data: bytes, lengths: Sequence[int]) -> tuple[bytes, bytes]:
    """A part of texts, and after it the lengths of its blocks, three bytes each."""
    planes = (bytes(n >> (8 * i) & 0xFF for n in lengths) for i in range(_LENGTH_BYTES))
    return data, b"".join(planes)
