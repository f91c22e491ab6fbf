"""BTF type to ``drgn.Type``: the rung ``kinds.Type → drgn.Type`` of the data ladder.

Owns the memo from BTF id to ``drgn.Type`` and nothing else. Must never look at
a ``drgn.Object`` of the program under debug: member and parameter callables run
while drgn holds the half-built member, and a re-entrant access would silently
see ``void`` (drgn ``libdrgn/lazy_object.c``). They build types only.

Why a memo: drgn neither deduplicates nor frees struct, union, enum and function
types until the Program dies, so converting an id twice is a leak, and gives two
types with separate member caches.

Why the kinds that are many are read from their words: making all of a kernel's types
takes half the time without a value for each in between. Whatever is not plainly right
in a record is left to the decoder, which knows what to say about it.

Facts: ``include/uapi/linux/btf.h``; drgn 0.3 ``Program.*_type()``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat

import drgn

from btfdbg.arch import ARCHES
from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.encoder import enum_meaning, int_meaning
from btfdbg.btf.fields import (
    INFO,
    NAME_OFF,
    SIZE_OR_TYPE,
    array_words,
    member_words,
    param_words,
)
from btfdbg.btf.format import MAX_CHAIN, info_kind
from btfdbg.errors import BtfFormatError

# BTF's ENUM has no underlying type, only size and signedness.
_ENUM_INT = {
    (1, False): "unsigned char",
    (1, True): "signed char",
    (2, False): "unsigned short",
    (2, True): "short",
    (4, False): "unsigned int",
    (4, True): "int",
    (8, False): "unsigned long",
    (8, True): "long",
}

_BITS_PER_BYTE = 8


class TypeConverter:
    """
    Converts the types of one BTF (and of its bases) for one Program.

    :param prog: Program that will own the types; its platform must be known.
    :param btf: Base or split BTF.
    :param base: Converter of ``btf.base``; required for split BTF, so that a
        type of the base is the same ``drgn.Type`` whoever refers to it.
    :param char_is_signed: What plain ``char`` is where the encoder wrote no sign; by
        default the base's, or what the architecture's compilers make of it.
    """

    def __init__(
        self,
        prog: drgn.Program,
        btf: Btf,
        base: TypeConverter | None = None,
        *,
        char_is_signed: bool | None = None,
    ) -> None:
        if (btf.base is None) != (base is None):
            raise ValueError("a split BTF needs the converter of its base, a base BTF needs none")
        self.prog = prog
        self.btf = btf
        self.base = base
        # By id, from the first one on (void counts as the base's): a dict would take
        # eight times the memory once all types are in it.
        if char_is_signed is None:
            char_is_signed = _char_is_signed(prog) if base is None else base.char_is_signed
        self.char_is_signed: bool = char_is_signed
        self._first_id = 0 if base is None else btf.start_id
        self._memo: list[drgn.Type | None] = [None] * (btf.type_cnt - self._first_id)
        self._memoised = 0
        self._active: set[int] = set()
        self._widths: dict[int, tuple[int, int] | None] = {}
        self._own_strings = btf.strings.data if base is None else b""
        # Where a struct that this BTF only declares is defined, if it is known:
        # vmlinux declares what modules define. May read the dump, but must
        # not evaluate a member that is being built.
        self.find_definition: Callable[[str, bool], drgn.Type | None] | None = None

    def convert(self, type_id: int) -> drgn.Type:
        """
        Return the drgn type of a BTF type.

        :param type_id: Any id but that of a FUNC's parameter list entry: VAR
            and FUNC give the type of the object, DECL_TAG and TYPE_TAG the
            type they decorate, DATASEC and LOC kinds are no types.
        :raises BtfFormatError: the type cannot exist in C (a cycle without a
            struct, a chain without an end, a bit-field of a struct).
        """
        if type_id < self.btf.start_id and self.base is not None:
            return self.base.convert(type_id)
        index = type_id - self._first_id
        known = 0 <= index < len(self._memo)
        cached = self._memo[index] if known else None
        if cached is not None:
            return cached
        if type_id in self._active or len(self._active) > MAX_CHAIN:
            raise BtfFormatError(
                f"type {type_id}: refers to itself without a struct between, "
                f"or through more than {MAX_CHAIN} types",
                type_id=type_id,
            )
        try:
            # Inside: Ctrl-C between the two would leave it active for ever.
            self._active.add(type_id)
            converted = self._build(type_id)
        finally:
            self._active.discard(type_id)
        if known:
            self._memo[index] = converted
            self._memoised += 1
        return converted

    def _ready(self, type_id: int) -> drgn.Type | None:
        """A type that was converted before; the id is known to exist."""
        if type_id < self._first_id:
            return None
        return self._memo[type_id - self._first_id]

    def memoised(self) -> int:
        """Number of types converted so far (own ids only)."""
        return self._memoised

    def _build(self, type_id: int) -> drgn.Type:
        btf = self.btf
        try:
            if type_id >= btf.start_id:
                at = btf.offsets[type_id - btf.start_id]
                quick = _FROM_WORDS.get(info_kind(btf.words[at + INFO]))
                if quick is not None:
                    made = quick(self, at)
                    if made is not None:
                        return made
        except BtfFormatError:
            raise
        except (IndexError, ValueError, TypeError, OverflowError):
            # No such id, a name outside of the strings, a type that exists and that no
            # object can have: the decoder's to say, with members that wait to be asked.
            pass
        t = btf.type_by_id(type_id)
        builder = _BUILDERS.get(type(t))
        if builder is None:
            raise BtfFormatError(
                f"type {type_id} ({type(t).__name__.upper()}) is not a C type", type_id=type_id
            )
        try:
            return builder(self, type_id, t)
        except (ValueError, TypeError, OverflowError) as e:
            if isinstance(e, BtfFormatError):
                raise
            # drgn refuses what C cannot have, an array of functions for one.
            raise BtfFormatError(
                f"type {type_id} ({type(t).__name__.upper()} {t.name!r}): {e}", type_id=type_id
            ) from e

    # The kinds that are many, from the word at which a record starts. None: not plain.

    def _text(self, offset: int) -> str | None:
        """A name, None if it is empty; raises IndexError outside of the strings."""
        if not offset:
            return None
        data = self._own_strings
        if not data:  # split BTF
            return self.btf.string(offset) or None
        if offset >= len(data):
            raise IndexError(offset)
        return data[offset : data.find(0, offset)].decode("utf-8", "surrogateescape") or None

    def _target(self, at: int) -> drgn.Type | None:
        """What the third word of a record refers to."""
        target = self.btf.words[at + SIZE_OR_TYPE]
        return self.convert(target) if target < self.btf.type_cnt else None

    def _ptr_at(self, at: int) -> drgn.Type | None:
        target = self._target(at)
        return None if target is None else self.prog.pointer_type(target)

    def _const_at(self, at: int) -> drgn.Type | None:
        target = self._target(at)
        if target is None:
            return None
        return target.qualified(target.qualifiers | drgn.Qualifiers.CONST)

    def _typedef_at(self, at: int) -> drgn.Type | None:
        name, target = self._text(self.btf.words[at + NAME_OFF]), self._target(at)
        return None if name is None or target is None else self.prog.typedef_type(name, target)

    def _array_at(self, at: int) -> drgn.Type | None:
        element, index, count = array_words(self.btf.words, at)
        if not count or max(element, index) >= self.btf.type_cnt:
            return None
        return self.prog.array_type(self.convert(element), count)

    def _func_at(self, at: int) -> drgn.Type | None:
        target = self.btf.words[at + SIZE_OR_TYPE]
        if target >= self.btf.type_cnt or self.btf.kind_of(target) != Kind.FUNC_PROTO:
            return None
        self._text(self.btf.words[at + NAME_OFF])  # a record without a name is damaged
        return self.convert(target)

    def _func_proto_at(self, at: int) -> drgn.Type | None:
        names, types = param_words(self.btf.words, at)
        result = self.btf.words[at + SIZE_OR_TYPE]
        if max(types, default=0) >= self.btf.type_cnt or result >= self.btf.type_cnt:
            return None
        variadic = bool(types) and not types[-1] and self._text(names[-1]) is None
        if variadic:
            types.pop()
        ready, text, parameter = self._ready, self._text, drgn.TypeParameter
        parameters = [
            parameter(ready(target) or partial(self.convert, target), text(name))
            for name, target in zip(names, types, strict=False)
        ]
        return self.prog.function_type(self.convert(result), parameters, variadic)

    def _struct_at(self, at: int) -> drgn.Type | None:
        members = self._members_at(at)
        if members is None:
            return None
        words = self.btf.words
        return self.prog.struct_type(
            self._text(words[at + NAME_OFF]), words[at + SIZE_OR_TYPE], members
        )

    def _union_at(self, at: int) -> drgn.Type | None:
        members = self._members_at(at)
        if members is None:
            return None
        words = self.btf.words
        return self.prog.union_type(
            self._text(words[at + NAME_OFF]), words[at + SIZE_OR_TYPE], members
        )

    def _members_at(self, at: int) -> list[drgn.TypeMember] | None:
        names, types, offsets, sizes = member_words(self.btf.words, at)
        if max(types, default=0) >= self.btf.type_cnt:
            return None
        # As _member(), which see.
        widths, ready, text, member = self._widths, self._ready, self._text, drgn.TypeMember
        found = []
        for name, target, offset, bits in zip(
            names, types, offsets, sizes or repeat(0, len(names)), strict=True
        ):
            if not bits:
                try:
                    legacy = widths[target]
                except KeyError:
                    legacy = widths[target] = self._legacy_bitfield(target)
                if legacy is not None:
                    bits, extra = legacy
                    offset += extra
            what = (
                partial(self._bit_field, target, bits)
                if bits
                else (ready(target) or partial(self.convert, target))
            )
            found.append(member(what, text(name), offset))
        return found

    def _bit_field(self, type_id: int, bits: int) -> drgn.Object:
        return drgn.Object(self.prog, self.convert(type_id), bit_field_size=bits)

    # One method per kind. Each gets the decoded type, so it never fails on bytes.

    def _void(self, type_id: int, t: kinds.Void) -> drgn.Type:
        return self.prog.void_type()

    def _int(self, type_id: int, t: kinds.Int) -> drgn.Type:
        meant = int_meaning(self.btf, t, self.char_is_signed)
        if isinstance(meant, kinds.Float):
            return self._float(type_id, meant)
        t = meant
        if t.bool:
            return self.prog.bool_type(t.name or "_Bool", t.size)
        return self.prog.int_type(t.name or f"<anonymous int {t.size}>", t.size, t.signed)

    def _float(self, type_id: int, t: kinds.Float) -> drgn.Type:
        return self.prog.float_type(t.name, t.size)

    def _ptr(self, type_id: int, t: kinds.Ptr) -> drgn.Type:
        return self.prog.pointer_type(self.convert(t.type))

    def _array(self, type_id: int, t: kinds.Array) -> drgn.Type:
        # BTF does not tell ``[]`` from ``[0]``. Both have size 0; only the
        # incomplete one can be indexed by drgn helpers as the kernel does.
        if t.nelems == 0:
            return self.prog.array_type(self.convert(t.type))
        return self.prog.array_type(self.convert(t.type), t.nelems)

    def _struct(self, type_id: int, t: kinds.Struct) -> drgn.Type:
        return self.prog.struct_type(t.name or None, t.size, self._members(t))

    def _union(self, type_id: int, t: kinds.Union) -> drgn.Type:
        return self.prog.union_type(t.name or None, t.size, self._members(t))

    def _fwd(self, type_id: int, t: kinds.Fwd) -> drgn.Type:
        found = self._definition(t) if t.name else None
        if found is not None:
            return found
        if t.is_union:
            return self.prog.union_type(t.name or None)
        return self.prog.struct_type(t.name or None)

    def _definition(self, t: kinds.Fwd) -> drgn.Type | None:
        """
        The one definition of what is only declared: here, in the base, or else in the modules.

        Of two of one name neither is: who declares it may mean either. Kernels whose BTF an older
        pahole made have both forms side by side; a newer one merges them by the same rule.
        Facts: libbpf's ``btf.c``, btf_dedup_resolve_fwds().
        """
        wanted = (Kind.UNION if t.is_union else Kind.STRUCT,)
        ids = [i for btf in self.btf.chain() for i in btf.own_ids_by_name(t.name, wanted)]
        if ids:
            return self.convert(ids[0]) if len(ids) == 1 else None
        return self.find_definition(t.name, t.is_union) if self.find_definition else None

    def _enum(self, type_id: int, t: kinds.Enum | kinds.Enum64) -> drgn.Type:
        if not t.values:
            return self.prog.enum_type(t.name or None)
        meaning = enum_meaning(self.btf, t)
        try:
            int_name = _ENUM_INT[t.size, meaning.signed]
        except KeyError:
            raise BtfFormatError(
                f"type {type_id} (ENUM {t.name!r}): size is {t.size} bytes, expected 1, 2, 4 or 8",
                type_id=type_id,
            ) from None
        compatible = self.prog.int_type(int_name, t.size, meaning.signed)
        return self.prog.enum_type(
            t.name or None,
            compatible,
            [drgn.TypeEnumerator(v.name, v.value) for v in meaning.values],
        )

    def _typedef(self, type_id: int, t: kinds.Typedef) -> drgn.Type:
        return self.prog.typedef_type(t.name, self.convert(t.type))

    def _const(self, type_id: int, t: kinds.Const) -> drgn.Type:
        return self._qualified(t.type, drgn.Qualifiers.CONST)

    def _volatile(self, type_id: int, t: kinds.Volatile) -> drgn.Type:
        return self._qualified(t.type, drgn.Qualifiers.VOLATILE)

    def _restrict(self, type_id: int, t: kinds.Restrict) -> drgn.Type:
        return self._qualified(t.type, drgn.Qualifiers.RESTRICT)

    def _qualified(self, type_id: int, qualifier: drgn.Qualifiers) -> drgn.Type:
        inner = self.convert(type_id)
        return inner.qualified(inner.qualifiers | qualifier)

    def _through(self, type_id: int, t: kinds.TypeTag | kinds.DeclTag | kinds.Var) -> drgn.Type:
        return self.convert(t.type)

    def _func(self, type_id: int, t: kinds.Func) -> drgn.Type:
        return self.convert(t.type)

    def _func_proto(self, type_id: int, t: kinds.FuncProto) -> drgn.Type:
        variadic = t.is_variadic
        params = t.params[:-1] if variadic else t.params
        return self.prog.function_type(
            self.convert(t.type),
            [drgn.TypeParameter(self._lazy_type(p.type), p.name or None) for p in params],
            variadic,
        )

    def _lazy_type(self, type_id: int) -> Callable[[], drgn.Type]:
        return lambda: self.convert(type_id)

    def _members(self, t: kinds.Struct | kinds.Union) -> list[drgn.TypeMember]:
        return [self._member(m) for m in t.members]

    def _member(self, m: kinds.Member) -> drgn.TypeMember:
        name = m.name or None
        # The callables decide plain or bit-field without resolving the type
        # now: that keeps a struct's conversion from walking the whole graph.
        if m.bitfield_size:
            bits, type_id = m.bitfield_size, m.type
            return drgn.TypeMember(
                lambda: drgn.Object(self.prog, self.convert(type_id), bit_field_size=bits),
                name,
                m.bit_offset,
            )
        legacy = self._legacy_bitfield(m.type)
        if legacy is not None:
            bits, extra_offset = legacy
            type_id = m.type
            return drgn.TypeMember(
                lambda: drgn.Object(self.prog, self.convert(type_id), bit_field_size=bits),
                name,
                m.bit_offset + extra_offset,
            )
        return drgn.TypeMember(self._lazy_type(m.type), name, m.bit_offset)

    def _legacy_bitfield(self, type_id: int) -> tuple[int, int] | None:
        """
        Width and extra offset, in bits, of a bit-field in the notation without kind_flag.

        Before kind_flag the width stood in the INT ("BTF_INT_BITS") that the
        member refers to: Linux kernel commit 9d5f9f701b18 ("bpf: btf: fix
        struct/union/fwd types with kind_flag") (in v5.0) made the other form.
        """
        if self.btf.kind_of(type_id) != kinds.Int.kind:
            return None
        t = self.btf.type_by_id(type_id)
        assert isinstance(t, kinds.Int)
        if (t.bits == t.size * _BITS_PER_BYTE and t.offset == 0) or t.bits == 0 or t.bool:
            return None
        return t.bits, t.offset


def _char_is_signed(prog: drgn.Program) -> bool:
    """What an architecture's compilers make of plain ``char`` unless they are told."""
    platform = prog.platform
    return platform is not None and any(
        arch.char_is_signed for arch in ARCHES if arch.drgn == platform.arch.name
    )


_FROM_WORDS: dict[int, Callable[[TypeConverter, int], drgn.Type | None]] = {
    Kind.PTR: TypeConverter._ptr_at,
    Kind.ARRAY: TypeConverter._array_at,
    Kind.STRUCT: TypeConverter._struct_at,
    Kind.UNION: TypeConverter._union_at,
    Kind.TYPEDEF: TypeConverter._typedef_at,
    Kind.CONST: TypeConverter._const_at,
    Kind.FUNC: TypeConverter._func_at,
    Kind.FUNC_PROTO: TypeConverter._func_proto_at,
}

_BUILDERS: dict[type, Callable[..., drgn.Type]] = {
    kinds.Void: TypeConverter._void,
    kinds.Int: TypeConverter._int,
    kinds.Float: TypeConverter._float,
    kinds.Ptr: TypeConverter._ptr,
    kinds.Array: TypeConverter._array,
    kinds.Struct: TypeConverter._struct,
    kinds.Union: TypeConverter._union,
    kinds.Fwd: TypeConverter._fwd,
    kinds.Enum: TypeConverter._enum,
    kinds.Enum64: TypeConverter._enum,
    kinds.Typedef: TypeConverter._typedef,
    kinds.Const: TypeConverter._const,
    kinds.Volatile: TypeConverter._volatile,
    kinds.Restrict: TypeConverter._restrict,
    kinds.TypeTag: TypeConverter._through,
    kinds.DeclTag: TypeConverter._through,
    kinds.Var: TypeConverter._through,
    kinds.Func: TypeConverter._func,
    kinds.FuncProto: TypeConverter._func_proto,
}
