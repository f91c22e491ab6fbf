"""The verifier's rules about fields that BPF manages: locks, lists, trees, counts, pointers.

Owns what is judged of a struct that has one. The verifier looks for them when everything
else is right, and then says nothing but an error number: the rules' names are ours. Not
judged is what depends on the kernel that loads it, as whether it lets programs keep a
pointer to one of its own types, nor who owns whom.

Only what stands in the struct itself makes the verifier look, but then it looks into
structs that are embedded, too; behind a typedef it sees nothing.
Facts: kernel/bpf/btf.c, ``btf_parse_struct_metas`` and ``btf_parse_fields`` (6.18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from btfdbg.btf.btf import Btf
from btfdbg.btf.fields import array_words, member_words
from btfdbg.btf.format import Kind, kind_name
from btfdbg.btf.validate.problem import Problem
from btfdbg.btf.validate.resolve import MAX_DEPTH

_MAX_FIELDS: Final = 11
# Size and alignment in bytes, on 64-bit kernels.
_SPECIAL: Final = {
    b"bpf_spin_lock": (4, 4),
    b"bpf_res_spin_lock": (4, 4),
    b"bpf_refcount": (4, 4),
    b"bpf_list_head": (16, 8),
    b"bpf_list_node": (24, 8),
    b"bpf_rb_root": (16, 8),
    b"bpf_rb_node": (32, 8),
}
_LOCKS: Final = frozenset({b"bpf_spin_lock", b"bpf_res_spin_lock"})
_NODES: Final = {b"bpf_list_head": b"bpf_list_node", b"bpf_rb_root": b"bpf_rb_node"}
_KPTR: Final = b"kptr"
_KPTRS: Final = frozenset({b"kptr", b"kptr_untrusted", b"percpu_kptr"})
# What there may be an array of, and in structs that are embedded as an array.
_REPEATED: Final = frozenset({_KPTR, *_NODES})
# A page of user memory in a map's value: known, and passed over in structs.
_TAGS: Final = _KPTRS | {b"uptr"}
_MODIFIERS: Final = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT})


class _Member(NamedTuple):
    """
    A member of a struct.

    :ivar at: Which it is, from 0; ``name``: offset of its name; ``bit``: where it begins.
    :ivar type_id: What it is, without its arrays; ``many``: how often it is that.
    """

    at: int
    name: int
    type_id: int
    many: int
    bit: int


class _Broken(Exception):
    """A rule's name, and what was found."""


def special_field_rules(btf: Btf) -> Iterator[Problem]:
    """Yield the own structs whose managed fields the verifier refuses."""
    special = {
        type_id
        for name in _SPECIAL
        for type_id in btf.types_by_name(name.decode(), Kind.STRUCT)[:1]
    }
    if not special:
        return
    fields = _Fields(btf)
    for type_id, at in btf.own_of_kind(Kind.STRUCT):
        if special.isdisjoint(member_words(btf.words, at)[1]):
            continue
        try:
            fields.judge(type_id)
        except _Broken as broken:
            rule, detail = broken.args
            offset = btf.type_section_offset + 4 * at
            yield Problem(rule, detail, type_id, offset, Kind.STRUCT)


def _tag_of(btf: Btf, pointer: int) -> int:
    """Return the TYPE_TAG that a PTR points through, 0 if it is none."""
    target = int(btf.record(pointer)[2])
    if not target or btf.kind_of(target) != Kind.TYPE_TAG:
        return 0
    return target


class _Fields:
    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.known: dict[int, Counter[bytes]] = {}
        #: By struct and member, the values of its DECL_TAGs.
        self.tags: dict[tuple[int, int], list[bytes]] = {}
        for type_id, _ in btf.own_of_kind(Kind.DECL_TAG):
            record = btf.record(type_id)
            self.tags.setdefault((record[2], record[3]), []).append(btf.name_bytes_of(type_id))

    def judge(self, type_id: int) -> None:
        """
        Look at all managed fields of a struct.

        :raises _Broken: the verifier refuses it.
        """
        found = self.found(type_id, 0)
        if not found:
            raise _Broken("No special field", "none is where its alignment wants it")
        if found.total() > _MAX_FIELDS:
            raise _Broken("Too many special fields", f"more than {_MAX_FIELDS}")
        have = set(found)
        if have >= _LOCKS:
            raise _Broken("Two locks", "bpf_spin_lock and bpf_res_spin_lock")
        for name in sorted(have & _NODES.keys()):
            if not have & _LOCKS:
                raise _Broken("No lock", f"{name.decode()} needs one in the same struct")
        if have.issuperset(_NODES.values()) and b"bpf_refcount" not in have:
            raise _Broken("No bpf_refcount", "a node of a list and of a tree has two owners")

    def members(self, type_id: int) -> Iterator[_Member]:
        """Yield the members of a struct."""
        btf = self.btf
        names, types, offsets, _ = member_words(btf.record(type_id), 0)
        for index, (name, at, bit) in enumerate(zip(names, types, offsets, strict=True)):
            count = 1
            for _ in range(MAX_DEPTH):
                if btf.kind_of(at) != Kind.ARRAY:
                    break
                at, _, nelems = array_words(btf.record(at), 0)
                count *= nelems
            yield _Member(index, name, at, count, bit)

    def found(self, type_id: int, depth: int) -> Counter[bytes]:
        """
        Return the names of the managed fields of a struct and of those that it embeds.

        How often each is there is counted up to one more than there may be.
        """
        known = self.known.get(type_id)
        if known is None:
            known = self.known[type_id] = self._found(type_id, depth)
        return known

    def _found(self, type_id: int, depth: int) -> Counter[bytes]:
        btf = self.btf
        out: Counter[bytes] = Counter()

        def add(name: bytes, many: int) -> None:
            out[name] = min(out[name] + many, _MAX_FIELDS + 1)

        once: set[bytes] = set()
        for member in self.members(type_id):
            if member.bit % 8:
                raise _Broken("Bit-field beside special fields", f"member {member.at}")
            kind = btf.kind_of(member.type_id)
            if not member.many:
                continue
            if kind == Kind.PTR:
                if self.is_managed(member):
                    add(_KPTR, member.many)
                continue
            if kind != Kind.STRUCT:
                continue
            name = btf.name_bytes_of(member.type_id)
            if name not in _SPECIAL:
                inner = self.found(member.type_id, depth + 1) if depth < MAX_DEPTH else Counter()
                if member.many > 1 and not _REPEATED.issuperset(inner):
                    raise _Broken("In an array", b", ".join(inner).decode())
                for what, often in inner.items():
                    add(what, often * member.many)
                continue
            if name in _LOCKS:
                if name in once:
                    raise _Broken("More than one", name.decode())
                once.add(name)
            size, align = _SPECIAL[name]
            if btf.record(member.type_id)[2] != size or member.bit % (8 * align):
                continue  # passed over
            if member.many > 1 and name not in _REPEATED:
                raise _Broken("In an array", name.decode())
            if name in _NODES:
                self.contained(type_id, member.at, name)
            add(name, member.many)
        return out

    def is_managed(self, member: _Member) -> bool:
        """
        Return whether a pointer is one that BPF manages.

        :raises _Broken: it is tagged as what the verifier does not know.
        """
        btf = self.btf
        tag = _tag_of(btf, member.type_id)
        if not tag or member.bit % 64:
            return False
        value = btf.name_bytes_of(tag)
        below = int(btf.record(tag)[2])
        if below and btf.kind_of(below) == Kind.TYPE_TAG:
            raise _Broken("Several type tags", f"member {member.at}: {value.decode('latin-1')}")
        if value not in _TAGS:
            raise _Broken("Unknown type tag", f"member {member.at}: {value.decode('latin-1')}")
        if value not in _KPTRS:
            return False
        for _ in range(MAX_DEPTH):
            if btf.kind_of(below) not in _MODIFIERS:
                break
            below = int(btf.record(below)[2])
        if btf.kind_of(below) != Kind.STRUCT:
            raise _Broken("Invalid pointee", f"member {member.at}: {kind_name(btf.kind_of(below))}")
        return True

    def contained(self, type_id: int, index: int, head: bytes) -> None:
        """
        Look at what a list's or tree's head says that it contains.

        :raises _Broken: it does not say so, or that has no node.
        """
        btf = self.btf
        where = f"member {index}, {head.decode()}"
        said = [v[9:] for v in self.tags.get((type_id, index), ()) if v.startswith(b"contains:")]
        if len(said) != 1:
            raise _Broken("Invalid contains tag", f"{where}: {len(said)} of them, expected 1")
        name, _, node = said[0].partition(b":")
        structs = btf.types_by_name(name.decode("latin-1"), Kind.STRUCT)
        if not structs:
            raise _Broken("Invalid contains tag", f"{where}: no struct {name.decode('latin-1')}")
        for member in self.members(structs[0]):
            if btf.string_bytes(member.name) == node:
                if btf.name_bytes_of(member.type_id) == _NODES[head]:
                    return
                break
        raise _Broken(
            "Invalid contains tag",
            f"{where}: {name.decode('latin-1')} has no {_NODES[head].decode()} "
            f"{node.decode('latin-1')}",
        )
