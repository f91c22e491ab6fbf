"""Declarations in C: what a type looks like around a name.

Owns C's inside-out syntax and the text of one definition. A declarator is a pair of
strings, what stands left and right of the name, and is made from the base type
outwards: a pointer adds a star on the left, an array brackets on the right, and a
pointer to an array or function wraps all of it in parentheses. Pairs are kept by type,
since a kernel declares 250,000 members of 20,000 types.

The spacing is libbpf's, quirks included (``int (* const f)(void)``): its tests compare
text. Qualifiers of arrays and functions, which compilers invent, are dropped as there.
Facts: libbpf's btf_dump.c.
"""

from __future__ import annotations

from itertools import compress, pairwise, repeat
from operator import add

from btfdbg.btf.cheader.c_layout import Types
from btfdbg.btf.cheader.holders import not_to_be_aligned
from btfdbg.btf.cheader.names import CNames
from btfdbg.btf.cheader.padding import unnamed_bit_fields
from btfdbg.btf.layouts import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    MAX_CHAIN,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
)
from btfdbg.errors import BtfFormatError

_QUALIFIERS = {CONST: "const", VOLATILE: "volatile", RESTRICT: "restrict"}
_MODIFIERS = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG})
_ONE_WORD = _MODIFIERS | {PTR, FUNC_PROTO}
_ENUMS = frozenset({ENUM, ENUM64})
_COMPOSITES = frozenset({STRUCT, UNION})
_NAMED = frozenset({INT, FLOAT})
_TAGGED = frozenset({STRUCT, UNION, ENUM, ENUM64})
# Left and right of the name; whether a space stands before a name.
_Pair = tuple[str, str, bool]
# Declarations within declarations; real ones stay below 10.
_MAX_DEPTH = 60
# Characters of output per byte of BTF before nesting counts as hostile.
_GROWTH = 64
_FLOOR = 1 << 20
# Bits of a gap that is a member, not thousands of lines; no kernel has one that is half as long.
_FAR = 1 << 20


NUL = "\0"


class Unprintable(BtfFormatError):
    """A type that C has no words for, or too many."""


class Declarator(CNames):
    """
    Names and declarations of one dump.

    :param ms_extensions: Write unnamed members of a named type as that, as libbpf does.
    """

    def __init__(self, types: Types, ms_extensions: bool = False) -> None:
        super().__init__(types)
        self.ms_extensions = ms_extensions
        # What stands left and right of a name, and what is declared without one.
        self._lefts: dict[int, str] = {}
        self._rights = [""] * types.count
        self._unnamed: dict[int, str] = {}
        size = sum(len(level.raw) for level in types.btf.chain())
        self._depth = 0
        self._inside: set[int] = set()
        #: STRUCTs and UNIONs whose members have no layout in C; written as bytes.
        self.opaque: dict[int, str] = {}
        #: Enumerators whose values their enums cannot hold, a line each.
        self.unfit: list[str] = []
        self._budget = _FLOOR + _GROWTH * size
        # Stand-ins for members in the scope that is being written.
        self._stand_ins = 0
        #: Found when first asked for.
        self._not_aligned: set[int] | None = None
        self._know()

    def _know(self) -> None:
        """Note the declarations with tags that are the only one of their name."""
        types, texts, lefts = self.types, self._texts, self._lefts
        lefts.update(zip(texts, map(add, texts.values(), repeat(" ")), strict=True))
        targets = list(types.columns.word(types.pointers, 2))
        known = list(map(texts.__contains__, targets))
        tags = map(texts.__getitem__, compress(targets, known))
        pointers = compress(types.pointers, known)
        lefts.update(zip(pointers, map(add, tags, repeat(" *")), strict=True))

    # Declarations.

    def declare(self, type_id: int, name: str, level: int) -> str:
        """Return the declaration of a name; ``level`` indents what it defines inline."""
        if name:
            known = self._lefts.get(type_id)
            if known is not None:
                return f"{known}{name}{self._rights[type_id]}"
            left, right, space = self._pair(type_id, level, True)
            return f"{left} {name}{right}" if space else f"{left}{name}{right}"
        text = self._unnamed.get(type_id)
        if text is None:
            left, right, _ = self._pair(type_id, level, False)
            text = left + right
        return text

    def _enter(self, type_id: int) -> None:
        if self._depth >= _MAX_DEPTH:
            raise Unprintable(f"type {type_id}: nested too deeply", type_id=type_id)
        if self._budget < 0:
            self._spend(0)
        self._depth += 1

    def _pair(self, type_id: int, level: int, named: bool) -> _Pair:
        self._enter(type_id)
        try:
            return self._make_pair(type_id, level, named)
        finally:
            self._depth -= 1

    def _chain(self, type_id: int) -> tuple[list[int], int]:
        """Return what stands between a declared name and what it is declared as, and that."""
        kinds, words, start = self.types.kind, self.types.words, self.types.start
        chain: list[int] = []
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = kinds[at]
            if kind == ARRAY:
                chain.append(at)
                at = words[start[at] + 3]
            elif kind in _ONE_WORD:
                chain.append(at)
                at = words[start[at] + 2]
            else:
                return chain, at
        raise Unprintable(
            f"type {type_id}: refers to itself, or is over {MAX_CHAIN} references deep",
            type_id=type_id,
        )

    def _is_known(self, type_id: int) -> bool:
        """
        Return whether a named declaration of a type is always the same.

        If so, it is known from here on: what stands left and right of the name.
        """
        if type_id in self._lefts:
            return True
        kinds, words, start = self.types.kind, self.types.words, self.types.start
        pointer = kinds[type_id] == PTR
        at = words[start[type_id] + 2] if pointer else type_id
        if kinds[at] == ARRAY or kinds[at] in _ONE_WORD:
            chain, at = self._chain(type_id)
            if any(kinds[link] == FUNC_PROTO for link in chain):
                return False
        else:
            chain = []
        if kinds[at] in _TAGGED and not words[start[at]]:
            return False  # defined where it is used
        if chain:
            self._pair(type_id, 0, True)
        else:
            text = self._base(at, 0)[0]
            self._lefts[type_id] = text + " *" if pointer else text + " "
        return True

    def _make_pair(self, type_id: int, level: int, named: bool) -> _Pair:
        kinds = self.types.kind
        chain, at = self._chain(type_id)
        left = ""
        while chain and kinds[chain[-1]] in _QUALIFIERS:
            left += _QUALIFIERS[kinds[chain.pop()]] + " "
        text, inline = self._base(at, level)
        pair, nested = self._wrap(left + text, chain, level, named)
        left, right, space = pair
        self._spend(len(left) + len(right))
        if not inline and not nested:
            if named:
                self._lefts[type_id] = left + " " if space else left
                self._rights[type_id] = right
            else:
                self._unnamed[type_id] = left + right
        return pair

    def _wrap(self, left: str, chain: list[int], level: int, named: bool) -> tuple[_Pair, bool]:
        """Put pointers, arrays and parameter lists around a base, innermost first."""
        types = self.types
        right = ""
        space = True
        inner = 0  # ARRAY or FUNC_PROTO whose brackets stand right of the name
        nested = False
        while chain:
            type_id = chain.pop()
            kind = types.kind[type_id]
            if inner and kind in _MODIFIERS:
                continue
            if inner == FUNC_PROTO:
                left, right, space = f"{left} (", f"){right}", False
                inner = 0
            elif inner == ARRAY and kind != ARRAY:
                left = f"{left} (" if space and named else f"{left}("
                right, space = f"){right}", False
                inner = 0
            if kind == PTR:
                left, space = left + (" *" if space else "*"), False
            elif kind == ARRAY:
                right = f"[{types.words[types.start[type_id] + 5]}]{right}"
                inner = ARRAY
            elif kind == FUNC_PROTO:
                params, defines = self._params(type_id, level)
                nested = nested or defines
                right = f"({params}){right}"
                inner = FUNC_PROTO
            elif kind == TYPE_TAG:
                left, space = left + self._type_tag(type_id), True
            else:
                left, space = f"{left} {_QUALIFIERS[kind]}", True
        return (left, right, space), nested

    def _type_tag(self, type_id: int) -> str:
        record = self.types.record[type_id]
        value = self.names[record[0]]
        if record[1] > 0x7FFFFFFF:
            return f" __attribute__(({value}))"
        return f' __attribute__((btf_type_tag("{value}")))'

    def _params(self, type_id: int, level: int) -> tuple[str, bool]:
        """Return a parameter list, and whether it holds a definition."""
        types = self.types
        at, end = types.start[type_id], types.start[type_id + 1]
        targets = types.words[at + 4 : end : 2].tolist()
        if not targets or targets == [0]:
            return "void", False
        names = self.names.cut(types.words[at + 3 : end : 2].tolist())
        out = []
        nested = False
        last = len(targets) - 1
        for number, (name, target) in enumerate(zip(names, targets, strict=True)):
            if number == last and not target:
                out.append("...")
                break
            out.append(self.declare(target, name, level))
            # A pair that is not kept was made for this level only.
            nested = nested or target not in (self._lefts if name else self._unnamed)
        text = ", ".join(out)
        self._spend(len(text))
        return text, nested

    def _base(self, type_id: int, level: int) -> tuple[str, bool]:
        """Return the text of what a chain ends in, and whether that defines something."""
        kind = self.types.kind[type_id]
        if not type_id:
            return "void", False
        if kind == TYPEDEF:
            return self.ident_name(type_id), False
        named = self.types.words[self.types.start[type_id]]
        if kind in _NAMED:
            return self.names[named], False
        if kind in _COMPOSITES:
            return (self.tag(type_id), False) if named else (self.composite(type_id, level), True)
        if kind in _ENUMS:
            if named:
                return f"enum {self.tag_name(type_id)}", False
            return self.enum(type_id, level), True
        if kind == FWD:
            return self.forward(type_id), False
        raise Unprintable(
            f"type {type_id}: no C declaration can use a type of kind {kind}", type_id=type_id
        )

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise BtfFormatError("the C of these types is too much larger than they are")

    # Definitions.

    def typedef(self, type_id: int) -> str:
        """Return a typedef; empty for one that every compiler has."""
        name = self.ident_name(type_id)
        target = self.types.words[self.types.start[type_id] + 2]
        if name == "__builtin_va_list":
            return ""
        if name == "__gnuc_va_list" and not target:
            target_text = "__builtin_va_list"  # GCC described it as void
            return f"typedef {target_text} {name}"
        text = "typedef " + self.declare(target, name, 0)
        self._spend(len(text))
        return text

    def forward(self, type_id: int) -> str:
        """Return what a FWD declares."""
        text = super().forward(type_id)
        self._spend(len(text))
        return text

    def enum(self, type_id: int, level: int) -> str:
        types = self.types
        record = types.record[type_id]
        name = self.tag_name(type_id)
        head = f"enum {name}" if name else "enum"
        if len(record) == 3:
            return head
        signed = record[1] > 0x7FFFFFFF
        long = types.kind[type_id] == ENUM64
        step = 3 if long else 2
        indent = "\t" * (level + 1)
        lines = [f"{head} {{"]
        wide = False
        names, counts = self.names, self._ident_counts
        labels = names.cut(record[3::step])
        if counts.keys().isdisjoint(labels) and len(set(labels)) == len(labels):
            counts.update(dict.fromkeys(labels, 1))
        else:
            labels = [self._numbered(counts, label) for label in labels]
        if long:
            wide = any(record[5::3])
            values = [
                low | high << 32 for low, high in zip(record[4::3], record[5::3], strict=True)
            ]
            if signed:
                values = [value - (value >> 63 << 64) for value in values]
            suffix = "LL," if signed else "ULL,"
        else:
            values = record[4::2]
            # Clang before 15 does not say that an enum is signed; too large values do.
            if signed or (record[2] < 4 and max(values) >> 8 * record[2]):
                values = [value - (value >> 31 << 32) for value in values]
            suffix = ","
        size = record[2]
        if 0 < size < (8 if long else 4):
            labels, values, unfit = self._fitting(type_id, labels, values, size)
            lines += [f"{indent}/* {line} */" for line in unfit]
        lines += [
            f"{indent}{label} = {value}{suffix}"
            for label, value in zip(labels, values, strict=True)
        ]
        end = "\t" * level + "}"
        if size == 1:
            end += " __attribute__((mode(byte)))"
        elif size == 2:
            end += " __attribute__((mode(HI)))"
        elif size == 8 and types.pointer_size == 8 and not (long and wide):
            end += " __attribute__((mode(word)))"
        lines.append(end)
        text = "\n".join(lines)
        self._spend(len(text))
        return text

    def _fitting(
        self, type_id: int, labels: list[str], values: list[int], size: int
    ) -> tuple[list[str], list[int], list[str]]:
        """Return the enumerators that bytes of a size can hold, and a line for each other."""
        negative = min(values) < 0
        low, end = (-1 << 8 * size - 1, 1 << 8 * size - 1) if negative else (0, 1 << 8 * size)
        both = list(zip(labels, values, strict=True))
        fits = [row for row in both if low <= row[1] < end]
        unfit = [
            f"{label} = {value} does not fit into {size} bytes"
            for label, value in both
            if not low <= value < end
        ]
        if unfit:
            self.unfit += [f"{self.tag_name(type_id) or 'enum'}: {line}" for line in unfit]
            if not fits:  # C has no enum without a value
                fits = [(self._numbered(self._ident_counts, "__none"), 0)]
        return [label for label, _ in fits], [value for _, value in fits], unfit

    def composite(self, type_id: int, level: int, *, unnamed: bool = False) -> str:
        """
        Return the definition of a STRUCT or UNION, padding and attributes included.

        :param unnamed: Leave out its tag.
        """
        types = self.types
        words = types.words
        if not level:
            self._stand_ins = 0
        at, end = types.start[type_id], types.start[type_id + 1]
        struct = types.kind[type_id] == STRUCT
        align = types.align[type_id]
        if align <= 0:
            align = types.align_of(type_id)
        packed = types.packed[type_id]
        indent = "\t" * (level + 1)
        size = words[at + 2]
        members = types.below[type_id]
        if unnamed:
            head = "struct" if struct else "union"
        else:
            head = self._texts.get(type_id) or self.tag(type_id)
        lefts = self._lefts
        name_offs = words[at + 3 : end : 3].tolist()
        if (
            types.plain[type_id]
            and all(name_offs)
            and (all(map(lefts.__contains__, members)) or all(map(self._is_known, members)))
            and max(name_offs, default=0) < self.names.end
        ):
            text, rights = self.names.text, self._rights
            find = text.find
            body = "".join(
                [
                    f"\n{indent}{lefts[m]}{text[n : find(NUL, n)]}{rights[m]};"
                    for m, n in zip(members, name_offs, strict=True)
                ]
            )
            bits = types.last[type_id]
        else:
            offsets = words[at + 5 : end : 3].tolist()
            body, bits = self._guarded_members(type_id, level, name_offs, offsets)
        if bits > 8 * size or bits < 0 or type_id in types.impossible:
            body, bits = self._as_bytes(type_id, bits, indent), 8 * size
        if struct:
            if bits < 8 * size:
                unit = self._largest_unit(type_id)
                body += self._padding(bits, 8 * size, align, unit, indent, packed, between=False)
        elif size and type_id not in self.opaque and types.natural_size(type_id) < size:
            # Its members are not known, or it is aligned to more than they are.
            body += f"\n{indent}unsigned char {self._stand_in()}[{size}];"
        if members or size:
            body += "\n" + "\t" * level
        text = f"{head} {{{body}}}"
        if packed:
            text += " __attribute__((packed))"
        self._budget -= len(text)
        if self._budget < 0:
            self._spend(0)
        return text

    def _guarded_members(
        self, type_id: int, level: int, name_offs: list[int], offsets: list[int]
    ) -> tuple[str, int]:
        """As below, unless the type contains itself: what is defined in place may."""
        self._enter(type_id)
        try:
            if type_id in self._inside:
                raise Unprintable(f"type {type_id}: contains itself", type_id=type_id)
            self._inside.add(type_id)
            try:
                return self._members(type_id, level, name_offs, offsets)
            finally:
                self._inside.discard(type_id)
        finally:
            self._depth -= 1

    def _as_bytes(self, type_id: int, bits: int, indent: str) -> str:
        """Return what stands for members without a layout in C."""
        types = self.types
        size = types.words[types.start[type_id] + 2]
        if type_id in types.impossible:
            what = "a member is void, a function, or of a type that is declared only"
        elif bits < 0:
            what = "its members overlap"
        else:
            what = f"its members are larger than its {size} bytes"
        self.opaque[type_id] = what
        align = types.align_of(type_id)
        aligned = "" if types.packed[type_id] else f" __attribute__((aligned({align})))"
        name = self._stand_in()
        return f"\n{indent}/* {what} */\n{indent}unsigned char {name}[{size}]{aligned};"

    def _stand_in(self) -> str:
        """Return a name for what takes members' room: unnamed ones are in the outer's scope."""
        self._stand_ins += 1
        return "__size" if self._stand_ins == 1 else f"__size___{self._stand_ins}"

    def _members(
        self, type_id: int, level: int, name_offs: list[int], offsets: list[int]
    ) -> tuple[str, int]:
        """
        Return the members one by one, and the bit at which the last ends; -1 if they overlap.

        Rust's compilers describe members in the order of the source, not of the offsets.
        """
        types = self.types
        struct = types.kind[type_id] == STRUCT
        packed = types.packed[type_id]
        own_align = types.pointer_size if packed else types.align_of(type_id)
        largest = self._largest_unit(type_id)
        kflag = types.words[types.start[type_id] + 1] > 0x7FFFFFFF
        indent = "\t" * (level + 1)
        parts: list[str] = []
        append = parts.append
        lefts, rights, sizes = self._lefts, self._rights, types.size
        names = self.names.cut(name_offs)
        members = types.below[type_id]
        mask = 0xFFFFFF if kflag else 0xFFFFFFFF
        if struct and any(a & mask > b & mask for a, b in pairwise(offsets)):
            order = sorted(range(len(offsets)), key=lambda at: offsets[at] & mask)
            names, members = [names[at] for at in order], [members[at] for at in order]
            offsets = [offsets[at] for at in order]
        at = 0
        after_bits = False
        for name, member, offset in zip(names, members, offsets, strict=True):
            bits = 0
            if kflag:
                bits = offset >> 24
                offset &= 0xFFFFFF
            if at > offset and struct:
                return "", -1
            if at < offset and struct:
                align = 1 if packed else types.align_of(member)
                width = 8 * types.size_of(member) if bits else 0
                if width and at % width + bits <= width:
                    align = 1  # a compiler would put it into the unit that has begun
                between = after_bits and bits > 0
                unit = own_align if between else largest
                append(self._padding(at, offset, align, unit, indent, packed, between=between))
            if not name:
                text = self._unnamed_member(member, level + 1)
            elif member in lefts:
                text = f"{lefts[member]}{name}{rights[member]}"
            else:
                outside, self._stand_ins = self._stand_ins, 0
                text = self.declare(member, name, level + 1)
                self._stand_ins = outside
            if bits:
                append(f"\n{indent}{text}: {bits};")
                at = offset + bits
                after_bits = True
            else:
                append(f"\n{indent}{text};")
                size = sizes[member]
                at = offset + 8 * (size if size >= 0 else types.size_of(member))
                after_bits = False
        return "".join(parts), at

    def _unnamed_member(self, type_id: int, level: int) -> str:
        """
        Return a member without a name, whose members are the outer type's.

        That its type has a tag or is a typedef is an extension of GCC's
        (``-fms-extensions``, which Linux uses since 6.19); written out as a type
        without a tag it needs none.
        """
        at = type_id
        qualifiers = ""
        for _ in range(MAX_CHAIN):
            kind = self.types.kind[at]
            if kind in _COMPOSITES:
                if self.ms_extensions:
                    break
                named = self.types.words[self.types.start[at]]
                text = self.composite(at, level, unnamed=True)
                return qualifiers + text + (f" /* {self.tag(at)} */" if named else "")
            if kind in _QUALIFIERS:
                qualifiers += _QUALIFIERS[kind] + " "
            elif kind != TYPEDEF:
                break
            at = self.types.words[self.types.start[at] + 2]
        return self.declare(type_id, "", level)

    def _largest_unit(self, type_id: int) -> int:
        """Return the bytes of the largest unit that a struct's padding may be made of."""
        types = self.types
        unit = types.pointer_size
        if types.packed[type_id]:
            return unit
        align = types.align_of(type_id)
        if align >= unit:
            return unit
        if self._not_aligned is None:
            self._not_aligned = not_to_be_aligned(types, unit)
        return align if type_id in self._not_aligned else unit

    def _padding(
        self,
        at: int,
        end: int,
        align: int,
        largest: int,
        indent: str,
        packed: int,
        *,
        between: bool,
    ) -> str:
        """
        Return what brings the next member to its place, see ``padding``.

        A gap that would take too many lines is a member.
        """
        out: list[str] = []
        if end - at > _FAR:
            at = -(-at // 8) * 8
            size, rest = divmod(end - at, 8)
            out.append(f"\n{indent}unsigned char {self._stand_in()}[{size}];")
            at = end - rest
        for name, width, count in unnamed_bit_fields(
            at, end, align, largest, self.types.pointer_size, packed=bool(packed), between=between
        ):
            line = f"\n{indent}{name}: {width};"
            self._spend(count * len(line))
            out.append(line * count)
        return "".join(out)
