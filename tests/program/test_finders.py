"""drgn's questions, answered from BTF and symbols: what is found, and what must not be."""

from __future__ import annotations

import drgn
import pytest

from btfdbg.btf import kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.btf.format import IntEncoding
from btfdbg.kallsyms import Sym

from .support import Kernel


@pytest.fixture
def kernel() -> Kernel:
    b = Builder()
    integer = b.add_int("int", 4, IntEncoding.SIGNED)
    b.add_struct("twice", 4, [kinds.Member("a", integer, 0, 0)])
    b.add_struct("twice", 8, [kinds.Member("b", integer, 0, 0)])
    b.add_enum("pid_type", 4)
    b.add_enum_value("PIDTYPE_PID", 0)
    b.add_enum_value("PIDTYPE_TGID", 1)
    b.add_enum("one", 4)
    b.add_enum_value("SAME", 5)
    b.add_enum_value("DIFFERS", 1)
    b.add_enum("two", 4)
    b.add_enum_value("SAME", 5)
    b.add_enum_value("DIFFERS", 2)
    proto = b.add_func_proto(integer, [kinds.Param("x", integer)])
    b.add_func("do_it", 1, proto)
    b.add_func("duplicate", 0, proto)
    for _ in range(2):  # as in a module's BTF beside the kernel's
        b.add_typedef("pid_t", b.add_typedef("__kernel_pid_t", integer))
    b.add_typedef("two_ways", integer)
    b.add_typedef("two_ways", b.add_ptr(integer))
    counter = b.add_var("counter", 1, integer)
    b.add_datasec(".data..percpu", 64, [kinds.VarSecinfo(counter, 16, 4)])
    return Kernel(
        b,
        Sym("do_it", 0xFFFF0000, 16, "T"),
        Sym("duplicate", 0xFFFF1000, 16, "t"),
        Sym("duplicate", 0xFFFF2000, 16, "t"),
        Sym("counter", 0x1000, 8, "D"),
        Sym("untyped", 0xFFFF3000, 8, "D"),
        Sym("vmemmap_populate", 0xFFFF4000, 8, "T"),
    )


def test_an_unknown_name_is_absent_and_no_error(kernel: Kernel) -> None:
    assert "no_such_thing" not in kernel.prog
    with pytest.raises(LookupError):
        kernel.prog.type("struct no_such_thing")


def test_a_function_is_found_at_its_symbol(kernel: Kernel) -> None:
    f = kernel.prog.function("do_it")
    assert f.address_ == 0xFFFF0000
    assert f.type_.type_name() == "int (int x)"


def test_a_function_of_two_addresses_is_not_guessed(kernel: Kernel) -> None:
    with pytest.raises(LookupError):
        kernel.prog.function("duplicate")


def test_a_variable_in_btf_is_found_at_its_symbol(kernel: Kernel) -> None:
    v = kernel.prog.variable("counter")
    assert (v.address_, v.type_.type_name()) == (0x1000, "int")
    assert kernel.session.variable_source("counter") == "kernel BTF"


def test_a_symbol_without_a_type_has_no_object(kernel: Kernel) -> None:
    assert "untyped" not in kernel.prog


def test_a_function_that_drgn_only_probes_exists_if_its_symbol_does(kernel: Kernel) -> None:
    assert "vmemmap_populate" in kernel.prog


def test_enumerators_are_constants(kernel: Kernel) -> None:
    constant = kernel.prog.constant("PIDTYPE_TGID")
    assert constant.value_() == 1
    assert constant.type_.type_name() == "enum pid_type"
    assert constant.absent_ is False


def test_an_enumerator_of_one_value_in_two_enums_is_that_value(kernel: Kernel) -> None:
    assert kernel.prog["SAME"].value_() == 5


def test_an_enumerator_of_two_values_is_not_guessed(kernel: Kernel) -> None:
    assert "DIFFERS" not in kernel.prog
    assert [v.value for v in find_enumerators(kernel.btf, "DIFFERS")] == [1, 2]


def test_two_structs_of_one_name_are_both_reachable_by_id(kernel: Kernel) -> None:
    ids = kernel.btf.types_by_name("twice")
    assert [kernel.converter.convert(i).size for i in ids] == [4, 8]
    assert kernel.prog.type("struct twice").size == 4


def test_a_file_name_that_is_no_module_finds_nothing(kernel: Kernel) -> None:
    with pytest.raises(LookupError):
        kernel.prog.type("struct twice", "kernel/fork.c")
    assert kernel.prog.type("struct twice", "vmlinux").size == 4


def test_drgn_makes_c_keywords_itself(kernel: Kernel) -> None:
    assert kernel.prog.type("unsigned long").name == "unsigned long"
    assert kernel.finders.find_type(kernel.prog, {drgn.TypeKind.INT}, "unsigned int", None) is None


@pytest.mark.parametrize("filename", ["linux/pid.h", "pid.h", "kernel/pid.c", "printk.c"])
def test_a_unique_name_is_found_whatever_the_source_file(kernel: Kernel, filename: str) -> None:
    prog = kernel.prog
    assert prog.type("enum pid_type", filename).tag == "pid_type"
    assert prog.object("counter", filename=filename).address_ == 0x1000
    assert prog.variable("counter", filename).type_.type_name() == "int"
    assert prog.function("do_it", filename).address_ == 0xFFFF0000
    assert prog.constant("PIDTYPE_TGID", filename).value_() == 1


def test_copies_of_one_type_are_one_whatever_the_source_file(kernel: Kernel) -> None:
    found = kernel.prog.type("pid_t", "linux/types.h")
    assert found.type_name() == "pid_t"
    assert found.type.type_name() == "__kernel_pid_t"
    with pytest.raises(LookupError):
        kernel.prog.type("two_ways", "linux/types.h")


def test_a_source_file_does_not_choose_among_several_of_a_name(kernel: Kernel) -> None:
    prog = kernel.prog
    with pytest.raises(LookupError):
        prog.type("struct twice", "linux/pid.h")
    with pytest.raises(LookupError):
        prog.function("duplicate", "kernel/pid.c")
    with pytest.raises(LookupError):
        prog.type("enum pid_type", "nosuchmodule")
