"""Kernel modules as files: what stands around the ELF.

Owns the signature that CONFIG_MODULE_SIG appends.
Facts: include/linux/module_signature.h.
"""

from __future__ import annotations

from typing import Final

_MARK: Final = b"~Module signature appended~\n"
_TRAILER: Final = 12  # struct module_signature, before the mark


def without_signature(data: bytes) -> bytes:
    """Return a module without the signature appended to it, if there is one."""
    end = len(data) - len(_MARK) - _TRAILER
    if end < 0 or not data.endswith(_MARK):
        return data
    signature = int.from_bytes(data[end + 8 : end + 12], "big")
    return data[: end - signature] if signature <= end else data
