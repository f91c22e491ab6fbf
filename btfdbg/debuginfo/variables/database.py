"""The compiled database: names, their candidate types, and the kernels that say so.

Owns the file format, its reading and writing, and the selection by release series.
Knows no drgn and gives no verdicts: it lists candidates.

The file is one zstd frame behind a fixed header (magic, format version, sizes, CRC of
the content), and unpacks in a few milliseconds into lists that are searched with
:mod:`bisect`. Nothing is read before the first question.

Why not SQLite or JSON: 100,000 names take 4 bytes each this way, and start-up pays
nothing.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import zstandard

from btfdbg.debuginfo.variables.families import Family, learn, patterns, prune
from btfdbg.debuginfo.variables.textdb import Kernel, Marked, Tail, TextDatabase
from btfdbg.errors import DebugInfoError

BUILTIN = Path(__file__).parent / "data" / "variables.db"
_MAGIC = b"btfdbgV\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIII")  # magic, version, bytes unpacked, bytes packed, CRC-32
_MAX_SIZE = 64 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A type that a variable of this name has somewhere.

    :ivar type: with its marks, see :class:`.textdb.Marked`.

    :ivar module: "" for vmlinux.
    :ivar kernels: bit i for :attr:`Database.kernels` [i]; 0 for a curated entry.
    """

    type: str
    module: str
    kernels: int


class _Sets:
    """Sets of candidates as columns; an object is made only for the set that is asked for."""

    def __init__(
        self,
        types: Sequence[str],
        modules: Sequence[str],
        masks: Sequence[int],
        ends: Sequence[int],
        rows: tuple[array[int], array[int], array[int]],
    ) -> None:
        self._types, self._modules, self._masks = types, modules, masks
        self._ends, self._rows = ends, rows

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[Candidate, ...]:
        start = self._ends[index - 1] if index else 0
        types, modules, masks = self._rows
        return tuple(
            Candidate(self._types[types[i]], self._modules[modules[i]], self._masks[masks[i]])
            for i in range(start, self._ends[index])
        )


class _Families(Mapping[str, Family]):
    """Families as lines, each read when it is asked for."""

    def __init__(self, text: bytes, types: Sequence[str]) -> None:
        self._lines = text.split(b"\n") if text else []
        self._types = types
        self._read: dict[str, Family | None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return (line.partition(b"\t")[0].decode() for line in self._lines)

    def __getitem__(self, pattern: str) -> Family:
        try:
            found = self._read[pattern]
        except KeyError:
            found = self._read[pattern] = self._find(pattern)
        if found is None:
            raise KeyError(pattern)
        return found

    def _find(self, pattern: str) -> Family | None:
        key = pattern.encode() + b"\t"
        at = bisect_left(self._lines, key)
        if at == len(self._lines) or not self._lines[at].startswith(key):
            return None
        _, members, *counts = self._lines[at].decode().split("\t")
        types = []
        for item in counts:
            type_id, _, count = item.partition(":")
            types.append((self._types[int(type_id)], int(count)))
        return Family(pattern, tuple(types), int(members))


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
        names: list[bytes],
        sets: array[int],
        candidates: Sequence[tuple[Candidate, ...]] | _Sets,
        families: Mapping[str, Family],
        tails: Mapping[str, Tail],
    ) -> None:
        self.kernels = tuple(kernels)
        self._names = names
        self._sets = sets
        self._candidates = candidates
        self.families = families
        self.tails = tails

    def __len__(self) -> int:
        return len(self._names)

    def candidates(self, name: str) -> tuple[Candidate, ...]:
        """Return what is known of a name; empty if nothing is."""
        key = name.encode()
        at = bisect_left(self._names, key)
        if at == len(self._names) or self._names[at] != key:
            return ()
        return self._candidates[self._sets[at]]

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
        tails: Mapping[str, Tail],
        families: Mapping[str, Family] | None = None,
    ) -> Database:
        """Make a database out of names and candidates; learns the families if not given."""
        sets: dict[tuple[Candidate, ...], int] = {}
        names, ids = [], array("I")
        for name in sorted(contents, key=str.encode):
            names.append(name.encode())
            ids.append(sets.setdefault(contents[name], len(sets)))
        if families is None:
            families = _families(contents)
        return cls(kernels, names, ids, list(sets), families, tails)

    @classmethod
    def from_text(cls, text: TextDatabase) -> Database:
        """Compile the reviewed source."""
        kernels = sorted(text.kernels.values(), key=lambda k: (k.version, k.lane, k.release))
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
        types: dict[str, int] = {}
        modules: dict[str, int] = {"": 0}
        masks: dict[int, int] = {}
        lengths, flat = array("B"), array("I")
        for index in range(len(self._candidates)):
            candidates = self._candidates[index]
            if len(candidates) > 255:
                candidates = candidates[:255]
            lengths.append(len(candidates))
            for c in candidates:
                flat.append(types.setdefault(c.type, len(types)))
                flat.append(modules.setdefault(c.module, len(modules)))
                flat.append(masks.setdefault(c.kernels, len(masks)))
        families = sorted(
            "\t".join(
                (
                    family.pattern,
                    str(family.members),
                    *(f"{types.setdefault(t, len(types))}:{n}" for t, n in family.types),
                )
            ).encode()
            for family in self.families.values()
        )
        meta = {
            "kernels": [[k.lane, k.series, k.release, k.machine] for k in self.kernels],
            "modules": list(modules),
            "masks": [format(mask, "x") for mask in masks],
            "tails": [[e, t.zeros, t.agree, t.total] for e, t in self.tails.items()],
        }
        parts = [
            json.dumps(meta).encode(),
            b"\n".join(self._names),
            "\n".join(types).encode(),
            _to_bytes(self._sets),
            lengths.tobytes(),
            _to_bytes(array("I", flat[0::3])),
            _to_bytes(array("I", flat[1::3])),
            _to_bytes(array("I", flat[2::3])),
            b"\n".join(families),
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
        hint = "reinstall btfdbg, or compile it again with 'btfdbg vars extract --compile'"
        if len(data) < _HEADER.size or not data.startswith(_MAGIC):
            raise DebugInfoError(f"{origin}: not a variable database", step="vars", hint=hint)
        _, version, size, packed_size, crc = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise DebugInfoError(
                f"{origin}: variable database of version {version}, this btfdbg reads {_VERSION}",
                step="vars",
                hint=hint,
            )
        packed = data[_HEADER.size :]
        if len(packed) != packed_size or size > _MAX_SIZE:
            raise DebugInfoError(
                f"{origin}: {len(packed)} bytes of content, its header says {packed_size}",
                step="vars",
                hint=hint,
            )
        try:
            content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
            if len(content) != size or zlib.crc32(content) != crc:
                raise ValueError("checksum differs")
            return cls._from_content(content)
        except (zstandard.ZstdError, ValueError, LookupError, TypeError, struct.error) as e:
            raise DebugInfoError(f"{origin}: damaged ({e})", step="vars", hint=hint) from e

    @classmethod
    def _from_content(cls, content: bytes) -> Database:
        parts = []
        at = 0
        while at < len(content):
            (size,) = struct.unpack_from("<I", content, at)
            at += 4
            parts.append(content[at : at + size])
            at += size
        meta_json, names_text, types_text, sets, lengths, *columns, families_text = parts
        type_ids, module_ids, mask_ids = columns
        meta = json.loads(meta_json)
        names = names_text.split(b"\n") if names_text else []
        types = types_text.decode().split("\n")
        modules: list[str] = meta["modules"]
        masks = [int(mask, 16) for mask in meta["masks"]]
        rows = (_from_bytes(type_ids), _from_bytes(module_ids), _from_bytes(mask_ids))
        ends = array("I", accumulate(lengths))
        used = ends[-1] if ends else 0
        counts = (len(types), len(modules), len(masks))
        for column, count in zip(rows, counts, strict=True):
            if len(column) != used or (column and max(column) >= count):
                raise ValueError("tables disagree")
        candidates = _Sets(types, modules, masks, ends, rows)
        ids = _from_bytes(sets)
        if len(ids) != len(names) or (ids and max(ids) >= len(candidates)):
            raise ValueError("tables disagree")
        families = _Families(families_text, types)
        kernels = [Kernel(*row) for row in meta["kernels"]]
        tails = {row[0]: Tail(*row[1:]) for row in meta["tails"]}
        return cls(kernels, names, ids, candidates, families, tails)

    @classmethod
    def load(cls, path: Path = BUILTIN) -> Database:
        """
        Read a compiled file.

        :raises DebugInfoError: it is missing, or as :meth:`unpack`.
        """
        try:
            data = path.read_bytes()
        except OSError as e:
            raise DebugInfoError(
                f"{path}: {e.strerror}", step="vars", hint="the installation is incomplete"
            ) from e
        return cls.unpack(data, str(path))


def _families(contents: Mapping[str, tuple[Candidate, ...]]) -> dict[str, Family]:
    types = {name: {Marked.parse(c.type).type for c in found} for name, found in contents.items()}
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
    return (Candidate(candidates[0].type, "", mask),)


def _to_bytes(values: array[int]) -> bytes:
    """As u32, all low bytes first: columns compress better than records."""
    raw = values.tobytes() if values.itemsize == 4 else array("I", values).tobytes()
    return b"".join(raw[i::4] for i in range(4))


def _from_bytes(data: bytes) -> array[int]:
    count = len(data) // 4
    raw = bytearray(len(data))
    for i in range(4):
        raw[i::4] = data[i * count : (i + 1) * count]
    values = array("I")
    values.frombytes(bytes(raw))
    return values
