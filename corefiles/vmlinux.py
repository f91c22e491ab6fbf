"""
An ELF file with a kernel's BTF, taken out of the image that boots.

Why: building a module with BTF needs the kernel's own BTF, and the package with
debug information is a thousand times the size.
Facts: Documentation/arch/x86/boot.rst (payload of a bzImage); the compressed
payload of each architecture starts with its compressor's magic; struct
btf_header in include/uapi/linux/btf.h.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

_MAGIC_GZIP = b"\x1f\x8b\x08"
_MAGICS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
    b"\xfd7zXZ\0": "xz",
    _MAGIC_GZIP: "gzip",
}
_MAX_SIZE = 256 << 20


def _expand(kind: str, data: bytes) -> bytes:
    """Decompress what is there; trailing bytes of the image are no error."""
    if kind == "gzip":
        try:
            return zlib.decompressobj(wbits=31).decompress(data, _MAX_SIZE)
        except zlib.error:
            return b""
    if kind == "xz":
        try:
            return lzma.LZMADecompressor().decompress(data, _MAX_SIZE)
        except lzma.LZMAError:
            return b""
    if shutil.which(kind) is None:
        return b""
    return subprocess.run([kind, "-dcq"], input=data, capture_output=True, check=False).stdout


def _payloads(image: bytes) -> Iterator[bytes]:
    yield image
    for magic, kind in _MAGICS.items():
        at = image.find(magic)
        tries = 0
        while at >= 0 and tries < 8:
            expanded = _expand(kind, image[at:])
            if len(expanded) > len(image) // 2:
                yield expanded
            tries += 1
            at = image.find(magic, at + 1)


def find_btf(data: bytes) -> bytes:
    """
    Find the largest BTF in uncompressed kernel bytes.

    :return: Its bytes, or none.
    """
    best = b""
    for order, magic in (("<", b"\x9f\xeb\x01\x00"), (">", b"\xeb\x9f\x01\x00")):
        at = data.find(magic)
        while at >= 0:
            if at + 24 <= len(data):
                header_size, type_off, type_size, str_off, str_size = struct.unpack_from(
                    f"{order}5I", data, at + 4
                )
                end = at + header_size + str_off + str_size
                strings = at + header_size + str_off
                if (
                    header_size in (24, 32)
                    and type_off == 0
                    and type_size <= str_off
                    and end <= len(data)
                    and data[strings : strings + 1] == b"\0"
                    and end - at > len(best)
                ):
                    best = data[at:end]
            at = data.find(magic, at + 4)
    return best


def with_btf(image: Path, out: Path) -> Path | None:
    """
    Write a file from which pahole and resolve_btfids can read a kernel's BTF.

    :return: ``out``, or ``None`` when the kernel has no BTF.
    """
    data = image.read_bytes()
    if data.startswith(_MAGIC_GZIP):
        data = gzip.decompress(data)
    for payload in _payloads(data):
        btf = find_btf(payload)
        if len(btf) > 1 << 20:
            out.write_bytes(payload if payload.startswith(b"\x7fELF") else btf)
            return out
    return None
