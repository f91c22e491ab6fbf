"""What judging types may ask of one kernel: values that are handed around whole.

Owns :class:`DumpEvidence`, what a caller knows of a dump, and :class:`ImageFacts`, what
the first lookup makes of it. Neither reads anything before it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from drgn import Type

from btfdbg.arch import CACHE_LINE
from btfdbg.btf import Btf
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vardb.textdb import TrailingZeros
from btfdbg.variables.contents import Contents
from btfdbg.variables.extra import ExtraBtf
from btfdbg.variables.parameters import Parameter
from btfdbg.variables.placement import SectionMap
from btfdbg.variables.structural_index import StructuralIndex
from btfdbg.variables.symbols import Symbol, Symbols


class CodeType(Protocol):
    """
    What the code says of a variable.

    Its type as C writes it, which code says so, up to which of its bytes the code goes, whether
    all code that names the variable stays within the type, and whether it may be an array of
    one such as well.
    """

    @property
    def type(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def reach(self) -> int: ...
    @property
    def alone(self) -> bool: ...
    @property
    def or_table(self) -> bool: ...


class Accesses(Protocol):
    """
    What the code does at a variable's address.

    The sizes in bytes of what it reads and writes, those in which it tests or sets bits, how far
    behind it goes, whether it adds an index to the address, whether it adds to what stands there
    in one step that other CPUs see as one, or otherwise, whether it goes where the value that it
    read there leads, and the functions that are passed the address as their first argument.
    """

    @property
    def sizes(self) -> frozenset[int]: ...
    @property
    def bits(self) -> frozenset[int]: ...
    @property
    def behind(self) -> int: ...
    @property
    def is_indexed(self) -> bool: ...
    @property
    def is_counted(self) -> bool: ...
    @property
    def is_added(self) -> bool: ...
    @property
    def is_followed(self) -> bool: ...
    @property
    def passed(self) -> frozenset[int]: ...


def _no_arguments(name: str) -> int | None:
    return None


def _anywhere(address: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class DumpEvidence:
    """
    One kernel, or one of its modules.

    :ivar symbols: its symbols.
    :ivar release: as ``uname -r`` prints it.
    :ivar architecture: as ``uname -m`` prints it.
    :ivar module: name of the module whose variables are asked for, "" for the kernel.
    :ivar btf: gives the BTF in which types must exist in every detail.
    :ivar extra: gives the extra BTF of this kernel, if there is one.
    :ivar convert: makes a type out of an id of extra BTF.
    :ivar exact_sizes: the symbols' sizes are their own (a module's ``st_size``).
    :ivar symbol_at: the symbol that covers an address, for what contents say of types.
    :ivar code: what this dump's code says of a variable that nothing else knows.
    :ivar asks_code: whether ``code`` and ``bears_out`` may be asked now.
    :ivar parameters: a module's parameters, by the addresses of their variables.
    :ivar bears_out: what in this dump's code and memory speaks for a type (of an array, of its
        elements) that other kernels have, in words, "" if nothing does; and the number of
        elements that memory shows, 0 if it does not.
    :ivar accesses: what this dump's code does at a variable's address, None if it is not known.
    :ivar expect_accesses: is told, where several variables are judged, which are asked for next.
    """

    symbols: Symbols
    release: str
    architecture: str
    module: str = ""
    btf: Callable[[], Btf] | None = None
    extra: Callable[[], ExtraBtf | None] | None = None
    convert: Callable[[Btf, int], Type] | None = None
    exact_sizes: bool = False
    symbol_at: Callable[[int], Symbol | None] | None = None
    code: Callable[[Symbol], CodeType | None] | None = None
    asks_code: Callable[[], bool] = lambda: True
    parameters: Callable[[], Mapping[int, Parameter]] | None = None
    bears_out: Callable[[Symbol, Type, bool], tuple[str, int]] | None = None
    accesses: Callable[[Symbol], Accesses | None] | None = None
    expect_accesses: Callable[[Sequence[Symbol]], None] | None = None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """
    What speaks for or against a type at an address.

    :ivar places: the kinds of memory.
    :ivar tails: how the arrays of a type usually end.
    :ivar read: reads memory of the dump; raises :class:`drgn.FaultError`.
    :ivar constant: value of an enumerator; raises :class:`LookupError`.
    :ivar exact_sizes: a symbol's size is its own, not the distance to the next one.
    :ivar cache_line: bytes; the largest alignment that variables commonly ask for.
    :ivar small_data: bytes up to which a constant may be among the writable data.
    :ivar shapes: the types of the kernel's BTF by structure.
    :ivar contents: says what memory speaks against a type.
    :ivar parameters: the variables behind the kernel's parameters, by address.
    :ivar arguments: how many arguments a system call has that an array is named for.
    :ivar ends_at: whether a section ends, or another begins, at an address.
    """

    places: SectionMap
    tails: Mapping[str, TrailingZeros]
    read: Callable[[int, int], bytes]
    constant: Callable[[str], int]
    exact_sizes: bool = False
    cache_line: int = CACHE_LINE
    small_data: int = 0
    shapes: StructuralIndex | None = None
    contents: Contents | None = None
    parameters: Callable[[], Mapping[int, Parameter]] | None = None
    arguments: Callable[[str], int | None] = _no_arguments
    ends_at: Callable[[int], bool] = _anywhere
