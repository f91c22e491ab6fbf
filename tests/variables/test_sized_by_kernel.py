"""Arrays that the kernel's configuration sizes: one element for each CPU it is built for."""

from __future__ import annotations

from btfdbg.btf import Builder
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables import macro_names
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.lookup import VariableTypes

from .kernels import RELEASE, Sym, Symbols, make_btf, make_program

NAME = "__per_cpu_offset"
OTHER = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")


def _type_of(symbol: Sym, *lengths: int) -> str | None:
    """The verdict in a kernel whose BTF has arrays of ``unsigned long`` of some lengths."""
    builder = Builder.like(make_btf())
    word = builder.add_int("long unsigned int", 8)
    for length in lengths:
        builder.add_array(word, word, length)
    btf = builder.to_btf()
    entry = Entry(symbol.name, "", "unsigned long [8192]", frozenset((OTHER.release,)))
    database = Database.from_text(TextDatabase([OTHER], [entry]))
    variables = VariableTypes(
        make_program(btf),
        DumpEvidence(Symbols(symbol), release=RELEASE, architecture="x86_64", btf=lambda: btf),
        database=lambda: database,
    )
    found = variables.find(symbol.name)
    return None if found is None else found.type.type_name()


def test_per_cpu_offsets_fill_their_room_however_many_cpus_there_are() -> None:
    # drgn takes a kernel without it for one without SMP, and reads freed memory.
    assert _type_of(Sym(NAME, 0, 128), 15, 16) == "unsigned long [16]"
    assert _type_of(Sym(NAME, 0, 4096), 16, 512) == "unsigned long [512]"


def test_per_cpu_offsets_of_a_length_that_the_btf_does_not_have_are_not_guessed() -> None:
    assert _type_of(Sym(NAME, 0, 128), 8, 512) == "unsigned long []"


def test_per_cpu_offsets_whose_room_is_not_known_have_no_length() -> None:
    """The kernel's symbols are functions only, and its BTF has arrays of no elements."""
    assert _type_of(Sym(NAME, 0, 0), 0, 512) == "unsigned long []"


def test_other_arrays_of_words_are_not_taken_to_fill_their_room() -> None:
    assert _type_of(Sym("v", 0, 128), 15, 16) is None


def test_masks_of_one_cpu_are_as_long_as_a_cpumask() -> None:
    sizes = {"unsigned long": 8, "struct cpumask": 16}
    assert macro_names.by_size("cpu_bit_bitmap", sizes.get) == "const unsigned long [65][2]"
    assert macro_names.by_size("cpu_bit_bitmap", {"unsigned long": 8}.get) is None
    assert macro_names.by_size("v", sizes.get) is None
