"""Files that hold BTF: ELF, modules, kernel images; read, and modules written back.

Knows no drgn, and no dump but by its first bytes. pyelftools and the decompressors
load when a file needs them, the readers themselves when there is a file to read: a dump
needs the block decompressors only.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def __getattr__(name: str) -> Any:
    if name in __all__:
        from btfdbg.images import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
