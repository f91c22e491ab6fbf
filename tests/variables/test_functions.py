"""All functions of a BTF by name are those that are found one by one."""

from __future__ import annotations

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.btf.format import IntEncoding, Linkage
from btfdbg.btf.kinds import Param
from btfdbg.btf.names import functions_by_name
from btfdbg.variables.prototypes import Prototypes


def test_functions_by_name_have_the_prototypes_of_all_in_order() -> None:
    builder = Builder()
    number = builder.add_int("int", 4, IntEncoding.SIGNED)
    first, second = (builder.add_func_proto(result, []) for result in (number, 0))
    for name, proto in (("one", first), ("two", second), ("two", first), ("two", second)):
        builder.add_func(name, Linkage.STATIC, proto)
    base = Btf.parse(builder.build())
    split = Builder(base)
    third = split.add_func_proto(0, [Param("x", number)])
    for name, proto in (("two", third), ("two", first), ("three", third)):
        split.add_func(name, Linkage.STATIC, proto)
    both = Btf.parse(split.build(), base)
    wanted = {"one": (first,), "two": (second, first, third), "three": (third,)}
    found = functions_by_name(both)
    assert {name: protos for name, (_, *protos) in found.items()} == {
        name: list(protos) for name, protos in wanted.items()
    }
    assert {name: both.string(found[name][0]) for name in found} == {n: n for n in wanted}
    assert {name: both.types_by_name(name, (Kind.FUNC,)) for name in wanted} == {
        name: tuple(i for part in (base, both) for i in part.own_ids_by_name(name))
        for name in wanted
    }
    # What is kept is the blob's own, whoever is split from it.
    assert functions_by_name(base).keys() == {"one", "two"}
    assert base.own_functions() is base.own_functions()
    both.forget_functions()
    assert functions_by_name(both) == found
    for btf in (base, both):
        few, many = Prototypes(btf), Prototypes(btf)
        many.expect_many()
        for name in (*wanted, "four"):
            assert many.of_function(name) == few.of_function(name)
