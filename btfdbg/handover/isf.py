"""A dump's own symbol table for volatility3: ``btfdbg isf CORE -o FILE``.

Owns what goes into the table and how the file is written. ISF itself is
:mod:`btfdbg.btf.text.isf`'s.

Facts: volatility3 adds the displacement of KASLR itself and so wants link-time addresses
(framework/automagic/linux.py); it knows a dump by ``linux_banner``'s bytes, and reads
``.json``, ``.json.xz``, ``.json.gz`` and ``.json.bz2``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from btfdbg import __version__
from btfdbg.btf import Kind, kinds
from btfdbg.btf.text.isf import Json, to_isf
from btfdbg.errors import DebugInfoError
from btfdbg.handover.kernel import gather
from btfdbg.kallsyms.choice import unique_symbol
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import bz2
    import gzip
    import lzma

    from btfdbg.btf import Btf
    from btfdbg.kallsyms.model import Sym
    from btfdbg.program.session import Session

# The table is some 20 MB of text. Level 1 takes 1.6 times as long for a sixteenth less, the
# highest ten times for a fifth.
_XZ_PRESET = 0
_DWARF2JSON = "0.9.0"
"""
The first that volatility3 2.28 neither refuses nor warns of: ``linux.hidden_modules`` wants 0.8.0,
and of less than 0.9.0 it says for a kernel with Rust that types may be wrong.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """
    What a table holds.

    :ivar symbols: Names with an address.
    :ivar typed: Of these, variables whose type is known.
    :ivar shared: Names that several symbols have; the table has room for one, which is the
        global one, or the first by address without a type.
    :ivar tables: kallsyms' own tables, as far as they were found.
    :ivar banner: Whether the banner is known: without it volatility3 matches no dump.
    :ivar untyped: Data symbols of no known type.
    :ivar damaged: Types whose record in the dump breaks a rule: void to what refers to them.
    """

    symbols: int
    typed: int
    shared: int
    tables: int
    banner: bool
    untyped: int
    damaged: int


def table_of(session: Session) -> tuple[Json, Written]:
    """
    Return the ISF of a dump's kernel, ready for ``json.dump``, and what is in it.

    :raises DebugInfoError: the dump has no symbols or no BTF, or does not say how far the
        kernel was moved.
    """
    kernel = gather(session)
    names: dict[str, list[Sym]] = {}
    for sym in kernel.symbols:
        names.setdefault(sym.name, []).append(sym)
    addresses: dict[str, int] = {}
    types: dict[str, int] = {}
    shared = 0
    for name, syms in names.items():
        meant = unique_symbol(syms)
        shared += meant is None
        addresses[name] = kernel.link_address(meant or syms[0])
        if meant is not None:
            type_id = kernel.types.get((name, meant.address))
            if type_id is not None:
                types[name] = type_id
    for own in kernel.tables:
        addresses[own.name] = own.address - kernel.offset
        if (own.name, own.address) in kernel.types:
            types[own.name] = kernel.types[own.name, own.address]
    _name_core_timekeeper(kernel.btf, addresses, types)
    damaged: set[int] = set()
    table = to_isf(
        kernel.btf,
        addresses,
        types,
        banner=kernel.banner or None,
        version=__version__,
        symbol_name=f"kallsyms of {session.release}",
        damaged=damaged,
    )
    written = Written(
        len(addresses), len(types), shared, len(kernel.tables), bool(kernel.banner),
        kernel.untyped, len(damaged),
    )  # fmt: skip
    return table, written


def _name_core_timekeeper(btf: Btf, addresses: dict[str, int], types: dict[str, int]) -> None:
    """
    Add ``tk_core``, which C code still says and volatility3's boot time wants.

    It is a macro for ``timekeeper_data[TIMEKEEPER_CORE]`` since there are auxiliary timekeepers
    (kernel/time/timekeeping.c).
    """
    if "tk_core" in addresses or "timekeeper_data" not in types:
        return
    array = btf.type_by_id(btf.skip_mods_and_typedefs(types["timekeeper_data"]))
    ids = btf.types_by_name("timekeeper_ids", (Kind.ENUM,))
    numbers = btf.type_by_id(ids[0]) if len(ids) == 1 else None
    if (
        isinstance(array, kinds.Array)
        and btf.name_of(array.type) == "tk_data"
        and isinstance(numbers, kinds.Enum)
        and any(v.name == "TIMEKEEPER_CORE" and v.value == 0 for v in numbers.values)
    ):
        addresses["tk_core"] = addresses["timekeeper_data"]
        types["tk_core"] = array.type


def name_dwarf2json(table: Json) -> None:
    """
    Have a table name dwarf2json as its producer, and us beside it.

    volatility3's ``linux.hidden_modules`` means to refuse tables of dwarf2json before 0.8.0, and
    refuses those of all other programs too (2.28, ``verify_table_versions()`` by its inverse).
    Nothing else of volatility looks at the name, so it is not said unasked.
    """
    metadata = table["metadata"]
    made_by = metadata["producer"]
    metadata["producer"] = {
        "name": "dwarf2json",
        "version": _DWARF2JSON,
        "instead_of": f"{made_by['name']} {made_by['version']}",
    }


def write(table: Json, path: str) -> None:
    """
    Write a table; the name's end says how: ``.xz``, ``.gz``, ``.bz2`` or as it is.

    :raises DebugInfoError: the file cannot be written.
    """
    try:
        with _opener(path)() as f:
            write_to(f, table)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="isf") from e


def write_to(file: BinaryIO | gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File, table: Json) -> None:
    """
    Write a table as plain JSON.

    :raises OSError: it cannot be written.
    """
    # Whole, as json.dump() is many times slower: it writes each token by itself.
    file.write(json.dumps(table, separators=(",", ":")).encode("ascii"))


def _opener(path: str) -> Callable[[], BinaryIO | gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File]:
    end = os.path.splitext(path)[1]
    if end == ".xz":
        import lzma

        return lambda: lzma.open(path, "wb", preset=_XZ_PRESET)
    if end == ".gz":
        import gzip

        return lambda: gzip.open(path, "wb", compresslevel=6)
    if end == ".bz2":
        import bz2

        return lambda: bz2.open(path, "wb")
    return lambda: open(path, "wb")
