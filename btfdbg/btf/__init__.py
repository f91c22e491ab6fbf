"""BTF, the kernel's own type information: read, written, compared. Pure Python.

``Btf.parse(data, base)`` views bytes lazily; ``kinds`` has a class per kind; ids and
not references link them. Bytes in, values out: nothing here opens a file, prints,
or knows a debugger.
"""

from __future__ import annotations

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf, BytesLike
from btfdbg.btf.format import Kind, StrOff, TypeId

__all__ = ["Btf", "BytesLike", "Kind", "StrOff", "TypeId", "kinds"]
