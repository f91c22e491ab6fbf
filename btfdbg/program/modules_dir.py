"""A module's BTF from its .ko file, for modules whose BTF the dump does not give.

Owns finding the file in a folder and the evidence that it belongs to the loaded
module and to this kernel. Split BTF says nothing about its base: read against
another one it is full of plausible wrong types, so it is not believed unless

- the file carries ``.BTF.base``, which is relocated onto the running base and
  fails with a list of what does not match; or
- every struct of it fits together over this base (``fits_base()``).

Facts: Documentation/bpf/btf.rst ("BTF.base section"); module names use ``_``
where file names may have ``-`` (scripts/Makefile.lib, ``name-fix``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.errors import BtfdbgError, BtfError, BtfNotFoundError, DebugInfoError
from btfdbg.images import load_btf

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".ko.debug")
_MAX_FILES = 1 << 17
# Of so many named references into the base, none may be broken.
_BITS = 8


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
        problem = fits_base(btf)
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


def fits_base(btf: Btf) -> str:
    """
    Tell what speaks against a split BTF belonging to its base.

    A reference by number into the wrong base hits a random type and a random
    place in its strings, so members stop fitting into their structs, names
    start in the middle of a string, and functions lose their prototypes.

    :return: The first contradiction in words; empty if there is none.
    """
    base = btf.base
    if base is None:
        return "it is not split BTF"
    for type_id in btf.own_ids():
        try:
            problem = _string_problem(btf, base, type_id) or _type_problem(btf, type_id)
        except BtfError as e:
            problem = str(e)
        if problem:
            return problem
    return ""


def _string_problem(btf: Btf, base: Btf, type_id: int) -> str:
    for offset in btf.iter_str_refs(type_id):
        if 0 < offset < base.end_str_off and base.string_bytes(offset - 1) != b"":
            return f"type {type_id}: a name of it starts in the middle of a string of the base"
    return ""


def _type_problem(btf: Btf, type_id: int) -> str:
    t = btf.type_by_id(type_id)
    if isinstance(t, kinds.Func) and btf.kind_of(t.type) != Kind.FUNC_PROTO:
        return f"function {t.name} has no prototype"
    if not isinstance(t, (kinds.Struct, kinds.Union)):
        return ""
    for m in t.members:
        try:
            bits = m.bitfield_size or btf.resolve_size(m.type) * _BITS
        except BtfNotFoundError:
            return f"member {m.name} of {t.name or type_id} is of a type without size"
        if m.bit_offset + bits > t.size * _BITS:
            return f"member {m.name} of {t.name or type_id} does not fit into it"
    return ""
