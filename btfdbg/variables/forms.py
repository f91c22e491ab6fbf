"""What can be said of a type before any symbol is looked at, said once.

Owns the forms of a type's text (as it stands, const, not const), and for each: its tree,
its drgn type, its size, whether the BTF has it, where it keeps pointers. A kernel's 30,000
variables have some thousands of types, so what a symbol adds is its place and contents.
Judges nothing.
"""

from __future__ import annotations

from functools import cached_property

import drgn
from drgn import Type, TypeKind

from btfdbg.cdecl import (
    Array,
    CDeclError,
    CType,
    Named,
    Pointer,
    format_type,
    is_const,
    parse_type,
    qualified,
    unqualified,
)
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.contents import Contents
from btfdbg.variables.convert import TypeBuilder
from btfdbg.variables.pointer_map import PointerMap
from btfdbg.variables.structural_index import StructuralIndex

_MAX_DEPTH = 3


class Form:
    """
    A type in one form. What it costs to know is paid when it is asked for.

    :ivar text: as C writes it.
    :ivar tree: the same, parsed; ``None`` if it cannot be.
    :param is_parsed: the tree is what the text says, as far as it says anything.
    """

    def __init__(
        self, forms: Forms, text: str, tree: CType | None, *, is_parsed: bool = False
    ) -> None:
        self._forms = forms
        self._is_parsed = is_parsed
        self._sized: dict[int, tuple[str, Type] | None] = {}
        self.text = text
        self.tree = tree

    @cached_property
    def const(self) -> Form:
        """It, const."""
        assert self.tree is not None
        return self if is_const(self.tree) else self._forms.of_tree(qualified(self.tree, "const"))

    @cached_property
    def writable(self) -> Form:
        """It, not const."""
        assert self.tree is not None
        if not is_const(self.tree):
            return self
        return self._forms.of_tree(unqualified(self.tree, "const"))

    @cached_property
    def type(self) -> Type | None:
        """``None`` if it names a type that the program lacks."""
        return self.built if self._is_parsed else self._forms.types.from_text(self.text)

    @cached_property
    def size(self) -> int | None:
        """Bytes; ``None`` for a type without a size, and without a type."""
        return None if self.type is None else size_of(self.type)

    @cached_property
    def exists(self) -> bool:
        """Whether the BTF has it; also where there is none to ask."""
        assert self.tree is not None
        shapes = self._forms.shapes
        return shapes is None or shapes.exists(self.tree)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it is named or a pointer: what a kernel parameter can be."""
        return isinstance(self.tree, (Named, Pointer))

    @cached_property
    def numbers(self) -> frozenset[tuple[int, bool] | None]:
        """What the BTF's types of this form are as numbers; ``None`` in it: something else."""
        shapes, words = self._forms.shapes, self._forms.words
        if shapes is None or words is None or self.tree is None:
            return frozenset((None,))
        return frozenset(words.number(id_) for id_ in shapes.ids(self.tree))

    @cached_property
    def layouts(self) -> tuple[PointerMap, ...]:
        """Where the BTF's types of this form keep pointers; empty if it is not known of all."""
        shapes, words = self._forms.shapes, self._forms.words
        if shapes is None or words is None or self.tree is None:
            return ()
        found = [words.words.of(id_) for id_ in shapes.ids(self.tree)]
        layouts = tuple(layout for layout in found if layout is not None and layout.size)
        return layouts if len(layouts) == len(found) else ()

    # Of arrays.

    @cached_property
    def element(self) -> Form:
        """What the array is of."""
        assert isinstance(self.tree, Array)
        return self._forms.of_tree(self.tree.element)

    @cached_property
    def built(self) -> Type | None:
        """As :attr:`type`, of a tree that need not be one that a text gives."""
        assert self.tree is not None
        try:
            return self._forms.types.build(self.tree)
        except (LookupError, CDeclError):
            return None

    @cached_property
    def built_size(self) -> int | None:
        """Bytes of :attr:`built`."""
        return None if self.built is None else size_of(self.built)

    @cached_property
    def bare_text(self) -> str:
        """Its text without const."""
        assert self.tree is not None
        return format_type(unqualified(self.tree, "const"))

    @cached_property
    def has_pointers(self) -> bool:
        """Whether objects of it hold pointers."""
        return self.built is not None and _has_pointers(self.built)

    @cached_property
    def lengths(self) -> frozenset[int] | None:
        """Lengths that arrays of it have in the BTF; ``None`` without one."""
        shapes = self._forms.shapes
        assert self.tree is not None
        return None if shapes is None else shapes.lengths(self.tree)

    def sized(self, length: int) -> tuple[str, Type] | None:
        """The array of that length, its text and type; ``None`` if it cannot be built."""
        try:
            return self._sized[length]
        except KeyError:
            pass
        assert isinstance(self.tree, Array)
        tree = replace(self.tree, length=length)
        try:
            found: tuple[str, Type] | None = (format_type(tree), self._forms.types.build(tree))
        except (LookupError, CDeclError):
            found = None
        self._sized[length] = found
        return found


class Forms:
    """
    The forms of the types of one kernel or module.

    :param types: builds types from text.
    :param shapes: the types of the kernel's BTF by structure.
    :param words: says where types of the BTF keep pointers.
    """

    def __init__(
        self, types: TypeBuilder, shapes: StructuralIndex | None, words: Contents | None
    ) -> None:
        self.types = types
        self.shapes = shapes
        self.words = words
        self._by_text: dict[str, Form] = {}
        self._by_tree: dict[CType, Form] = {}
        self._marked: dict[str, tuple[AnnotatedType, Form]] = {}

    def forget(self) -> None:
        """Forget all forms, which refer to each other, and to this."""
        for form in (*self._by_text.values(), *self._by_tree.values()):
            vars(form).clear()
        self._by_text.clear()
        self._by_tree.clear()
        self._marked.clear()

    def of(self, text: str) -> Form:
        """The form of a text without marks."""
        found = self._by_text.get(text)
        if found is None:
            try:
                tree: CType | None = parse_type(text)
            except CDeclError:
                tree = None
            found = self._by_text[text] = Form(self, text, tree, is_parsed=tree is not None)
        return found

    def of_tree(self, tree: CType) -> Form:
        """The form of a tree."""
        found = self._by_tree.get(tree)
        if found is None:
            found = self._by_tree[tree] = Form(self, format_type(tree), tree)
        return found

    def marked(self, text: str) -> tuple[AnnotatedType, Form]:
        """A text of the database: its marks, and the form of what is behind them."""
        found = self._marked.get(text)
        if found is None:
            marks = AnnotatedType.parse(text)
            found = self._marked[text] = (marks, self.of(marks.type))
        return found


def size_of(type_: Type) -> int | None:
    """Bytes of an object; ``None`` for functions, void and incomplete types."""
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return None


def _has_pointers(type_: Type, depth: int = 0) -> bool:
    """Whether objects of the type hold pointers, as far as three levels of members tell."""
    type_ = type_.unaliased()
    if type_.kind == TypeKind.POINTER:
        return True
    if type_.kind == TypeKind.ARRAY:
        return _has_pointers(type_.type, depth)
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION) or depth == _MAX_DEPTH:
        return False
    return any(_has_pointers(member.type, depth + 1) for member in type_.members or ())
