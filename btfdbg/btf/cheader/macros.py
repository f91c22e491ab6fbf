"""Names that some compiler defines as macros by itself, and how a header gets around them.

Such a name is one of C: which compiler, for which target and with which options, makes a
number of it is not known where the header is written. It stays, for CO-RE finds a field by
it, and the header takes the macro away.

Facts: ``-E -dM`` of gcc 12 and of clang 19 for 21 targets; gcc's ``builtin_define_std``,
which makes ``linux``, ``__linux`` and ``__linux__`` of one word.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# With -std=gnu…: a header that needs one of these does not compile with -std=c… either.
_WORDS = [
    "AVR",
    "MIPSEB",
    "MIPSEL",
    "MSP430",
    "PPC",
    "hppa",
    "i386",
    "linux",
    "m68k",
    "mc68000",
    "mc68020",
    "mips",
    "powerpc",
    "sparc",
    "unix",
]
# Of those that do not end in two underscores. Headers ask for these.
_RESERVED = [f"__{word}" for word in _WORDS] + [
    "__amd64",
    "__arm",
    "__corei7",
    "__k8",
    "__mips64",
    "__nocona",
    "__pentium4",
    "__s390x",
    "__sparcv9",
    "__x86_64",
    "_ABI64",
    "_ABIN32",
    "_ABIO32",
    "_ARCH_PPC",
    "_ARCH_PPC64",
    "_BIG_ENDIAN",
    "_CALL_ELF",
    "_CALL_LINUX",
    "_ILP32",
    "_LITTLE_ENDIAN",
    "_LP64",
    "_MIPSEB",
    "_MIPSEL",
    "_MIPS_ARCH",
    "_MIPS_FPSET",
    "_MIPS_ISA",
    "_MIPS_SIM",
    "_MIPS_SPFPSET",
    "_MIPS_SZINT",
    "_MIPS_SZLONG",
    "_MIPS_SZPTR",
    "_mips",
]
_FREE = frozenset(word.encode() for word in _WORDS)
#: Macros that do not have the form ``__x86_64__``.
KNOWN = _FREE.union(word.encode() for word in _RESERVED)
#: What the header itself asks for; a type or member of this name gets another.
OWN = frozenset({"__GNUC__", "__STDC_VERSION__", "__VMLINUX_H__", "__clang__", "__clang_major__"})
# What a compiler cannot let go is renamed, too (``KEYWORDS``).
_LASTING = frozenset(word.encode() for word in OWN)


def macros_in(data: bytes, words: set[bytes]) -> set[str]:
    """
    Return which strings may be macros: known ones, and all of the form ``__x86_64__``.

    :param data: The strings, each with a NUL at its end.
    :param words: Those of them that are in :data:`KNOWN`; others do not matter.
    """
    found = set(KNOWN & words)
    at = data.find(b"__\0")
    while at >= 0:
        start = data.rfind(b"\0", 0, at) + 1
        if data.startswith(b"__", start) and at > start:
            found.add(data[start : at + 2])
        at = data.find(b"__\0", at + 3)
    return {word.decode("ascii") for word in found - _LASTING if word.isascii()}


def without(macros: Iterable[str]) -> Iterator[str]:
    """
    Return the lines before what has these names.

    What no compiler defines with ``-std=c11`` stays away, so that a program can name it; what
    headers ask for comes back, see :func:`again`.
    """
    for name in macros:
        if name.encode() not in _FREE:
            yield f'#pragma push_macro("{name}")\n'
        yield f"#undef {name}\n"


def again(macros: Iterable[str]) -> Iterator[str]:
    """Return the lines behind what has these names."""
    for name in macros:
        if name.encode() not in _FREE:
            yield f'#pragma pop_macro("{name}")\n'
