"""Many modules' BTF, made up over a real kernel's.

Owns the making: each module has structs, typedefs and functions of its own that refer to
the kernel's types, as real ones do (a usual module has 50 to 500 types of its own).
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.program.attach import register
from btfdbg.program.convert import TypeConverter
from btfdbg.program.module_index import ModuleIndex
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core

TYPES = 60


def module_btf(base: Btf, number: int) -> bytes:
    """Split BTF of one module; every tenth struct has a name that other modules have too."""
    b = Builder(base=base)
    task = base.find_by_name_kind("task_struct", Kind.STRUCT)
    integer = base.find_by_name_kind("int", Kind.INT)
    pointer = b.add_ptr(task)
    for i in range(TYPES // 3):
        name = f"shared_{i}" if i % 10 == 0 else f"m{number}_struct_{i}"
        struct = b.add_struct(name, 16)
        b.add_field("owner", pointer, 0)
        b.add_field("count", integer, 64)
        b.add_typedef(f"m{number}_t{i}", struct)
        b.add_ptr(struct)
    return b.build()


class Made:
    """Converters of made-up modules over the kernel of a dump."""

    def __init__(self, core: str | Path) -> None:
        prog, info = open_core(core)
        self.session: Session = register(prog, None, info)
        converter = self.session.converter
        assert converter is not None
        self.vmlinux: TypeConverter = converter

    def blobs(self, count: int) -> list[bytes]:
        """Raw BTF of so many modules."""
        return [module_btf(self.vmlinux.btf, number) for number in range(count)]

    def converters(self, blobs: Sequence[bytes]) -> Iterator[TypeConverter]:
        """As ``ModuleBtfs.converters()`` gives them."""
        for blob in blobs:
            yield TypeConverter(
                self.session.prog, Btf.parse(blob, base=self.vmlinux.btf), self.vmlinux
            )

    def index(self, blobs: Sequence[bytes]) -> ModuleIndex:
        """The index by name over all of them."""
        return ModuleIndex(self.converters(blobs))


def costs_of_modules(
    core: str | Path, counts: Sequence[int]
) -> dict[str, list[tuple[int, float, float]]]:
    """Of parsing and of indexing that many: (count, processor seconds, MiB kept)."""
    made = Made(core)
    found: dict[str, list[tuple[int, float, float]]] = {"parse": [], "index": [], "one lookup": []}
    for count in counts:
        blobs = made.blobs(count)
        gc.collect()  # else the making's garbage is collected on the first count's account
        started = time.process_time()
        parsed = list(made.converters(blobs))
        found["parse"].append((count, time.process_time() - started, _kept(parsed)))
        gc.collect()
        started = time.process_time()
        index = ModuleIndex(parsed)
        index.types("m0_struct_1", (Kind.STRUCT,))
        found["index"].append((count, time.process_time() - started, _kept_by(made, blobs)))
        started = time.process_time()
        for number in range(count):
            assert index.types(f"m{number}_struct_1", (Kind.STRUCT,))
        found["one lookup"].append((count, time.process_time() - started, 0.0))
    return found


def _kept(parsed: Sequence[TypeConverter]) -> float:
    return sum(len(converter.btf.raw) for converter in parsed) / (1 << 20)


def _kept_by(made: Made, blobs: Sequence[bytes]) -> float:
    tracemalloc.start()
    try:
        index = made.index(blobs)
        index.types("m0_struct_1", (Kind.STRUCT,))
        return tracemalloc.get_traced_memory()[0] / (1 << 20)
    finally:
        tracemalloc.stop()
