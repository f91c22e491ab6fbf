"""``Btf``: a lazy view over the bytes of one BTF blob and the chain of its bases.

Owns parsing, ids, strings across the chain, and what a caller asks of one type.
What the words of a record mean is ``decode``'s, name search is ``names``', sizes are
``sizing``'s and member paths ``members``'.

Why lazy: one pass over the records costs 11 ms for a kernel's 107,000 types; all of
them as objects cost 0.7 s and 55 MB, and a caller needs a few hundred. Nothing is
memoised here: decoding is cheap, and whoever asks repeatedly (the drgn finders)
keeps his own, richer result.
Why imports inside of methods: the classes of ``kinds`` take longer to make than a
kernel's BTF to index, and a raw dump or a list of names needs none.
Why u32: every word of every record is one, so byte order is dealt with once, on
the way in, and nowhere else.
Facts: Documentation/bpf/btf.rst; libbpf's btf.c.
"""

from __future__ import annotations

import sys
from array import array

from btfdbg.btf.header import Header
from btfdbg.btf.index import KIND_OF_HEAD, info_high_bytes, record_offsets
from btfdbg.btf.layouts import (
    ENUM,
    ENUM64,
    LAYOUT_ENTRY_LEN,
    LAYOUTS,
    MAX_LIBBPF,
    TYPE_WORDS,
    TypeId,
    info_kind,
    kind_name,
)
from btfdbg.btf.strings import Strings, decode_name, encode_name
from btfdbg.errors import BtfFormatError, BtfNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from mmap import mmap
    from typing import Any, TypeAlias

    from btfdbg.btf import kinds
    from btfdbg.btf.enumerators import EnumeratorNames
    from btfdbg.btf.header import ByteOrder
    from btfdbg.btf.known import KnownNames, RecordIndex
    from btfdbg.btf.names import NameIndex

# Looking for a kind costs less than marking every type if one of so many has it.
_RARE = 16

BytesLike: TypeAlias = "bytes | bytearray | memoryview | mmap"


class Btf:
    """
    BTF data, immutable.

    :ivar header: :class:`header.Header` as found in the data.
    :ivar raw: The whole blob, as given.
    :ivar base: What this one is split on top of, if it is split.
    :ivar byteorder: Byte order of :attr:`raw`, ``"little"`` or ``"big"``.
    :ivar start_id: First own type id; 1 without a base.
    :ivar type_cnt: One past the last id, void and bases counted.
    :ivar start_str_off: Offset of the first own string; 0 without a base.
    :ivar end_str_off: One past the last own string offset.
    :ivar words: The type section as native u32 words, whatever :attr:`byteorder` is.
    :ivar offsets: For each own type, in order, the word its record starts at.
    :ivar type_section_offset: Byte of :attr:`raw` at which :attr:`words` starts.
    :ivar layout: Layout section: bytes per (record, element) by kind; empty without one.
    :ivar known_names: Answers to earlier questions for names, where somebody keeps them.
    :ivar enumerator_names: What :mod:`btfdbg.btf.enumerators` found out about them.
    """

    __slots__ = (
        "__weakref__",
        "_functions",
        "_heads",
        "_names",
        "_pointer_size",
        "_signs",
        "alignments",
        "base",
        "byteorder",
        "end_str_off",
        "enumerator_names",
        "header",
        "known_names",
        "layout",
        "offsets",
        "raw",
        "start_id",
        "start_str_off",
        "strings",
        "type_cnt",
        "type_section_offset",
        "words",
    )

    header: Header
    raw: memoryview
    base: Btf | None
    byteorder: ByteOrder
    start_id: int
    type_cnt: int
    start_str_off: int
    end_str_off: int
    words: memoryview
    offsets: Sequence[int]
    known_names: KnownNames | None
    enumerator_names: EnumeratorNames | None
    strings: Strings
    type_section_offset: int
    layout: dict[int, tuple[int, int]]
    alignments: dict[int, int]  # of types asked about, filled by sizing
    _functions: dict[str, tuple[int, ...]] | None
    _heads: bytes | None
    _names: NameIndex | None
    _pointer_size: int
    _signs: bool | None

    def __init__(self) -> None:
        raise TypeError("use Btf.parse(), or btfdbg.btf.Builder to make BTF")

    @classmethod
    def parse(
        cls, data: BytesLike, base: Btf | None = None, *, index: RecordIndex | None = None
    ) -> Btf:
        """
        View bytes as BTF.

        Checks what must hold for every later access to stay in bounds: header,
        sections, and that the records end exactly where their section does. What a
        record refers to is checked when it is asked for.

        :param data: One blob, of either byte order. Writable buffers are copied.
        :param base: What the blob was split from; it must be the very one, which
            only ids and offsets out of range can betray.
        :param index: What :class:`~btfdbg.btf.known.RecordIndex` kept of these very bytes.
        :raises BtfFormatError: the data is malformed, or split and without its base.
        """
        raw = memoryview(data)
        if not raw.readonly or not raw.contiguous:
            raw = memoryview(raw.tobytes())
        elif raw.format != "B" or raw.ndim != 1:
            raw = raw.cast("B")
        header = Header.parse(raw)
        self = cls.__new__(cls)
        self.header = header
        self.raw = raw
        self.base = base
        self.byteorder = header.byteorder
        self._functions = None
        self._heads = None
        self._names = None
        self._pointer_size = 0
        self._signs = None
        self.alignments = {}
        self.known_names = None
        self.enumerator_names = None
        self._take_strings()
        self._take_types(index)
        return self

    def _take_strings(self) -> None:
        header, base = self.header, self.base
        start = header.hdr_len + header.str_off
        data = self.raw[start : start + header.str_len]
        if data[-1] if data else base is None:
            raise BtfFormatError(
                f"strings at {start:#x}: "
                + ("last byte is not NUL" if data else "empty, expected at least one NUL"),
                offset=start,
            )
        if len(data) - 1 > MAX_LIBBPF:
            raise BtfFormatError(f"strings at {start:#x}: longer than 2 GiB", offset=start)
        if base is None and data[0]:
            raise BtfFormatError(
                f"strings at {start:#x}: first byte is not NUL; "
                "is this split BTF, opened without its base?",
                offset=start,
            )
        self.strings = Strings(data)
        self.start_str_off = 0 if base is None else base.end_str_off
        self.end_str_off = self.start_str_off + len(data)

    def _take_types(self, index: RecordIndex | None) -> None:
        header, base = self.header, self.base
        start = header.hdr_len + header.type_off
        section = self.raw[start : start + header.type_len]
        self.type_section_offset = start
        self.start_id = 1 if base is None else base.type_cnt
        if len(section) % 4:
            raise BtfFormatError(
                f"types at {start:#x}: {len(section)} bytes, expected a multiple of 4",
                offset=start,
            )
        if self.byteorder == sys.byteorder:
            self.words = section.cast("I")
        else:
            swapped = array("I", section.tobytes())
            swapped.byteswap()
            self.words = memoryview(swapped).toreadonly()
        self.layout = self._read_layout()
        unknown = self.layout
        if not unknown and base is not None:
            unknown = base.effective_layout
        if index is not None and index.fits(self.words):
            self.offsets, self._heads = index.offsets, index.heads
        else:
            found = record_offsets(
                self.words, self.info_high_bytes(), unknown, self.start_id, start
            )
            self.offsets = array("I", found)  # a ninth of the list's memory
        self.type_cnt = self.start_id + len(self.offsets)
        if self.type_cnt > MAX_LIBBPF:
            raise BtfFormatError("more than 2^31 types")

    def _blob(self) -> bytes | mmap | None:
        """Return the whole blob as what can be sliced and searched without a copy, if it is."""
        data: Any = self.raw.obj
        return data if hasattr(data, "find") and len(data) == len(self.raw) else None

    def _read_layout(self) -> dict[int, tuple[int, int]]:
        header = self.header
        start = header.hdr_len + header.layout_off
        section = self.raw[start : start + header.layout_len]
        return {
            at // LAYOUT_ENTRY_LEN: (section[at], section[at + 1])
            for at in range(0, min(len(section), LAYOUT_ENTRY_LEN << 7), LAYOUT_ENTRY_LEN)
        }

    def __repr__(self) -> str:
        split = f" from {self.start_id}" if self.base is not None else ""
        return f"<Btf {self.type_cnt - self.start_id} types{split}, {self.byteorder}-endian>"

    # What the blob is.

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer: what a C ``long`` has here, 8 where there is none."""
        if not self._pointer_size:
            from btfdbg.btf.sizing import guess_pointer_size

            self._pointer_size = guess_pointer_size(self)
        return self._pointer_size

    @property
    def writes_enum_signs(self) -> bool:
        """Whether an ENUM with kind_flag or an ENUM64 shows that the encoder knew signs."""
        if self._signs is None:
            kinds = self.kinds_in_use()
            self._signs = (ENUM, True) in kinds or not {(ENUM64, False), (ENUM64, True)}.isdisjoint(
                kinds
            )
        return self._signs or (self.base is not None and self.base.writes_enum_signs)

    @property
    def effective_layout(self) -> dict[int, tuple[int, int]]:
        """The own layout section, or the nearest base's; for kinds not known here."""
        btf: Btf | None = self
        while btf is not None:
            if btf.layout:
                return btf.layout
            btf = btf.base
        return {}

    def ids(self) -> range:
        """Return all ids but void's, those of the bases included."""
        return range(1, self.type_cnt)

    def own_ids(self) -> range:
        """Return the ids that this blob itself describes."""
        return range(self.start_id, self.type_cnt)

    def chain(self) -> tuple[Btf, ...]:
        """Return the bases and this one, the bottom first."""
        out = []
        btf: Btf | None = self
        while btf is not None:
            out.append(btf)
            btf = btf.base
        return tuple(reversed(out))

    # Records, for those who work on words.

    def owner_of(self, type_id: int) -> Btf:
        """
        Return the member of the chain that describes a type.

        :raises BtfNotFoundError: no such id, or void, which no record describes.
        """
        if not 0 < type_id < self.type_cnt:
            raise BtfNotFoundError(f"no type {type_id}, ids go from 1 to {self.type_cnt - 1}")
        btf = self
        while type_id < btf.start_id:
            assert btf.base is not None  # start_id is 1 without a base
            btf = btf.base
        return btf

    def info_high_bytes(self) -> bytes:
        """Return, by the word that a record starts at, its kind_flag (bit 7) and kind."""
        native = self.byteorder == sys.byteorder
        return info_high_bytes(
            self.words, self.type_section_offset, self._blob() if native else None
        )

    def own_kinds(self) -> bytes:
        """Return the kinds of the own types, in order of their ids."""
        return self.own_heads().translate(KIND_OF_HEAD)

    def own_of_kind(self, kind: int) -> Iterator[tuple[int, int]]:
        """Return each own type of a kind by id, with the word that its record starts at."""
        own = self.own_kinds()
        count = own.count(kind)
        if count * _RARE < len(own):
            return self._of_rare_kind(own, kind)
        from itertools import compress

        marks = own.translate(bytes(i == kind for i in range(256)))
        return zip(compress(self.own_ids(), marks), compress(self.offsets, marks), strict=True)

    def _of_rare_kind(self, own: bytes, kind: int) -> Iterator[tuple[int, int]]:
        at = own.find(kind)
        while at >= 0:
            yield self.start_id + at, self.offsets[at]
            at = own.find(kind, at + 1)

    def kinds_in_use(self) -> set[tuple[int, bool]]:
        """Return the kinds of the own types, each with whether kind_flag is set."""
        return {(KIND_OF_HEAD[head], head > 0x7F) for head in set(self.own_heads())}

    def own_heads(self) -> bytes:
        """Return kind_flag (bit 7) and kind of each own type; 3 ms for a kernel, once."""
        if self._heads is None:
            from operator import itemgetter

            if len(self.offsets) > 1:  # of one offset it would return no tuple
                self._heads = bytes(itemgetter(*self.offsets)(self.info_high_bytes()))
            else:
                self._heads = bytes(map(self.info_high_bytes().__getitem__, self.offsets))
        return self._heads

    def record_end(self, type_id: int) -> int:
        """Return the word after the record of an own type."""
        index = type_id - self.start_id + 1
        return self.offsets[index] if index < len(self.offsets) else len(self.words)

    def record(self, type_id: int) -> memoryview:
        """Return the u32 words of a type, wherever in the chain it is."""
        owner = self.owner_of(type_id)
        start = owner.offsets[type_id - owner.start_id]
        return owner.words[start : owner.record_end(type_id)]

    def type_ref_words(self, type_id: int) -> list[int]:
        """
        Return where an own type's record holds type ids.

        :return: Indexes into :attr:`words`, in libbpf's order; empty for a kind
            that is not known.
        """
        pos = self.offsets[type_id - self.start_id]
        row = LAYOUTS.get(info_kind(self.words[pos + 1]))
        if row is None:
            return []
        out = [pos + w for w in row.type_words]
        if row.elem_type_words:
            first = pos + TYPE_WORDS + row.info_words
            for at in range(first, self.record_end(type_id), row.elem_words):
                out += [at + w for w in row.elem_type_words]
        return out

    def str_ref_words(self, type_id: int) -> list[int]:
        """Return where an own type's record holds string offsets, as above; its name first."""
        pos = self.offsets[type_id - self.start_id]
        row = LAYOUTS.get(info_kind(self.words[pos + 1]))
        out = [pos]
        if row is not None and row.elem_str_words:
            first = pos + TYPE_WORDS + row.info_words
            for at in range(first, self.record_end(type_id), row.elem_words):
                out += [at + w for w in row.elem_str_words]
        return out

    def find_word(self, *values: int) -> Iterator[int]:
        """
        Yield every index into :attr:`words` at which a value, or several in a row, stand.

        A search of the bytes: a millisecond for a kernel, and no index to make first.
        """
        pattern = b"".join([value.to_bytes(4, self.byteorder) for value in values])
        start = self.type_section_offset
        end = start + self.header.type_len
        data = self._blob()
        if data is None:
            data, start, end = self.raw[start:end].tobytes(), 0, end - start
        at = data.find(pattern, start, end)
        while at >= 0:
            index, rest = divmod(at - start, 4)
            if rest:
                at = data.find(pattern, at + 1, end)
                continue
            yield index
            at = data.find(pattern, at + 4, end)

    def id_at(self, word: int) -> TypeId | None:
        """Return the own type in whose record a word of :attr:`words` stands."""
        from bisect import bisect_right

        index = bisect_right(self.offsets, word) - 1
        return TypeId(self.start_id + index) if index >= 0 else None

    def iter_type_refs(self, type_id: int) -> list[TypeId]:
        """Return the ids that a type refers to, void included, in libbpf's order."""
        owner = self.owner_of(type_id)
        words = owner.words
        return [TypeId(words[at]) for at in owner.type_ref_words(type_id)]

    def iter_str_refs(self, type_id: int) -> list[int]:
        """Return the string offsets that a type refers to, its own name's first."""
        owner = self.owner_of(type_id)
        words = owner.words
        return [words[at] for at in owner.str_ref_words(type_id)]

    # Strings.

    def string_bytes(self, offset: int) -> bytes:
        """
        Return the string at an offset of the whole chain, as bytes.

        :raises BtfFormatError: no string of the chain has that offset.
        """
        btf = self
        while offset < btf.start_str_off:
            if btf.base is None:
                break
            btf = btf.base
        try:
            return btf.strings.bytes_at(offset - btf.start_str_off)
        except IndexError:
            raise BtfFormatError(
                f"no string at offset {offset:#x}, strings end at {btf.end_str_off:#x}"
            ) from None

    def string(self, offset: int) -> str:
        """Return the string at an offset of the whole chain; errors as above."""
        return decode_name(self.string_bytes(offset))

    def strings_at(self, offsets: Sequence[int]) -> list[str]:
        """Return the strings at many offsets; errors as above."""
        if self.base is None:
            try:
                return self.strings.all_at(offsets)
            except IndexError:
                pass  # which one it is
        return [self.string(offset) for offset in offsets]

    def find_str(self, name: str) -> int:
        """
        Return the first offset at which the chain holds a string, bases first.

        :raises BtfNotFoundError: it holds no such string.
        """
        data = encode_name(name)
        for btf in self.chain():
            at = btf.strings.first(data)
            if at >= 0:
                return btf.start_str_off + at
        raise BtfNotFoundError(f"no string {name!r}")

    # Types by id.

    def type_by_id(self, type_id: int) -> kinds.Type:
        """
        Decode a type.

        :raises BtfNotFoundError: no such id.
        :raises BtfFormatError: its record refers to what does not exist.
        """
        from btfdbg.btf.decode import VOID, decode

        if type_id == 0:
            return VOID
        return decode(self.owner_of(type_id), type_id)

    def info_of(self, type_id: int) -> int:
        """Return the info word of a type; 0 for void."""
        if type_id == 0:
            return 0
        owner = self.owner_of(type_id)
        return owner.words[owner.offsets[type_id - owner.start_id] + 1]

    def kind_of(self, type_id: int) -> int:
        """Return the kind of a type, a number of :class:`format.Kind` if it is known."""
        if self._heads is not None and type_id >= self.start_id:
            try:
                return KIND_OF_HEAD[self._heads[type_id - self.start_id]]
            except IndexError:
                pass  # no such id: that is said below
        return info_kind(self.info_of(type_id))

    def name_of(self, type_id: int) -> str:
        """Return the name of a type, ``""`` if it is anonymous."""
        return decode_name(self.name_bytes_of(type_id))

    def name_bytes_of(self, type_id: int) -> bytes:
        """Return the name of a type as bytes, ``b""`` if it is anonymous."""
        if type_id == 0:
            return b""
        owner = self.owner_of(type_id)
        name_off = owner.words[owner.offsets[type_id - owner.start_id]]
        if not name_off:
            return b""
        try:
            return owner.string_bytes(name_off)
        except BtfFormatError as error:
            raise owner.record_error(type_id, f"name: {error}") from None

    def record_error(self, type_id: int, message: str) -> BtfFormatError:
        """
        Make the error that says which record breaks a rule, and where it is.

        :param type_id: A type of this BTF or of one of its bases.
        """
        owner = self.owner_of(type_id)
        pos = owner.offsets[type_id - owner.start_id]
        offset = owner.type_section_offset + 4 * pos
        kind = kind_name(info_kind(owner.words[pos + 1]))
        return BtfFormatError(
            f"type {type_id} ({kind}) at {offset:#x}: {message}", offset=offset, type_id=type_id
        )

    # Types by name.

    def own_ids_by_name(
        self, name: str, kinds: Collection[int] | None = None
    ) -> tuple[TypeId, ...]:
        """
        Return the own types of a name, in order of their ids.

        :param kinds: Only these kinds, which is much faster for the first names asked.
        """
        return self._name_index().ids(encode_name(name), kinds)

    def index_names(self) -> None:
        """Make the table of names at once, for those who ask for hundreds; else when it pays."""
        for btf in self.chain():
            btf._name_index().make_table()

    def own_functions(self) -> dict[str, tuple[int, ...]]:
        """
        See :func:`btfdbg.btf.names.own_functions`; for those who ask for most of them.

        Kept, some 12 MB for a kernel, until :meth:`forget_functions`.
        """
        if self._functions is None:
            from btfdbg.btf.names import own_functions

            self._functions = own_functions(self)
        return self._functions

    def forget_functions(self) -> None:
        """Free what :meth:`own_functions` keeps, of the bases as well."""
        for btf in self.chain():
            btf._functions = None

    def own_ids_at(self, offsets: Iterable[int]) -> tuple[TypeId, ...]:
        """Return the own types whose names stand at some string offsets of the chain, by id."""
        return self._name_index().ids_at(offsets)

    def _name_index(self) -> NameIndex:
        if self._names is None:
            from btfdbg.btf.names import NameIndex

            self._names = NameIndex(self)
        return self._names

    def types_by_name(
        self, name: str, kinds: Iterable[int] | int | None = None
    ) -> tuple[TypeId, ...]:
        """
        Return every type of a name, bases first, then by id.

        :param name: Not empty: anonymous types are not found by name.
        :param kinds: Only these kinds.
        """
        wanted = None if kinds is None else {kinds} if isinstance(kinds, int) else set(kinds)
        if self.base is None:
            return self.own_ids_by_name(name, wanted)
        return tuple(
            type_id for btf in self.chain() for type_id in btf.own_ids_by_name(name, wanted)
        )

    def find_by_name_kind(self, name: str, kind: int | None = None) -> TypeId:
        """
        Return the first type of a name and kind, bases first.

        :param kind: ``None`` for any; ``"void"`` of any kind is 0.
        :raises BtfNotFoundError: there is none.
        """
        if name == "void" and not kind:
            return TypeId(0)
        wanted = None if kind is None else (kind,)
        for btf in self.chain():
            for type_id in btf.own_ids_by_name(name, wanted):
                return type_id
        what = "type" if kind is None else kind_name(kind)
        raise BtfNotFoundError(f"no {what} named {name!r}")

    def find_own(self, name: str, kind: int | None = None) -> TypeId:
        """Return the first own type of a name and kind; bases are left out."""
        for type_id in self.own_ids_by_name(name, None if kind is None else (kind,)):
            return type_id
        what = "type" if kind is None else kind_name(kind)
        raise BtfNotFoundError(f"no own {what} named {name!r}")

    # What types amount to.

    def skip_modifiers(self, type_id: int) -> TypeId:
        """
        Return what is left after CONST, VOLATILE, RESTRICT and TYPE_TAG.

        :raises BtfFormatError: they form a cycle.
        """
        from btfdbg.btf.sizing import skip_modifiers

        return skip_modifiers(self, type_id)

    def skip_mods_and_typedefs(self, type_id: int) -> TypeId:
        """Return what is left after modifiers and typedefs; errors as above."""
        from btfdbg.btf.sizing import skip_mods_and_typedefs

        return skip_mods_and_typedefs(self, type_id)

    def resolve_size(self, type_id: int) -> int:
        """
        Return the size of a type in bytes.

        :raises BtfNotFoundError: the type has none: void, FWD, a function, a tag.
        :raises BtfFormatError: its chain of references is a cycle, or 2^63 bytes long.
        """
        from btfdbg.btf.sizing import resolve_size

        return resolve_size(self, type_id)

    def align_of(self, type_id: int) -> int:
        """
        Return the alignment of a type in bytes, as libbpf derives it.

        A struct with a misplaced member, or whose size is no multiple of its
        members' alignment, is packed: 1. Scalars are aligned to at most a pointer.
        Errors as :meth:`resolve_size`; a struct that contains itself is a cycle.
        """
        from btfdbg.btf.sizing import align_of

        return align_of(self, type_id)

    def offset_of(self, type_: str | int, path: str) -> int:
        """
        Return the offset of a member **in bits**.

        :param type_: Name of a STRUCT, UNION or TYPEDEF, with or without its
            keyword, or a type id.
        :param path: Members joined by dots, array elements in brackets, as in
            ``"d_name.len"`` or ``"slots[3].next"``; anonymous members are entered.
        :raises BtfNotFoundError: no such type or member, or types of that name that
            do not agree.
        """
        from btfdbg.btf.members import offset_of

        return offset_of(self, type_, path)

    def member_at(self, type_id: int, bit_offset: int) -> kinds.Member:
        """
        Return the member of a struct or union that covers a bit.

        :param type_id: STRUCT or UNION, or a typedef/qualifier chain to one.
        :param bit_offset: Bits from the start of the type.
        :return: Innermost member, anonymous members entered and its offset counted
            from ``type_id``; of a union, the first that covers the bit.
        :raises BtfNotFoundError: the bit is padding or outside of the type.
        Source: ``struct btf_member`` in include/uapi/linux/btf.h.
        """
        from btfdbg.btf.members import member_at

        return member_at(self, type_id, bit_offset)


def string_sections(btf: Btf | None) -> list[tuple[Strings, int]]:
    """Return a chain's string sections, bases first, each with its first offset; none for none."""
    return [] if btf is None else [(one.strings, one.start_str_off) for one in btf.chain()]
