"""BTF out of files of any kind, and back into modules.

Owns the choice by content, never by file name: raw BTF, ELF (vmlinux, module, BPF
object), any of these compressed, or a kernel image. Dumps are recognised here so
that callers can send them elsewhere, but read by ``vmcore``.
"""

from __future__ import annotations

import os

from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import MAGIC_BYTES
from btfdbg.errors import ImageError
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Final

_ELF_MAGIC: Final = b"\x7fELF"
_DUMP_MAGICS: Final = (
    b"KDUMP   ",
    b"DISKDUMP",
    b"makedumpfile\0",
    b"EMiL",
    b"PAGEDUMP",
    b"PAGEDU64",
)
# Largest file read whole; larger ones must be ELF, of which sections are read.
_WHOLE: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class BtfBlobs:
    """
    What a file holds.

    :ivar btf: Contents of ``.BTF``, or the raw file.
    :ivar base: Contents of ``.BTF.base``, the distilled base that a module may carry.
    """

    btf: bytes
    base: bytes | None = None


def is_dump(head: bytes) -> bool:
    """Return whether a file that starts so is a crash dump rather than an image."""
    if head[:4] != _ELF_MAGIC:
        return head.startswith(_DUMP_MAGICS)
    from btfdbg.images import elf

    return elf.is_core(head)


def read_head(path: str | os.PathLike[str]) -> bytes:
    """
    Return the first 64 bytes of a file.

    :raises ImageError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise ImageError(f"{os.fspath(path)}: {error.strerror}") from None


def read_blobs(path: str | os.PathLike[str]) -> BtfBlobs:
    """
    Return the BTF in a file.

    :param path: Raw BTF, ELF, kernel image, or one of these compressed.
    :raises ImageError: it cannot be read or holds none.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:4] == _ELF_MAGIC:
                blobs = _of_mapped_elf(file.fileno())
                if blobs is not None:
                    return blobs
            size = os.fstat(file.fileno()).st_size
            if len(head) < size <= _WHOLE and file.seekable():
                file.seek(0)
                data = file.read(size)
            else:
                data = head + file.read(_WHOLE + 1)
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or error}") from None
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    if len(data) > _WHOLE:
        raise ImageError(f"{name}: larger than {_WHOLE >> 20} MiB and no ELF file with .BTF")
    try:
        return blobs_of(data)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def _of_mapped_elf(fd: int) -> BtfBlobs | None:
    """Return what an ELF file's sections hold; a vmlinux with DWARF is too big to read."""
    from mmap import ACCESS_READ, mmap

    try:
        mapping = mmap(fd, 0, access=ACCESS_READ)
    except (OSError, ValueError):
        return None  # a pipe: read instead
    with mapping:
        return _of_elf(mapping)


def _of_elf(data: bytes | mmap) -> BtfBlobs | None:
    from btfdbg.images import elf

    found = elf.sections(data, (".BTF", ".BTF.base"))
    return BtfBlobs(found[".BTF"], found.get(".BTF.base")) if ".BTF" in found else None


def blobs_of(data: bytes) -> BtfBlobs:
    """
    Return the BTF in the contents of a file; see :func:`read_blobs`.

    :raises ImageError: there is none.
    """
    if not data:
        raise ImageError("file is empty")
    if data[:2] in MAGIC_BYTES.values():
        return BtfBlobs(data)
    from btfdbg.images import compressed

    if compressed.format_of(data):
        inner = compressed.decompress(data)
        if compressed.format_of(inner):
            raise ImageError("compressed twice")
        return blobs_of(inner)
    if is_dump(data[:64]):
        raise ImageError("this is a dump, not an image")
    if data[:4] == _ELF_MAGIC:
        blobs = _of_elf(data)
        if blobs is not None:
            return blobs
    from btfdbg.images.kernel import btf_of_kernel

    try:
        return BtfBlobs(btf_of_kernel(data))
    except ImageError:
        if len(data) >= 1 << 20:
            raise
        raise ImageError("no BTF in it") from None


def load_btf(path: str | os.PathLike[str], base: Btf | None = None) -> Btf:
    """
    Return the BTF in a file.

    :param base: What a module's BTF is split on top of. A module that carries its own
        distilled base (``.BTF.base``) is relocated onto it; without ``base`` it keeps
        the distilled one.
    :raises ImageError: the file cannot be read or holds no BTF.
    :raises BtfFormatError: the BTF is malformed, or split and without its base.
    :raises BtfRelocateError: the distilled base does not fit ``base``.
    """
    return parse_blobs(read_blobs(path), base)


def parse_blobs(blobs: BtfBlobs, base: Btf | None = None) -> Btf:
    """Return what blobs hold, parsed; ``base`` and errors as for :func:`load_btf`."""
    if blobs.base is None:
        return Btf.parse(blobs.btf, base)
    split = Btf.parse(blobs.btf, Btf.parse(blobs.base))
    if base is None:
        return split
    from btfdbg.btf.relocate import relocate

    return relocate(split, base)
