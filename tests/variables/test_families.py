"""Families of names: what is learned, what is not."""

from __future__ import annotations

from btfdbg.vardb.name_patterns import Family, learn, patterns, prune, without_length
from btfdbg.variables.macro_names import has_type_of_its_own, propose


def _learned(types: dict[str, str]) -> dict[str, Family]:
    return {f.pattern: f for f in learn({name: [text] for name, text in types.items()})}


def test_names_with_one_prefix_and_one_type_are_a_family() -> None:
    families = _learned({f"dev_attr_{x}": "struct device_attribute" for x in "abcd"})
    assert families["dev_attr_*"].types == (("struct device_attribute", 4),)
    assert "dev_*" in families


def test_too_few_members_are_no_family() -> None:
    assert not _learned({f"dev_attr_{x}": "struct device_attribute" for x in "abc"})


def test_a_small_group_with_two_types_is_no_family() -> None:
    types = {f"foo_{x}": "int" for x in "abcde"} | {"foo_f": "long"}
    assert "foo_*" not in _learned(types)


def test_a_large_family_keeps_all_its_types_with_their_weights() -> None:
    types = {f"a{i}_wq": "struct workqueue_struct *" for i in range(20)}
    types |= {f"b{i}_wq": "struct wait_queue_head" for i in range(5)}
    assert _learned(types)["*_wq"].types == (
        ("struct workqueue_struct *", 20),
        ("struct wait_queue_head", 5),
    )


def test_array_lengths_do_not_split_a_family() -> None:
    families = _learned({f"x{i}_policy": f"const struct nla_policy [{i}]" for i in range(2, 8)})
    assert families["*_policy"].types == (("const struct nla_policy []", 6),)


def test_the_part_of_the_name_inside_the_type_is_a_place() -> None:
    names = ["alpha", "beta", "gamma", "delta"]
    families = _learned({f"map_{n}": f"struct {n}_ops" for n in names})
    assert list(families["map_*"].types_for("map_omega")) == [("struct omega_ops", 4)]


def test_a_narrower_family_with_the_same_answer_is_pruned() -> None:
    kept = {f.pattern for f in prune(_learned({f"a_b_{i}": "int" for i in range(5)}).values())}
    assert kept == {"a_*"}


def test_the_most_specific_pattern_comes_first() -> None:
    assert list(patterns("a_b_c"))[:2] == ["*_b_c", "a_b_*"]


def test_only_the_outermost_length_is_left_open() -> None:
    assert without_length("u64 [7][3][2]") == "u64 [][3][2]"
    assert without_length("void (*[3])(int)") == "void (*[3])(int)"
    assert without_length("struct foo") == "struct foo"


def test_a_tracepoint_is_typed_by_its_macro() -> None:
    assert list(propose("__tracepoint_sched_switch", lambda _: False)) == ["struct tracepoint"]
    assert next(propose("__tpstrtab_abc", lambda _: False)) == "const char [4]"


def test_a_tracepoint_of_bpf_s_is_of_a_type_that_nothing_else_has() -> None:
    """Its kin by name (``*_getattr``) and what points to its first member are no evidence."""
    assert has_type_of_its_own("__bpf_trace_tp_map_xfs_getattr")
    assert not any(map(has_type_of_its_own, ("__tracepoint_a", "xfs_getattr", "__bpf_trace_a")))


def test_a_trace_event_needs_its_companion() -> None:
    assert not list(propose("event_attr_x", lambda _: False))
    assert next(propose("event_foo", {"__event_foo"}.__contains__)) == "struct trace_event_call"


def test_a_module_parameter_is_not_const_on_powerpc() -> None:
    exists = {"__param_str_x"}.__contains__
    assert list(propose("__param_x", exists)) == ["const struct kernel_param"]
    assert list(propose("__param_x", exists, "s390x")) == ["const struct kernel_param"]
    assert list(propose("__param_x", exists, "ppc64le")) == ["ro struct kernel_param"]
