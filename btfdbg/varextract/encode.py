"""Exact variable BTF: VARs and DATASECs for a kernel's own BTF, out of its DWARF.

Owns the making of detached split BTF that adds variables to a base (vmlinux's BTF, or a
module's on top of it) and nothing else: every type is the base's own, found by its
shape; only what a base lacks is added (the shape of multi-dimensional arrays, which older
paholes flatten). A DECL_TAG carries the digest of the base, see :mod:`.extra`.

Facts: include/uapi/linux/btf.h (VAR, DATASEC, DECL_TAG); section offsets as pahole's
``global_var`` has them: address less section address.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from btfdbg.btf import Btf, Builder, Kind, TypeId, kinds
from btfdbg.cdecl import (
    Array,
    CDeclError,
    CType,
    Function,
    Pointer,
    Qualified,
    parse_type,
)
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.elfsyms import ElfSymbols
from btfdbg.varextract.extract import Image, Row
from btfdbg.varextract.noise import NOISE_NAMES
from btfdbg.variables.extra import base_tag, type_tag
from btfdbg.variables.structural_index import StructuralIndex

PROFILES = ("debug", "all")
_NOISE_TYPES = re.compile(
    r"(?:const )?struct (?:trace_event_(?:call|class|fields|functions)|trace_eval_map|tracepoint"
    r"|static_call_key|syscall_metadata|_ddebug)(?: \[\d*\])*"
)
_QUALIFIERS = {"const": "add_const", "volatile": "add_volatile", "restrict": "add_restrict"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """
    :ivar btf: split BTF, to be parsed on top of the base.
    :ivar variables: VARs in it.
    :ivar aliases: of these, symbols that are another name of a variable.
    :ivar added_types: types that the base lacked.
    :ivar skipped: names of variables whose type the base does not have.
    """

    btf: bytes
    variables: int
    aliases: int
    added_types: int
    skipped: tuple[str, ...]


def encode(
    image: Image,
    symbols: ElfSymbols,
    base: Btf,
    *,
    profile: str = "debug",
    aliases: bool = True,
    more: Iterable[Row] = (),
    build_id: str = "",
) -> Encoded:
    """
    Return the variables of a vmlinux or module as BTF on top of its own BTF.

    :param image: what :func:`.extract.extract` read.
    :param symbols: what :func:`.elfsyms.read_symbols` read of the same file.
    :param profile: one of :data:`PROFILES`; ``debug`` leaves out what macros make.
    :param aliases: also write global symbols that only the assembler or linker script
        named, at the address of a variable.
    :param more: further variables, see :func:`.dwarfvars.more_rows`.
    :raises BtfError: the base is for another kernel: most types are missing.
    """
    encoder = _Encoder(base)
    every = (*image.rows, *more)
    rows = [row for row in every if profile == "all" or not _is_noise(row)]
    missing = set(image.missing).difference(row.name for row in rows)
    extra = list(_aliases(rows, missing, symbols)) if aliases else []
    static = {(s.name, s.value) for s in symbols.symbols if s.is_local}
    for row in (*rows, *extra):
        encoder.add(row, 0 if (row.name, row.address) in static else 1)
    if len(encoder.skipped) > max(16, len(rows) // 10):
        raise BtfError(
            f"the base lacks the types of {len(encoder.skipped)} of {len(rows)} variables: "
            "it is not this kernel's"
        )
    sections = {
        s.name: (0 if symbols.is_relocatable else s.address, s.size)
        for s in symbols.sections
        if s.alloc
    }
    data = encoder.finish(sections, base_tag(base, build_id, image.module))
    added = len(encoder.builder) - encoder.variables - encoder.datasecs - encoder.tags
    return Encoded(data, encoder.variables, len(extra), added, tuple(encoder.skipped))


def _is_noise(row: Row) -> bool:
    return row.name.startswith(NOISE_NAMES) or _NOISE_TYPES.fullmatch(row.type) is not None


def _aliases(rows: Iterable[Row], wanted: set[str], symbols: ElfSymbols) -> Iterator[Row]:
    at = {(row.section, row.address): row for row in rows}
    for symbol in symbols.symbols:
        if symbol.name not in wanted or symbol.section < 0 or symbol.name.startswith(NOISE_NAMES):
            continue
        # A local one is the compiler's: an empty object may share a place with any other.
        if symbol.is_local:
            continue
        row = at.get((symbols.sections[symbol.section].name, symbol.value))
        # A label of the linker script has no type; an assignment there copies it.
        same = symbol.size == (row.size if row is not None and symbol.size else 0)
        if row is not None and row.size and symbol.typed and same:
            yield Row(
                symbol.name, row.type, row.size, row.address, row.section, symbol.file, row.shared
            )


class _Encoder:
    def __init__(self, base: Btf) -> None:
        self.base = base
        self.builder = Builder(base)
        self.shapes = StructuralIndex(base, flattened=False)
        self.skipped: list[str] = []
        self.variables = 0
        self.datasecs = 0
        self.tags = 0
        self._ids: dict[tuple[str, int], int | None] = {}
        self._made: dict[CType, int] = {}
        self._sections: dict[str, list[tuple[int, int, int]]] = {}
        self._pending: list[tuple[Row, int, int]] = []

    def add(self, row: Row, linkage: int) -> None:
        """Take a variable, if the base has its type."""
        if not row.section:
            return
        key = (row.type, row.size)
        if key not in self._ids:
            self._ids[key] = self._type_id(row.type, row.size)
        type_id = self._ids[key]
        if type_id is None:
            self.skipped.append(row.name)
        else:
            self._pending.append((row, linkage, type_id))

    def _type_id(self, text: str, size: int) -> int | None:
        try:
            tree = parse_type(text)
        except CDeclError:
            return None
        ids = self.shapes.ids(tree)
        fitting = [id_ for id_ in sorted(ids) if self._size(id_) == size]
        if fitting:
            return fitting[0]
        # Multi-dimensional arrays, which pahole flattens, or what it left out.
        return None if ids else self._make(tree)

    def _size(self, type_id: int) -> int:
        try:
            return self.base.resolve_size(type_id)
        except BtfError:
            return -1

    def _make(self, tree: CType) -> int | None:
        """Add a derived type that the base lacks; None if even its names are missing."""
        ids = self.shapes.ids(tree)
        if ids:
            return min(ids)
        if tree in self._made:
            return self._made[tree]
        made: int | None = None
        if isinstance(tree, Pointer):
            target = self._make(tree.target)
            made = None if target is None else self.builder.add_ptr(target)
        elif isinstance(tree, Array):
            element = self._make(tree.element)
            index = self.base.types_by_name("int", (Kind.INT,))
            if element is not None and index:
                made = self.builder.add_array(index[0], element, tree.length or 0)
        elif isinstance(tree, Qualified):
            made = self._make(tree.type)
            for name in reversed(tree.qualifiers):
                if made is None or name not in _QUALIFIERS:
                    return None
                made = getattr(self.builder, _QUALIFIERS[name])(made)
        elif isinstance(tree, Function):
            made = self._function(tree)
        if made is not None:
            self._made[tree] = made
        return made

    def _function(self, tree: Function) -> int | None:
        result = self._make(tree.result)
        parameters = [self._make(parameter) for parameter in tree.parameters]
        if result is None or None in parameters:
            return None
        params = [kinds.Param("", TypeId(p)) for p in parameters if p is not None]
        if tree.variadic:
            params.append(kinds.Param("", TypeId(0)))
        return self.builder.add_func_proto(result, params)

    def finish(self, sections: dict[str, tuple[int, int]], tag: str) -> bytes:
        """Write VARs, DATASECs and the tags; return the bytes."""
        builder = self.builder
        self._pending.sort(key=lambda item: (item[0].section, item[0].address, item[0].name))
        first = 0
        spelled: list[tuple[TypeId, str]] = []
        for row, linkage, type_id in self._pending:
            address, _ = sections[row.section]
            var_id = builder.add_var(row.name, linkage, type_id)
            first = first or var_id
            self.variables += 1
            if "[0]" in row.type:
                spelled.append((var_id, row.type))
            if row.size:
                # The kernel's verifier takes no variable of size 0 in a section.
                place = (var_id, row.address - address, row.size)
                self._sections.setdefault(row.section, []).append(place)
        for name, places in self._sections.items():
            builder.add_datasec(
                name,
                sections[name][1],
                [kinds.VarSecinfo(TypeId(var), offset, size) for var, offset, size in places],
            )
            self.datasecs += 1
        for var_id, text in spelled:
            builder.add_decl_tag(type_tag(text), var_id, -1)
        if first:
            builder.add_decl_tag(tag, first, -1)
        self.tags = len(spelled) + bool(first)
        return builder.build()


def sections_of(btf: Btf) -> Counter[str]:
    """Return how many variables each DATASEC of a BTF's own has."""
    counts: Counter[str] = Counter()
    for id_ in btf.own_ids():
        if btf.kind_of(id_) == Kind.DATASEC:
            section = btf.type_by_id(id_)
            assert isinstance(section, kinds.Datasec)
            counts[section.name] += len(section.vars)
    return counts
