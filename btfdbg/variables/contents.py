"""What a variable's contents say against a type, or for one.

Owns the comparison of memory with layouts: a word that is the address of a function of
another prototype, an address where the type has no pointer, a small number where it has
one. Knows nothing of where proposals come from.

Contents only ever speak against a type: zeros fit every type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.kallsyms.choice import is_text
from btfdbg.variables.pointer_map import PointerMap, PointerMaps
from btfdbg.variables.prototypes import Prototypes, compatible

# Pointers to per-CPU data are offsets (on x86-64 up to v6.15 from 0): neither tiny nor huge
# in the first chunk. Those of later chunks (mm/percpu-vm.c) are from anywhere in vmalloc's
# space, less where the first chunk is: only memory tells them from numbers.
_SMALL = 0x1000
_LARGEST_PERCPU = 1 << 24
_NUMBERS = (Kind.ENUM, Kind.ENUM64, Kind.PTR)


class Located(Protocol):
    """What is asked of the symbol at an address."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def type_letter(self) -> str: ...


class Contents:
    """
    Memory of variables as evidence.

    :param image: addresses of the kernel image.
    :param symbol_at: the symbol that covers an address.
    :param is_per_cpu: whether a CPU has memory at an offset, so that a word that is no
        address may point to per-CPU data.
    """

    def __init__(
        self,
        btf: Btf,
        image: range,
        symbol_at: Callable[[int], Located | None],
        is_per_cpu: Callable[[int], bool] = lambda _: False,
        is_constant: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._btf = btf
        self.pointer_size = btf.pointer_size
        self.words = PointerMaps(btf)
        self.prototypes = Prototypes(btf)
        self._image = image
        self._symbol_at = symbol_at
        self._is_per_cpu = is_per_cpu
        self._is_constant = is_constant
        self._order = "<" if btf.byteorder == "little" else ">"
        # Where the kernel has the upper half of the address space, pointers can be told
        # from numbers; s390x's kernel has an address space of its own.
        self._upper_half = 1 << 63 if image.start >= 1 << 63 else 0
        self._unpackers: dict[int, Callable[[bytes], tuple[int, ...]]] = {}
        # Operations are shared: the same function stands in many objects.
        self._judged: dict[tuple[int, int], str] = {}

    def number(self, type_id: int) -> tuple[int, bool] | None:
        """Size of a number or pointer and whether it is a bool; None if it is neither."""
        bare = self._btf.skip_mods_and_typedefs(type_id)
        kind = self._btf.kind_of(bare)
        if kind == Kind.INT:
            type_ = self._btf.type_by_id(bare)
            assert isinstance(type_, kinds.Int)
            return type_.size, type_.bool
        if kind in _NUMBERS:
            return self._btf.resolve_size(bare), False
        return None

    def target(self, address: int) -> Located | None:
        """The symbol of the kernel image that starts at an address."""
        if address not in self._image:
            return None
        symbol = self._symbol_at(address)
        return symbol if symbol is not None and symbol.address == address else None

    def word(self, data: bytes, offset: int) -> int:
        """The word at an offset."""
        (word,) = struct.unpack_from(f"{self._order}Q", data, offset)
        return int(word)

    def has_address(self, data: bytes, address: int) -> bool:
        """Whether there is an address of the kernel image among numbers, where one could be."""
        skip = -address % self.pointer_size
        data = data[skip:]
        words = self._words_of(data)
        return bool(self._upper_half) and any(word in self._image for word in words)

    def _words_of(self, data: bytes) -> tuple[int, ...]:
        """All whole words."""
        count = len(data) // 8
        unpack = self._unpackers.get(count)
        if unpack is None:
            unpack = self._unpackers[count] = struct.Struct(f"{self._order}{count}Q").unpack
        return unpack(data if len(data) == 8 * count else data[: 8 * count])

    def contradiction(self, layout: PointerMap, data: bytes) -> str:
        """
        Return what in the contents of one object speaks against its type, "" if nothing.

        :param data: as many bytes as the object has, or fewer.
        """
        if data.count(0) == len(data):
            return ""
        words = self._words_of(data)
        functions, pointers, other = layout.functions, layout.pointers, layout.other
        image = self._image if self._upper_half else range(0)
        for index, word in enumerate(words):
            if not word:
                continue
            offset = index * 8
            if offset in functions:
                why = self._against(word, functions[offset])
                if why:
                    return why.replace("{}", str(offset), 1)
            elif offset in pointers:
                if self._is_number(word) and not self._is_per_cpu(word):
                    return f"pointer at {offset} is {word:#x}"
            elif offset not in other and word in image:
                return f"address {word:#x} at {offset}"
        return ""

    def _against(self, word: int, proto: int) -> str:
        """What speaks against a word as such a pointer to functions; "{}" stands for where."""
        found = self._judged.get((word, proto))
        if found is None:
            found = self._judged[word, proto] = self._judge(word, proto)
        return found

    def _judge(self, word: int, proto: int) -> str:
        if self._is_number(word):
            return f"function pointer at {{}} is {word:#x}"
        if word not in self._image:
            return ""
        target = self._symbol_at(word)
        if target is None:
            # Strings have no names, and some tables of symbols end where they begin.
            return "function pointer at {} is a constant's" if self._is_constant(word) else ""
        if target.address != word:
            if is_text(target):
                return ""
            return f"function pointer at {{}} points into {target.name}"
        if not is_text(target):
            return f"function pointer at {{}} points to {target.name}"
        have = self.prototypes.of_function(target.name)
        wanted = self.prototypes.key(proto)
        if have and not any(compatible(wanted, other) for other in have):
            return f"{target.name} is of another prototype"
        return ""

    def _is_number(self, word: int) -> bool:
        """Whether a word that is not 0 cannot be a pointer."""
        return word < self._upper_half and not _SMALL <= word < _LARGEST_PERCPU
