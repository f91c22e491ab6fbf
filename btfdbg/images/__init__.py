"""Files that hold BTF: ELF, modules, kernel images; read, and modules written back.

Knows no drgn, and no dump but by its first bytes. pyelftools and the decompressors
load when a file needs them.
"""

from __future__ import annotations

from btfdbg.images.load import (
    BtfBlobs,
    blobs_of,
    is_dump,
    load_btf,
    parse_blobs,
    read_blobs,
    read_head,
)

__all__ = [
    "BtfBlobs",
    "blobs_of",
    "is_dump",
    "load_btf",
    "parse_blobs",
    "read_blobs",
    "read_head",
]
