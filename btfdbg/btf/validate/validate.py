"""What is wrong with a BTF: every rule it breaks, at two levels.

Owns the list of problems and the checks that look at one type at a time; the header
is ``validate_header``'s, what needs several types together ``validate_resolve``'s.

Two levels, because the two references disagree on purpose:

``basic``
    what libbpf demands before it works with a BTF: nothing out of bounds, every id
    and string referred to exists, a FUNC has a FUNC_PROTO.
``strict``
    what the kernel's verifier demands of a BTF loaded by ``BPF_BTF_LOAD``, in its
    newest form (24-bit vlen, layout section, attribute tags).
``kernel``
    what it demands of its own BTF, built in or a module's: ``strict`` without the
    rules that need several types together.

A rule's name is what the verifier says. The verifier stops at its first complaint,
which is also the first one here.
Facts: kernel/bpf/btf.c; libbpf's btf_sanity_check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Literal, TypeAlias

from btfdbg.btf.btf import Btf, BytesLike
from btfdbg.btf.format import (
    HEADER_LEN,
    LAYOUTS,
    MAX_NAME_OFFSET,
    MAX_TYPE,
    Kind,
    info_kflag,
    info_kind,
    info_vlen,
    kind_name,
)
from btfdbg.btf.validate.header import check_header
from btfdbg.btf.validate.problem import Level, Problem, Record, problem_of
from btfdbg.btf.validate.resolve import resolve_rules, type_tag_rules
from btfdbg.btf.validate.special import special_field_rules
from btfdbg.errors import BtfFormatError

_SECTION: Final = re.compile(rb"[\x20-\x7e\xa0-\xff]{1,512}")

_Found: TypeAlias = "Iterator[tuple[str, str]]"


def records(btf: Btf) -> Iterator[Record]:
    """Yield the own types of a Btf."""
    for type_id, pos in zip(btf.own_ids(), btf.offsets, strict=True):
        yield Record(btf, type_id, pos, btf.words[pos : btf.record_end(type_id)].tolist())


def check(data: BytesLike, base: Btf | None = None, level: Level = "strict") -> Iterator[Problem]:
    """
    Yield every rule that a BTF breaks, the verifier's first complaint first.

    :param data: One blob.
    :param base: What it is split on top of.
    :param level: See the module's text.
    """
    blob = bytes(data)
    found = False
    if level != "basic":
        for problem in check_header(blob, split=base is not None):
            found = True
            yield problem
    try:
        btf = Btf.parse(blob, base)
    except BtfFormatError as error:
        try:
            problems = list(_check_until(blob, base, level, error))
        except BtfFormatError:  # more than its types is malformed
            problems = []
        yield from problems
        if not found and not problems:
            yield Problem("Malformed", str(error), None, error.offset)
        return
    yield from check_types(btf, level)


def _check_until(
    data: bytes, base: Btf | None, level: Level, error: BtfFormatError
) -> Iterator[Problem]:
    """Yield what is wrong with the types up to the one that no reader gets past."""
    if len(data) < HEADER_LEN or data[:2] not in (b"\x9f\xeb", b"\xeb\x9f"):
        return
    order: Literal["little", "big"] = "little" if data[0] == 0x9F else "big"

    def word(at: int) -> int:
        return int.from_bytes(data[at : at + 4], order)

    start = word(4) + word(8)
    if error.type_id is None or error.offset is None:
        length = word(12) & ~3  # a last word that is cut off is all that is malformed, maybe
    else:
        length = error.offset - start
    if length == word(12):
        return
    # The strings stay where they are: what stands before them does not matter.
    head = data[:12] + length.to_bytes(4, order)
    try:
        before = Btf.parse(head + data[16:], base)
    except BtfFormatError as earlier:
        if error.type_id is None and earlier.type_id is not None:
            yield from _check_until(data, base, level, earlier)
        return
    for record in records(before):
        for rule, detail in _string_rules(record) if level == "basic" else strict_rules(record):
            yield problem_of(record, rule, detail)
    at, type_id = start + length, before.type_cnt
    if word(12) - length < 12:
        yield Problem("Type record exceeds its section", str(error), type_id, at)
        return
    kind = info_kind(word(at + 4))
    rule = _unknown_kind(word(at + 4))
    if kind in LAYOUTS:
        rule = "Type record exceeds its section"
        if word(at) >= before.end_str_off:
            yield Problem("Invalid name_offset", f"{word(at):#x}", type_id, at, kind)
    yield Problem(rule, str(error), type_id, at, kind)


def _unknown_kind(info: int) -> str:
    # Kinds have 7 bits since 2026; two of them were reserved before.
    return "Invalid btf_info" if info_kind(info) & 0x60 else "Invalid kind"


def check_types(btf: Btf, level: Level = "strict") -> Iterator[Problem]:
    """Yield the rules that the types of a parsed BTF break; see :func:`check`."""
    check_one = basic_rules if level == "basic" else strict_rules
    broken: set[int] = set()
    for record in records(btf):
        for rule, detail in check_one(record):
            broken.add(record.type_id)
            yield problem_of(record, rule, detail)
    if level == "basic":
        return
    if btf.type_cnt - 1 > MAX_TYPE:
        yield Problem("Exceeded max num of types", f"{btf.type_cnt - 1}, limit {MAX_TYPE}")
    together = type_tag_rules(btf)
    if level == "strict":
        together = chain(resolve_rules(btf, broken), together)
    sound = not broken
    for problem in together:
        sound = False
        yield problem
    if sound and level == "strict" and btf.base is None:
        yield from special_field_rules(btf)


def _string_rules(record: Record) -> _Found:
    """Yield which of a record's strings do not exist."""
    btf = record.btf
    for at in btf.str_ref_words(record.type_id):
        offset = record.words[at - record.pos]
        if not record.has_string(offset):
            yield "Invalid name_offset", f"{offset:#x}, strings end at {btf.end_str_off:#x}"


def basic_rules(record: Record) -> _Found:
    """Yield what libbpf refuses in a record: strings and ids that do not exist."""
    btf, words = record.btf, record.words
    yield from _string_rules(record)
    for at in btf.type_ref_words(record.type_id):
        target = words[at - record.pos]
        if record.kind == Kind.FUNC_PROTO and at == record.pos + 2:
            continue  # libbpf looks at the parameters only, not at what is returned
        if target >= btf.type_cnt:
            yield "Invalid type_id", f"{target}, last type is {btf.type_cnt - 1}"
        elif record.kind == Kind.FUNC and btf.kind_of(target) != Kind.FUNC_PROTO:
            yield (
                "Invalid type_id",
                f"{target} is {kind_name(btf.kind_of(target))}, expected FUNC_PROTO",
            )


def strict_rules(record: Record) -> _Found:
    """Yield what the verifier refuses in a record on its own (its "meta" pass)."""
    info = record.words[1]
    if record.kind not in LAYOUTS:
        yield _unknown_kind(info), f"{info:#x}: kind {record.kind}"
        return
    name_off = record.words[0]
    if not record.has_string(name_off) or name_off > MAX_NAME_OFFSET:
        yield "Invalid name_offset", f"{name_off:#x}"
        return
    yield from _RULES[record.kind](record)


def _no_vlen(record: Record) -> _Found:
    if info_vlen(record.words[1]):
        yield "vlen != 0", str(info_vlen(record.words[1]))


def _no_kflag(record: Record) -> _Found:
    if info_kflag(record.words[1]):
        yield "Invalid btf_info kind_flag", ""


def _id(target: int, what: str = "Invalid type_id", *, void: bool = True) -> _Found:
    if target > MAX_TYPE or (not void and not target):
        yield what, str(target)


def _anonymous(record: Record) -> _Found:
    if record.words[0]:
        yield "Invalid name", f"{record.name(record.words[0])!r}, expected none"


def _identifier(record: Record, offset: int, *, needed: bool) -> _Found:
    if (needed or offset) and not record.is_identifier(offset):
        yield "Invalid name", f"{record.name(offset)!r}"


def _int(record: Record) -> _Found:
    yield from _no_vlen(record)
    yield from _no_kflag(record)
    size, data = record.words[2:4]
    if data & ~0x0FFFFFFF:  # nobody looks at the second byte
        yield "Invalid int_data", f"{data:#x}"
    bits = (data & 0xFF) + (data >> 16 & 0xFF)
    if bits > 128:
        yield "nr_bits exceeds 128", str(bits)
    if (bits + 7) // 8 > size:
        yield "nr_bits exceeds type_size", f"{bits} bits in {size} bytes"
    if data >> 24 & 0xF not in (0, 1, 2, 4):
        yield "Unsupported encoding", f"{data >> 24 & 0xF:#x}"


def _ref(record: Record) -> _Found:
    yield from _no_vlen(record)
    if record.kind != Kind.TYPE_TAG:
        yield from _no_kflag(record)
    yield from _id(record.words[2])
    if record.kind == Kind.TYPEDEF:
        yield from _identifier(record, record.words[0], needed=True)
    elif record.kind == Kind.TYPE_TAG:
        if not record.name(record.words[0]):
            yield "Invalid name", "a tag needs a text"
    else:
        yield from _anonymous(record)


def _fwd(record: Record) -> _Found:
    yield from _no_vlen(record)
    if record.words[2]:
        yield "type != 0", str(record.words[2])
    yield from _identifier(record, record.words[0], needed=True)


def _array(record: Record) -> _Found:
    yield from _anonymous(record)
    yield from _no_vlen(record)
    yield from _no_kflag(record)
    if record.words[2]:
        yield "size != 0", str(record.words[2])
    yield from _id(record.words[3], "Invalid elem", void=False)
    yield from _id(record.words[4], "Invalid index", void=False)


def _member_string(record: Record, offset: int, what: str, *, needed: bool) -> _Found:
    if not record.has_string(offset):
        yield f"Invalid {what}name_offset", f"{offset:#x}"
    else:
        yield from _identifier(record, offset, needed=needed)


def _composite(record: Record) -> _Found:
    words = record.words
    yield from _identifier(record, words[0], needed=False)
    kflag, size, last = info_kflag(words[1]), words[2], 0
    for at in range(3, len(words), 3):
        name, target, offset = words[at : at + 3]
        yield from _member_string(record, name, "member ", needed=False)
        yield from _id(target, void=False)
        if kflag:
            offset &= 0xFFFFFF
        if (record.kind == Kind.UNION and offset) or offset < last:
            yield "Invalid member bits_offset", f"member {at // 3 - 1}: {offset}"
        if (offset + 7) // 8 > size:
            yield (
                "Member bits_offset exceeds its struct size",
                f"member {at // 3 - 1}: bit {offset} of {size} bytes",
            )
        last = max(last, offset)


def _enum(record: Record) -> _Found:
    words = record.words
    if words[2] not in (1, 2, 4, 8):
        yield "Unexpected size", str(words[2])
    yield from _identifier(record, words[0], needed=False)
    step = 2 if record.kind == Kind.ENUM else 3
    for name in words[3::step]:
        yield from _member_string(record, name, "", needed=True)


def _func(record: Record) -> _Found:
    yield from _identifier(record, record.words[0], needed=True)
    if info_vlen(record.words[1]) > 1:
        yield "Invalid func linkage", str(info_vlen(record.words[1]))
    yield from _no_kflag(record)


def _func_proto(record: Record) -> _Found:
    yield from _anonymous(record)
    yield from _no_kflag(record)


def _var(record: Record) -> _Found:
    yield from _no_vlen(record)
    yield from _no_kflag(record)
    yield from _identifier(record, record.words[0], needed=True)
    yield from _id(record.words[2], void=False)
    if record.words[3] > 1:
        yield "Linkage not supported", str(record.words[3])


def _datasec(record: Record) -> _Found:
    words = record.words
    size = words[2]
    if not size:
        yield "size == 0", ""
    yield from _no_kflag(record)
    if _SECTION.fullmatch(record.name(words[0])) is None:
        yield "Invalid name", f"{record.name(words[0])!r}"
    end = total = 0
    for at in range(3, len(words), 3):
        target, offset, length = words[at : at + 3]
        which = f"variable {at // 3 - 1}"
        yield from _id(target, void=False)
        if offset < end or offset >= size:
            yield "Invalid offset", f"{which}: {offset}, expected {end} to {size - 1}"
        if not length or length > size:
            yield "Invalid size", f"{which}: {length} bytes in a section of {size}"
        end = offset + length
        if end > size:
            yield "Invalid offset+size", f"{which}: ends at {end} in a section of {size}"
        total += length
    if total > size:
        yield "Invalid btf_info size", f"variables take {total} bytes in a section of {size}"


def _float(record: Record) -> _Found:
    yield from _no_vlen(record)
    yield from _no_kflag(record)
    if record.words[2] not in (2, 4, 8, 12, 16):
        yield "Invalid type_size", str(record.words[2])


def _decl_tag(record: Record) -> _Found:
    if not record.name(record.words[0]):
        yield "Invalid value", "a tag needs a text"
    yield from _no_vlen(record)
    index = record.words[3]
    if 1 << 31 <= index < 0xFFFFFFFF:
        yield "Invalid component_idx", str(index - (1 << 32))


def _loc(record: Record) -> _Found:
    for at in record.btf.type_ref_words(record.type_id):
        yield from _id(record.words[at - record.pos])


_RULES: Final[dict[int, Callable[[Record], _Found]]] = {
    Kind.INT: _int,
    Kind.PTR: _ref,
    Kind.ARRAY: _array,
    Kind.STRUCT: _composite,
    Kind.UNION: _composite,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _ref,
    Kind.VOLATILE: _ref,
    Kind.CONST: _ref,
    Kind.RESTRICT: _ref,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.DATASEC: _datasec,
    Kind.FLOAT: _float,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _ref,
    Kind.ENUM64: _enum,
    Kind.LOC_PARAM: _loc,
    Kind.LOC_PROTO: _loc,
    Kind.LOCSEC: _loc,
}
