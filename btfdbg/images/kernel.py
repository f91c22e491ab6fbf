"""Kernel images: from vmlinuz to the BTF inside.

Owns the way from a bootable image to the bytes of ``.BTF``: find the compressed
kernel, unpack it, find the BTF in what comes out. What comes out is an ELF file on
x86 and a flat image elsewhere, in which BTF is recognised by its header.

Why by search and not by each boot protocol's header: protocols are many and change
(bzImage, arm64 and riscv Image.gz, EFI zboot, s390's own), while compressed streams
and BTF announce themselves. A candidate counts only if it parses from end to end.
Facts: Documentation/arch/x86/boot.rst; drivers/firmware/efi/libstub/zboot-header.S.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from btfdbg.btf.btf import Btf
from btfdbg.btf.format import HEADER_LEN, HEADER_LEN_LAYOUT
from btfdbg.btf.header import ByteOrder, Header
from btfdbg.errors import BtfFormatError, ImageError
from btfdbg.images import elf
from btfdbg.images.compressed import FORMATS, LIMIT, decompress

# A kernel has 70,000 types or more; a test program's BTF inside of one, a few hundred.
_FEW_TYPES: Final = 1000
# Streams tried per format: most hits are chance, and fail at once.
_TRIES: Final = 64
# Bytes unpacked in all before the search is given up.
_BUDGET: Final = 1 << 30
# Less than this is not a kernel.
_SMALL: Final = 1 << 20


def find_btf(data: bytes) -> bytes | None:
    """
    Return the largest base BTF that stands in data, or ``None``.

    :param data: A flat image, as loaded into memory.
    """
    best = b""
    orders: tuple[ByteOrder, ...] = ("little", "big")
    # Up to type_off, which is 0 in all BTF that is found in kernels.
    heads = [
        Header(order, hdr_len=hdr_len).pack()[:12]
        for order in orders
        for hdr_len in (HEADER_LEN, HEADER_LEN_LAYOUT)
    ]
    view = memoryview(data)
    for head in heads:
        at = data.find(head)
        tries = 0
        while at >= 0 and tries < _TRIES:
            tries += 1
            blob = _btf_at(view[at:])
            if blob is not None and len(blob) > len(best):
                best = blob
            at = data.find(head, at + (len(blob) if blob else 4))
    return best or None


def _btf_at(view: memoryview) -> bytes | None:
    try:
        blob = bytes(view[: Header.parse(view).end])
        btf = Btf.parse(blob)
    except BtfFormatError:
        return None
    return blob if len(btf.offsets) >= _FEW_TYPES else None


def payloads(data: bytes) -> Iterator[bytes]:
    """Yield what the compressed streams in an image unpack to, likely ones first."""
    budget = _BUDGET
    view = memoryview(data)
    for _, magic, _ in FORMATS:
        if len(magic) < 3:
            continue
        at = data.find(magic)
        tries = 0
        while at >= 0 and tries < _TRIES and budget > 0:
            tries += 1
            try:
                out = decompress(view[at:], min(LIMIT, budget))
            except ImageError:
                budget -= _SMALL  # an attempt costs, even if nothing came out
            else:
                budget -= len(out)
                if len(out) >= _SMALL:
                    yield out
            at = data.find(magic, at + 1)


def _btf_of_image(image: bytes) -> bytes | None:
    if image[:4] == elf.MAGIC:
        try:
            found = elf.sections(image, (".BTF",)).get(".BTF")
        except ImageError:
            found = None
        if found:
            return found
    return find_btf(image)


def btf_of_kernel(data: bytes) -> bytes:
    """
    Return the BTF blob of a kernel image.

    :param data: vmlinuz of any architecture, or an unpacked kernel.
    :raises ImageError: there is no kernel with BTF in it.
    """
    found = _btf_of_image(data)
    if found is not None:
        return found
    unpacked = 0
    for image in payloads(data):
        found = _btf_of_image(image)
        if found is not None:
            return found
        unpacked += 1
    raise ImageError(
        f"no BTF in this image ({unpacked} compressed parts unpacked); "
        "was the kernel built with CONFIG_DEBUG_INFO_BTF?"
    )
