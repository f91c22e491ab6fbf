"""The table's source into its compiled form.

Owns what is left out of it. Knows no files and no dump.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import groupby

from btfdbg.frames.sources import retrieval
from btfdbg.frames.sources.table import FILE_HEADER, MAGIC, VERSION
from btfdbg.frames.sources.text import FunctionText

CHECK_BITS = 10
# A name with more files than this says nothing.
_MAX_FILES = 24


def pack(text: FunctionText, *, check_bits: int = CHECK_BITS) -> bytes:
    """Return the compiled file's bytes."""
    import zstandard

    found: dict[str, dict[str, int]] = {}
    modules: dict[str, set[str]] = defaultdict(set)
    for entry in text:
        files = found.setdefault(entry.key, {})
        files[entry.file] = files.get(entry.file, 0) | entry.kernels
        if entry.module and not entry.file.endswith(".h"):
            modules[entry.module].add(entry.file)
    paths = sorted({file for files in found.values() for file in files}, key=_folder_first)
    number_of = {path: number for number, path in enumerate(paths)}
    common = Counter(
        _answer(files, number_of) for files in found.values() if 1 < len(files) <= _MAX_FILES
    )
    answers = [answer for answer, _ in common.most_common()]
    answer_of = {answer: number for number, answer in enumerate(answers, len(paths))}
    numbers: dict[bytes, int] = {}
    for key, files in found.items():
        if len(files) == 1:
            numbers[key.encode()] = number_of[next(iter(files))]
        elif len(files) <= _MAX_FILES:
            numbers[key.encode()] = answer_of[_answer(files, number_of)]
    parts = (
        (f"{k.flavour} {k.series} {k.release} {k.machine}" for k in text.kernels),
        _shared(paths),
        (
            f"{m} {','.join(_hex(number_of[f] for f in files))}"
            for m, files in sorted(modules.items())
        ),
        answers,
    )
    content = "\0".join("".join(f"{line}\n" for line in part) for part in parts).encode()
    packed = zstandard.ZstdCompressor(level=22).compress(content)
    cells = retrieval.build(numbers, check_bits)
    crc = zlib.crc32(packed + cells)
    header = FILE_HEADER.pack(MAGIC, VERSION, len(packed), len(content), len(cells), crc)
    return header + packed + cells


def _folder_first(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _shared(paths: Iterable[str]) -> list[str]:
    """Each folder once, its files after it; see :class:`.table.Paths`."""
    lines: list[str] = []
    for folder, group in groupby(paths, key=lambda path: _folder_first(path)[0]):
        lines.append(f"{folder}/")
        lines.extend(path.rpartition("/")[2] for path in group)
    return lines


def _hex(numbers: Iterable[int]) -> list[str]:
    return [format(number, "x") for number in sorted(numbers)]


def _answer(files: dict[str, int], number_of: dict[str, int]) -> str:
    return ",".join(
        f"{number:x}:{mask:x}"
        for number, mask in sorted((number_of[file], mask) for file, mask in files.items())
    )
