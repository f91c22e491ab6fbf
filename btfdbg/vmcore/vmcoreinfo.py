"""VMCOREINFO text: bytes in, values out.

Owns the notation of the kernel's VMCOREINFO note and nothing else. The openers of this
folder find the text (in an ELF note, in memory, in the user's file); whoever asks for a
value knows what it means.
Every line is optional and any line may be garbage: a dump is not trusted.

Facts: include/linux/vmcore_info.h and kernel/vmcore_info.c in the kernel
(kernel/crash_core.c before 6.9); arch_crash_save_vmcoreinfo() of each
architecture for the ``NUMBER()`` lines, which are decimal or ``0x`` hex.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern

# The kernel reserves one page for the text (4 KiB, 64 KiB with such pages).
MAX_BYTES = 1 << 16

_CALL = pattern(r"(SYMBOL|OFFSET|SIZE|LENGTH|NUMBER)\(([^()]{1,255})\)")
_MASK64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class VmcoreInfo:
    """
    The lines of one VMCOREINFO text, sorted by what they say.

    A key that occurs twice keeps its first value; a line whose value is not a
    number where one is due is left out.

    :ivar raw: The text as given, up to its first NUL byte.
    :ivar values: ``KEY=VALUE`` lines that are not one of the calls below.
    :ivar symbols: ``SYMBOL(x)``: virtual addresses, KASLR applied.
    :ivar offsets: ``OFFSET(struct.member)`` in bytes.
    :ivar sizes: ``SIZE(x)`` in bytes.
    :ivar lengths: ``LENGTH(x)`` in elements.
    :ivar numbers: ``NUMBER(x)``, signed as printed.
    """

    raw: bytes
    values: Mapping[str, str]
    symbols: Mapping[str, int]
    offsets: Mapping[str, int]
    sizes: Mapping[str, int]
    lengths: Mapping[str, int]
    numbers: Mapping[str, int]

    @classmethod
    def parse(cls, data: bytes) -> VmcoreInfo:
        """
        Read a VMCOREINFO text. Never fails: what is not understood is left out.

        :param data: The text; anything after a NUL byte or after
            :data:`MAX_BYTES` is not looked at.
        """
        return cls._parse(bytes(data[:MAX_BYTES]).split(b"\0", 1)[0])

    @classmethod
    @lru_cache(maxsize=4)  # opening a dump asks for the same text again and again
    def _parse(cls, raw: bytes) -> VmcoreInfo:
        values: dict[str, str] = {}
        calls: dict[str, dict[str, int]] = {
            "SYMBOL": {},
            "OFFSET": {},
            "SIZE": {},
            "LENGTH": {},
            "NUMBER": {},
        }
        for line in raw.decode("ascii", "replace").split("\n"):
            key, equals, text = line.partition("=")
            if not equals:
                continue
            call = _CALL.fullmatch(key)
            if call is None:
                values.setdefault(key, text)
                continue
            which, name = call.groups()
            number = _hex(text) if which == "SYMBOL" else _number(text)
            if number is not None:
                calls[which].setdefault(name, number)
        return cls(
            raw,
            MappingProxyType(values),
            MappingProxyType(calls["SYMBOL"]),
            MappingProxyType(calls["OFFSET"]),
            MappingProxyType(calls["SIZE"]),
            MappingProxyType(calls["LENGTH"]),
            MappingProxyType(calls["NUMBER"]),
        )

    @property
    def release(self) -> str:
        """``uname -r`` of the crashed kernel, or an empty string."""
        return self.values.get("OSRELEASE", "")

    @property
    def build_id(self) -> str:
        """Build id of vmlinux in hex (in the note since 5.9), or an empty string."""
        text = self.values.get("BUILD-ID", "")
        return text if 2 <= len(text) <= 128 and _HEX.issuperset(text) else ""

    @property
    def page_size(self) -> int:
        """Bytes of a page; 0 if missing or not a power of two of a sane size."""
        size = _number(self.values.get("PAGESIZE", "")) or 0
        return size if 4096 <= size <= 1 << 18 and size & (size - 1) == 0 else 0

    @property
    def kernel_offset(self) -> int | None:
        """KASLR displacement of the kernel image in bytes, modulo 2**64."""
        return _hex(self.values.get("KERNELOFFSET", ""))


# Sets and not patterns: to compile those takes longer than to read the whole note.
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")
_ANY_HEX = _HEX | frozenset("ABCDEF")


def _hex(text: str) -> int | None:
    """A ``%lx`` value of at most 64 bits."""
    digits = text.strip().removeprefix("0x")
    if not 0 < len(digits) <= 16 or not _ANY_HEX.issuperset(digits):
        return None
    return int(digits, 16) & _MASK64


def _number(text: str) -> int | None:
    """A ``%ld`` or ``0x%lx`` value of at most 64 bits."""
    text = text.strip()
    digits = text.removeprefix("-")
    if 0 < len(digits) <= 20 and _DIGITS.issuperset(digits):
        return int(text)
    return _hex(text) if text.startswith("0x") else None
