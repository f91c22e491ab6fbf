"""A module's BTF from its .ko file, for modules whose BTF the dump does not give.

Owns finding the file in a folder and the evidence that it belongs to the loaded
module and to this kernel. Split BTF says nothing about its base: read against
another one it is full of plausible wrong types, so it is not believed unless

- the file carries ``.BTF.base``, which is relocated onto the running base and
  fails with a list of what does not match; or
- every struct of it fits together over this base (``btf.base_match``).

Facts: Documentation/bpf/btf.rst ("BTF.base section"); module names use ``_``
where file names may have ``-`` (scripts/Makefile.lib, ``name-fix``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from btfdbg.btf import Btf
from btfdbg.btf.base_match import contradiction
from btfdbg.errors import BtfdbgError, DebugInfoError
from btfdbg.images import load_btf

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".ko.debug")
_MAX_FILES = 1 << 17


class ModulesDir:
    """
    The .ko files below a folder, by module name.

    The folder is listed once, when the first module is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, Path] | None = None

    def find(self, module: str) -> Path | None:
        """The file of a module, in any compression."""
        if self._files is None:
            self._files = dict(_module_files(self.path))
        return self._files.get(module)

    def load(self, module: str, base: Btf) -> Btf:
        """
        Read a module's BTF, relocated or checked against a base.

        :raises DebugInfoError: no file, no BTF in it, or it is not of this kernel.
        """
        path = self.find(module)
        if path is None:
            raise DebugInfoError(
                f"no {module}.ko under {self.path}", step="module BTF", hint="--modules-dir DIR"
            )
        try:
            btf = load_btf(path, base)
        except BtfdbgError as e:
            raise DebugInfoError(f"{path}: {e}", step="module BTF") from e
        problem = contradiction(btf, members=True) if btf.base is base else ""
        if problem:
            raise DebugInfoError(
                f"{path} was built on another kernel: {problem}",
                step="module BTF",
                hint=f"it must be the {module}.ko of exactly this kernel",
            )
        return btf


def _module_files(folder: Path) -> Iterator[tuple[str, Path]]:
    count = 0
    for root, _dirs, files in os.walk(folder):
        for name in files:
            count += 1
            if count > _MAX_FILES:
                return
            stem, dot, rest = name.partition(".")
            if dot + rest in _SUFFIXES:
                yield stem.replace("-", "_"), Path(root, name)
