"""The table's source: which file each function is in, as text that a diff shows well.

Owns the notation and the merging of a kernel's functions into it. Knows neither drgn nor
the compiled form (``pack``).

The kernels stand first, as in the variable database's source. Under each file follow, one
line for each set of kernels and each module ("-" for vmlinux), the functions' keys
(:func:`.names.key_of`)::

    kernel amd64-cloud 6.12 6.12.118+deb13-cloud-amd64 x86_64
    fs/ext4/inode.c
    \t*\text4\text4_bmap ext4_can_truncate ext4_chunk_trans_blocks
    \tany 6.1+\text4\text4_dirty_folio

What the words for kernels mean: :mod:`btfdbg.vardb.textdb`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources.names import key_of
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.textdb import Flavours, Kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.varextract.functions import FunctionImage

_VMLINUX = "-"
# Aliases that every module has, and what each build names anew.
_NO_KEYS = frozenset({"init_module", "cleanup_module"})
_EVERY_BUILD = ("__UNIQUE_ID", "__initstub__", "__initcall")
_MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A function is in a file, in some kernels.

    :ivar module: "" for vmlinux.
    :ivar kernels: bit i for :attr:`FunctionText.kernels` [i].
    """

    key: str
    module: str
    file: str
    kernels: int


class FunctionText:
    """
    All kernels and entries of the source.

    :ivar kernels: in the order of the bits of :attr:`Entry.kernels`.
    """

    def __init__(self) -> None:
        self.kernels: list[Kernel] = []
        self._files: dict[str, dict[tuple[str, str], int]] = {}

    def __iter__(self) -> Iterator[Entry]:
        for file in sorted(self._files):
            for (module, key), mask in sorted(self._files[file].items()):
                yield Entry(key, module, file, mask)

    def merge(self, kernel: Kernel, images: Iterable[FunctionImage]) -> int:
        """
        Put a kernel's functions into the source; what the source had of it is replaced.

        :return: How many keys the kernel has.
        """
        bit = 1 << self._number(kernel)
        for keys in self._files.values():
            for key, mask in list(keys.items()):
                if mask & bit:
                    self._set(keys, key, mask & ~bit)
        count = 0
        for image in images:
            for row in image.rows:
                if row.name in _NO_KEYS or row.name.startswith(_EVERY_BUILD):
                    continue
                count += self._add(row.file, image.module, key_of(row.name), bit)
        return count

    def without(
        self, series: frozenset[str], flavours: frozenset[str] = frozenset()
    ) -> FunctionText:
        """The source as it would be without the kernels of some series, or with few flavours."""
        left = FunctionText()
        kept = [
            (i, k)
            for i, k in enumerate(self.kernels)
            if k.series not in series and (not flavours or k.flavour in flavours)
        ]
        left.kernels = [k for _, k in kept]
        for entry in self:
            mask = sum(1 << new for new, (old, _) in enumerate(kept) if entry.kernels >> old & 1)
            if mask:
                left._add(entry.file, entry.module, entry.key, mask)
        return left

    def _number(self, kernel: Kernel) -> int:
        for number, known in enumerate(self.kernels):
            if known.release == kernel.release:
                return number
        self.kernels.append(kernel)
        return len(self.kernels) - 1

    def _add(self, file: str, module: str, key: str, mask: int) -> bool:
        if not key or len(key) > _MAX_KEY or not key.isascii() or not key.isprintable():
            return False
        keys = self._files.setdefault(file, {})
        before = keys.get((module, key), 0)
        keys[module, key] = before | mask
        return not before & mask

    @staticmethod
    def _set(keys: dict[tuple[str, str], int], key: tuple[str, str], mask: int) -> None:
        if mask:
            keys[key] = mask
        else:
            del keys[key]

    # Files

    @classmethod
    def read(cls, path: Path) -> FunctionText:
        """
        Read a source file.

        :raises DebugInfoError: a line is not in the notation; the message has file and line.
        """
        text = cls()
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise DebugInfoError(f"{path}: {e}", step="vars") from e
        lines = content.split("\n")
        text.kernels = [
            Kernel(*words[1:])
            for words in (line.split() for line in lines if line.startswith("kernel "))
            if len(words) == 5
        ]
        bits = {kernel.release: 1 << i for i, kernel in enumerate(text.kernels)}
        flavours = Flavours(text.kernels)
        masks: dict[str, int] = {}
        file = ""
        for number, line in enumerate(lines, 1):
            if not line or line.startswith(("#", "kernel ")):
                continue
            if not line.startswith("\t"):
                file = line
                continue
            try:
                _, words, module, keys = line.split("\t")
                mask = masks.get(words)
                if mask is None:
                    mask = masks[words] = sum(bits[release] for release in flavours.parse(words))
            except ValueError as e:
                raise DebugInfoError(f"{path}:{number}: {e}", step="vars") from e
            module = "" if module == _VMLINUX else module
            for key in keys.split(" "):
                text._add(file, module, key, mask)
        return text

    def write(self, path: Path, header: str) -> None:
        """
        Write the source.

        :param header: comment lines that open the file, each starting with "#".
        """
        flavours = Flavours(self.kernels)
        words: dict[int, str] = {}
        with path.open("w", encoding="utf-8") as out:
            out.write(header)
            for kernel in flavours.kernels:
                out.write(
                    f"kernel {kernel.flavour} {kernel.series} {kernel.release} {kernel.machine}\n"
                )
            for file in sorted(self._files):
                groups: dict[tuple[str, str], list[str]] = {}
                for (module, key), mask in sorted(self._files[file].items()):
                    text = words.get(mask)
                    if text is None:
                        text = words[mask] = flavours.format(self._releases(mask))
                    groups.setdefault((module or _VMLINUX, text), []).append(key)
                if groups:
                    out.write(f"{file}\n")
                for (module, text), keys in sorted(groups.items()):
                    out.write(f"\t{text}\t{module}\t{' '.join(keys)}\n")

    def _releases(self, mask: int) -> frozenset[str]:
        return frozenset(k.release for i, k in enumerate(self.kernels) if mask >> i & 1)
