"""CO-RE rule by rule: flavours on both sides, arrays at the end, access strings, matching.

Verdicts are those of libbpf 1.7, to which ``bpftool gen min_core_btf`` was put as a
question: 1,087 random pairs of BPF object and kernel, all answered alike.
"""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo
from btfdbg.btf.core_relo import essential_name
from btfdbg.btf.minimize import Minimal, minimize
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfError

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
OFFSET = CoreKind.FIELD_BYTE_OFFSET
MATCHES = CoreKind.TYPE_MATCHES


def minimal(
    local: str, target: str, type_id: int, access: str, kind: CoreKind, *modules: str
) -> Minimal:
    """Return what is kept of a target for one relocation of a local type."""
    kernel = assemble.parse(target)
    ext = BtfExt("little", (), (), (CoreRelo("s", 0, type_id, access, kind),))
    splits = [assemble.parse(module, kernel) for module in modules]
    return minimize(kernel, [(assemble.parse(local), ext)], splits)


def answers(local: str, target: str, type_id: int, access: str, kind: CoreKind) -> bool:
    return not minimal(local, target, type_id, access, kind).unmatched


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("a___b", "a"),
        ("a___b_", "a"),
        ("a___b____c", "a"),
        ("a___b___c", "a___b"),
        ("a____b", "a____b"),
        ("a_____b", "a_____b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("_a___b", "_a"),
        ("a__b", "a__b"),
        ("é___v2", "é"),
        ("", ""),
    ],
)
def test_flavour_is_what_follows_three_underscores_between_others(
    name: str, essential: str
) -> None:
    assert essential_name(name) == essential


def struct(name: str, *members: tuple[str, int, int], kind: str = "STRUCT", size: int = 64) -> str:
    rows = "".join(f"\n\t'{n}' type_id={t} bits_offset={o}" for n, t, o in members)
    return f"{kind} '{name}' size={size} vlen={len(members)}{rows}\n"


def text(*types: str) -> str:
    """Return types after an int, numbered from 2 on."""
    return INT + "".join(f"[{number}] {type_}" for number, type_ in enumerate(types, 2))


def test_a_flavour_in_the_kernel_is_a_candidate_too() -> None:
    # The targets of libbpf's own tests are flavours: struct core_reloc_nesting___dup.
    local = text(struct("s", ("a", 1, 0)))
    target = text(struct("s___one", ("a", 1, 96)), struct("s2___one", ("a", 1, 0)))
    out = minimal(local, target, 2, "0:0", OFFSET)
    assert out.unmatched == ()
    assert rawtext.dumps(out.kernel) == text(struct("s___one", ("a", 1, 96)))
    flavoured = text(struct("s___mine", ("a", 1, 0)))
    assert answers(flavoured, target, 2, "0:0", OFFSET)


def test_every_flavour_that_answers_is_kept_and_others_are_not() -> None:
    local = text(struct("s", ("a", 1, 0)))
    one, two = struct("s___one", ("a", 1, 96)), struct("s___two", ("b", 1, 96))
    out = minimal(local, text(one, two, struct("s", ("a", 1, 96))), 2, "0:0", OFFSET)
    assert rawtext.dumps(out.kernel) == text(one, struct("s", ("a", 1, 96)))


def test_a_flavour_of_a_module_whose_name_is_the_kernels_string() -> None:
    local = text(struct("s", ("a", 1, 0)))
    target = text(struct("other", ("s___x", 1, 0)))
    module = f"[3] {struct('s___x', ('a', 1, 32))}"
    out = minimal(local, target, 2, "0:0", OFFSET, module)
    assert out.unmatched == ()
    assert rawtext.dumps(out.modules[0]) == f"[2] {struct('s___x', ('a', 1, 32))}"


# Arrays. Access 0:0:2: the third element of the first member.


def array(count: int) -> str:
    return f"ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems={count}\n"


@pytest.mark.parametrize(
    ("count", "after", "found"),
    [
        (3, (), True),
        (2, (), False),
        (1, (), False),  # not even at the end
        (0, (), True),
        (0, (("z", 1, 256),), False),  # of no elements, and not at the end
    ],
)
def test_an_array_of_no_elements_has_any_if_it_ends_its_struct(
    count: int, after: tuple[tuple[str, int, int], ...], found: bool
) -> None:
    local = text(array(3), struct("s", ("a", 2, 0)))
    target = text(array(count), struct("s", ("a", 2, 0), *after))
    assert answers(local, target, 3, "0:0:2", OFFSET) == found


def test_the_objects_own_array_is_judged_alike() -> None:
    target = text(array(3), struct("s", ("a", 2, 0)))
    assert answers(text(array(0), struct("s", ("a", 2, 0))), target, 3, "0:0:2", OFFSET)
    for local in (
        text(array(2), struct("s", ("a", 2, 0))),
        text(array(0), struct("s", ("a", 2, 0), ("b", 1, 0))),
    ):
        with pytest.raises(BtfError, match="no element 2"):
            minimal(local, target, 3, "0:0:2", OFFSET)


def test_elements_of_elements_are_no_flexible_array() -> None:
    types = (array(0), "ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2\n")
    local = text(*types, struct("s", ("a", 3, 0)))
    with pytest.raises(BtfError, match="no element 1"):
        minimal(local, local, 4, "0:0:1:1", OFFSET)


def test_the_index_of_the_root_may_be_any() -> None:
    local = text(struct("s", ("a", 1, 0)))
    assert answers(local, local, 2, "77:0", OFFSET)


# Access strings.


@pytest.mark.parametrize(
    "access",
    ["", "0:", ":0", "0::0", "x", "0:x", " 0", "0 ", "+0", "0:-1", "0:1", "0:0:0", "0_0", "٠",
     "0:99999999999999999999", ":".join("0" * 65)],
)  # fmt: skip
def test_an_access_that_does_not_fit_is_an_error_whatever_the_kernel_has(access: str) -> None:
    local = text(struct("s", ("a", 1, 0)))
    for target in (local, text(struct("unrelated"))):
        with pytest.raises(BtfError, match="access"):
            minimal(local, target, 2, access, OFFSET)


@pytest.mark.parametrize("kind", [CoreKind.TYPE_EXISTS, CoreKind.TYPE_SIZE, MATCHES])
def test_a_type_as_a_whole_has_the_access_0(kind: CoreKind) -> None:
    local = text(struct("s", ("a", 1, 0)))
    assert answers(local, local, 2, "0", kind)
    for access in ("", "1", "0:0"):
        with pytest.raises(BtfError, match="as a whole"):
            minimal(local, local, 2, access, kind)


@pytest.mark.parametrize("access", ["2", "0:0", "-1", "", "x"])
def test_an_enumerator_that_the_object_does_not_have_is_an_error(access: str) -> None:
    local = text("ENUM 'e' encoding=UNSIGNED size=4 vlen=2\n\t'A' val=0\n\t'B' val=1\n")
    with pytest.raises(BtfError, match="no enumerator"):
        minimal(local, INT, 2, access, CoreKind.ENUMVAL_EXISTS)


def test_an_enumerator_of_what_is_no_enum_is_an_error() -> None:
    with pytest.raises(BtfError, match="no enum"):
        minimal(INT, INT, 1, "0", CoreKind.ENUMVAL_VALUE)


def test_an_access_to_what_has_no_size_is_an_error() -> None:
    local = text("FWD 's' fwd_kind=struct\n")
    with pytest.raises(BtfError):
        minimal(local, text(struct("s")), 2, "0", CoreKind.FIELD_EXISTS)


# Kinds that answer for each other.

A_INT = "INT 'x' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
ENUM4 = "ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=0\n"
ENUM8 = "ENUM64 'e' encoding=UNSIGNED size=8 vlen=1\n\t'A' val=0ULL\n"


@pytest.mark.parametrize("kind", [CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE])
@pytest.mark.parametrize(("one", "other"), [(ENUM4, ENUM8), (ENUM8, ENUM4)])
def test_enum_and_enum64_answer_for_each_other(kind: CoreKind, one: str, other: str) -> None:
    assert answers(text(one), text(other), 2, "0", kind)


def test_an_enumerator_has_flavours_too() -> None:
    local = text(ENUM4.replace("'A'", "'A___mine'"))
    assert answers(local, text(ENUM4), 2, "0", CoreKind.ENUMVAL_VALUE)
    assert not answers(local, text(ENUM4.replace("'A'", "'AB'")), 2, "0", CoreKind.ENUMVAL_VALUE)


@pytest.mark.parametrize(
    ("mine", "kernels", "found"),
    [
        ("PTR '(anon)' type_id=1\n", "PTR '(anon)' type_id=0\n", True),
        ("PTR '(anon)' type_id=1\n", A_INT, False),
        (A_INT, "INT 'y' size=8 bits_offset=0 nr_bits=64 encoding=(none)\n", True),
        (A_INT, "INT 'y' size=4 bits_offset=3 nr_bits=5 encoding=(none)\n", False),
        ("FLOAT 'f' size=4\n", "FLOAT 'd' size=8\n", True),
        ("FLOAT 'f' size=4\n", A_INT, False),
        (ENUM4, ENUM8, True),
        (ENUM4, ENUM8.replace("'e'", "'other'"), False),
        (ENUM4, ENUM8.replace("'e'", "'(anon)'"), True),
        (ENUM4.replace("'e'", "'e___v'"), ENUM8, True),
        (ENUM4, A_INT, False),
        (struct("t"), struct("u", kind="UNION"), True),
        (struct("t"), "FWD 't' fwd_kind=struct\n", False),
        (array(2), array(7), True),
        (array(2), "ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2\n", False),
        ("FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n", "FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n",
         False),
    ],
)  # fmt: skip
def test_a_member_answers_by_its_kind(mine: str, kernels: str, found: bool) -> None:
    local = text(mine, struct("s", ("a", 2, 0)))
    assert answers(local, text(kernels, struct("s", ("a", 2, 0))), 3, "0:0", OFFSET) == found


def test_a_member_is_found_through_typedefs_qualifiers_and_anonymous_members() -> None:
    target = text(
        struct("(anon)", ("deep", 1, 32), kind="UNION"),
        "TYPEDEF 'u_t' type_id=2\n",
        "CONST '(anon)' type_id=3\n",
        struct("(anon)", ("b", 1, 0), ("(anon)", 4, 64)),
        struct("s", ("(anon)", 5, 128)),
        "TYPEDEF 's_t' type_id=6\n",
    )
    local = text(struct("s", ("deep", 1, 0)), "TYPEDEF 's_t' type_id=2\n")
    for type_id in (2, 3):
        out = minimal(local, target, type_id, "0:0", OFFSET)
        assert out.unmatched == ()
        assert ("s_t" in rawtext.dumps(out.kernel)) == (type_id == 3)
    kept = rawtext.dumps(minimal(local, target, 2, "0:0", OFFSET).kernel)
    assert "'b'" not in kept
    assert "'u_t'" in kept


def test_a_type_of_another_kind_is_no_candidate() -> None:
    local = text(struct("s", ("a", 1, 0)))
    for other in (
        struct("s", ("a", 1, 0), kind="UNION"),
        "TYPEDEF 's' type_id=1\n",
        "FWD 's' fwd_kind=struct\n",
    ):
        assert not answers(local, text(other), 2, "0:0", CoreKind.FIELD_EXISTS)
        assert not answers(local, text(other), 2, "0", CoreKind.TYPE_EXISTS)


# TYPE_MATCHES.


@pytest.mark.parametrize(
    ("mine", "kernels", "found"),
    [
        (struct("s", ("a", 1, 0)), struct("s", ("b", 1, 0), ("a", 1, 64)), True),
        (struct("s", ("a", 1, 0), ("b", 1, 32)), struct("s", ("a", 1, 0)), False),
        (struct("s", ("a___f", 1, 0)), struct("s", ("a", 1, 0)), True),
        (struct("s", ("a", 1, 0)), struct("s", ("abc", 1, 0)), True),  # so the loader says
        (struct("s", ("abc", 1, 0)), struct("s", ("a", 1, 0)), False),
        (struct("s"), struct("s", ("a", 1, 0)), True),
        (struct("s"), struct("s", kind="UNION"), False),
        (ENUM4, "ENUM 'e' encoding=SIGNED size=4 vlen=2\n\t'Z' val=5\n\t'A' val=7\n", True),
        (ENUM4, ENUM8, False),
        (ENUM4, ENUM4.replace("'A'", "'B'"), False),
        ("ENUM 'e' encoding=UNSIGNED size=4 vlen=0\n", ENUM4, True),
        (A_INT, A_INT, True),
        (A_INT, A_INT.replace("SIGNED", "(none)"), False),
        (A_INT, "INT 'x' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED\n", False),
        ("FLOAT 'f' size=4\n", A_INT.replace("'x'", "'f'"), False),
        ("FWD 's' fwd_kind=struct\n", "FWD 's' fwd_kind=struct\n", True),
        ("FWD 's' fwd_kind=struct\n", "FWD 's' fwd_kind=union\n", False),
        ("TYPEDEF 't' type_id=1\n", "TYPEDEF 't' type_id=1\n", True),
    ],
)
def test_a_type_matches_as_a_whole(mine: str, kernels: str, found: bool) -> None:
    assert answers(text(mine), text(kernels), 2, "0", MATCHES) == found


@pytest.mark.parametrize("outer", ["PTR '(anon)' type_id=2\n", array(2).replace("=1 i", "=2 i")])
def test_behind_a_pointer_only_kind_and_name_have_to_match(outer: str) -> None:
    behind = outer.startswith("PTR")
    local = text(struct("p", ("a", 1, 0)), outer, struct("s", ("m", 3, 0)))
    other = text(struct("p", ("b", 1, 0)), outer, struct("s", ("m", 3, 0)))
    assert answers(local, other, 4, "0", MATCHES) == behind
    declared = text("FWD 'p' fwd_kind=struct\n", outer, struct("s", ("m", 3, 0)))
    assert answers(local, declared, 4, "0", MATCHES) == behind
    assert answers(declared, local, 4, "0", MATCHES) == behind
    union = text("FWD 'p' fwd_kind=union\n", outer, struct("s", ("m", 3, 0)))
    assert not answers(union, local, 4, "0", MATCHES)


def test_any_member_of_the_name_may_match() -> None:
    local = text(struct("s", ("(anon)", 1, 0)))
    ptr = "PTR '(anon)' type_id=0\n"
    assert answers(local, text(struct("s", ("p", 3, 0), ("i", 1, 64)), ptr), 2, "0", MATCHES)
    assert not answers(local, text(struct("s", ("p", 3, 0)), ptr), 2, "0", MATCHES)


# Modules.


def test_every_module_that_answers_keeps_its_own_layout() -> None:
    local = text(struct("s", ("a", 1, 0)))
    one, two = (f"[2] {struct('s', ('a', 1, offset))}" for offset in (32, 64))
    three = f"[2] {struct('s', ('b', 1, 0))}"
    out = minimal(local, INT, 2, "0:0", OFFSET, one, two, three)
    assert [rawtext.dumps(module) for module in out.modules] == [one, two, ""]
    assert rawtext.dumps(out.kernel) == INT


def test_what_minimising_left_of_a_kernel_answers_as_the_kernel_did() -> None:
    target = text(
        array(0), struct("in", ("x", 1, 0), ("y", 1, 32)), struct("s", ("i", 3, 0), ("f", 2, 64))
    )
    local = text(array(0), struct("in", ("y", 1, 0)), struct("s___m", ("i", 3, 0), ("f", 2, 64)))
    for access in ("0:0:0", "0:1:5", "0:1", "0:0", "0"):
        once = minimal(local, target, 4, access, OFFSET)
        assert once.unmatched == ()
        again = minimal(local, rawtext.dumps(once.kernel), 4, access, OFFSET)
        # A flexible array stays one: what follows it is not kept.
        assert rawtext.dumps(again.kernel) == rawtext.dumps(once.kernel)


def test_an_array_of_no_elements_does_not_become_flexible_by_minimising() -> None:
    # Its successor is asked for by nobody, but without it another access would be answered.
    local = text(array(3), struct("s", ("a", 2, 0)))
    target = text(array(0), struct("s", ("a", 2, 0), ("z", 1, 256)))
    kernel = assemble.parse(target)
    relos = tuple(CoreRelo("s", 0, 3, access, OFFSET) for access in ("0:0", "0:0:2"))
    out = minimize(kernel, [(assemble.parse(local), BtfExt("little", (), (), relos))])
    assert [relo.access for relo in out.unmatched] == ["0:0:2"]
    assert isinstance(out.kernel, Btf)
    again = minimize(out.kernel, [(assemble.parse(local), BtfExt("little", (), (), relos))])
    assert [relo.access for relo in again.unmatched] == ["0:0:2"]
