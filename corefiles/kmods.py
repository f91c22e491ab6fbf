"""
Kernel modules on disk: dependency order and plain bytes.

Owns: reading modules.dep and compressed .ko files.
Facts: modules.dep(5): a module's line names all that it needs, each before
what it needs itself, so loading goes from the end of the line to its start.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .run import BuildError, run


def module_name(path: str) -> str:
    """Return the name that the kernel gives to a module file."""
    return PurePosixPath(path).name.split(".ko", 1)[0].replace("-", "_")


def parse_dep(text: str) -> dict[str, tuple[str, ...]]:
    """Parse modules.dep into path and paths of all that it needs, in file order."""
    found = {}
    for line in text.splitlines():
        path, colon, needs = line.partition(":")
        if colon:
            found[path.strip()] = tuple(needs.split())
    return found


@dataclass(frozen=True, slots=True)
class Order:
    """Modules in the order in which they can be loaded, and wishes that do not exist."""

    paths: tuple[str, ...]
    missing: tuple[str, ...]


def load_order(dep: dict[str, tuple[str, ...]], wanted: Iterable[str]) -> Order:
    """
    Order modules so that each comes after all that it needs.

    :param wanted: Module names; ``-`` and ``_`` are the same.
    :raises BuildError: the dependencies go round in a circle.
    """
    by_name = {module_name(path): path for path in dep}
    order: dict[str, None] = {}
    missing = []

    def visit(path: str, above: tuple[str, ...]) -> None:
        if path in order:
            return
        if path in above:
            raise BuildError(f"modules.dep: {path} depends on itself")
        for need in reversed(dep.get(path, ())):
            visit(need, (*above, path))
        order[path] = None

    for name in wanted:
        found = by_name.get(name.replace("-", "_"))
        if found is None:
            missing.append(name)
        else:
            visit(found, ())
    return Order(tuple(order), tuple(missing))


def read_module(path: Path) -> bytes:
    """
    Return a module's ELF image, uncompressed: insmod in an initramfs takes no other.

    :raises BuildError: not an ELF file after decompression.
    """
    if path.suffix == ".zst":
        data = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
    else:
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        elif path.suffix == ".gz":
            data = gzip.decompress(data)
    if data[:4] != b"\x7fELF":
        raise BuildError(f"{path}: not an ELF file")
    return data


def depmod(root: Path, release: str) -> Path:
    """
    Write modules.dep for the modules below ``root``.

    :param root: Folder that holds ``lib/modules/RELEASE``.
    :return: The folder of modules.dep.
    """
    run(["depmod", "-b", root, release])
    return root / "lib" / "modules" / release
