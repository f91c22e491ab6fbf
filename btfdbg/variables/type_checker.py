"""The gates: whether a proposed type holds for a symbol of this dump.

Owns what speaks against a type: BTF that lacks it, an extent that it does not fit,
contents that contradict it. Knows nothing of where proposals come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import drgn
from drgn import Type, TypeKind

from btfdbg.cdecl import (
    QUALIFIERS,
    Array,
    CType,
    Named,
    Pointer,
    format_type,
    is_const,
    unqualified,
)
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables import macro_names
from btfdbg.variables.ahead import Ahead
from btfdbg.variables.convert import TypeBuilder, tree_of
from btfdbg.variables.evidence import ImageFacts
from btfdbg.variables.forms import Form, Forms, size_of
from btfdbg.variables.lengths import ArrayEvidence, array_length
from btfdbg.variables.placement import Extent, SectionKind, SizeFit, extent_at
from btfdbg.variables.policy import POLICY, Policy
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.symbols import Symbol

_WRITABLE = (SectionKind.WRITABLE, SectionKind.PERCPU, SectionKind.RO_AFTER_INIT)
_STATIC_KEYS = {"static_key_true": True, "static_key_false": False}
_KEY_SIZE = 16
_PAGE = 4096  # the smallest that there is
_BSS = "bB"
# include/linux/idr.h: whatever DEFINE_IDA() makes has flags from the start.
_NEVER_ZERO = ("ida",)
_CHAR = Named("", "char")
# Addresses of x86-64 and arm64 kernels, whose pointers can be told from other data.
_KERNEL_HALF = 0xFFFF_8000_0000_0000


class TypeChecker:
    """
    The gates: does a proposed type hold for a symbol?

    :param types: builds types from text.
    :param facts: what is known of the kernel's image.
    :param policy: what is taken for enough where nothing is proof.
    :ivar length_of: length of another array, by its name; None if it is not known.
    """

    def __init__(self, types: TypeBuilder, facts: ImageFacts, policy: Policy = POLICY) -> None:
        self._policy = policy
        self._arguments = facts.arguments
        self._parameters = facts.parameters
        self._words = facts.contents
        self._cache_line = facts.cache_line
        self._small_data = facts.small_data
        self._constant = facts.constant
        self.length_of: Callable[[str], int | None] = lambda name: None
        self._exact_sizes = facts.exact_sizes
        self._shapes = facts.shapes
        self._forms = Forms(types, facts.shapes, facts.contents)
        self._tails = facts.tails
        self._places = facts.places
        self._read = facts.read
        self._ends_at = facts.ends_at
        self._last: tuple[tuple[int, int], bytes | None] = ((0, 0), None)
        self._place: tuple[int, int, Extent] = (0, -1, Extent(None))

    @contextmanager
    def reading_ahead(self) -> Iterator[None]:
        """While it lasts contents are read in large pieces, for symbols asked by address."""
        if self._shapes is not None:
            self._shapes.expect_many()
        if self._words is not None:
            self._words.prototypes.expect_many()
        read = self._read
        self._read = Ahead(read).read
        try:
            yield
        finally:
            self._read = read

    def forget(self) -> None:
        """Free what was found out about types."""
        self._forms.forget()

    def size(self, text: str) -> int | None:
        """Bytes of a type without marks; None without a size, or if the kernel has none such."""
        return self._forms.of(text).size

    def tree(self, text: str) -> CType | None:
        """A type without marks, parsed; None if it cannot be."""
        return self._forms.of(text).tree

    def length(self, text: str) -> int | None:
        """Return the outermost array's length that a text states, None without one."""
        tree = self.tree(text) if "[" in text else None
        return tree.length if isinstance(tree, Array) else None

    def exists(self, tree: CType) -> bool:
        """Whether the kernel's BTF has a type; also where there is none to ask."""
        return self._shapes is None or self._shapes.exists(tree)

    def exists_as_written(self, text: str) -> bool:
        """As :meth:`exists`, of a type without marks."""
        tree = self.tree(text)
        return tree is not None and self.exists(tree)

    def are_alike_numbers(self, one: str, other: str) -> bool:
        """Whether types without marks are numbers or pointers of one size, both bool or neither."""
        numbers = self._forms.of(one).numbers, self._forms.of(other).numbers
        return None not in numbers[0] | numbers[1] and not numbers[0].isdisjoint(numbers[1])

    def is_parameter(self, type_: Type, symbol: Symbol) -> bool:
        """Whether the kernel's record of a parameter says that a variable is such a number."""
        found = None if self._parameters is None else self._parameters().get(symbol.address)
        return found is not None and self.are_alike_numbers(found.type, type_.type_name())

    def ids(self, tree: CType) -> frozenset[int]:
        """Return the ids of all types of a shape; none without a BTF."""
        return frozenset() if self._shapes is None else self._shapes.ids(tree)

    def is_member(self, tree: CType) -> bool:
        """Whether a member of a structure in the BTF is of a type."""
        return self._shapes is not None and self._shapes.is_member(tree)

    def lengths(self, text: str) -> frozenset[int]:
        """Return the lengths that arrays of a type have in the BTF."""
        form = self._forms.of(text)
        return (form.lengths or frozenset()) if form.tree is not None else frozenset()

    def check(
        self,
        text: str,
        symbol: Symbol,
        *,
        trusted: bool,
        open_ended: bool,
        other_lengths: frozenset[int],
        gap: bool,
        tail: int | None = None,
        doubt: bool = True,
        settled: bool = False,
        surrounded: bool = True,
    ) -> tuple[str, Type] | Rejection:
        """
        Return the type in the form that holds for the symbol, or why it does not.

        :param trusted: the text is of this very kernel: lengths and qualifiers included.
        :param open_ended: ``[]`` in the text stands for any length, not for an array that
            was declared without one.
        :param other_lengths: the lengths that kernels give an array of this name.
        :param gap: the symbol may have unnamed constants behind it.
        :param tail: all-zero elements at the end of such an array, if other kernels have
            another number than arrays of this type usually have.
        :param settled: it is the type of this name over many kernels.
        :param surrounded: older and newer kernels have it, so this one does.
        :param doubt: the contents could show that it is another type.
        """
        extent = self._extent(symbol)
        marked, form = self._forms.marked(text)
        if not open_ended and form.text.endswith("char []"):
            form = self._forms.of(self._sized_string(form.text, symbol, extent))
        if trusted:
            return self._fits(form, symbol, extent, gap=True, trusted=True)
        if form.tree is None:
            return Rejection.MISSING
        place = self._places.of(symbol.address)
        form = self._placed(form, marked, symbol, place)
        tree = form.tree
        if isinstance(tree, Array) and (tree.length is not None or open_ended):
            array = partial(
                self._array, form, symbol, extent, place, other_lengths, open_ended, settled,
                surrounded,
            )  # fmt: skip
            shorter = longer = 0
            if marked.tail is None and tail is not None:
                found = array(tail)
                if not isinstance(found, Rejection):
                    if (tree.length or 0) <= found[1].length:
                        return found
                    if tail == 0 and not settled:
                        shorter = found[1].length or 0
                elif tail > 1 and not surrounded and self._fills_exactly(form, symbol):
                    longer = tree.length or 0
            # The usual number of zeros at the end must not make an array shorter.
            found = array(marked.tail)
            if isinstance(found, Rejection):
                return found
            if tail == 1 and self._ends_full(found[1], symbol, place):
                return Rejection.LENGTH
            if (found[1].length or 0) < longer:
                return Rejection.LENGTH  # all that end otherwise, and one row sooner, are others
            if 0 < shorter < (found[1].length or 0):
                return Rejection.LENGTH  # its last element is empty, and nowhere else is one
            return found
        if not form.exists:
            return Rejection.MISSING
        if doubt and self._is_refuted(form, symbol, place, 1):
            return Rejection.CONTENTS
        return self._fits(form, symbol, extent, gap=gap, doubt=doubt, settled=settled)

    def _fills_exactly(self, form: Form, symbol: Symbol) -> bool:
        """Whether an array as long as a kernel has it leaves nothing of a symbol's room."""
        length = form.tree.length if isinstance(form.tree, Array) else None
        return bool(length) and (form.element.built_size or 0) * (length or 0) == symbol.size

    def _extent(self, symbol: Symbol) -> Extent:
        """A symbol's room; several types are held against one symbol after another."""
        address, size, extent = self._place
        if address != symbol.address or size != symbol.size:
            extent = extent_at(
                symbol.address, symbol.size, exact=self._exact_sizes, cache_line=self._cache_line
            )
            self._place = (symbol.address, symbol.size, extent)
        return extent

    def _placed(
        self, form: Form, marked: AnnotatedType, symbol: Symbol, place: SectionKind
    ) -> Form:
        """A type with ``const`` as its place has it."""
        if place is SectionKind.CONST:
            return form if marked.readonly or _may_be_unwritten(form, symbol) else form.const
        if place in _WRITABLE and not 0 < symbol.size <= self._small_data:
            return form.writable
        return form

    def open_array(self, text: str, symbol: Symbol) -> str | None:
        """
        An array's type without its length, if one element holds for a symbol.

        :return: ``None`` if the text is of no array, or its elements do not hold.
        """
        marked, form = self._forms.marked(text)
        if not isinstance(form.tree, Array) or not form.element.exists:
            return None
        size = form.element.built_size
        if not size or 0 < symbol.size < size:
            return None
        place = self._places.of(symbol.address)
        if self._is_refuted(form.element, symbol, place, 1):
            return None
        placed = self._placed(form, marked, symbol, place)
        if place is SectionKind.CONST and placed is not form:
            return None  # read-only here, and nowhere else: is it the same table at all?
        assert isinstance(placed.tree, Array)
        return format_type(replace(placed.tree, length=None))

    def may_be_array(self, text: str, symbol: Symbol) -> bool:
        """
        Whether an array whose length is in doubt may stand in a symbol's room all the same.

        :param text: ``struct clk_parent_data []``, or the text of what is no array.
        """
        marked, form = self._forms.marked(text)
        place = self._places.of(symbol.address)
        form = self._placed(form, marked, symbol, place)
        element = form.element
        if not isinstance(form.tree, Array) or not element.exists or not element.built_size:
            return False
        possible = self._extent(symbol).lengths(element.built_size)
        known = element.lengths
        return any(
            not self._is_refuted(element, symbol, place, length)
            for length in possible
            if known is None or length in known
        )

    def _ends_full(self, type_: Type, symbol: Symbol, place: SectionKind) -> bool:
        """Whether the last element holds something, where all kernels end the array in zeros."""
        data = self._contents(symbol)
        if data is None or place is SectionKind.INIT or not type_.length:
            return False
        size = size_of(type_) or 0
        return any(data[size - size // type_.length : size])

    def fills(self, type_: Type, symbol: Symbol) -> bool:
        """Whether an object of the type leaves no more room than alignment asks for."""
        size = size_of(type_)
        if size is None:
            return True
        return self._extent(symbol).fit(size) in (SizeFit.EXACT, SizeFit.PADDED)

    def contradicts(self, type_: Type, data: bytes) -> bool:
        """Whether an object that is no array cannot be of a type, by its contents."""
        words, tree = self._words, tree_of(type_)
        if words is None or tree is None:
            return False
        layouts = self._forms.of_tree(tree).layouts
        return bool(layouts) and all(
            layout.size >= words.pointer_size and words.contradiction(layout, data[: layout.size])
            for layout in layouts
        )

    def is_exact(self, type_: Type, symbol: Symbol) -> bool:
        """Whether an object of the type leaves no byte of the symbol's room over."""
        size = size_of(type_)
        return size is not None and self._extent(symbol).fit(size) is SizeFit.EXACT

    def other_lengths(self, type_: Type, symbol: Symbol) -> list[int]:
        """
        Lengths that an array's place and the BTF allow besides the one that it has.

        None where the dump states the length: a parameter's, or a count of the kernel's.
        """
        tree = tree_of(type_)
        if not isinstance(tree, Array) or tree.length is None:
            return []
        element = self._forms.of_tree(tree.element)
        size, lengths = element.built_size, element.lengths
        if not size or lengths is None or self._is_counted(symbol, size):
            return []
        return [n for n in self._extent(symbol).lengths(size) if n in lengths and n != tree.length]

    def _is_counted(self, symbol: Symbol, element_size: int) -> bool:
        """Whether the kernel itself says how long an array is, not only what is in it."""
        name = symbol.name
        return (
            macro_names.is_per_cpu_table(name)
            or macro_names.is_fixed(name)
            or macro_names.counting_enumerator(name) is not None
            or macro_names.as_long_as(name) is not None
            or self._arguments(name) is not None
            or self._as_parameter(symbol, element_size) is not None
        )

    def contents(self, symbol: Symbol) -> bytes | None:
        """What is in a symbol's room; None if it cannot be read, or is large."""
        return self._contents(symbol)

    def _sized_string(self, text: str, symbol: Symbol, extent: Extent) -> str:
        """
        A string that DWARF only declares, with the length that it has here.

        ``linux_banner``'s definition is in a file that is compiled without debug info.
        """
        data = self._contents(symbol)
        if data is None:
            return text
        length = data.find(b"\0") + 1
        if length < 2 or any(data[length:]) or extent.size is None:
            return text
        return f"{text[:-1]}{length}]" if extent.size - length < extent.slack else text

    def ends_in_zeros(self, type_: Type, symbol: Symbol, *, padding: bool = False) -> bool:
        """
        Whether there is no more behind an object of the type than padding for the next.

        :param padding: what could be a second object is padding as well: nothing names it.
        """
        size = size_of(type_)
        if size is None or size > symbol.size:
            return False
        rest = symbol.size - size
        if not rest:
            return True
        data = self._contents(symbol)
        if self._exact_sizes or data is None:
            return False
        if not padding and rest >= min(size, self._cache_line):
            return False
        return not any(data[size:])

    def is_followed(self, type_: Type, symbol: Symbol) -> bool:
        """Whether something stands behind an object of the type, up to the next symbol."""
        size = size_of(type_)
        if size is None or self._places.of(symbol.address) in (
            SectionKind.INIT,
            SectionKind.UNKNOWN,
        ):
            return False
        data = self._contents(symbol)
        return data is not None and any(data[size:])

    def is_followed_by_address(self, type_: Type, symbol: Symbol) -> bool:
        """Whether what stands behind an object of the type holds an address of the kernel's."""
        size, data = size_of(type_), self._contents(symbol)
        if self._words is None or size is None or data is None:
            return False
        return self._words.has_address(data[size:], symbol.address + size)

    def may_be_empty(self, type_: Type, symbol: Symbol) -> bool:
        """
        Whether what a family says holds for a symbol whose contents show nothing.

        Structures of functions are full from the start: one of zeros is something else.
        """
        if not _has_functions(type_):
            return True
        data = self._contents(symbol)
        return data is not None and any(data)

    def _is_refuted(self, element: Form, symbol: Symbol, place: SectionKind, length: int) -> bool:
        """Whether the contents of one of so many elements contradict the elements' type."""
        words = self._words
        if words is None or self._shapes is None or place is SectionKind.INIT:
            return False
        if self._contradicts_parameter(element, symbol):
            return True
        tree = element.tree
        if isinstance(tree, Named) and tree.name in _NEVER_ZERO and symbol.type_letter in _BSS:
            return True
        if isinstance(tree, Named) and tree.name in _STATIC_KEYS:
            return self._is_other_key(tree.name, symbol, place, element.size or 0)
        data = self._contents(symbol)
        if data is None or data.count(0) == len(data):
            return False  # zeros fit every type
        layouts = element.layouts
        if not layouts:
            return False
        if place is SectionKind.CONST and self._are_addresses_of_variables(tree, data, length):
            return True
        for layout in layouts:
            size = layout.size
            if size < words.pointer_size:
                if words.has_address(data[: length * size], symbol.address):
                    continue
                return False
            if length == 1:
                if not words.contradiction(layout, data[:size]):
                    return False
            elif not any(
                words.contradiction(layout, data[i * size : (i + 1) * size])
                for i in range(min(length, self._policy.compared_elements))
            ):
                return False
        return True

    def _are_addresses_of_variables(self, element: CType | None, data: bytes, length: int) -> bool:
        """Whether a constant table of strings leads to writable data, where no literal is."""
        assert self._words is not None
        if element is None:
            return False
        bare = unqualified(element, *QUALIFIERS)
        if not isinstance(bare, Pointer) or unqualified(bare.target, *QUALIFIERS) != _CHAR:
            return False
        words = (self._words.word(data, at) for at in range(0, min(length * 8, len(data) - 7), 8))
        # A per-CPU address may be a small number, as an index beside pointers is.
        return any(
            self._places.of(word) in (SectionKind.WRITABLE, SectionKind.RO_AFTER_INIT)
            for word in words
        )

    def _contradicts_parameter(self, element: Form, symbol: Symbol) -> bool:
        """Whether the variable is a parameter of another size, or a bool where this is none."""
        if self._parameters is None or not element.is_plain:
            return False
        try:
            # Most variables are no numbers, and reading the kernel's parameters takes 20 ms.
            if None in element.numbers:
                return False
        except BtfError:
            pass  # damage matters where it is a parameter
        parameter = self._parameters().get(symbol.address)
        if parameter is None:
            return False
        proposed, wanted = element.numbers, self._forms.of(parameter.type).numbers
        return None not in proposed | wanted and proposed.isdisjoint(wanted)

    def _is_other_key(self, name: str, symbol: Symbol, place: SectionKind, size: int) -> bool:
        """
        Whether a static key's contents are those of the other kind of keys.

        Source: include/linux/jump_label.h: the word behind the count keeps, in its lowest
        bit, whether the key is true at first (``JUMP_TYPE_TRUE``), whatever its branches do.
        Without that word (CONFIG_JUMP_LABEL=n) the count is 1 at first: such a key is in no
        .bss, and one that is 0 at first is nowhere else among the writable data.
        """
        if _STATIC_KEYS[name] and symbol.type_letter in _BSS:
            return True
        if size < _KEY_SIZE:
            is_true = place is SectionKind.WRITABLE and symbol.type_letter not in _BSS
            return is_true and not _STATIC_KEYS[name]
        data = self._contents(symbol)
        if data is None or self._words is None or len(data) < _KEY_SIZE:
            return False
        return bool(self._words.word(data, _KEY_SIZE // 2) & 1) is not _STATIC_KEYS[name]

    def _fits(
        self,
        form: Form,
        symbol: Symbol,
        extent: Extent,
        *,
        gap: bool,
        trusted: bool = False,
        doubt: bool = True,
        settled: bool = False,
    ) -> tuple[str, Type] | Rejection:
        type_, text, size = form.type, form.text, form.size
        if type_ is None:
            return Rejection.MISSING
        if size is None:
            # A function, or an incomplete type: extents say nothing about it.
            bare = type_.unaliased()
            nonsense = bare.kind == TypeKind.ARRAY and bare.length is not None
            return Rejection.MISSING if nonsense else (text, type_)
        fit = extent.fit(size)
        if fit is SizeFit.OVER:
            return Rejection.SIZE
        if fit in (SizeFit.GAP, SizeFit.UNKNOWN) and not gap:
            return Rejection.GAP
        if fit is SizeFit.GAP and not trusted:
            # Structures have a shape that contents and BTF can contradict; a number, or a
            # pointer, that is far smaller than its place is something else's first bytes.
            believed = settled or not doubt or size > self._policy.word or not size
            if not self._is_explained(symbol, extent, believed):
                return Rejection.GAP
        return (text, type_)

    def _is_explained(self, symbol: Symbol, extent: Extent, believed: bool) -> bool:
        """
        Whether room behind a variable, more than alignment asks for, can be something else.

        Constants without a name stand in read-only data; elsewhere a section's end does.

        :param believed: there is more to say for the type than its name and place.
        """
        if (extent.size or 0) >= self._policy.largest_gap:
            return False  # that much is a variable, whatever its type
        if believed:
            return True
        if self._exact_sizes or self._places.of(symbol.address) is SectionKind.CONST:
            return True
        return self._ends_at(symbol.address + symbol.size)

    def _array(
        self,
        form: Form,
        symbol: Symbol,
        extent: Extent,
        place: SectionKind,
        other_lengths: frozenset[int],
        open_ended: bool,
        settled: bool,
        surrounded: bool,
        tail: int | None,
    ) -> tuple[str, Type] | Rejection:
        tree, element = form.tree, form.element
        assert isinstance(tree, Array)
        size = element.built_size
        if not size:
            return Rejection.MISSING
        text = element.bare_text
        evidence = ArrayEvidence(
            element=text,
            element_size=size,
            hint=tree.length,
            stable=len(other_lengths) <= 1,
            other_lengths=other_lengths,
            fixed=macro_names.is_fixed(symbol.name),
            tail=tail,
            lengths=element.lengths,
            extent=extent,
            place=place,
            has_pointers=symbol.address >= _KERNEL_HALF and element.has_pointers,
            contents=self._contents(symbol),
            string=text == "char" and (is_const(tree) or macro_names.is_string(symbol.name)),
            settled=settled,
            surrounded=surrounded,
            filled_later=symbol.type_letter in _BSS,
            policy=self._policy,
        )
        if open_ended and text == "char" and not _is_text(evidence.contents):
            return Rejection.MISSING
        length = self._arguments(symbol.name)
        if length is not None and length * size > symbol.size:
            length = None
        if length is None:
            length = self._as_parameter(symbol, size)
        if length is None:
            length = self._counted(evidence, symbol.name)
        if length is None:
            length = array_length(evidence, self._tails)
        if length is None:
            return Rejection.LENGTH
        if self._is_refuted(element, symbol, place, length):
            return Rejection.CONTENTS
        return form.sized(length) or Rejection.MISSING

    def _as_parameter(self, symbol: Symbol, element_size: int) -> int | None:
        """The length that the kernel's parameters give the array, if it has room for it."""
        if self._parameters is None:
            return None
        parameter = self._parameters().get(symbol.address)
        if parameter is None or not parameter.length:
            return None
        fits = parameter.length * element_size <= symbol.size
        return parameter.length if fits else None

    def _counted(self, evidence: ArrayEvidence, name: str) -> int | None:
        """The value of the enumerator that counts the array's elements, if it fits."""
        room = evidence.extent.size or 0
        if macro_names.is_per_cpu_table(name):
            count = room // evidence.element_size
            known = evidence.lengths is not None and count in evidence.lengths
            return count if known and count > 0 else None
        enumerator, other = macro_names.counting_enumerator(name), macro_names.as_long_as(name)
        if other is not None:
            length = self.length_of(other)
            fits = length is not None and length in evidence.extent.lengths(evidence.element_size)
            return length if fits else None
        if enumerator is None:
            return None
        try:
            count = self._constant(enumerator)
        except LookupError:
            return None
        return count if 0 < count * evidence.element_size <= room else None

    def _contents(self, symbol: Symbol) -> bytes | None:
        if not 0 < symbol.size <= self._policy.contents_limit:
            return None
        key = (symbol.address, symbol.size)
        if self._last[0] != key:
            try:
                data = self._read(*key)
                self._last = (key, None if self._is_cut(symbol, data) else data)
            except (drgn.FaultError, ValueError):
                self._last = (key, None)
        return self._last[1]

    def _is_cut(self, symbol: Symbol, data: bytes) -> bool:
        """
        Whether contents go on in a page of nothing but zeros: it may have been lost.

        A text that ends with its page, or a table that goes on in such a one, is no shorter for it.
        """
        first = -symbol.address % _PAGE
        if not 0 < first < len(data) or symbol.type_letter in _BSS:
            return False
        parts = [(0, first), *((at, at + _PAGE) for at in range(first, len(data), _PAGE))]
        empty = [start for start, end in parts if not any(data[start:end])]
        if not empty or len(empty) == len(parts):
            return False
        return any(
            not any(self._read((symbol.address + start) // _PAGE * _PAGE, _PAGE)) for start in empty
        )


def _may_be_unwritten(form: Form, symbol: Symbol) -> bool:
    """
    Whether a symbol may be in read-only data without ``const``.

    Compilers put a static variable there that nothing writes, as happens to numbers whose
    writers are configured out. Tables and structures there have become const: in Debian's
    kernels 812 of 815 did, and no static number.
    """
    tree = form.tree
    return isinstance(tree, Named) and not tree.tag and symbol.type_letter.islower()


def _is_text(contents: bytes | None) -> bool:
    """Whether contents may be a string, followed by zeros."""
    return contents is None or not any(byte < 9 or byte == 127 for byte in contents.rstrip(b"\0"))


def _has_functions(type_: Type) -> bool:
    """Whether a structure has pointers to functions, itself or in an anonymous member."""
    while type_.unaliased_kind() == TypeKind.ARRAY:
        type_ = type_.unaliased().type
    type_ = type_.unaliased()
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION):
        return False
    for member in type_.members or ():
        bare = member.type.unaliased()
        if member.name is None and _has_functions(bare):
            return True
        if bare.kind == TypeKind.POINTER and bare.type.unaliased_kind() == TypeKind.FUNCTION:
            return True
    return False
