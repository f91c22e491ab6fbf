"""Minimising for CO-RE: what is kept, and that modules stay apart."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo, move_ext, parse_ext
from btfdbg.btf.core_relo import essential_name, parse_access, types_match
from btfdbg.btf.dedup.dedup import dedup_with_map
from btfdbg.btf.minimize import flatten, minimize
from btfdbg.btf.text import assemble, rawtext
from btfdbg.cli.main import main
from btfdbg.errors import BtfError, BtfFormatError
from btfdbg.images.elf import sections
from tests.images.elves import elf

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"

KERNEL = (
    INT
    + "[2] STRUCT 'inner' size=16 vlen=3\n\t'a' type_id=1 bits_offset=0\n"
    + "\t'b' type_id=4 bits_offset=64\n\t'c' type_id=1 bits_offset=32\n"
    + "[3] TYPEDEF 'inner_t' type_id=2\n"
    + "[4] PTR '(anon)' type_id=8\n"
    + "[5] CONST '(anon)' type_id=3\n"
    + "[6] ARRAY '(anon)' type_id=5 index_type_id=1 nr_elems=4\n"
    + "[7] STRUCT '(anon)' size=4 vlen=1\n\t'deep' type_id=1 bits_offset=0\n"
    + "[8] STRUCT 'outer' size=88 vlen=4\n\t'list' type_id=6 bits_offset=0\n"
    + "\t'(anon)' type_id=7 bits_offset=512\n\t'p' type_id=4 bits_offset=576\n"
    + "\t'bits' type_id=1 bits_offset=640 bitfield_size=3\n"
    + "[9] ENUM 'e' encoding=UNSIGNED size=4 vlen=2\n\t'ONE' val=1\n\t'TWO' val=2\n"
    + "[10] STRUCT 'unused' size=4 vlen=0\n"
)


def relo(local: Btf, name: str, access: str, kind: CoreKind) -> CoreRelo:
    return CoreRelo("sec", 0, local.find_by_name_kind(name), access, kind)


def small(
    local: str, *relos: tuple[str, str, CoreKind], kernel: str = KERNEL
) -> tuple[str, tuple[CoreRelo, ...]]:
    """Return the minimal kernel for relocations, and those that found nothing."""
    own = assemble.parse(local)
    ext = BtfExt("little", (), (), tuple(relo(own, *r) for r in relos))
    out = minimize(assemble.parse(kernel), [(own, ext)])
    return rawtext.dumps(out.kernel), out.unmatched


def test_an_access_keeps_only_the_members_it_passes_through() -> None:
    # outer.list[1].b, with every qualifier and typedef on the way; b's pointee is not kept.
    assert small(KERNEL, ("outer", "0:0:1:1", CoreKind.FIELD_BYTE_OFFSET))[0] == (
        INT
        + "[2] STRUCT 'inner' size=16 vlen=1\n\t'b' type_id=4 bits_offset=64\n"
        + "[3] TYPEDEF 'inner_t' type_id=2\n[4] PTR '(anon)' type_id=7\n"
        + "[5] CONST '(anon)' type_id=3\n"
        + "[6] ARRAY '(anon)' type_id=5 index_type_id=1 nr_elems=4\n"
        + "[7] STRUCT 'outer' size=88 vlen=1\n\t'list' type_id=6 bits_offset=0\n"
    )


def test_a_member_of_an_anonymous_member_is_found_by_name() -> None:
    local = INT + "[2] STRUCT 'outer___mine' size=4 vlen=1\n\t'deep' type_id=1 bits_offset=0\n"
    assert small(local, ("outer___mine", "0:0", CoreKind.FIELD_EXISTS))[0] == (
        INT
        + "[2] STRUCT '(anon)' size=4 vlen=1\n\t'deep' type_id=1 bits_offset=0\n"
        + "[3] STRUCT 'outer' size=88 vlen=1\n\t'(anon)' type_id=2 bits_offset=512\n"
    )


def test_a_bit_field_stays_one_and_other_members_do_not_become_one() -> None:
    bits = small(KERNEL, ("outer", "0:3", CoreKind.FIELD_LSHIFT_U64))[0]
    assert "'bits' type_id=1 bits_offset=640 bitfield_size=3\n" in bits
    plain = small(KERNEL, ("outer", "0:2", CoreKind.FIELD_BYTE_SIZE))[0]
    assert "kflag" not in plain


def test_an_enumerator_may_be_asked_for_by_the_typedef_of_its_enum() -> None:
    kernel = (
        "[1] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=2\n\t'ONE' val=1\n\t'TWO' val=2\n"
        "[2] TYPEDEF 'e_t' type_id=1\n[3] STRUCT 'unused' size=4 vlen=0\n"
    )
    out, unmatched = small(kernel, ("e_t", "1", CoreKind.ENUMVAL_VALUE), kernel=kernel)
    assert out == "".join(kernel.splitlines(keepends=True)[:4])
    assert not unmatched


def test_a_typedef_of_something_else_has_no_enumerators() -> None:
    local = (
        "[1] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'ONE' val=1\n"
        "[2] TYPEDEF 'e_t' type_id=1\n"
    )
    kernel = INT + "[2] TYPEDEF 'e_t' type_id=1\n"
    out, unmatched = small(local, ("e_t", "0", CoreKind.ENUMVAL_VALUE), kernel=kernel)
    assert not out
    assert len(unmatched) == 1


def test_what_is_asked_about_as_a_whole_is_kept_with_its_size() -> None:
    assert small(KERNEL, ("outer", "0", CoreKind.TYPE_SIZE))[0] == (
        "[1] STRUCT 'outer' size=88 vlen=0\n"
    )
    local = INT + "[2] TYPEDEF 'inner_t' type_id=3\n[3] STRUCT 'inner' size=4 vlen=0\n"
    assert small(local, ("inner_t", "0", CoreKind.TYPE_EXISTS))[0] == (
        "[1] STRUCT 'inner' size=16 vlen=0\n[2] TYPEDEF 'inner_t' type_id=1\n"
    )


def test_an_enum_is_kept_whole() -> None:
    assert small(KERNEL, ("e", "1", CoreKind.ENUMVAL_VALUE))[0] == (
        "[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=2\n\t'ONE' val=1\n\t'TWO' val=2\n"
    )


def test_a_type_to_be_matched_is_kept_with_its_members() -> None:
    text = small(KERNEL, ("inner", "0", CoreKind.TYPE_MATCHES))[0]
    assert "STRUCT 'inner' size=16 vlen=3" in text
    assert "STRUCT 'outer' size=88 vlen=0" in text


def test_local_ids_need_nothing() -> None:
    assert small(KERNEL, ("outer", "0", CoreKind.TYPE_ID_LOCAL)) == ("", ())


@pytest.mark.parametrize(
    ("local", "name", "access", "kind"),
    [
        (INT + "[2] STRUCT 'none' size=4 vlen=0\n", "none", "0", CoreKind.TYPE_EXISTS),
        (
            INT + "[2] STRUCT 'outer' size=4 vlen=1\n\t'gone' type_id=1 bits_offset=0\n",
            "outer",
            "0:0",
            CoreKind.FIELD_EXISTS,
        ),
        (
            "[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'NINE' val=9\n",
            "e",
            "0",
            CoreKind.ENUMVAL_EXISTS,
        ),
        (
            INT + "[2] STRUCT 'outer' size=4 vlen=1\n\t'p' type_id=1 bits_offset=0\n",
            "outer",
            "0:0",
            CoreKind.FIELD_BYTE_OFFSET,
        ),
    ],
    ids=["no such type", "no such member", "no such enumerator", "a member of another kind"],
)
def test_what_the_kernel_lacks_is_reported_and_nothing_kept(
    local: str, name: str, access: str, kind: CoreKind
) -> None:
    text, unmatched = small(local, (name, access, kind))
    assert text == ""
    assert len(unmatched) == 1


def test_tags_and_functions_in_the_kernel_are_no_obstacle() -> None:
    kernel = KERNEL + (
        "[11] DECL_TAG 'tag' type_id=8 component_idx=0\n[12] TYPE_TAG 'user' type_id=8\n"
        "[13] PTR '(anon)' type_id=12\n[14] STRUCT 'tagged' size=8 vlen=1\n"
        "\t'p' type_id=13 bits_offset=0\n[15] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n"
        "[16] FUNC 'f' type_id=15 linkage=static\n[17] VAR 'v' type_id=1, linkage=static\n"
        "[18] DATASEC '.data' size=4 vlen=1\n\ttype_id=17 offset=0 size=4 (VAR 'v')\n"
    )
    local = "[1] STRUCT 'outer' size=4 vlen=0\n[2] PTR '(anon)' type_id=1\n" + (
        "[3] STRUCT 'tagged' size=8 vlen=1\n\t'p' type_id=2 bits_offset=0\n"
    )
    assert small(local, ("tagged", "0:0", CoreKind.FIELD_BYTE_OFFSET), kernel=kernel)[0] == (
        "[1] PTR '(anon)' type_id=0\n[2] STRUCT 'tagged' size=8 vlen=1\n"
        "\t'p' type_id=1 bits_offset=0\n"
    )


# Modules.

M = (
    "[11] STRUCT 'both' size=16 vlen=2\n\t'x' type_id=1 bits_offset=32\n"
    "\t'i' type_id=2 bits_offset=64\n"
)
N = (
    "[11] STRUCT 'both' size=8 vlen=2\n\t'y' type_id=1 bits_offset=0\n"
    "\t'x' type_id=1 bits_offset=0\n"
)
USES = (
    INT
    + "[2] STRUCT 'both' size=4 vlen=2\n\t'x' type_id=1 bits_offset=0\n"
    + "\t'i' type_id=3 bits_offset=0\n"
    + "[3] STRUCT 'inner' size=4 vlen=1\n\t'c' type_id=1 bits_offset=0\n"
)


def _with_modules(*relos: tuple[str, str, CoreKind]) -> tuple[Btf, Btf, Btf]:
    kernel = assemble.parse(KERNEL)
    modules = [assemble.parse(M, kernel), assemble.parse(N, kernel)]
    own = assemble.parse(USES)
    ext = BtfExt("little", (), (), tuple(relo(own, *r) for r in relos))
    out = minimize(kernel, [(own, ext)], modules)
    assert out.unmatched == ()
    m, n = out.modules
    return out.kernel, m, n


def test_two_modules_layouts_of_one_name_stay_apart() -> None:
    kernel, m, n = _with_modules(("both", "0:0", CoreKind.FIELD_BYTE_OFFSET))
    assert rawtext.dumps(kernel) == INT
    assert m.base is kernel
    assert rawtext.dumps(m) == (
        "[2] STRUCT 'both' size=16 vlen=1\n\t'x' type_id=1 bits_offset=32\n"
    )
    assert rawtext.dumps(n) == "[2] STRUCT 'both' size=8 vlen=1\n\t'x' type_id=1 bits_offset=0\n"


def test_an_access_from_a_module_into_the_kernels_types_keeps_those() -> None:
    kernel, m, n = _with_modules(("both", "0:1:0", CoreKind.FIELD_BYTE_OFFSET))
    assert "STRUCT 'inner' size=16 vlen=1\n\t'c' type_id=1 bits_offset=32" in rawtext.dumps(kernel)
    assert "'i' type_id=2 bits_offset=64" in rawtext.dumps(m)
    assert rawtext.dumps(n) == ""


def test_modules_are_not_asked_for_what_the_kernel_has() -> None:
    kernel = assemble.parse(KERNEL)
    module = assemble.parse(
        "[11] STRUCT 'inner' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0\n", kernel
    )
    own = assemble.parse(USES)
    ext = BtfExt("little", (), (), (relo(own, "inner", "0:0", CoreKind.FIELD_EXISTS),))
    out = minimize(kernel, [(own, ext)], [module])
    assert rawtext.dumps(out.modules[0]) == ""


def test_flattening_makes_one_btf_of_all_without_mixing() -> None:
    kernel, m, n = _with_modules(("both", "0:0", CoreKind.FIELD_BYTE_OFFSET))
    assert rawtext.dumps(flatten(kernel, [m, n])) == (
        INT
        + "[2] STRUCT 'both' size=16 vlen=1\n\t'x' type_id=1 bits_offset=32\n"
        + "[3] STRUCT 'both' size=8 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    )


def test_a_module_of_another_kernel_is_refused() -> None:
    kernel = assemble.parse(KERNEL)
    module = assemble.parse(M, assemble.parse(KERNEL))
    with pytest.raises(BtfError, match="not split on top of this kernel"):
        minimize(kernel, [], [module])


# Pieces.


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("a____b", "a____b"),
    ],
)
def test_a_flavour_is_what_follows_three_underscores(name: str, essential: str) -> None:
    assert essential_name(name) == essential


@pytest.mark.parametrize("access", ["", "0:", "a", "0:9", "0:0:0:7", "-1"])
def test_an_access_that_does_not_fit_its_own_types_is_an_error(access: str) -> None:
    btf = assemble.parse(KERNEL)
    with pytest.raises(BtfError):
        parse_access(btf, relo(btf, "outer", access, CoreKind.FIELD_EXISTS))


def test_a_declaration_behind_a_pointer_matches_a_definition() -> None:
    local = assemble.parse("[1] FWD 'outer' fwd_kind=struct\n[2] PTR '(anon)' type_id=1\n")
    target = assemble.parse(KERNEL)
    assert types_match(local, 2, target, 4)
    assert not types_match(local, 1, target, 8)


def _ext(order: str, *sections: bytes, hdr_len: int = 32) -> bytes:
    char = "<" if order == "little" else ">"
    head, at = b"", 0
    for section in sections:
        head += struct.pack(char + "2I", at, len(section))
        at += len(section)
    return struct.pack(char + "HBBI", 0xEB9F, 1, 0, hdr_len) + head + b"".join(sections)


def _info(order: str, name: int, *records: tuple[int, ...]) -> bytes:
    char = "<" if order == "little" else ">"
    size = 4 * len(records[0])
    body = b"".join(struct.pack(f"{char}{len(r)}I", *r) for r in records)
    return struct.pack(char + "3I", size, name, len(records)) + body


@pytest.mark.parametrize("order", ["little", "big"])
def test_btf_ext_is_read_in_either_byte_order(order: str) -> None:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    sec, file, text, access = (builder.strings.add(s) for s in ("s", "f.c", "x;", "0:1"))
    btf = builder.to_btf()
    data = _ext(
        order,
        _info(order, sec, (8, int_)),
        _info(order, sec, (8, file, text, 5 << 10 | 3)),
        _info(order, sec, (16, int_, access, 2), (24, int_, access, 9)),
    )
    ext = parse_ext(data, btf)
    assert ext.byteorder == order
    assert [(f.section, f.insn_off, f.type_id) for f in ext.funcs] == [("s", 8, 1)]
    (line,) = ext.lines
    assert (line.file, line.text, line.line, line.column) == ("f.c", "x;", 5, 3)
    assert ext.core_relos == (
        CoreRelo("s", 16, 1, "0:1", CoreKind.FIELD_EXISTS),
        CoreRelo("s", 24, 1, "0:1", CoreKind.TYPE_SIZE),
    )


@pytest.mark.parametrize("order", ["little", "big"])
def test_btf_ext_follows_its_btf_through_dedup(order: str) -> None:
    builder = Builder()
    builder.add_int("unused", 4, 1)
    again = [builder.add_int("int", 4, 1) for _ in range(3)]
    _, sec, file, text, access = (
        builder.strings.add(s) for s in ("no more", "s", "f.c", "x;", "0:1")
    )
    btf = builder.to_btf()
    data = _ext(
        order,
        _info(order, sec, (8, again[2])),
        _info(order, sec, (8, file, text, 5 << 10 | 3)),
        _info(order, sec, (16, again[1], access, 2), (24, again[0], access, 9)),
    )
    before = parse_ext(data, btf)
    result = dedup_with_map(btf)
    moved, out = move_ext(data, btf, result.btf, result.ids)
    after = parse_ext(moved, out)
    assert after.lines == before.lines
    assert [f.type_id for f in after.funcs] == [2]
    assert [(r.type_id, r.access, r.kind) for r in after.core_relos] == [
        (2, "0:1", CoreKind.FIELD_EXISTS),
        (2, "0:1", CoreKind.TYPE_SIZE),
    ]
    assert b"no more" not in out.strings.data
    assert out.words == result.btf.words


def test_dedup_writes_both_sections_of_an_object(tmp_path: Path) -> None:
    builder = Builder()
    again = [builder.add_int("int", 4, 1) for _ in range(2)]
    sec, access = (builder.strings.add(s) for s in ("s", "0:1"))
    data = _ext("little", b"", b"", _info("little", sec, (16, again[1], access, 2)))
    (tmp_path / "in.o").write_bytes(elf({".BTF": builder.build(), ".BTF.ext": data}))
    assert main(["btf", "dedup", str(tmp_path / "in.o"), "--into", str(tmp_path / "out.o")]) == 0
    found = sections((tmp_path / "out.o").read_bytes(), (".BTF", ".BTF.ext"))
    out = Btf.parse(found[".BTF"])
    assert len(out.offsets) == 1
    (found_relo,) = parse_ext(found[".BTF.ext"], out).core_relos
    assert (found_relo.section, found_relo.type_id, found_relo.access) == ("s", 1, "0:1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x9f\xeb" + bytes(10),
        b"\x00" * 40,
        _ext("little", b"", b"", hdr_len=2000),
        _ext("little", b"\x08\0\0\0\0\0\0\0\xff\xff\xff\xff", b"", hdr_len=24),
        _ext("little", b"\0\0\0\0", b"", hdr_len=24),
        _ext("little", _info("little", 0, (0, 77)), b"", hdr_len=24),
        _ext("little", _info("little", 99, (0, 0)), b"", hdr_len=24),
        _ext("little", b"", b"", _info("little", 0, (0, 0, 0, 50))),
    ],
)
def test_a_malformed_btf_ext_is_an_error(data: bytes) -> None:
    with pytest.raises(BtfFormatError):
        parse_ext(data, assemble.parse(INT))


def test_kept_values_are_those_of_the_kernel() -> None:
    local = (
        INT
        + "[2] STRUCT 'outer' size=4 vlen=1\n\t'p' type_id=3 bits_offset=0\n"
        + ("[3] PTR '(anon)' type_id=0\n")
    )
    own = assemble.parse(local)
    ext = BtfExt("little", (), (), (relo(own, "outer", "0:0", CoreKind.FIELD_BYTE_OFFSET),))
    out = minimize(assemble.parse(KERNEL), [(own, ext)]).kernel
    outer = out.type_by_id(out.find_by_name_kind("outer"))
    assert isinstance(outer, k.Struct)
    assert [(m.name, m.bit_offset) for m in outer.members] == [("p", 576)]
