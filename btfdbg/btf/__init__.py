"""BTF, the kernel's own type information: read, written, compared. Pure Python.

``Btf.parse(data, base)`` views bytes lazily; ``kinds`` has a class per kind; ids and
not references link them. Bytes in, values out: nothing here opens a file, prints,
or knows a debugger. In reading order:

* the format: ``layouts`` (its numbers, a row per kind), ``format`` (the same as enums),
  ``kinds`` (a class per kind), ``fields`` (the numbers in one record's words);
* reading: ``header``, ``index`` (where the records are), ``strings``, ``btf`` (the view over
  all that), ``decode`` (a record into a value), ``names``, ``nametable``, ``members``,
  ``sizing``, ``enumerators``, ``known`` (what was found out before), ``btfext`` (.BTF.ext);
* writing: ``encode`` (a value into a record), ``string_table``, ``builder``, ``records``,
  ``roles`` (many of these at once), ``order``, ``pack`` (sections into bytes);
* asking: ``find``, ``holes``, ``fingerprint``, ``encoder`` (what old encoders left out),
  ``comparable``, ``diff``;
* other blobs out of one: ``dedup/``, ``merge``, ``distill``, ``base_match``, ``relocate``,
  ``downlevel``, ``minimize``, ``core_relo`` (CO-RE), ``loader`` (what a BPF loader makes of it);
* as text: ``cheader/`` (C), ``text/`` (raw, JSON, volatility's); ``validate/`` (what is wrong).
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import StrOff, TypeId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from btfdbg.btf import kinds
    from btfdbg.btf.btf import BytesLike
    from btfdbg.btf.builder import Builder
    from btfdbg.btf.format import Kind

__all__ = ["Btf", "Builder", "BytesLike", "Kind", "StrOff", "TypeId", "kinds"]


def __getattr__(name: str) -> Any:
    # On first use, because making the classes takes longer than a dump needs.
    if name == "Builder":
        from btfdbg.btf.builder import Builder

        return Builder
    if name == "Kind":
        from btfdbg.btf.format import Kind

        return Kind
    if name == "BytesLike":
        return "bytes | bytearray | memoryview | mmap"
    if name == "kinds":
        from importlib import import_module

        return import_module("btfdbg.btf.kinds")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
