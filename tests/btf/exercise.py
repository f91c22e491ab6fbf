"""Everything that can be asked of a BTF, for data that may be damaged.

Used by the property tests and by the fuzzer: whatever the bytes are, each question has
an answer or one of the two errors, and comes to an end.
"""

from __future__ import annotations

from btfdbg.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.downlevel import downlevel, features_of
from btfdbg.btf.order import named_start_id, sort_by_name
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.text.jsondump import dump_json
from btfdbg.btf.text.rawtext import dumps
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfFormatError, BtfNotFoundError

#: Types looked at per blob; real ones have a hundred thousand.
FEW = 300


def ask_everything(btf: Btf) -> int:
    """Ask all of a parsed BTF's accessors; return how many answers were errors."""
    errors = 0
    for type_id in list(btf.own_ids())[:FEW]:
        for ask in (
            btf.type_by_id,
            btf.kind_of,
            btf.name_of,
            btf.record,
            btf.resolve_size,
            btf.align_of,
            btf.skip_modifiers,
            btf.skip_mods_and_typedefs,
            btf.iter_type_refs,
            btf.iter_str_refs,
            lambda i: btf.types_by_name(btf.name_of(i)),
            lambda i: btf.offset_of(i, "a.b"),
            lambda i: btf.offset_of(btf.name_of(i), "a[1]"),
            lambda i: btf.member_at(i, 1),
        ):
            try:
                ask(type_id)
            except (BtfFormatError, BtfNotFoundError):
                errors += 1
    return errors


def exercise(data: bytes, base: Btf | None = None) -> None:
    """
    Read data in every way there is.

    :raises Exception: anything but the errors that malformed BTF is allowed.
    """
    try:
        btf = Btf.parse(data, base)
    except BtfFormatError:
        assert list(check(data, base, "basic"))
        return
    ask_everything(btf)
    if len(btf.offsets) > FEW:
        return
    assert assemble(dumps(btf, exact=True), base)
    "".join(dump_json(btf))
    list(check(data, base, "strict"))
    named_start_id(btf)
    if not any(btf.header.tail):
        sort_by_name(btf)
        with_byteorder(btf, "big")
        assert Btf.parse(Builder.like(btf).build(), base).words == btf.words
    try:
        downlevel(btf, features_of("4.18"))
    except (BtfFormatError, BtfNotFoundError):
        pass
