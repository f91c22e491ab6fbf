"""Extra BTF: variables for a kernel's own BTF, in a file of their own.

Owns the proof that such a file belongs to a base, its discovery by build id, and the
lookup of variables in it. Knows nothing of how it is made (:mod:`.encode`).

The proof is a DECL_TAG on the file's first VAR: ``btfdbg.base sha256=HEX types=N``, the
digest of the base's bytes and the number of its types, then ``build-id=HEX`` if known.
BTF itself has no such link: ids and string offsets would silently mean something else.

Folder: ``$XDG_DATA_HOME/btfdbg/btf-extra/BUILD-ID.btf`` (by default ``~/.local/share``),
then ``btfdbg/btf-extra`` in each of ``$XDG_DATA_DIRS``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.errors import BtfFormatError, DebugInfoError

TAG = "btfdbg.base"
_TAG = re.compile(r"btfdbg\.base sha256=([0-9a-f]{64}) types=(\d+)(?: build-id=([0-9a-f]+))?")
_BUILD_ID = re.compile(r"[0-9a-f]{8,64}")
_MAX_FILE = 256 << 20


def base_tag(base: Btf, build_id: str = "") -> str:
    """Return the tag that ties extra BTF to its base."""
    text = f"{TAG} sha256={_digest(base)} types={base.type_cnt}"
    return f"{text} build-id={build_id}" if build_id else text


def _digest(base: Btf) -> str:
    import hashlib  # with OpenSSL behind it, dearer than all else here

    digest = hashlib.sha256()
    for level in base.chain():
        digest.update(level.raw)
    return digest.hexdigest()


def find_file(build_id: str) -> Path | None:
    """Return the extra BTF of a kernel with a build id from the folders, if there is one."""
    if not _BUILD_ID.fullmatch(build_id):
        return None
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    system = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in (home, *system.split(":")):
        path = Path(folder) / "btfdbg" / "btf-extra" / f"{build_id}.btf"
        if path.is_file():
            return path
    return None


class ExtraBtf:
    """
    The variables of one extra BTF.

    :ivar btf: split BTF on top of the base.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._places: dict[int, tuple[str, int]] | None = None

    @classmethod
    def load(cls, path: Path, base: Btf) -> ExtraBtf:
        """
        Read a file and check that it belongs to a base.

        :raises DebugInfoError: it cannot be read, is no BTF, or belongs to another base.
        """
        try:
            if path.stat().st_size > _MAX_FILE:
                raise DebugInfoError(f"{path}: too large for extra BTF", step="btf-extra")
            data = path.read_bytes()
        except OSError as e:
            raise DebugInfoError(f"{path}: {e.strerror}", step="btf-extra") from e
        return cls.parse(data, base, str(path))

    @classmethod
    def parse(cls, data: bytes, base: Btf, origin: str) -> ExtraBtf:
        """
        As :meth:`load`, from bytes.

        :param origin: what to call them in an error.
        """
        try:
            btf = Btf.parse(data, base)
            tag = _find_tag(btf)
        except (BtfFormatError, LookupError) as e:
            raise DebugInfoError(
                f"{origin}: not extra BTF of this kernel: {e}",
                step="btf-extra",
                hint="make it with 'btfdbg btf encode-vars' from this kernel's vmlinux",
            ) from e
        if tag is None:
            raise DebugInfoError(
                f"{origin}: nothing in it says which kernel it belongs to",
                step="btf-extra",
                hint="make it with 'btfdbg btf encode-vars'",
            )
        if tag[1] != _digest(base) or int(tag[2]) != base.type_cnt:
            theirs = f" (build id {tag[3]})" if tag[3] else ""
            raise DebugInfoError(
                f"{origin}: belongs to another kernel's BTF{theirs}", step="btf-extra"
            )
        return cls(btf)

    def type_of(
        self,
        name: str,
        address: int,
        address_of: Callable[[str], Sequence[int]],
    ) -> int | None:
        """
        Return the id of a variable's type.

        :param address: of the symbol; tells variables of one name apart.
        :param address_of: addresses of all symbols of a name.
        :return: None if the file does not have it, or several that cannot be told apart.
        """
        ids = [i for i in self.btf.types_by_name(name, (Kind.VAR,)) if i >= self.btf.start_id]
        found = {self._type(i) for i in ids}
        if len(found) <= 1:
            return next(iter(found), None)
        here = {self._type(i) for i in ids if self._is_at(i, address, address_of)}
        return next(iter(here)) if len(here) == 1 else None

    def _type(self, var_id: int) -> int:
        var = self.btf.type_by_id(var_id)
        assert isinstance(var, kinds.Var)
        return var.type

    def _is_at(self, var_id: int, address: int, address_of: Callable[[str], Sequence[int]]) -> bool:
        """Whether a VAR is at an address, by a neighbour in its section with a unique name."""
        if self._places is None:
            self._places = self._read_places()
        place = self._places.get(var_id)
        if place is None:
            return False
        section, offset = place
        for other, (other_section, other_offset) in self._places.items():
            if other_section != section:
                continue
            name = self.btf.name_of(other)
            addresses = address_of(name)
            if len(addresses) == 1 and len(self.btf.types_by_name(name, (Kind.VAR,))) == 1:
                return addresses[0] - other_offset + offset == address
        return False

    def _read_places(self) -> dict[int, tuple[str, int]]:
        places = {}
        for id_ in self.btf.own_ids():
            if self.btf.kind_of(id_) == Kind.DATASEC:
                section = self.btf.type_by_id(id_)
                assert isinstance(section, kinds.Datasec)
                for var in section.vars:
                    places[int(var.type)] = (section.name, var.offset)
        return places


def _find_tag(btf: Btf) -> re.Match[str] | None:
    """The tag is the last type that the encoder writes; others may have added more."""
    for id_ in reversed(btf.own_ids()):
        if btf.kind_of(id_) == Kind.DECL_TAG:
            tag = btf.type_by_id(id_)
            match = _TAG.fullmatch(tag.name)
            if match is not None:
                return match
    return None
