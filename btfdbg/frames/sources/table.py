"""The shipped table: which file a function is in, by its name, per kernel where they differ.

Owns the file format and its reading; ``pack`` makes it. Knows no dump and gives no
verdicts: it lists candidates.

The file is a fixed header (magic, version, sizes, CRC-32 of all that follows), one zstd
frame (kernels, paths, modules, answers) and the map from keys to answers
(:mod:`.retrieval`), which is used as it lies there. Nothing is read before the first
question, which costs a few milliseconds.

Why not names and files as the variables' database has them: 200,000 names take 7 bytes
each that way, 3.5 this way. What is lost is the list of the names, which nobody needs:
the dump has it.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import overload

from btfdbg.cache import Cache, CacheKey
from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources.retrieval import Retrieval
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.textdb import Kernel

BUILTIN = os.path.join(os.path.dirname(__file__), "data", "files.db")
MAGIC = b"btfdbgF\n"
VERSION = 1
FILE_HEADER = struct.Struct("<8sIIIII")  # magic, version, zstd bytes, unpacked, map bytes, CRC
MAX_UNPACKED = 16 << 20
_CACHE_KIND = "files-1"
_REINSTALL = "reinstall btfdbg, or compile it again with 'btfdbg vars extract'"


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A file that functions of a name are in somewhere.

    :ivar file: path in the kernel's tree.
    :ivar kernels: bit i for :attr:`SourceTable.kernels` [i]; 0 if the table does not say
        (the name is in this file wherever it is).
    """

    file: str
    kernels: int


class Paths(Sequence[str]):
    """
    The table's files by number, out of folders, each on a line that ends in "/", and names
    of files in them.

    Made when they are asked for: of 6,000 a look-up needs one.
    """

    def __init__(self, text: str) -> None:
        # The end of a folder's line, those of its files, and the start of the next folder's.
        first, *parts = text.split("/\n")
        self._folders: list[tuple[str, str]] = []
        for part in parts:
            names, newline, following = part.rpartition("\n")
            self._folders.append((f"{first}/", names + newline))
            first = following
        self._starts: list[int] = list(
            accumulate((n.count("\n") for _, n in self._folders), initial=0)
        )
        self._numbers: dict[str, int] | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return list(self)[number]
        if not 0 <= number < self._starts[-1]:
            raise IndexError(number)
        here = bisect_right(self._starts, number) - 1
        folder, names = self._folders[here]
        return _path(folder, names.split("\n")[number - self._starts[here]])

    def __iter__(self) -> Iterator[str]:
        for folder, names in self._folders:
            for name in names.splitlines():
                yield _path(folder, name)

    def number_of(self, path: str) -> int | None:
        """The number of a path; None if there is none."""
        if self._numbers is None:
            self._numbers = {folder: n for n, (folder, _) in enumerate(self._folders)}
        folder, _, name = path.rpartition("/")
        here = self._numbers.get(f"{folder}/")
        if here is None:
            return None
        names = self._folders[here][1].splitlines()
        return self._starts[here] + names.index(name) if name in names else None


def _path(folder: str, name: str) -> str:
    return folder + name if folder != "/" else name


class SourceTable:
    """
    Candidates by key, and the files of modules.

    :ivar kernels: in the order of the bits of :attr:`Candidate.kernels`.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        paths: Paths,
        modules: dict[str, str],
        answers: Sequence[str],
        keys: Retrieval,
    ) -> None:
        """
        :param modules: name to the numbers of its files, in hexadecimal, separated by ",".
        :param answers: ``file:mask,file:mask``, in hexadecimal; the numbers of answers
            follow those of the paths.
        """
        self.kernels = tuple(kernels)
        self._paths = paths
        self._modules = modules
        self._in_modules: str | None = None
        self._files: dict[str, frozenset[str]] = {}  # of modules that were asked for
        self._answers = answers
        self._keys = keys

    def find(self, key: str) -> tuple[Candidate, ...]:
        """
        Return the files of the functions with a key (:func:`.names.key_of`).

        A key that the table does not have meets another's answer by chance once in some
        hundred times: hold it against its surroundings.
        """
        number = self._keys.find(key.encode("utf-8", "surrogateescape"))
        if number is None:
            return ()
        if number < len(self._paths):
            return (Candidate(self._paths[number], 0),)
        number -= len(self._paths)
        if number >= len(self._answers):
            return ()
        try:
            return tuple(
                Candidate(self._paths[int(file, 16)], int(mask, 16))
                for file, _, mask in (
                    item.partition(":") for item in self._answers[number].split(",")
                )
            )
        except (ValueError, IndexError) as e:
            raise _damaged("the table of source files", e) from e

    def numbers_of(self, wanted: Callable[[str], bool]) -> frozenset[int]:
        """
        Which answers of the map name some files.

        :param wanted: Which file; asked once of each that the table has.
        """
        numbers = {number for number, path in enumerate(self._paths) if wanted(path)}
        if not numbers:
            return frozenset()
        texts = {f"{number:x}" for number in numbers}
        for number, answer in enumerate(self._answers, len(self._paths)):
            if any(item.partition(":")[0] in texts for item in answer.split(",")):
                numbers.add(number)
        return frozenset(numbers)

    def keys_in(self, keys: Sequence[str], numbers: frozenset[int]) -> Iterator[str]:
        """
        Those of many keys that may be in some files.

        :param numbers: As :meth:`numbers_of` gives them.
        """
        if not numbers:
            return
        encoded = (key.encode("utf-8", "surrogateescape") for key in keys)
        for key, found in zip(keys, self._keys.find_all(encoded), strict=True):
            if found in numbers:
                yield key

    def files_of(self, module: str) -> frozenset[str] | None:
        """Return the files that a module has code of; None for one that the table lacks."""
        known = self._files.get(module)
        if known is not None:
            return known
        numbers = self._modules.get(module)
        if numbers is None:
            return None
        try:
            found = frozenset(self._paths[int(n, 16)] for n in numbers.split(","))
            self._files[module] = found
            return found
        except (ValueError, IndexError) as e:
            raise _damaged("the table of source files", e) from e

    def is_of_a_module(self, file: str) -> bool:
        """Whether any module has code of a file."""
        if self._in_modules is None:
            self._in_modules = f",{','.join(self._modules.values())},"
        number = self._paths.number_of(file)
        return number is not None and f",{number:x}," in self._in_modules

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] = BUILTIN, cache: Cache | None = None
    ) -> SourceTable:
        """
        Read a compiled file.

        :param cache: Keeps the frame unpacked: to import zstandard takes four times as long as
            to unpack it.
        :raises DebugInfoError: missing, not such a file, another version, or damaged.
        """
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as e:
            raise DebugInfoError(
                f"{path}: {e.strerror}", step="sources", hint="the installation is incomplete"
            ) from e
        return cls.unpack(data, str(path), cache)

    @classmethod
    def unpack(cls, data: bytes, origin: str, cache: Cache | None = None) -> SourceTable:
        """
        Take the bytes of a compiled file.

        :param origin: what to call the file in an error.
        :param cache: as in :meth:`load`.
        :raises DebugInfoError: as :meth:`load`.
        """
        if len(data) < FILE_HEADER.size or not data.startswith(MAGIC):
            raise DebugInfoError(
                f"{origin}: not a table of source files", step="sources", hint=_REINSTALL
            )
        _, version, packed, size, cells, crc = FILE_HEADER.unpack_from(data)
        if version != VERSION:
            raise DebugInfoError(
                f"{origin}: table of version {version}, this btfdbg reads {VERSION}",
                step="sources",
                hint=_REINSTALL,
            )
        view = memoryview(data)[FILE_HEADER.size :]
        try:
            if len(view) != packed + cells or size > MAX_UNPACKED or zlib.crc32(view) != crc:
                raise ValueError("size or checksum differs")
            text = _unpacked(bytes(view[:packed]), size, data[: FILE_HEADER.size], cache)
            return cls._from_text(text.decode(), Retrieval.parse(view[packed:]))
        except (ValueError, LookupError, TypeError, struct.error) as e:
            raise _damaged(origin, e) from e

    @classmethod
    def _from_text(cls, text: str, keys: Retrieval) -> SourceTable:
        kernels, paths, modules, answers = text.split("\0")
        words = modules.split()
        return cls(
            [Kernel(*line.split(" ")) for line in kernels.splitlines()],
            Paths(paths),
            dict(zip(words[::2], words[1::2], strict=True)),
            answers.splitlines(),
            keys,
        )


def _unpacked(frame: bytes, size: int, header: bytes, cache: Cache | None) -> bytes:
    """
    What is in the frame.

    :param header: Has the size and checksum of the file.
    :raises ValueError: it is damaged.
    """
    key = CacheKey.of("", sizes=(len(frame),), pages=(header,))
    kept = None if cache is None else cache.load(key, _CACHE_KIND)
    if kept is not None and len(kept) == size:
        return kept
    import zstandard

    try:
        text: bytes = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError as e:
        raise ValueError(str(e)) from e
    if cache is not None:
        cache.store(key, _CACHE_KIND, text)
    return text


def _damaged(origin: str, error: Exception) -> DebugInfoError:
    return DebugInfoError(f"{origin}: damaged ({error})", step="sources", hint=_REINSTALL)
