"""Types that look in memory as the one does that would be given, and what tells them apart.

A pointer is like any other pointer, ``unsigned short`` like ``u_short``, a table like the same
table without ``const``. Where a type holds by itself only, another that would fit as well is
looked for here: by what this dump's BTF has and nothing known explains, by the place, by the room.
Each is a kind of change that was found wrong by leaving series out.

Facts: pahole writes every type that a variable has, though it leaves the variable itself out: a
type of the BTF that no known variable is of is that of an unknown one. include/linux/list.h:
LIST_HEAD() makes a list that points at itself, so it is in no .bss.
"""

from __future__ import annotations

from collections.abc import Sequence

from drgn import Type, TypeKind

from btfdbg.cdecl import (
    Array,
    CType,
    Named,
    Pointer,
    format_type,
    is_const,
    qualified,
    unqualified,
)
from btfdbg.lazy_dataclass import replace
from btfdbg.vardb.textdb import AnnotatedType
from btfdbg.variables.agreement import kernels_of
from btfdbg.variables.beyond import holds_by_itself
from btfdbg.variables.context import Context
from btfdbg.variables.convert import tree_of
from btfdbg.variables.drift import fills_as
from btfdbg.variables.forms import size_of
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.policy import Tier
from btfdbg.variables.proposals import KnownName, Proposal
from btfdbg.variables.propose import known_name
from btfdbg.variables.symbols import Symbol

_NUMBERS = (TypeKind.INT, TypeKind.BOOL)
_BSS = "bB"
_MAX_DEPTH = 8
_LIST = "struct list_head"
_IDA, _LOCK_IRQ = "struct ida", 1
# include/linux/spinlock_types.h: without lockdep a spinlock_t is one of these and nothing else.
# Locks have become raw for the real-time kernels, none has gone the other way.
_RAW = "raw_spinlock_t"
# What is a member of the other's, or was taken for it without a change of name: blk_cpu_done,
# aa_secids.
_ROOMIER = {
    "struct llist_head": _LIST,
    "struct hlist_head": _LIST,
    "struct xarray": "struct idr",
}


def has_twin(context: Context, symbol: Symbol, type_: Type, proposal: Proposal) -> bool:
    """
    Whether a type that holds for a symbol may as well be one that looks like it.

    :param type_: as it would be given.
    :param proposal: what it was made of.
    """
    known = known_name(context, symbol.name)
    if _is_own_list(context, symbol) and not _begins_with_list(type_):
        return True  # whoever else agrees: a name may be two things
    if not holds_by_itself(known, proposal):
        return False
    if proposal.tier[0] == Tier.FAMILY:
        return type_.kind is TypeKind.ARRAY and _shares_its_place(context, symbol)
    if type_.kind is TypeKind.POINTER:
        return _may_point_elsewhere(context, symbol, type_, known)
    if type_.kind is TypeKind.ARRAY:
        return _has_another_table(context, symbol, type_, known) or _reads_longer(
            context, symbol, type_
        )
    if _may_be_unwritten(context, symbol, type_, proposal, known):
        return True
    name = type_.type_name()
    if name == _IDA and not _locks_as_ida(context, symbol, type_):
        return True
    if name == _RAW and symbol.type_letter.islower() and _is_before(context, known):
        return True
    if name == _LIST and symbol.type_letter in _BSS:
        return True
    return name in _ROOMIER and fills_as(context, symbol, type_, _ROOMIER[name])


def may_lack_const(context: Context, symbol: Symbol, known: Sequence[Proposal]) -> bool:
    """
    Whether a static table may be in read-only data as nothing writes it, though some have const.

    :param known: what kernels have under its name.
    """
    if context.places.of(symbol.address) is not SectionKind.CONST:
        return False
    marked = [AnnotatedType.parse(p.type) for p in known]
    trees = (context.checker.tree(m.type) for m in marked if not m.readonly)
    has_const = any(tree is not None and is_const(tree) for tree in trees)
    return symbol.type_letter.islower() and has_const and any(m.readonly for m in marked)


def _locks_as_ida(context: Context, symbol: Symbol, type_: Type) -> bool:
    """
    Whether an XArray that is set up may be in a ``struct ida``, which is nothing else.

    Source: include/linux/idr.h: ``IDA_INIT_FLAGS`` has ``XA_FLAGS_LOCK_IRQ``.
    """
    btf = context.evidence.btf
    data = context.checker.contents(symbol)
    if btf is None or data is None or not any(data):
        return True
    try:
        tree = type_.unaliased().member("xa")
        at = (tree.bit_offset + tree.type.unaliased().member("xa_flags").bit_offset) // 8
    except (LookupError, TypeError):
        return True
    flags = int.from_bytes(data[at : at + 4], btf().byteorder)
    return not flags or bool(flags & _LOCK_IRQ)


def _may_be_unwritten(
    context: Context, symbol: Symbol, type_: Type, proposal: Proposal, known: KnownName
) -> bool:
    """
    Whether a static structure may be in read-only data as nothing writes it.

    The nearest kernel has it without const, and so only that can have brought it there; others
    have const, which this kernel may have as well.
    """
    if type_.unaliased_kind() not in (TypeKind.STRUCT, TypeKind.UNION):
        return False
    if context.places.of(symbol.address) is not SectionKind.CONST:
        return False
    if not symbol.type_letter.islower() or _is_const(context, proposal):
        return False
    return any(_is_const(context, p) for p in known.proposals if not p.is_elsewhere)


def _is_const(context: Context, proposal: Proposal) -> bool:
    tree = context.checker.tree(AnnotatedType.parse(proposal.type).type)
    return tree is not None and is_const(tree)


def _is_own_list(context: Context, symbol: Symbol) -> bool:
    """Whether the first two words are the symbol's address, as of a list that is empty."""
    btf, word = context.evidence.btf, context.policy.word
    if btf is None or symbol.size < 2 * word:
        return False  # most are numbers, which nobody need read
    data = context.checker.contents(symbol)
    links = 2 * symbol.address.to_bytes(word, btf().byteorder)
    return data is not None and data.startswith(links)


def _begins_with_list(type_: Type) -> bool:
    """
    Whether the first member of a type's first member, and so on, is the head of a list.

    A list has a head of its own kind where next and prev are the first members (struct
    sk_buff_head).
    """
    for _ in range(_MAX_DEPTH):
        bare = type_.unaliased()
        if bare.kind is TypeKind.ARRAY:
            type_ = bare.type
            continue
        if bare.kind not in (TypeKind.STRUCT, TypeKind.UNION) or not bare.members:
            return False
        if bare.type_name().removeprefix("const ") == _LIST:
            return True
        if [member.name for member in bare.members[:2]] == ["next", "prev"]:
            return True
        type_ = bare.members[0].type
    return True


def _is_before(context: Context, known: KnownName) -> bool:
    """Whether this kernel is older than all that have a name."""
    return context.distance.precedes(kernels_of(known.candidates))


def _shares_its_place(context: Context, symbol: Symbol) -> bool:
    """Whether another symbol has the address: an array of none has no place of its own."""
    at = context.evidence.symbol_at
    found = None if at is None else at(symbol.address)
    return found is not None and found.name != symbol.name


def _reads_longer(context: Context, symbol: Symbol, type_: Type) -> bool:
    """
    Whether a string in memory that is freed after boot is longer, or may be by what is left there.

    One letter more that would fill the place is as likely where the string is gone.
    """
    if context.places.of(symbol.address) is not SectionKind.INIT or size_of(type_.type) != 1:
        return False
    data, size = context.checker.contents(symbol), size_of(type_) or 0
    text, end, rest = (data or b"").partition(b"\0")
    if not text or not end or any(rest) or not text.decode("ascii", "replace").isprintable():
        tree = tree_of(type_)
        return tree is not None and is_const(tree) and size + 1 == symbol.size
    return len(text) >= size


def _may_point_elsewhere(context: Context, symbol: Symbol, type_: Type, known: KnownName) -> bool:
    """Whether a pointer says less than others of its name do, or a number is in its place."""
    target = type_.type.unaliased_kind()
    if target is TypeKind.VOID:
        return any(_points_to_record(context, p) for p in known.proposals if not p.is_elsewhere)
    # A pointer to a CPU's numbers was a number of each CPU: x86_cpu_to_logical_apicid.
    is_text = size_of(type_.type) == 1 and target is TypeKind.INT
    place = context.places.of(symbol.address)
    return place is SectionKind.PERCPU and target in _NUMBERS and not is_text


def _points_to_record(context: Context, proposal: Proposal) -> bool:
    """Whether a type is a pointer to a structure, and the BTF has such a pointer."""
    tree = context.checker.tree(AnnotatedType.parse(proposal.type).type)
    if not isinstance(tree, Pointer):
        return False
    target = unqualified(tree.target, "const")
    return isinstance(target, Named) and bool(target.tag) and context.checker.exists(tree)


def _has_another_table(context: Context, symbol: Symbol, type_: Type, known: KnownName) -> bool:
    """
    Whether a static table in read-only data may have const where it would be given without, or not.

    BTF has the same table otherwise then, and nothing else that is known is of that type.
    """
    tree = tree_of(type_)
    if not isinstance(tree, Array) or not symbol.type_letter.islower():
        return False
    if context.places.of(symbol.address) is not SectionKind.CONST:
        return False
    bare = unqualified(tree.element, "const")
    if not is_const(tree):
        # Const comes with time: what no later kernel has, this one has not.
        others = () if _is_before(context, known) else _with_const(bare)
    elif not context.checker.exists(replace(tree, element=bare)):
        return False
    elif may_lack_const(context, symbol, [p for p in known.proposals if not p.is_elsewhere]):
        return True
    else:
        others = (bare,) if isinstance(bare, Pointer) else ()
    tables = (replace(tree, element=other) for other in others)
    return any(
        context.checker.exists(table) and not _is_explained(context, table, symbol)
        for table in tables
    )


def _with_const(element: CType) -> tuple[CType, ...]:
    """What the elements of a table of pointers become where const is put in."""
    if not isinstance(element, Pointer):
        return ()
    wider = replace(element, target=qualified(element.target, "const"))
    return tuple({qualified(element, "const"), qualified(wider, "const")})


def _is_explained(context: Context, tree: Array, symbol: Symbol) -> bool:
    """Whether a member, or a variable that this kernel has besides the symbol, is of a type."""
    if context.checker.is_member(tree):
        return True
    names = context.database.names_of_table(format_type(tree))
    return any(n != symbol.name and context.evidence.symbols.by_name(n) for n in names)
