"""Extra BTF: variables for a kernel's own BTF, in a file of their own.

Owns the proof that such a file belongs to a base, its discovery by build id, and the
lookup of variables in it. Knows nothing of how it is made (:mod:`.encode`).

The proof is a DECL_TAG on the file's first VAR: ``btfdbg.base sha256=HEX types=N``, the
digest of the base's bytes (of a module: vmlinux's and the module's) and the number of its
types, then ``build-id=HEX`` if known and ``module=NAME`` for a module. BTF itself has no
such link: ids and string offsets would silently mean something else.

A DECL_TAG ``btfdbg.type=TEXT`` on another VAR spells a type that BTF cannot say.

Folder: ``$XDG_DATA_HOME/btfdbg/btf-extra/BUILD-ID.btf`` (by default ``~/.local/share``),
then ``btfdbg/btf-extra`` in each of ``$XDG_DATA_DIRS``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import chain

from btfdbg.btf import Btf, Kind, TypeId, kinds
from btfdbg.btf.format import VERSION
from btfdbg.errors import BtfFormatError, DebugInfoError
from btfdbg.lazy_pattern import pattern
from btfdbg.variables.var_offsets import AddressesOf, VarOffsets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

TAG = "btfdbg.base"
_TAG = pattern(
    r"btfdbg\.base sha256=([0-9a-f]{64}) types=(\d+)(?: build-id=([0-9a-f]+))?(?: module=(\w+))?"
)
_OWNER = pattern(
    rb"btfdbg\.base sha256=[0-9a-f]{64} types=\d+(?: build-id=[0-9a-f]+)? module=(\w+)\0", re.ASCII
)
_TYPE_TAG = "btfdbg.type="
_BUILD_ID = pattern(r"[0-9a-f]{8,64}")
_MAX_FILE = 256 << 20
_VERSION_AT = 2


def base_tag(base: Btf, build_id: str = "", module: str = "") -> str:
    """
    Return the tag that ties extra BTF to its base.

    :param module: whose variables it has, "" for the kernel's.
    """
    text = f"{TAG} sha256={_digest(base)} types={base.type_cnt}"
    text += f" build-id={build_id}" if build_id else ""
    return f"{text} module={module}" if module else text


def type_tag(text: str) -> str:
    """Return the tag of a variable whose type BTF cannot say in full."""
    return _TYPE_TAG + text


def _digest(base: Btf) -> str:
    import hashlib  # with OpenSSL behind it, dearer than all else here

    digest = hashlib.sha256()
    for level in base.chain():
        digest.update(level.raw)
    return digest.hexdigest()


def find_file(build_id: str, folders: Iterable[Path] = ()) -> Path | None:
    """
    Return the extra BTF of a kernel or module with a build id, if there is one.

    :param folders: searched before the documented ones.
    """
    if not _BUILD_ID.fullmatch(build_id):
        return None
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    system = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    shared = [os.path.join(f, "btfdbg", "btf-extra") for f in (home, *system.split(":"))]
    for folder in chain(map(os.fspath, folders), shared):
        path = os.path.join(folder, f"{build_id}.btf")
        if os.path.isfile(path):
            from pathlib import Path

            return Path(path)
    return None


class ExtraBtf:
    """
    The variables of one extra BTF.

    :ivar btf: split BTF on top of the base.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._places = VarOffsets(btf)
        self._stated: dict[int, str] | None = None

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
            if data[_VERSION_AT] != VERSION:
                raise BtfFormatError(f"version {data[_VERSION_AT]} of BTF, expected {VERSION}")
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

    def find(self, name: str, address: int, addresses_of: AddressesOf) -> TypeId | None:
        """
        Return the VAR that a symbol is.

        :param address: of the symbol; tells variables of one name apart.
        :param addresses_of: addresses of all symbols of a name.
        :return: None if the file does not have it, or several that cannot be told apart.
        """
        return self._places.find(name, address, addresses_of)

    def type_of(self, name: str, address: int, addresses_of: AddressesOf) -> int | None:
        """Return the id of a variable's type; parameters as for :meth:`find`."""
        var_id = self.find(name, address, addresses_of)
        if var_id is None:
            return None
        var = self.btf.type_by_id(var_id)
        assert isinstance(var, kinds.Var)
        return var.type

    def stated(self, var_id: int) -> str | None:
        """
        Return a variable's type in the notation of :mod:`.cdecl`, where BTF cannot say it.

        BTF has one way to write ``[0]`` and ``[]``.
        """
        if self._stated is None:
            stated: dict[int, str] = {}
            for id_ in self.btf.own_ids():
                if self.btf.kind_of(id_) == Kind.DECL_TAG:
                    tag = self.btf.type_by_id(id_)
                    assert isinstance(tag, kinds.DeclTag)
                    if tag.name.startswith(_TYPE_TAG):
                        stated[int(tag.type)] = tag.name.removeprefix(_TYPE_TAG)
            self._stated = stated
        return self._stated.get(var_id)


class ExtraFiles:
    """
    Where extra BTF is: what the user gave, then the folders.

    :param given: files, of the kernel or of modules (they say which), and folders with
        BUILD-ID.btf in them.
    """

    def __init__(self, given: Iterable[Path] = ()) -> None:
        self._given = tuple(given)
        self._owners: dict[str, Path] | None = None
        self._problem: DebugInfoError | None = None

    def file_for(self, module: str, build_id: str) -> Path | None:
        """
        Return the file for the kernel or one of its modules, if there is one.

        :param module: "" for the kernel.
        :param build_id: in hexadecimal, "" if it is not known.
        :raises DebugInfoError: asked for the kernel's: something given is of no use.
        """
        if self._owners is None:
            self._owners = self._read_owners()
        if self._problem is not None and not module:
            raise self._problem
        folders = [path for path in self._given if path.is_dir()]
        return self._owners.get(module) or find_file(build_id, folders)

    def _read_owners(self) -> dict[str, Path]:
        owners: dict[str, Path] = {}
        for path in self._given:
            if path.is_dir():
                continue
            owner = _owner(path)
            what = ""
            if not path.exists():
                what = "no such file"
            elif owner in owners:
                of = f"module {owner}" if owner else "the kernel"
                what = f"{owners[owner]} was given for {of} already"
            if what:
                self._problem = DebugInfoError(f"{path}: {what}", step="btf-extra")
            else:
                owners[owner] = path
        return owners


def _owner(path: Path) -> str:
    """The module that a file says it is for, "" for the kernel or if it does not say."""
    try:
        if path.stat().st_size > _MAX_FILE:
            return ""
        match = _OWNER.search(path.read_bytes())
    except OSError:
        return ""  # who loads it says what is wrong
    return match[1].decode() if match is not None else ""


def _find_tag(btf: Btf) -> re.Match[str] | None:
    """The tag is the last type that the encoder writes; others may have added more."""
    for id_ in reversed(btf.own_ids()):
        if btf.kind_of(id_) == Kind.DECL_TAG:
            tag = btf.type_by_id(id_)
            match = _TAG.fullmatch(tag.name)
            if match is not None:
                return match
    return None
